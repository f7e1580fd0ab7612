/** Random numbers inside a graph: pure functions of a key, the step and the position of the element (see rng.ts). */
import { expectRank } from '../op.ts';
import type { Key } from '../rng.ts';
import { checkNumber, show } from '../options.ts';
import { checkShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { floats, scalarIn, toTensor, type TensorLike } from './convert.ts';
import { ones } from './create.ts';
import { less, mul } from './elementwise.ts';
import { argSort, gather } from './gather.ts';
import { slice } from './layout.ts';
import { dropoutOp, expectStep, randomOp, type RandomAttrs } from './primitives/random.ts';

const stepOf = (where: string, step: TensorLike): Tensor =>
  typeof step === 'number' ? scalarIn(where, step, 'i32') : toTensor(where, step);

/** The words of a key. Throws TypeError unless `key` made it. */
function wordsOf(where: string, words: unknown): Key {
  const isWord = (word: unknown): boolean =>
    Number.isInteger(word) && (word as number) >= 0 && (word as number) < 2 ** 32;
  if (Array.isArray(words) && words.length === 2 && words.every(isWord)) return words as unknown as Key;
  throw new TypeError(
    `${where}: key must be the key of a random stream, for instance key(1, 'noise'), got ${show(words)}`,
  );
}

/**
 * Zeroes each element with probability `rate`, and multiplies the others by 1 / (1 − rate), which keeps the expected value.
 *
 * The mask is a pure function of the key, the step and the position. In `compile`, pass the reserved `step` for a new mask
 * in every run.
 *
 * Shapes: x `f32` [...], step `i32` [] -> [...].
 * Source: Srivastava et al., Dropout, 2014.
 * Throws RangeError unless 0 <= rate < 1.
 * Throws ShapeError if x is not `f32` or the step is not `i32` [].
 *
 * @example dropout(ones([6]), 0.5, key(1, 'dropout'), 0) // [2, 0, 0, 2, 0, 0]
 */
export function dropout(x: TensorLike, rate: number, key: Key, step: TensorLike): Tensor {
  return dropped('dropout', toTensor('dropout', x), rate, key, step);
}

function dropped(where: string, x: Tensor, rate: number, key: Key, step: TensorLike): Tensor {
  checkNumber(where, 'rate', rate, 'in [0, 1)', (r) => r >= 0 && r < 1);
  const [key0, key1] = wordsOf(where, key);
  const at = stepOf(where, step);
  expectStep(where, at);
  return dropoutOp([x, at], { rate, key0, key1 })[0];
}

/**
 * Zeroes each channel of each image with probability `rate`, and multiplies the others by 1 / (1 − rate). Neighboring pixels are
 * similar, so zeroing single pixels removes little.
 *
 * The mask is a pure function of the key, the step and the position, as in `dropout`.
 *
 * Shapes: x `f32` [N, H, W, C], step `i32` [] -> [N, H, W, C].
 * Source: Tompson et al., Efficient Object Localization Using Convolutional Networks, 2015; torch.nn.Dropout2d.
 * Throws RangeError unless 0 <= rate < 1.
 * Throws ShapeError if x is not `f32` [N, H, W, C] or the step is not `i32` [].
 *
 * @example dropout2d(ones([1, 1, 2, 3]), 0.5, key(1, 'dropout'), 0) // [[[[2, 0, 0], [2, 0, 0]]]]
 */
export function dropout2d(x: TensorLike, rate: number, key: Key, step: TensorLike): Tensor {
  const t = floats('dropout2d', x);
  expectRank('dropout2d', t, 4, 'images [N, H, W, C]');
  return mul(t, dropped('dropout2d', ones([t.shape[0], 1, 1, t.shape[3]]), rate, key, step));
}

function random(
  where: string,
  distribution: RandomAttrs['distribution'],
  shape: Shape,
  key: Key,
  step: TensorLike,
): Tensor {
  const [key0, key1] = wordsOf(where, key);
  const at = stepOf(where, step);
  expectStep(where, at);
  checkShape(where, shape);
  return randomOp([at], { distribution, shape, key0, key1 })[0];
}

/**
 * Uniform random numbers in [0, 1), with 24 random bits each.
 *
 * Every random function is pure in the key, the step and the position: the results are the same bits on every backend and
 * for any number of threads. In `compile`, pass the reserved `step` for new numbers in every run.
 *
 * Shapes: step `i32` [] -> `f32` of the given shape.
 * Throws ShapeError if a size is not a non-negative integer or the step is not `i32` [].
 *
 * @example randomUniform([3], key(1, 'noise'), 0) // [0.3245, 0.834, 0.0752]
 */
export function randomUniform(shape: Shape, key: Key, step: TensorLike = 0): Tensor {
  return random('randomUniform', 'uniform', shape, key, step);
}

/**
 * Random numbers from the standard normal distribution (mean 0, variance 1), by inversion of its distribution function. |x|
 * is below 6.4.
 *
 * Pure in the key, the step and the position, as `randomUniform`.
 *
 * Shapes: step `i32` [] -> `f32` of the given shape.
 * Throws ShapeError if a size is not a non-negative integer or the step is not `i32` [].
 *
 * @example randomNormal([3], key(1, 'noise'), 0) // [-0.4551, 0.9702, -1.438]
 */
export function randomNormal(shape: Shape, key: Key, step: TensorLike = 0): Tensor {
  return random('randomNormal', 'normal', shape, key, step);
}

/**
 * 1 with the given probability, else 0.
 *
 * Pure in the key, the step and the position, as `randomUniform`.
 *
 * Shapes: step `i32` [] -> `u8` of the given shape.
 * Throws RangeError unless 0 <= probability <= 1.
 * Throws ShapeError if a size is not a non-negative integer or the step is not `i32` [].
 *
 * @example randomBernoulli([6], 0.5, key(1, 'coins'), 0) // [0, 1, 1, 1, 0, 0]
 */
export function randomBernoulli(shape: Shape, probability: number, key: Key, step: TensorLike = 0): Tensor {
  checkNumber('randomBernoulli', 'probability', probability, 'in [0, 1]', (p) => p >= 0 && p <= 1);
  return less(random('randomBernoulli', 'uniform', shape, key, step), probability);
}

/**
 * The integers 0 … n − 1 in random order.
 *
 * Pure in the key, the step and the position, as `randomUniform`. Two stable sorts by 24 random bits each make ties rare.
 *
 * Shapes: step `i32` [] -> `i32` [n].
 * Throws ShapeError if n is not a non-negative integer or the step is not `i32` [].
 *
 * @example randomPermutation(5, key(1, 'order'), 0) // [0, 2, 3, 4, 1]
 */
export function randomPermutation(n: number, key: Key, step: TensorLike = 0): Tensor {
  checkShape('randomPermutation', [n]);
  const draws = random('randomPermutation', 'uniform', [2, n], key, step);
  const order = argSort(slice(draws, [0]));
  return gather(order, argSort(gather(slice(draws, [1]), order)));
}
