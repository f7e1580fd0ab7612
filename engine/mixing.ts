/** The draws of mixup and CutMix: pure functions of (seed, step). */
import type { Mix, MixedBatch } from './augmentation.ts';
import { permutation, stream, type Stream } from './rng.ts';

/** Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018. Like its published code, it uses one weight for a batch. */
export function drawMixup({ batchSize, seed, step }: MixedBatch, alpha: number): Mix {
  return {
    partners: Int32Array.from(permutation(batchSize, seed, 'mixup partners', step)),
    weight: betaDraw(alpha, stream(seed, 'mixup', step)),
  };
}

/**
 * One box for a batch, with its center anywhere in the image, cut off at the border. The weight is the exact share of pixels outside.
 * Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers, 2019.
 */
export function drawCutmix({ batchSize, shape, seed, step }: MixedBatch, alpha: number): Mix {
  const random = stream(seed, 'cutmix', step);
  const side = Math.sqrt(1 - betaDraw(alpha, random));
  const [height, width] = shape;
  const [top, bottom] = interval(random, height, side);
  const [left, right] = interval(random, width, side);
  return {
    partners: Int32Array.from(permutation(batchSize, seed, 'cutmix partners', step)),
    weight: 1 - ((bottom - top) * (right - left)) / (height * width),
    box: Int32Array.of(top, left, bottom, right),
  };
}

/** Positions from, inclusive, and to, exclusive, of an interval with its center anywhere on an axis. */
function interval(random: Stream, size: number, share: number): [number, number] {
  const length = Math.floor(size * share);
  const from = random.below(size) - Math.floor(length / 2);
  return [Math.max(from, 0), Math.min(from + length, size)];
}

/** A draw from Beta(alpha, alpha). */
function betaDraw(alpha: number, random: Stream): number {
  const [a, b] = [logGamma(alpha, random), logGamma(alpha, random)];
  return 1 / (1 + Math.exp(b - a));
}

/**
 * The logarithm of a draw from Gamma(alpha, 1). For small parameters the draw itself would underflow.
 * Source: Marsaglia and Tsang, A Simple Method for Generating Gamma Variables, 2000, section 6 for alpha below 1.
 */
function logGamma(alpha: number, random: Stream): number {
  // 1 − u is never 0.
  if (alpha < 1) return logGamma(alpha + 1, random) + Math.log(1 - random.uniform()) / alpha;
  const d = alpha - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = random.normal();
    const v = (1 + c * x) ** 3;
    if (v <= 0) continue;
    const logV = Math.log(v);
    if (Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * logV) return Math.log(d) + logV;
  }
}
