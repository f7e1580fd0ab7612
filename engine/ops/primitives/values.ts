/** Functions of numbers, in double precision, that JavaScript lacks: values of elementwise operations. */
import type { DType } from '../../types.ts';

/** To the nearest integer, of two the even one. */
export function roundToEven(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** a to the power b as in C and IEEE 754. JavaScript gives NaN for 1 ** NaN and (±1) ** ±Infinity, where C gives 1. */
export function power(a: number, b: number): number {
  return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b;
}

/** a modulo b with the sign of b, as in Python. JavaScript's % has the sign of a. */
export function remainder(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

/** The error function, by a series of positive terms: 2/√π e^−x² Σ 2^n x^(2n+1) / (1·3·…·(2n+1)). */
export function erf(x: number): number {
  if (Number.isNaN(x) || Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** 1 − erf x. Beyond 2.5 it is computed by its continued fraction. */
export function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (!(x > 2.5)) return 1 - erf(x);
  let fraction = x;
  for (let k = 100; k > 0; k--) fraction = x + k / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** 1 / (1 + e^−x). It uses e^−|x|, which does not overflow, so small results are not flushed to 0. */
export function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/** What a number becomes in another dtype: towards 0, the nearest in range, and 0 for NaN. */
export const CASTS: Readonly<Record<DType, (x: number) => number>> = {
  f32: (x) => x,
  i32: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1)),
  u8: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), 0), 255)),
};
