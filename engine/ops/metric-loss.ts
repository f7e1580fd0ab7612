/** Losses of embeddings: vectors of which similar examples have similar ones. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import { broadcastShapes, formatType, resolveAxis, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { add, cast, div, greater, maximum, minimum, mul, relu, sub, where } from './elementwise.ts';
import { broadcastTo } from './layout.ts';
import { norm, sum } from './reduce.ts';
import { reduced, type ReductionOptions } from './reduction.ts';

export interface CosineOptions {
  /** Shorter vectors count as if they had this length. Default 1e-8. */
  readonly epsilon?: number;
}

/**
 * Cosine of the angle between vectors along an axis, the last by default, from −1 to 1.
 *
 *   Σ a b / (max(|a|, epsilon) · max(|b|, epsilon))
 *
 * The gradient is that of the formula. PyTorch's gradient ignores the maximum where a vector is shorter than epsilon.
 *
 * Shapes: a and b `f32`, broadcast -> the broadcast shape without the axis, which is counted in it.
 * Source: torch.nn.functional.cosine_similarity.
 * Throws RangeError if epsilon is not > 0, and TypeError for an unknown option.
 * Throws ShapeError if the shapes do not broadcast, an operand is not `f32`, or the axis does not exist.
 *
 * @example cosineSimilarity([[3, 4], [1, 0]], [[4, 3], [-2, 0]]) // [0.96, -1]
 */
export function cosineSimilarity(
  a: TensorLike,
  b: TensorLike,
  axis = -1,
  options: CosineOptions = {},
): Tensor {
  const name = 'cosineSimilarity';
  checkOptions(name, options, ['epsilon']);
  const { epsilon = 1e-8 } = options;
  checkNumber(name, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  const [x, y] = [floats(name, a), floats(name, b)];
  const shape = broadcastShapes(name, x.shape, y.shape);
  const at = resolveAxis(name, axis, shape.length);
  const unit = (t: Tensor): Tensor => {
    const whole = broadcastTo(t, shape);
    return div(whole, maximum(norm(whole, at, { keepDims: true }), epsilon));
  };
  return sum(mul(unit(x), unit(y)), at);
}

/** The vectors as tensors. Throws ShapeError unless all are `f32` [N, D] of one shape. */
function vectorsOf(name: string, ...vectors: readonly TensorLike[]): Tensor[] {
  const list = vectors.map((x) => floats(name, x));
  if (list.some((t) => t.rank !== 2 || !sameShape(t.shape, list[0].shape))) {
    throw new ShapeError(
      `${name}: expects vectors [N, D] of one shape but got ${list.map(formatType).join(' and ')} (give each example one vector of the same length)`,
    );
  }
  return list;
}

export interface CosineEmbeddingOptions extends ReductionOptions {
  /** Similarity up to which different pairs cost nothing, from −1 to 1. Default 0. */
  readonly margin?: number;
}

/**
 * Cosine embedding loss of pairs of vectors: pulls similar pairs together and pushes different pairs apart.
 *
 *   1 − cos(a, b)              where the label is 1
 *   max(cos(a, b) − margin, 0) where it is −1
 *
 * Shapes: a and b `f32` [N, D], labels `f32` or `i32` [N] -> [], or [N] with reduction 'none'.
 * Source: torch.nn.CosineEmbeddingLoss.
 * Throws ShapeError if a and b are not `f32` [N, D] of one shape, or there is not one label for each pair.
 * Throws RangeError if the margin is not in [−1, 1] or the reduction is unknown, and TypeError for an unknown option.
 *
 * @example cosineEmbeddingLoss([[3, 4], [3, 4]], [[4, 3], [4, 3]], [1, -1], { reduction: 'none' }) // [0.04, 0.96]
 */
export function cosineEmbeddingLoss(
  a: TensorLike,
  b: TensorLike,
  labels: TensorLike,
  options: CosineEmbeddingOptions = {},
): Tensor {
  const name = 'cosineEmbeddingLoss';
  checkOptions(name, options, ['margin', 'reduction']);
  const { margin = 0 } = options;
  checkNumber(name, 'margin', margin, 'a number from -1 to 1', (x) => Math.abs(x) <= 1);
  const [x, y] = vectorsOf(name, a, b);
  const same = cast(toTensor(name, labels));
  if (!sameShape(same.shape, [x.shape[0]])) {
    throw new ShapeError(
      `${name}: pairs ${formatType(x)} need labels [${x.shape[0]}] but got ${formatType(same)} (give each pair one label, 1 or −1)`,
    );
  }
  const cosine = cosineSimilarity(x, y);
  return reduced(name, where(greater(same, 0), sub(1, cosine), relu(sub(cosine, margin))), options);
}

export interface TripletMarginOptions extends ReductionOptions {
  /** How much farther the negative example should be than the positive one. Default 1. */
  readonly margin?: number;
  /** Order of the norm: an integer, 2 for the Euclidean distance. Default 2. */
  readonly order?: number;
  /** Use the distance from the positive to the negative example where it is smaller. Default false. */
  readonly swap?: boolean;
}

/** Added to every difference, as in PyTorch: the distance of equal vectors has a finite second derivative. */
const APART = 1e-6;

/**
 * Triplet margin loss: an anchor should be closer to a positive than to a negative example.
 *
 *   max(d(anchor, positive) − d(anchor, negative) + margin, 0)
 *   d(a, b) = |a − b + 1e-6|
 *
 * Shapes: anchor, positive and negative `f32` [N, D] -> [], or [N] with reduction 'none'.
 * Source: Balntas et al., Learning Local Feature Descriptors with Triplets, 2016; torch.nn.TripletMarginLoss.
 * Throws ShapeError if the vectors are not `f32` [N, D] of one shape.
 * Throws RangeError if the margin is not > 0, the order is not a positive integer, or the reduction is unknown, and TypeError for an
 * unknown option.
 *
 * @example tripletMarginLoss([[0, 0]], [[3, 4]], [[0, 5.5]]) // 0.5
 */
export function tripletMarginLoss(
  anchor: TensorLike,
  positive: TensorLike,
  negative: TensorLike,
  options: TripletMarginOptions = {},
): Tensor {
  const name = 'tripletMarginLoss';
  checkOptions(name, options, ['margin', 'order', 'reduction', 'swap']);
  const { margin = 1, order = 2, swap = false } = options;
  checkNumber(name, 'margin', margin, 'a number > 0', (x) => x > 0);
  checkInteger(name, 'order', order, 1);
  const [a, p, n] = vectorsOf(name, anchor, positive, negative);
  const distance = (x: Tensor, y: Tensor): Tensor => norm(add(sub(x, y), APART), 1, { order });
  const far = swap ? minimum(distance(a, n), distance(p, n)) : distance(a, n);
  return reduced(name, relu(add(sub(distance(a, p), far), margin)), options);
}
