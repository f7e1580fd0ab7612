/** Losses, with ordinary, sure and extreme outputs. */
import * as cg from 'cyclegrad';
import type { Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import { f32, i32, normal, uniform, type Drawn, type Operation, type Operations } from './operation.ts';

const reductionOf = (draws: Draws): string => draws.pick(['mean', 'sum', 'none']);

const batchOf = (draws: Draws): number[] =>
  draws.chance(0.1) ? [draws.longLength()] : draws.shape(draws.integer(1, 4), 600);

/** Outputs and targets of one shape. */
const pair = (
  targets: (draws: Draws) => Values,
  options: (draws: Draws) => Readonly<Record<string, number>>,
  build: Operation['build'],
): Operation => ({
  draw(draws) {
    // One number for each example shows relative errors of small losses.
    const single = draws.chance(0.4);
    const shape = single ? [draws.length(600)] : batchOf(draws);
    const outputs = normal(draws.pick([1, 1, 5, 20]));
    return {
      budget: single ? 'element' : 'tensor',
      inputs: [f32(shape, outputs), f32(shape, targets(draws))],
      attrs: { reduction: single ? 'none' : reductionOf(draws), ...options(draws) },
    };
  },
  build,
});

const probabilities = (draws: Draws): Values =>
  draws.chance(0.5) ? { kind: 'ties', values: [0, 1] } : uniform(0, 1);

const classified = (
  draws: Draws,
): { readonly logits: Drawn; readonly labels: Drawn; readonly order?: 0 | 1 } => {
  const [n, classes] = [draws.chance(0.1) ? draws.longLength() : draws.length(64), draws.length(33)];
  const way = draws.below(8);
  const deviation = draws.pick([1, 10, 60]);
  const extreme = { kind: 'listed', values: [3e38, -3e38, 100, 0, -200, 1e10] } as const;
  const values: Values =
    way === 0 ? extreme : way === 1 ? { kind: 'ties', values: [0, 1, 2] } : normal(deviation);
  return {
    logits: f32([n, classes], values),
    labels: i32([n], classes),
    ...(way === 0 && { order: 0 as const }),
    // Second derivatives of sure predictions are differences of equal numbers.
    ...(way > 1 && deviation > 10 && { order: 1 as const }),
  };
};

const crossEntropy: Operation = {
  draw(draws) {
    const { logits, labels, ...rest } = classified(draws);
    const smoothing = rest.order === 0 ? 0 : draws.pick([0, 0, 0.1, 1]);
    return {
      ...rest,
      inputs: [logits, labels],
      attrs: { reduction: reductionOf(draws), labelSmoothing: smoothing },
    };
  },
  build: ([logits, labels], options) => cg.crossEntropy(logits, labels, options),
};

const accuracy: Operation = {
  draw(draws) {
    const { logits, labels } = classified(draws);
    return { order: 0, inputs: [logits, labels], attrs: { reduction: reductionOf(draws) } };
  },
  build: ([logits, labels], options) => cg.accuracy(logits, labels, options),
};

const klDivergence: Operation = {
  draw(draws) {
    const shape = [draws.length(40), draws.length(33)];
    return {
      inputs: [f32(shape, normal(draws.pick([1, 10]))), f32(shape, { kind: 'probabilities' })],
      wrt: [0],
      attrs: { reduction: reductionOf(draws) },
    };
  },
  build: ([logits, target], options) => cg.klDivergence(logits, target, options),
};

export const losses: Operations = {
  crossEntropy,
  accuracy,
  klDivergence,
  meanSquaredError: pair(
    () => normal(2),
    () => ({}),
    ([x, target], options) => cg.meanSquaredError(x, target, options),
  ),
  huberLoss: pair(
    () => normal(2),
    (draws) => ({ delta: draws.pick([1, 0.3, 4]) }),
    ([x, target], options) => cg.huberLoss(x, target, options),
  ),
  binaryCrossEntropy: pair(
    probabilities,
    () => ({}),
    ([x, target], options) => cg.binaryCrossEntropy(x, target, options),
  ),
  focalLoss: pair(
    () => ({ kind: 'ties', values: [0, 1] }),
    (draws) => ({ alpha: draws.pick([0.25, 0.5, 1]), gamma: draws.pick([2, 0, 1, 1.5]) }),
    ([x, target], options) => cg.focalLoss(x, target, options),
  ),
  diceLoss: pair(
    probabilities,
    (draws) => ({ smooth: draws.pick([1, 0.01, 10]) }),
    ([x, target], options) => cg.diceLoss(x, target, options),
  ),
};
