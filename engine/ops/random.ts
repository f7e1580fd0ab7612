/** Randomness inside a graph: a pure function of a key, the step and the element's position (see rng.ts). */
import type { Key } from '../rng.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { scalar } from './create.ts';
import { less } from './elementwise.ts';
import { argSort, gather } from './gather.ts';
import { slice } from './layout.ts';
import { dropoutOp, randomOp, type RandomAttrs } from './primitives/random.ts';

const stepOf = (step: TensorLike): Tensor =>
  typeof step === 'number' ? scalar(step, 'i32') : toTensor(step);

/**
 * Zeroes each element with probability `rate` and scales the others by 1 / (1 − rate), so that the mean stays.
 * The mask is a pure function of (key, step, position). Throws RangeError unless 0 <= rate < 1.
 */
export function dropout(x: TensorLike, rate: number, key: Key, step: TensorLike): Tensor {
  if (!(rate >= 0 && rate < 1)) throw new RangeError(`dropout: rate must lie in [0, 1), got ${rate}`);
  return dropoutOp([toTensor(x), stepOf(step)], { rate, key0: key[0], key1: key[1] })[0];
}

function random(
  distribution: RandomAttrs['distribution'],
  shape: Shape,
  [key0, key1]: Key,
  step: TensorLike,
): Tensor {
  return randomOp([stepOf(step)], { distribution, shape, key0, key1 })[0];
}

/**
 * Uniform draws from [0, 1), 24 random bits each. As all of these, a pure function of (key, step, position): the same
 * bits on every backend and for any number of threads. Inside `compile`, give the reserved `step` to draw anew at every run.
 *
 * @example randomUniform([2, 3], key(1, 'noise'), step)
 */
export function randomUniform(shape: Shape, key: Key, step: TensorLike = 0): Tensor {
  return random('uniform', shape, key, step);
}

/** Draws from the standard normal distribution, by the inverse of its distribution function. |x| stays below 6.4. */
export function randomNormal(shape: Shape, key: Key, step: TensorLike = 0): Tensor {
  return random('normal', shape, key, step);
}

/** 1 with the given probability, else 0: `u8`. Throws RangeError unless 0 <= probability <= 1. */
export function randomBernoulli(shape: Shape, probability: number, key: Key, step: TensorLike = 0): Tensor {
  if (!(probability >= 0 && probability <= 1)) {
    throw new RangeError(`randomBernoulli: probability must lie in [0, 1], got ${probability}`);
  }
  return less(randomUniform(shape, key, step), probability);
}

/**
 * 0 … n − 1 in random order: `i32` [n]. Two stable sorts by random numbers, so that equal ones (of 48 bits) hardly occur.
 */
export function randomPermutation(n: number, key: Key, step: TensorLike = 0): Tensor {
  const draws = randomUniform([2, n], key, step);
  const order = argSort(slice(draws, [0]));
  return gather(order, argSort(gather(slice(draws, [1]), order)));
}
