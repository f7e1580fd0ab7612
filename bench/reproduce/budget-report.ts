/** The curves of accuracy against budget, and how many steps of the fixed rate equal 25,000 cyclical ones. */
import { curveSvg, formatPercent, type CurveSeries } from '../../engine/index.ts';
import { budgetName, BUDGETS, isBudgetArm, policies, policyNames, type PolicyName } from './budget.ts';
import { equalSteps, type EqualSteps, type Point } from './equal-steps.ts';
import { mean, thousands } from './numbers.ts';
import type { ArmResult } from './record.ts';

/** The length of the cyclical runs in the paper's claim. */
const CYCLICAL = 25_000;

/** The finished points of a policy, in ascending order of steps. */
export function pointsOf(results: readonly ArmResult[], policy: PolicyName): Point[] {
  return BUDGETS.flatMap((steps) => {
    const found = results.find(({ arm }) => isBudgetArm(arm) && arm.name === budgetName(policy, steps));
    const accuracies = found?.runs.map(({ accuracy }) => accuracy) ?? [];
    return accuracies.length === 0 ? [] : [{ steps, accuracies }];
  });
}

/** The fixed steps that equal 25,000 cyclical ones. Null until the cyclical arm and two lengths of the fixed rate have runs. */
export function headlineSteps(results: readonly ArmResult[]): EqualSteps | null {
  const fixed = pointsOf(results, 'fixed');
  const cyclical = pointsOf(results, 'triangular2').find(({ steps }) => steps === CYCLICAL);
  return cyclical === undefined || fixed.length < 2 ? null : equalSteps(fixed, cyclical.accuracies);
}

/** The headline as a sentence, and what it rests on. */
export function budgetText(results: readonly ArmResult[]): string[] {
  const fixed = pointsOf(results, 'fixed');
  const found = headlineSteps(results);
  if (found === null) return ['The arms that the headline needs have not all finished.'];
  const [least, most] = [fixed[0].steps, fixed[fixed.length - 1].steps];
  const round = (steps: number): string => {
    if (steps === Infinity) return `more than ${thousands(most)}`;
    return steps <= least ? `at most ${thousands(least)}` : thousands(Math.round(steps / 100) * 100);
  };
  const ratio = Number.isFinite(found.steps) ? `, ${(found.steps / CYCLICAL).toFixed(2)} times as many` : '';
  const lengths = fixed.map(({ steps }) => thousands(steps)).join(', ');
  return [
    `The accuracy of triangular2 after ${thousands(CYCLICAL)} steps takes ${round(found.steps)} steps of the fixed rate${ratio}. The 95% ` +
      `interval over resampled seeds is ${round(found.low)} to ${round(found.high)}.`,
    `It is interpolated between fixed runs of ${lengths} steps, linearly in the logarithm of the steps. The interval covers ` +
      'the seeds, not the interpolation. Two or three runs for each length make it too narrow rather than too wide.',
  ];
}

/** What each policy is, for those that have run. */
export const budgetNotes = (results: readonly ArmResult[]): string[] =>
  policyNames.flatMap((policy) =>
    pointsOf(results, policy).length === 0 ? [] : [`${policies[policy].title}: ${policies[policy].note}`],
  );

const COLORS: Readonly<Record<PolicyName, string>> = {
  fixed: '#c24f00',
  triangular2: '#0072b2',
  'one-cycle': '#00805e',
  cosine: '#a9527f',
};

/** Final accuracy over the length of the run: means as lines, and every run as a mark. Null if nothing has run. */
export function budgetFigure(title: string, results: readonly ArmResult[]): string | null {
  const curves = policyNames.map((policy) => ({ policy, points: pointsOf(results, policy) }));
  const finals = curves.flatMap(({ points }) => points.flatMap(({ accuracies }) => accuracies));
  if (finals.length === 0) return null;
  const series = curves.flatMap(({ policy, points }): CurveSeries[] => {
    if (points.length === 0) return [];
    const last = points[points.length - 1];
    return [
      {
        label: `${policies[policy].title}, ${thousands(last.steps)}: ${formatPercent(mean(last.accuracies))}`,
        points: points.map(({ steps, accuracies }) => [steps, mean(accuracies)]),
        color: COLORS[policy],
        dots: true,
      },
      {
        label: '',
        points: points.flatMap(({ steps, accuracies }) =>
          accuracies.map((one): [number, number] => [steps, one]),
        ),
        color: COLORS[policy],
        marker: 'cross',
        width: 3,
      },
    ];
  });
  const domain: [number, number] = [
    Math.floor((Math.min(...finals) - 0.002) * 100) / 100,
    Math.ceil((Math.max(...finals) + 0.002) * 100) / 100,
  ];
  return curveSvg(series, {
    title,
    subtitle:
      'accuracy on the 10,000 test images after the last step: means over seeds, and a cross for each run',
    height: 480,
    x: { label: 'steps of the run', scale: 'log' },
    panels: [{ left: { label: 'test accuracy', format: 'percent', domain }, labels: 'ends' }],
  });
}
