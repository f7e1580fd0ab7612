/**
 * Counter-based random numbers: Philox4x32-10. All randomness of the project comes from here.
 *
 * Every draw is a pure function of (seed, purpose, step, position). A resumed run needs no saved generator state, and the order of
 * draws does not matter. Not for cryptography.
 * Source: J. Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011 (reference implementation: Random123).
 */

import { checkInteger, show } from './options.ts';

/** The two 32-bit words that select a stream. */
export type Key = readonly [number, number];

/** FNV-1a over the UTF-16 code units of a string, as an unsigned 32-bit number. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/**
 * The key of a random stream, for operations such as `randomUniform`. Each seed and purpose selects its own stream.
 *
 * Throws RangeError unless the seed is an integer from 0 to 2^53 − 1.
 *
 * @example const noise = randomNormal([2, 3], key(1, 'noise'));
 */
export function key(seed: number, purpose: string): Key {
  return keyFor('key', seed, purpose);
}

/** The key for the function `where`, which errors name. */
function keyFor(where: string, seed: number, purpose: string): Key {
  checkInteger(where, 'seed', seed, 0);
  if (typeof purpose !== 'string') {
    throw new TypeError(`${where}: purpose must be a text, for instance 'noise', got ${show(purpose)}`);
  }
  return [seed >>> 0, (Math.floor(seed / 2 ** 32) ^ hash(purpose)) >>> 0];
}

const ROUNDS = 10;
const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** The high 32 bits of the product of two unsigned 32-bit numbers. */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const low = aLow * bLow;
  const mid = aHigh * bLow + (low >>> 16);
  const mid2 = aLow * bHigh + (mid % 0x10000);
  return (aHigh * bHigh + Math.floor(mid / 0x10000) + Math.floor(mid2 / 0x10000)) >>> 0;
}

/** One Philox block: writes four unsigned 32-bit words for the counter (c0, c1, c2, c3) to `out`. */
export function philox(k: Key, c0: number, c1: number, c2: number, c3: number, out: Uint32Array): void {
  let [k0, k1] = k;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = mulHigh(M0, c0 >>> 0);
    const low0 = Math.imul(M0, c0);
    const high1 = mulHigh(M1, c2 >>> 0);
    const low1 = Math.imul(M1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + W0) | 0;
    k1 = (k1 + W1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** ln x for 2^−33 <= x < 1, from exactly rounded operations only, which give the same bits in every language. */
function lnOf(x: number): number {
  let exponent = 0;
  while (x < Math.SQRT1_2) {
    x *= 2;
    exponent -= 1;
  }
  const s = (x - 1) / (x + 1);
  const z = s * s;
  let p = 1 / 21;
  for (let k = 19; k >= 1; k -= 2) p = p * z + 1 / k;
  return exponent * Math.LN2 + 2 * s * p;
}

/** Coefficients of two rational functions, numerator and denominator each, from the highest power to the lowest. */
export const NORMAL_MIDDLE = [
  [
    2509.0809287301227, 33430.57558358813, 67265.7709270087, 45921.95393154987, 13731.69376550946,
    1971.5909503065513, 133.14166789178438, 3.3871328727963665,
  ],
  [
    5226.495278852854, 28729.085735721943, 39307.89580009271, 21213.794301586597, 5394.196021424751,
    687.1870074920579, 42.31333070160091, 1,
  ],
] as const;
export const NORMAL_TAIL = [
  [
    7.745450142783414e-4, 0.022723844989269184, 0.2417807251774506, 1.2704582524523684, 3.6478483247632045,
    5.769497221460691, 4.630337846156546, 1.4234371107496835,
  ],
  [
    1.0507500716444169e-9, 5.475938084995345e-4, 0.015198666563616457, 0.14810397642748008, 0.6897673349851,
    1.6763848301838038, 2.053191626637759, 1,
  ],
] as const;

/**
 * The standard normal draw from a random word: the x at which the distribution function is (word + 0.5) / 2^32. IEEE 754 defines its
 * operations to the last bit, so kernels in other languages agree. |x| <= 6.4.
 * Source: M. J. Wichura, Algorithm AS 241, Applied Statistics 37, 1988 (PPND16; |x| <= 6.4 needs no third range).
 */
export function normalOf(word: number): number {
  const u = (word + 0.5) / 2 ** 32;
  const q = u - 0.5;
  const at = (coefficients: readonly number[], r: number): number =>
    coefficients.reduce((sum, c) => sum * r + c);
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * at(NORMAL_MIDDLE[0], r)) / at(NORMAL_MIDDLE[1], r);
  }
  const r = Math.sqrt(-lnOf(q < 0 ? u : 1 - u)) - 1.6;
  const x = at(NORMAL_TAIL[0], r) / at(NORMAL_TAIL[1], r);
  return q < 0 ? -x : x;
}

