// Functions of one number over the whole range of single precision, every binade of both signs and the ends of each, against
// double precision: neither a reduction of the argument nor an intermediate value may fail anywhere.
/* oxlint-disable vitest/expect-expect -- expectAccurate asserts */
import { afterAll, describe, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import * as ops from '../../engine/ops/index.ts';
import { tensor } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { KINDS_OF_SIMD } from '../../engine/simd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { expectAccurate, type Accuracy } from './compare.ts';
import { describeWhere } from './gpu/available.ts';

interface Curve {
  readonly f: (x: Tensor) => Tensor;
  /** The value in double precision, by means that are not the engine's. */
  readonly value: (x: number) => number;
}

/** erfc x = 1 − erf x: by the series of erf near 0, by the continued fraction of erfc beyond. */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (x > 2.5) {
    let tail = x;
    for (let k = 200; k > 0; k--) tail = x + k / 2 / tail;
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / tail;
  }
  return 1 - erf(x);
}

function erf(x: number): number {
  if (Math.abs(x) > 2.5) return Math.sign(x) * (1 - erfc(Math.abs(x)));
  let term = 1;
  let sum = 1;
  for (let n = 1; n < 120; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * x * sum;
}

function roundToEven(x: number): number {
  const nearest = Math.round(x);
  return Math.abs(nearest - x) === 0.5 ? 2 * Math.round(x / 2) : nearest;
}

const sigmoid = (x: number): number => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));

const CURVES: Readonly<Record<string, Curve>> = {
  neg: { f: ops.neg, value: (x) => -x },
  abs: { f: ops.abs, value: Math.abs },
  sign: { f: ops.sign, value: Math.sign },
  floor: { f: ops.floor, value: Math.floor },
  ceil: { f: ops.ceil, value: Math.ceil },
  round: { f: ops.round, value: roundToEven },
  exp: { f: ops.exp, value: Math.exp },
  expm1: { f: ops.expm1, value: Math.expm1 },
  log: { f: ops.log, value: Math.log },
  log1p: { f: ops.log1p, value: Math.log1p },
  sqrt: { f: ops.sqrt, value: Math.sqrt },
  rsqrt: { f: ops.rsqrt, value: (x) => 1 / Math.sqrt(x) },
  reciprocal: { f: ops.reciprocal, value: (x) => 1 / x },
  square: { f: ops.square, value: (x) => x * x },
  sin: { f: ops.sin, value: Math.sin },
  cos: { f: ops.cos, value: Math.cos },
  atan: { f: ops.atan, value: Math.atan },
  tanh: { f: ops.tanh, value: Math.tanh },
  sigmoid: { f: ops.sigmoid, value: sigmoid },
  erf: { f: ops.erf, value: erf },
  relu: { f: ops.relu, value: (x) => (x < 0 ? 0 : x) },
};

/** Zeros and infinities; of every binade, denormals included, both ends and numbers between them; both signs of all. */
function everyBinade(): Float32Array {
  const draws = stream(1, 'every binade');
  const bits = [0, 0x7f800000];
  for (let exponent = 0; exponent < 255; exponent++) {
    const between = Array.from({ length: 12 }, () => draws.below(2 ** 23));
    for (const significand of [0, 1, 2 ** 23 - 1, ...between]) bits.push(exponent * 2 ** 23 + significand);
  }
  // Where functions bend, and where they leave the range.
  const near = Array.from({ length: 400 }, (_, i) => Math.fround(i * 0.28));
  const positive = [...new Float32Array(Uint32Array.from(bits).buffer), ...near];
  return Float32Array.from([...positive, ...positive.map((x) => -x), NaN]);
}

const POINTS = everyBinade();

function describeAccuracy(name: string, make: () => Promise<Backend> | Backend, accuracy: Accuracy): void {
  describe(`${name}: accuracy`, () => {
    let evaluator: Promise<Evaluator> | null = null;
    const values = async (t: Tensor): Promise<ArrayLike<number>> => {
      evaluator ??= Promise.resolve(make()).then((backend) => new Evaluator(backend));
      return (await (await evaluator).evaluate([t]))[0]!.data;
    };
    afterAll(async () => {
      const own = await evaluator;
      await own?.close();
      await own?.backend.close();
    });

    it.each(Object.entries(CURVES))('%s', async (what, { f, value }) => {
      expectAccurate(what, POINTS, await values(f(tensor(POINTS))), value, accuracy);
    });
  });
}

// Results below the normal numbers keep fewer digits.
const DENORMAL = 2 ** -140;
describeAccuracy('reference', () => reference(), { ulps: 2, least: DENORMAL });
for (const simd of KINDS_OF_SIMD) {
  describeAccuracy(`wasm ${simd}`, () => wasm({ simd, threads: 1 }), { ulps: 3, least: DENORMAL });
}
describeAccuracy('gpu.js cpu', () => gpu({ mode: 'cpu' }), { ulps: 3, least: DENORMAL });
// Devices may flush denormals to 0.
await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  describeAccuracy('webgpu', () => gpu({ mode: 'webgpu' }), { ulps: 4, least: 2 ** -125 });
});
