/** How many steps of one policy reach the accuracy of another: interpolation between budgets, with the uncertainty over seeds. */
import { stream, type Stream } from '../../engine/index.ts';
import { mean } from './numbers.ts';

/** The final accuracies of runs of one length, one for each seed. */
export interface Point {
  readonly steps: number;
  readonly accuracies: readonly number[];
}

export interface EqualSteps {
  /** Steps whose interpolated mean accuracy is the target. Infinity if no budget reaches it. At least the smallest budget. */
  readonly steps: number;
  /** The 2.5th and 97.5th percentile over resampled seeds. */
  readonly low: number;
  readonly high: number;
}

/**
 * The smallest number of steps at which a curve reaches an accuracy. The curve is linear in the logarithm of the steps between the points,
 * which are in ascending order.
 */
export function stepsAt(
  curve: readonly (readonly [steps: number, accuracy: number])[],
  target: number,
): number {
  const above = curve.findIndex(([, accuracy]) => accuracy >= target);
  if (above < 0) return Infinity;
  if (above === 0) return curve[0][0];
  const [[before, lower], [after, upper]] = [curve[above - 1], curve[above]];
  return before * (after / before) ** ((target - lower) / (upper - lower));
}

/** Resampled sets of runs. */
const SAMPLES = 10_000;

/**
 * The steps of a curve that equal the runs of `target`. The interval is a bootstrap: the runs of every point are drawn again, with
 * replacement. Two or three runs for each point underestimate the spread. Throws RangeError without runs.
 */
export function equalSteps(curve: readonly Point[], target: readonly number[]): EqualSteps {
  const points = [...curve].sort((a, b) => a.steps - b.steps);
  if (
    target.length === 0 ||
    points.length === 0 ||
    points.some(({ accuracies }) => accuracies.length === 0)
  ) {
    throw new RangeError('equalSteps: every point needs a run (leave out points that have none)');
  }
  const once = (pick: (runs: readonly number[]) => readonly number[]): number =>
    stepsAt(
      points.map(({ steps, accuracies }) => [steps, mean(pick(accuracies))] as const),
      mean(pick(target)),
    );
  const draws: Stream = stream(1, 'equal steps');
  const again = (runs: readonly number[]): readonly number[] =>
    runs.map(() => runs[draws.below(runs.length)]);
  const samples = Array.from({ length: SAMPLES }, () => once(again)).sort((a, b) =>
    a < b ? -1 : a > b ? 1 : 0,
  );
  return {
    steps: once((runs) => runs),
    low: samples[Math.floor(0.025 * SAMPLES)],
    high: samples[Math.ceil(0.975 * SAMPLES) - 1],
  };
}
