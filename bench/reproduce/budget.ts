/** Accuracy against budget: four policies on Caffe's cifar10_full, each for six lengths of the run. */
import type { Optimizer } from '../../optim/index.ts';
import { cosine, cyclicLR, join, multistep, oneCycle, oneCycleMomentum } from '../../schedulers/index.ts';
import { caffeSgd, full, type Arm } from './arm.ts';
import { thousands } from './numbers.ts';

/** Steps of the runs. */
export const BUDGETS = [10_000, 15_000, 25_000, 35_000, 50_000, 70_000] as const;

export const policyNames = ['fixed', 'triangular2', 'one-cycle', 'cosine'] as const;
export type PolicyName = (typeof policyNames)[number];

interface Policy {
  readonly title: string;
  readonly note: string;
  optimizer(steps: number): Optimizer;
}

/** The settings of Caffe's solver, as in Table 1: only the schedule differs between the policies. */
export const policies: Readonly<Record<PolicyName, Policy>> = {
  fixed: {
    title: 'fixed',
    note: 'The rate of 0.001 drops to a tenth at 6/7 and again at 13/14 of the run, as in Caffe’s solvers.',
    optimizer: (steps) =>
      caffeSgd(
        multistep({
          base: 0.001,
          gamma: 0.1,
          at: [Math.round((steps * 6) / 7), Math.round((steps * 13) / 14)],
        }),
      ),
  },
  triangular2: {
    title: 'triangular2',
    note: 'The three stages of Table 2, with boundaries and step sizes in proportion to the length.',
    optimizer(steps) {
      const part = (of25000: number): number => Math.round((steps * of25000) / 25_000);
      const stage = (base: number, max: number, stepSize: number) =>
        cyclicLR({ base, max, stepSize: part(stepSize), mode: 'triangular2' });
      return caffeSgd(
        join(
          [stage(1e-3, 5e-3, 2000), stage(1e-4, 5e-4, 1000), stage(1e-5, 5e-5, 500)],
          [part(16_000), part(22_000), steps],
        ),
      );
    },
  },
  'one-cycle': {
    title: 'one cycle',
    note: 'One cycle 0.0005–0.005 with momentum 0.95–0.85 and the shape of Smith (2018), with the weight decay of the other arms.',
    optimizer(steps) {
      const shape = { steps, rise: 11 / 25, form: 'smith' } as const;
      return caffeSgd(oneCycle({ ...shape, max: 0.005, div: 10 }), {
        momentum: oneCycleMomentum({ ...shape, low: 0.85, high: 0.95 }),
      });
    },
  },
  cosine: {
    title: 'cosine',
    note: 'Half a cosine from 0.005, the highest rate of Table 2, to 0.',
    optimizer: (steps) => caffeSgd(cosine({ max: 0.005, steps })),
  },
};

export const budgetName = (policy: PolicyName, steps: number): string => `${policy}-${steps}`;

/** Table 1 has the runs of the headline. They are the same recipe, so their results are used. */
const IN_TABLE1 = ['triangular2-25000', 'fixed-25000', 'fixed-70000'];

/** The arms that Table 1 does not have. */
export const budgetArms: readonly Arm[] = policyNames
  .flatMap((policy) => BUDGETS.map((steps) => ({ policy, steps, name: budgetName(policy, steps) })))
  .filter(({ name }) => !IN_TABLE1.includes(name))
  .map(({ policy, steps, name }) => ({
    experiment: 'budget',
    name,
    family: policy,
    title: `${policies[policy].title}, ${thousands(steps)}`,
    steps,
    batchSize: 100,
    evalEvery: 1000,
    model: full,
    optimizer: () => policies[policy].optimizer(steps),
    paper: null,
    note: policies[policy].note,
  }));

/** Whether an arm is a point of the curves: those of this experiment, and three of Table 1. */
export const isBudgetArm = ({ experiment, name }: Arm): boolean =>
  experiment === 'budget' || (experiment === 'table1' && IN_TABLE1.includes(name));

/** The lengths of the runs of each policy in the order in which they run: first those that the headline needs, then the curves. */
const ORDER: readonly (readonly [PolicyName, readonly number[]])[] = [
  ['triangular2', [25_000]],
  ['fixed', [25_000, 70_000, 35_000, 50_000, 15_000, 10_000]],
  ['triangular2', [10_000, 50_000, 15_000, 35_000, 70_000]],
  ['one-cycle', [25_000, 10_000, 70_000, 15_000, 35_000, 50_000]],
  ['cosine', [25_000, 10_000, 70_000, 15_000, 35_000, 50_000]],
];

/** Arms of the curves in the order of the runs. Each runs with all its seeds before the next. */
export const inBudgetOrder = (arms: readonly Arm[]): readonly Arm[] =>
  ORDER.flatMap(([policy, lengths]) => lengths.map((steps) => budgetName(policy, steps))).map((name) => {
    const arm = arms.find((one) => isBudgetArm(one) && one.name === name);
    if (arm === undefined) throw new Error(`budget: there is no arm '${name}'`);
    return arm;
  });
