// Functions of one number over the whole range of single precision, every binade of both signs and the ends of each, against
// double precision: neither a reduction of the argument nor an intermediate value may fail anywhere.
/* oxlint-disable vitest/expect-expect -- expectAccurate asserts */
import { afterAll, describe, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import * as ops from '../../engine/ops/index.ts';
import { ops as primitives } from '../../engine/ops/primitives/index.ts';
import { tensor } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { SIMD_KINDS } from '../../engine/backends/wasm/simd.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { isLong } from '../forms.ts';
import { expectAccurate, expectClose, type Accuracy } from './compare.ts';
import { describeWhere } from './gpu/available.ts';

interface Curve {
  readonly f: (x: Tensor) => Tensor;
  /** The value in double precision, by means that are not the engine's. */
  readonly value: (x: number) => number;
  readonly slope: (x: number) => number;
  /** The second derivative, where the first does not vary between numbers that are next to each other. */
  readonly bend?: (x: number) => number;
  /** Where single precision is not the limit. */
  readonly accuracy?: Partial<Accuracy>;
  /** The same for the derivatives, whose terms may cancel. Default: `accuracy`. */
  readonly slopes?: Partial<Accuracy>;
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

const sech2 = (x: number): number => 4 * sigmoid(2 * x) * sigmoid(-2 * x);
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
/** The constants of Klambauer et al. */
const [SELU_ALPHA, SELU_SCALE] = [1.6732632423543772, 1.0507009873554805];
const bell = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);
const normal = (x: number): number => erfc(-x * Math.SQRT1_2) / 2;
/** The argument of the sigmoid in gelu's approximation, its derivatives, and the sigmoid. */
const byTanh = (x: number) => {
  const c = Math.sqrt(8 / Math.PI);
  const z = c * (x + 0.044715 * x ** 3);
  return { z1: c * (1 + 3 * 0.044715 * x * x), z2: c * 6 * 0.044715 * x, p: sigmoid(z), q: sigmoid(-z) };
};

/** Of 0 and what may be infinite: 0. */
const times = (...factors: readonly number[]): number =>
  factors.includes(0) ? 0 : factors.reduce((a, b) => a * b);
const flat = (): number => 0;

const CURVES: Readonly<Record<string, Curve>> = {
  neg: { f: ops.neg, value: (x) => -x, slope: () => -1 },
  abs: { f: ops.abs, value: Math.abs, slope: Math.sign },
  sign: { f: ops.sign, value: Math.sign, slope: flat },
  floor: { f: ops.floor, value: Math.floor, slope: flat },
  ceil: { f: ops.ceil, value: Math.ceil, slope: flat },
  round: { f: ops.round, value: roundToEven, slope: flat },
  trunc: { f: ops.trunc, value: Math.trunc, slope: flat },
  exp2: { f: ops.exp2, value: (x) => 2 ** x, slope: (x) => 2 ** x * Math.LN2 },
  log2: { f: ops.log2, value: Math.log2, slope: (x) => 1 / x / Math.LN2 },
  log10: { f: ops.log10, value: Math.log10, slope: (x) => 1 / x / Math.LN10 },
  exp: { f: ops.exp, value: Math.exp, slope: Math.exp, bend: Math.exp },
  expm1: { f: ops.expm1, value: Math.expm1, slope: Math.exp, bend: Math.exp },
  log: { f: ops.log, value: Math.log, slope: (x) => 1 / x },
  log1p: { f: ops.log1p, value: Math.log1p, slope: (x) => 1 / (1 + x) },
  sqrt: { f: ops.sqrt, value: Math.sqrt, slope: (x) => 0.5 / Math.sqrt(x) },
  rsqrt: { f: ops.rsqrt, value: (x) => 1 / Math.sqrt(x), slope: (x) => -0.5 / Math.sqrt(x) ** 3 },
  reciprocal: { f: ops.reciprocal, value: (x) => 1 / x, slope: (x) => -1 / x / x },
  square: { f: ops.square, value: (x) => x * x, slope: (x) => 2 * x },
  sin: { f: ops.sin, value: Math.sin, slope: Math.cos, bend: (x) => -Math.sin(x) },
  cos: { f: ops.cos, value: Math.cos, slope: (x) => -Math.sin(x), bend: (x) => -Math.cos(x) },
  atan: { f: ops.atan, value: Math.atan, slope: (x) => 1 / (1 + x * x) },
  tan: {
    f: ops.tan,
    value: Math.tan,
    slope: (x) => 1 + Math.tan(x) ** 2,
    bend: (x) => 2 * Math.tan(x) * (1 + Math.tan(x) ** 2),
  },
  asin: {
    f: ops.asin,
    value: Math.asin,
    slope: (x) => 1 / Math.sqrt(1 - x * x),
    bend: (x) => x / Math.sqrt(1 - x * x) ** 3,
    slopes: { ulps: 7 },
  },
  acos: {
    f: ops.acos,
    value: Math.acos,
    slope: (x) => -1 / Math.sqrt(1 - x * x),
    bend: (x) => -x / Math.sqrt(1 - x * x) ** 3,
    slopes: { ulps: 7 },
  },
  sinh: { f: ops.sinh, value: Math.sinh, slope: Math.cosh, bend: Math.sinh },
  cosh: { f: ops.cosh, value: Math.cosh, slope: Math.sinh, bend: Math.cosh },
  asinh: { f: ops.asinh, value: Math.asinh, slope: (x) => 1 / Math.hypot(x, 1) },
  acosh: { f: ops.acosh, value: Math.acosh, slope: (x) => 1 / Math.sqrt(x - 1) / Math.sqrt(x + 1) },
  atanh: {
    f: ops.atanh,
    value: Math.atanh,
    slope: (x) => 1 / (1 - x) / (1 + x),
    bend: (x) => (2 * x) / ((1 - x) * (1 + x)) ** 2,
  },
  tanh: { f: ops.tanh, value: Math.tanh, slope: sech2, bend: (x) => -2 * Math.tanh(x) * sech2(x) },
  sigmoid: {
    f: ops.sigmoid,
    value: sigmoid,
    slope: (x) => sigmoid(x) * sigmoid(-x),
    bend: (x) => -sigmoid(x) * sigmoid(-x) * Math.tanh(x / 2),
  },
  // The square of an argument is rounded before its exponential is taken, and second derivatives cross 0.
  erf: {
    f: ops.erf,
    value: erf,
    slope: (x) => (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
    bend: (x) => times(-4 / Math.sqrt(Math.PI), x, Math.exp(-x * x)),
    accuracy: { ulps: 150 },
  },
  erfc: {
    f: ops.erfc,
    value: erfc,
    slope: (x) => (-2 / Math.sqrt(Math.PI)) * Math.exp(-x * x),
    bend: (x) => times(4 / Math.sqrt(Math.PI), x, Math.exp(-x * x)),
    accuracy: { ulps: 150 },
  },
  relu: { f: ops.relu, value: (x) => (x < 0 ? 0 : x), slope: (x) => (x > 0 ? 1 : 0) },
  softplus: {
    f: ops.softplus,
    value: softplus,
    slope: sigmoid,
    bend: (x) => sigmoid(x) * sigmoid(-x),
  },
  silu: {
    f: ops.silu,
    value: (x) => x * sigmoid(x),
    slope: (x) => sigmoid(x) * (1 + times(x, sigmoid(-x))),
    bend: (x) => times(sigmoid(x) * sigmoid(-x), 2 - x * Math.tanh(x / 2)),
    accuracy: { ulps: 200, least: 1e-13 },
  },
  gelu: {
    f: ops.gelu,
    value: (x) => x * normal(x),
    slope: (x) => normal(x) + times(x, bell(x)),
    bend: (x) => times(bell(x), 2 - x * x),
    accuracy: { ulps: 300, least: 1e-13 },
  },
  'gelu by tanh': {
    f: (x) => ops.gelu(x, { approximate: 'tanh' }),
    value: (x) => x * byTanh(x).p,
    slope(x) {
      const { z1, p, q } = byTanh(x);
      return p + times(p, q, x * z1);
    },
    bend(x) {
      const { z1, z2, p, q } = byTanh(x);
      return times(p, q, 2 * z1 + x * z2 + x * z1 * z1 * (q - p));
    },
    accuracy: { ulps: 300, least: 1e-13 },
  },
  leakyRelu: {
    f: (x) => ops.leakyRelu(x, 0.25),
    value: (x) => (x > 0 ? x : 0.25 * x),
    slope: (x) => (x > 0 ? 1 : 0.25),
  },
  elu: {
    f: (x) => ops.elu(x, 2),
    value: (x) => (x > 0 ? x : 2 * Math.expm1(x)),
    slope: (x) => (x > 0 ? 1 : 2 * Math.exp(x)),
    bend: (x) => (x > 0 ? 0 : 2 * Math.exp(x)),
  },
  selu: {
    f: ops.selu,
    value: (x) => SELU_SCALE * (x > 0 ? x : SELU_ALPHA * Math.expm1(x)),
    slope: (x) => SELU_SCALE * (x > 0 ? 1 : SELU_ALPHA * Math.exp(x)),
    bend: (x) => (x > 0 ? 0 : SELU_SCALE * SELU_ALPHA * Math.exp(x)),
  },
  mish: {
    f: ops.mish,
    value: (x) => x * Math.tanh(softplus(x)),
    slope: (x) => Math.tanh(softplus(x)) + times(x, sech2(softplus(x)), sigmoid(x)),
    accuracy: { ulps: 6 },
    slopes: { ulps: 1100, least: 1e-13 },
  },
  celu: {
    f: (x) => ops.celu(x, 3),
    value: (x) => (x > 0 ? x : 3 * Math.expm1(x / 3)),
    slope: (x) => (x > 0 ? 1 : Math.exp(x / 3)),
    bend: (x) => (x > 0 ? 0 : Math.exp(x / 3) / 3),
    // The quotient is rounded before its exponential is taken.
    accuracy: { ulps: 80 },
  },
  hardSigmoid: {
    f: ops.hardSigmoid,
    value: (x) => Math.min(Math.max((x + 3) / 6, 0), 1),
    slope: (x) => (Math.abs(x) < 3 ? 1 / 6 : 0),
  },
  hardSwish: {
    f: ops.hardSwish,
    value: (x) => x * Math.min(Math.max((x + 3) / 6, 0), 1),
    slope: (x) => (Math.abs(x) < 3 ? x / 3 + 0.5 : Number(x > 0)),
    accuracy: { ulps: 60, least: 1e-13 },
  },
  hardTanh: {
    f: ops.hardTanh,
    value: (x) => Math.min(Math.max(x, -1), 1),
    slope: (x) => (Math.abs(x) < 1 ? 1 : 0),
  },
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
const FINITE = POINTS.filter((x) => Number.isFinite(x));

const LONG_LAYOUTS = [
  [1, 50_000, 37],
  [70, 20_001, 1],
  [70, 5001, 5],
] as const;

/** [outer, n, inner]: long and short, with few and with many results. */
const LAYOUTS: readonly (readonly [number, number, number])[] = [
  [1, 1_000_003, 1],
  [1, 200_001, 3],
  [3, 130, 260],
  ...(isLong ? LONG_LAYOUTS : []),
];

function describeAccuracy(name: string, make: () => Promise<Backend> | Backend, accuracy: Accuracy): void {
  describe(`${name}: accuracy`, () => {
    let evaluator: Promise<Evaluator> | null = null;
    const values = async (t: Tensor): Promise<ArrayLike<number>> => {
      evaluator ??= Promise.resolve(make()).then((backend) => new Evaluator(backend));
      return (await (await evaluator).evaluate([t]))[0].data;
    };
    afterAll(async () => {
      const own = await evaluator;
      await own?.close();
      await own?.backend.close();
    });

    it.each(Object.entries(CURVES))('%s', async (what, { f, value, accuracy: own }) => {
      expectAccurate(what, POINTS, await values(f(tensor(POINTS))), value, { ...accuracy, ...own });
    });

    /** Twice a derivative: a gradient of 2 overflows beside the largest numbers. The sign of a zero is left open. */
    const expectSlope = async (
      what: string,
      g: Tensor,
      slope: (x: number) => number,
      { ulps = 3 * accuracy.ulps, least = accuracy.least }: Partial<Accuracy> = {},
    ): Promise<void> => {
      const got = Array.from(await values(g), (v) => v + 0);
      expectAccurate(what, FINITE, got, (x) => 2 * slope(x) + 0, { ulps, least });
    };

    it.each(Object.entries(CURVES))(
      'the derivative of %s',
      async (what, { f, slope, accuracy: own, slopes = own }) => {
        const x = tensor(FINITE);
        const [first] = grad(ops.mul(ops.sum(f(x)), 2), [x]);
        await expectSlope(what, first, slope, slopes);
      },
    );

    // e^−x² alone would lose x² / 2 ulp to the rounding of x².
    it('erfc where it is tiny', async () => {
      const x = Float32Array.from({ length: 1000 }, (_, i) => 2 + i / 135);
      expectAccurate('erfc', x, await values(ops.erfc(tensor(x))), erfc, { ...accuracy, ulps: 8 });
    });

    // Sums of 0.1 show rounding errors that all have one sign.
    const tenth = Math.fround(0.1);
    const expectAll = async (what: string, t: Tensor, want: number, tolerance = 1e-6): Promise<void> => {
      const got = await values(t);
      const shape = t.shape;
      const expected = { shape, dtype: 'f32', data: new Float32Array(got.length).fill(want) } as const;
      expectClose(what, { shape, dtype: 'f32', data: Float32Array.from(got) }, expected, tolerance);
    };

    it('the gradient of the Dice loss for an empty mask', async () => {
      const [n, p] = [10_000, sigmoid(3)];
      const z = ops.full([1, n], 3);
      const [slope] = grad(ops.diceLoss(z, ops.zeros([1, n])), [z]);
      await expectAll('slope', slope, (p * (1 - p)) / (n * p + 1) ** 2, 2e-6);
    });

    it.each(LAYOUTS)('sums over the middle axis of [%i,%i,%i]', async (outer, n, inner) => {
      const x = ops.full([outer, n, inner], 0.1);
      await expectAll('sum', ops.sum(x, 1), n * tenth);
      await expectAll('mean', ops.mean(x, 1), tenth);
      await expectAll('norm', ops.norm(x, 1), Math.sqrt(n) * tenth);
      await expectAll('cumsum', ops.slice(ops.cumsum(x, 1), [null, -1]), n * tenth, 5e-6);
    });

    it.each([
      [1, 300_001, 1],
      [7, 20_000, 5],
    ])('products of [%i,%i] with as many rows of %i', async (m, k, n) => {
      for (const [transA, transB] of [
        [false, false],
        [true, false],
        [false, true],
      ] as const) {
        const a = ops.full(transA ? [k, m] : [m, k], 0.1);
        const b = ops.full(transB ? [n, k] : [k, n], 0.1);
        const product = ops.matmul(a, b, { transA, transB });
        await expectAll('matmul', product, k * tenth * tenth, 2e-5);
      }
    });

    it('statistics of many elements', async () => {
      // −0.9 and 1.1 in turn, in each of three channels.
      const n = 60_000;
      const x = tensor(Float32Array.from({ length: 3 * n }, (_, i) => (i % 2 === 0 ? -0.9 : 1.1)));
      const rows = ops.reshape(x, [n, 3]);
      await expectAll('variance', ops.variance(x), 1);
      const batch = ops.batchNorm(rows, { epsilon: 0 });
      await expectAll('mean of batchNorm', batch.mean, 0.1, 5e-5);
      await expectAll('variance of batchNorm', batch.variance, 1, 3e-6);
      const image = ops.reshape(x, [1, n, 3, 1]);
      const [y, mean, variance] = primitives.standardize([image], { epsilon: 0 });
      await expectAll('mean of standardize', mean, 0.1, 5e-5);
      await expectAll('variance of standardize', variance, 1, 3e-6);
      await expectAll('square of standardized', ops.mean(ops.square(y)), 1, 3e-6);
    });

    const bent = Object.entries(CURVES).filter(([, { bend }]) => bend !== undefined);
    it.each(bent)('the second derivative of %s', async (what, { f, bend, accuracy: own, slopes = own }) => {
      const x = tensor(FINITE);
      const [first] = grad(ops.sum(f(x)), [x]);
      const [second] = grad(ops.mul(ops.sum(first), 2), [x]);
      await expectSlope(what, second, bend!, slopes);
    });
  });
}

// Results below the normal numbers keep fewer digits.
const DENORMAL = 2 ** -140;
describeAccuracy('reference', () => reference(), { ulps: 2, least: DENORMAL });
for (const simd of SIMD_KINDS) {
  describeAccuracy(`wasm ${simd}`, () => wasm({ simd, threads: 1 }), { ulps: 3, least: DENORMAL });
}
describeAccuracy('gpu.js cpu', () => gpu({ mode: 'cpu' }), { ulps: 3, least: DENORMAL });
// Devices may flush denormals to 0.
await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  describeAccuracy('webgpu', () => gpu({ mode: 'webgpu' }), { ulps: 4, least: 2 ** -125 });
});
