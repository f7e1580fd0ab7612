/** Super-convergence and Table 4 in small: residual and dense networks on CIFAR-10, at lengths that fit two cores. */
import type * as nn from '../../engine/nn/index.ts';
import { densenet, resnet20, resnet56 } from '../../engine/zoo/index.ts';
import { sgd } from '../../optim/index.ts';
import { cyclicLR, join, multistep, oneCycle, scale, type Schedule } from '../../schedulers/index.ts';
import type { Arm, ChannelStatistics } from './arm.ts';
import { thousands } from './numbers.ts';

type Model = Arm['model'];

const classes = 10;
const withMean =
  (make: typeof resnet20): Model =>
  (mean) =>
    make({ classes, mean });
const withStatistics =
  (make: (options: { classes: number } & ChannelStatistics) => nn.Layer): Model =>
  (_, { mean, std }) =>
    make({ classes, mean, std });

/** The rates of the paper are for batches of 1,000 images. */
const BATCH = 128;
const SHARE = BATCH / 1000;
const LONG = 16_000;
const SHORT = LONG / 4;

const NETS = [
  ['resnet20', 'ResNet-20', resnet20],
  ['resnet56', 'ResNet-56', resnet56],
] as const;

const RUNS: readonly (readonly [policy: string, title: string, lr: (steps: number) => Schedule])[] = [
  [
    'cycle',
    'one large cycle',
    // The rise and the fall take the whole run, as in the author's solver.
    (steps) => cyclicLR({ base: 0.1 * SHARE, max: 3 * SHARE, stepSize: steps / 2 }),
  ],
  [
    'piecewise',
    'piecewise constant',
    (steps) => multistep({ base: 0.35 * SHARE, gamma: 0.1, at: [(steps * 5) / 8, (steps * 7) / 8] }),
  ],
  ['one-cycle', 'one cycle that falls to 0', (steps) => oneCycle({ max: 3 * SHARE, steps })],
];

/** The short runs first: they are the claim. */
export const superConvergence: readonly Arm[] = NETS.flatMap(([net, netTitle, make]) =>
  [SHORT, LONG].flatMap((steps) =>
    RUNS.map(([policy, title, lr]): Arm => ({
      experiment: 'super-convergence',
      name: `${net}-${policy}-${steps}`,
      family: `${net} ${policy}`,
      title: `${netTitle}, ${title}, ${thousands(steps)}`,
      steps,
      batchSize: BATCH,
      evalEvery: 500,
      model: withMean(make),
      images: { shuffle: true, augment: { flip: true } },
      optimizer: () => sgd({ lr: lr(steps), momentum: 0.9, weightDecay: 1e-4 }),
      paper: null,
      note:
        policy === 'one-cycle'
          ? 'Not in the paper: the same highest rate, with a fall to almost 0.'
          : `The rates of the paper (${policy === 'cycle' ? '0.1–3.0' : '0.35'}) times ${SHARE}, because a batch has ${BATCH} images in place of 1,000. The paper has ResNet-56, 10,000 and 80,000 steps: 92.4% with the cycle, 91.2% without.`,
    })),
  ),
);

const TABLE4 = [
  ['resnet20', 'ResNet-20', withStatistics(resnet20), 128, LONG],
  [
    'densenet22',
    'DenseNet-22, growth 12',
    withStatistics((options) => densenet({ ...options, depth: 22, growth: 12 })),
    64,
    8000,
  ],
] as const;

/** The rate, which falls to a tenth at half and at three quarters of the run. */
const withDrops = (rate: Schedule, steps: number): Schedule =>
  join([rate, scale(rate, 0.1), scale(rate, 0.01)], [steps / 2, (steps * 3) / 4]);

export const table4: readonly Arm[] = TABLE4.flatMap(([net, netTitle, model, batchSize, steps]) => {
  const fixed = [0.1, 0.2, 0.3].map(
    (lr) => [`fixed-${lr}`, `fixed ${lr}`, multistep({ base: lr, gamma: 1, at: [steps] })] as const,
  );
  const cycles = ['triangular', '0.1–0.3', cyclicLR({ base: 0.1, max: 0.3, stepSize: steps / 20 })] as const;
  return [cycles, ...fixed].map(([policy, title, rate]): Arm => ({
    experiment: 'table4',
    name: `${net}-${policy}-${steps}`,
    family: `${net} ${policy}`,
    title: `${netTitle}, ${title}, ${thousands(steps)}`,
    steps,
    batchSize,
    evalEvery: 500,
    model,
    images: { shuffle: true, augment: { crop: 4, flip: true } },
    optimizer: () => sgd({ lr: withDrops(rate, steps), momentum: 0.9, nesterov: true, weightDecay: 1e-4 }),
    paper: null,
    note: 'The network and the length are smaller than in the paper, so its accuracies do not apply. All rates fall to a tenth at half and at three quarters of the run. A cycle is a tenth of the run.',
  }));
});