/** A sequence of random draws. */
export interface Stream {
  /** An unsigned 32-bit integer. */
  uint32(): number;
  /** A number in [0, 1) with 32 random bits. */
  uniform(): number;
  /** A standard normal draw (Box–Muller transform). */
  normal(): number;
  /** A uniform integer in [0, n), by rejection. Throws RangeError unless n is an integer from 1 to 2^32. */
  below(n: number): number;
}

/**
 * The random stream of (seed, purpose, step). Streams with equal arguments give equal draws.
 *
 * Throws RangeError unless seed and step are integers >= 0.
 *
 * @example
 * const draws = stream(1, 'dice');
 * const eyes = draws.below(6) + 1;
 */
export function stream(seed: number, purpose: string, step = 0): Stream {
  return streamFor('stream', seed, purpose, step);
}

/** The stream for the function `where`, which errors name. */
export function streamFor(where: string, seed: number, purpose: string, step = 0): Stream {
  checkInteger(where, 'step', step, 0);
  const k = keyFor(where, seed, purpose);
  const stepLow = step >>> 0;
  const stepHigh = Math.floor(step / 2 ** 32);
  const block = new Uint32Array(4);
  let position = 0;
  let spare: number | null = null;

  const uint32 = (): number => {
    const lane = position % 4;
    if (lane === 0) {
      const index = position / 4;
      philox(k, index >>> 0, Math.floor(index / 2 ** 32), stepLow, stepHigh, block);
    }
    position++;
    return block[lane];
  };
  const uniform = (): number => uint32() / 2 ** 32;
  return {
    uint32,
    uniform,
    normal() {
      if (spare !== null) {
        const value = spare;
        spare = null;
        return value;
      }
      const radius = Math.sqrt(-2 * Math.log((uint32() + 1) / 2 ** 32)); // (0, 1]: the logarithm stays finite
      const angle = 2 * Math.PI * uniform();
      spare = radius * Math.sin(angle);
      return radius * Math.cos(angle);
    },
    below(n) {
      if (!Number.isSafeInteger(n) || n < 1 || n > 2 ** 32) {
        throw new RangeError(`below: n must be an integer from 1 to 2^32, got ${show(n)}`);
      }
      const limit = 2 ** 32 - (2 ** 32 % n);
      let value = uint32();
      while (value >= limit) value = uint32();
      return value % n;
    },
  };
}

/**
 * A uniformly random permutation of 0 to n − 1, by the Fisher–Yates shuffle. Equal arguments give equal permutations.
 *
 * Throws RangeError unless seed and step are integers >= 0.
 *
 * @example permutation(5, 1, 'order').length // 5
 */
export function permutation(n: number, seed: number, purpose: string, step = 0): Uint32Array {
  checkInteger('permutation', 'n', n, 0, 2 ** 32 - 1);
  const draws = streamFor('permutation', seed, purpose, step);
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    const swapped = order[i];
    order[i] = order[j];
    order[j] = swapped;
  }
  return order;
}
