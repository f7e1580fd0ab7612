/** Operations on each element alone. */
import ndops from 'ndarray-ops';
import { broadcastStrides, stridesOf } from '../../../shape.ts';
import type { DType } from '../../../types.ts';
import type { KernelTable } from '../../backend.ts';
import { NonFiniteError } from '../../../errors.ts';
import { broadcast, type Call, type Nd, type ReferenceKernel } from './call.ts';
import { copy } from './layout.ts';

function binary(apply: (out: Nd, a: Nd, b: Nd) => unknown): ReferenceKernel {
  return ({ inputs: [a, b], outputs: [out] }) => {
    // The result may lie in an operand's buffer, which is safe: element i is read before it is written.
    apply(out, broadcast(a, out.shape), broadcast(b, out.shape));
  };
}

/** A function of the elements of the inputs, broadcast to the result, one by one. */
function map(f: (...x: number[]) => number): ReferenceKernel {
  return ({ inputs, outputs: [out] }) => {
    const { shape, data, size } = out;
    const dense = stridesOf(shape);
    const strides = inputs.map((x) => broadcastStrides(x.shape, shape));
    const place = (i: number, walk: readonly number[]): number =>
      dense.reduce((sum, stride, axis) => sum + walk[axis] * (Math.floor(i / stride) % shape[axis]), 0);
    for (let i = 0; i < size; i++) data[i] = f(...inputs.map((x, n) => x.data[place(i, strides[n])]));
  };
}

/** Comparisons and logic: 1 for true. */
const test = (f: (...x: number[]) => boolean): ReferenceKernel => map((...x) => Number(f(...x)));

/** To the nearest integer, of two the even one. */
function roundToEven(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** a to the power b as in C and IEEE 754. JavaScript gives NaN for 1 ** NaN and (±1) ** ±Infinity, where C gives 1. */
function power(a: number, b: number): number {
  return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b;
}

/** The error function, by a series of positive terms: 2/√π e^−x² Σ 2^n x^(2n+1) / (1·3·…·(2n+1)). */
function erf(x: number): number {
  if (Number.isNaN(x) || Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** 1 / (1 + e^−x). It uses e^−|x|, which does not overflow, so small results are not flushed to 0. */
function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/** 1 − erf x. Beyond 2.5 it is computed by its continued fraction. */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (!(x > 2.5)) return 1 - erf(x);
  let fraction = x;
  for (let k = 100; k > 0; k--) fraction = x + k / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** What a number becomes in another dtype: towards 0, the nearest in range, and 0 for NaN. */
const CASTS: Readonly<Record<DType, (x: number) => number>> = {
  f32: (x) => x,
  i32: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1)),
  u8: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), 0), 255)),
};

export const elementwiseKernels = {
  add: binary(ndops.add),
  sub: binary(ndops.sub),
  // Products of integers wrap around; as doubles they would lose their last digits first.
  mul: (call) => (call.outputs[0].data instanceof Int32Array ? map(Math.imul) : binary(ndops.mul))(call),
  div: binary(ndops.div),
  pow: map(power),
  neg: ({ inputs: [x], outputs: [y] }) => void ndops.neg(y, x),
  exp: ({ inputs: [x], outputs: [y] }) => void ndops.exp(y, x),
  log: ({ inputs: [x], outputs: [y] }) => void ndops.log(y, x),
  sqrt: ({ inputs: [x], outputs: [y] }) => void ndops.sqrt(y, x),
  tanh: map(Math.tanh),
  sigmoid: map(sigmoid),
  sigmoidSlope: map((y, x) => y * (x > 2 ? sigmoid(-x) : 1 - y)),
  relu: map((x) => (x < 0 ? 0 : x)),
  reluGrad: map((g, y) => (y > 0 ? g : 0)),
  abs: map(Math.abs),
  sign: map(Math.sign),
  floor: map(Math.floor),
  ceil: map(Math.ceil),
  round: map(roundToEven),
  expm1: map(Math.expm1),
  log1p: map(Math.log1p),
  sin: map(Math.sin),
  cos: map(Math.cos),
  atan: map(Math.atan),
  erf: map(erf),
  erfc: map(erfc),
  maximum: map(Math.max),
  minimum: map(Math.min),
  equal: test((a, b) => a === b),
  less: test((a, b) => a < b),
  lessEqual: test((a, b) => a <= b),
  and: test((a, b) => a !== 0 && b !== 0),
  or: test((a, b) => a !== 0 || b !== 0),
  xor: test((a, b) => (a !== 0) !== (b !== 0)),
  where: map((condition, a, b) => (condition !== 0 ? a : b)),
  cast: (call) => map(CASTS[call.attrs.dtype])(call),

  checkFinite(call) {
    const [x] = call.inputs;
    for (let i = 0; i < x.size; i++) {
      if (!Number.isFinite(x.data[i])) {
        throw new NonFiniteError(call.attrs.label, x.data[i], i);
      }
    }
    copy(call);
  },
} satisfies Partial<KernelTable<Call>>;
