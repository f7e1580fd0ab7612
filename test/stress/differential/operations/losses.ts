/** Losses, with ordinary, sure and extreme outputs. */
import * as cg from 'cyclegrad';
import type { Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import { f32, i32, normal, uniform, type Drawn, type Operation, type Operations } from './operation.ts';

const reductionOf = (draws: Draws): string => draws.pick(['mean', 'sum', 'none']);

const batchOf = (draws: Draws): number[] =>
  draws.chance(0.1) ? [draws.longLength()] : draws.shape(draws.integer(1, 4), 600);

/** Outputs and targets of one shape. */
const pairs =
  (
    targets: (draws: Draws) => Values,
    options: (draws: Draws) => Readonly<Record<string, number>> = () => ({}),
  ): Operation['draw'] =>
  (draws) => {
    // One number for each example shows relative errors of small losses.
    const single = draws.chance(0.4);
    const shape = single ? [draws.length(600)] : batchOf(draws);
    const outputs = normal(draws.pick([1, 1, 5, 20]));
    return {
      budget: single ? 'element' : 'tensor',
      inputs: [f32(shape, outputs), f32(shape, targets(draws))],
      attrs: { reduction: single ? 'none' : reductionOf(draws), ...options(draws) },
    };
  };

const pair = (
  targets: (draws: Draws) => Values,
  options: (draws: Draws) => Readonly<Record<string, number>>,
  build: Operation['build'],
): Operation => ({ draw: pairs(targets, options), build });

const probabilities = (draws: Draws): Values =>
  draws.chance(0.5) ? { kind: 'ties', values: [0, 1] } : uniform(0, 1);

const classified = (
  draws: Draws,
): { readonly logits: Drawn; readonly labels: Drawn; readonly order?: 0 | 1 } => {
  const [n, classes] = [draws.chance(0.1) ? draws.longLength() : draws.length(64), draws.length(33)];
  const way = draws.below(8);
  const deviation = draws.pick([1, 10, 60]);
  const extreme = { kind: 'listed', values: [3e38, -3e38, 200, 0, -200, 1e10] } as const;
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

/** Labels, of which some may be ignored, or probabilities, for examples of one or several positions. */
const crossEntropy: Operation = {
  draw(draws) {
    const { logits, labels, ...rest } = classified(draws);
    const smoothing = rest.order === 0 ? 0 : draws.pick([0, 0, 0.1, 1]);
    const [n, classes] = logits.shape as [number, number];
    const shape = draws.chance(0.6) ? [n] : [draws.integer(1, 3), ...draws.shape(draws.integer(1, 2), 40)];
    const soft = rest.order !== 0 && draws.chance(0.3);
    const ignoreIndex = soft || draws.chance(0.6) ? null : draws.pick([-1, 0]);
    const hard = ignoreIndex === -1 ? { ...labels, values: withIgnored(classes) } : labels;
    const target = soft ? f32([...shape, classes], { kind: 'probabilities' }) : { ...hard, shape };
    const weighted = draws.chance(0.4);
    return {
      ...rest,
      wrt: soft ? [0, 1] : [0],
      inputs: [
        { ...logits, shape: [...shape, classes] },
        target,
        ...(weighted ? [f32([classes], uniform(0.2, 3))] : []),
      ],
      attrs: { reduction: reductionOf(draws), labelSmoothing: smoothing, ignoreIndex },
    };
  },
  build: ([logits, target, weight], { ignoreIndex, ...options }) =>
    cg.crossEntropy(logits, target, {
      ...options,
      ...(ignoreIndex !== null && { ignoreIndex }),
      ...(weight !== undefined && { weight }),
    }),
};

const withIgnored = (classes: number): Values => ({
  kind: 'ties',
  values: [-1, ...Array.from({ length: classes }, (_, i) => i)],
});

const withProbabilities = pairs(probabilities);

const binaryCrossEntropy: Operation = {
  draw(draws) {
    const { inputs, ...rest } = withProbabilities(draws);
    if (draws.chance(0.6)) return { ...rest, inputs };
    const weight = draws.chance(0.5) ? [] : inputs[0].shape.slice(-1);
    return { ...rest, wrt: [0, 1], inputs: [...inputs, f32(weight, uniform(0.2, 5))] };
  },
  build: ([logits, target, posWeight], options) =>
    cg.binaryCrossEntropy(logits, target, { ...options, ...(posWeight !== undefined && { posWeight }) }),
};

/** Vectors [N, D], of at least two elements: all vectors of one element have the same direction. */
const vectorsOf = (draws: Draws, count: number): readonly Drawn[] => {
  const shape = [draws.length(64), draws.integer(2, 40)];
  return Array.from({ length: count }, () => f32(shape, normal()));
};

const cosineSimilarity: Operation = {
  draw(draws) {
    const shape = draws.shape(draws.integer(1, 3), 600).map((n) => Math.max(n, 2));
    const axis = draws.axis(shape.length);
    const narrow = shape.map((n, i) =>
      i === (axis + shape.length) % shape.length || draws.chance(0.6) ? n : 1,
    );
    const inputs = [f32(shape, normal()), f32(narrow, normal(draws.pick([1, 100])))];
    return { inputs: draws.shuffle(inputs), attrs: { axis, epsilon: draws.pick([1e-8, 1e-4, 2]) } };
  },
  build: ([a, b], { axis, epsilon }) => cg.cosineSimilarity(a, b, axis, { epsilon }),
};

const cosineEmbeddingLoss: Operation = {
  draw(draws) {
    const [a, b] = vectorsOf(draws, 2);
    return {
      wrt: [0, 1],
      inputs: [a, b, f32([a.shape[0]], { kind: 'ties', values: [-1, 1] })],
      attrs: { reduction: reductionOf(draws), margin: draws.pick([0, 0.1, -0.3]) },
    };
  },
  build: ([a, b, labels], options) => cg.cosineEmbeddingLoss(a, b, labels, options),
};

const tripletMarginLoss: Operation = {
  draw: (draws) => ({
    inputs: vectorsOf(draws, 3),
    attrs: {
      reduction: reductionOf(draws),
      margin: draws.pick([1, 0.2, 3]),
      order: draws.pick([2, 2, 1, 3]),
      swap: draws.chance(0.5),
    },
  }),
  build: ([anchor, positive, negative], options) => cg.tripletMarginLoss(anchor, positive, negative, options),
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
  meanAbsoluteError: pair(
    () => normal(2),
    () => ({}),
    ([x, target], options) => cg.meanAbsoluteError(x, target, options),
  ),
  smoothL1Loss: pair(
    () => normal(2),
    (draws) => ({ beta: draws.pick([1, 0.3, 4]) }),
    ([x, target], options) => cg.smoothL1Loss(x, target, options),
  ),
  binaryCrossEntropy,
  cosineSimilarity,
  cosineEmbeddingLoss,
  tripletMarginLoss,
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
