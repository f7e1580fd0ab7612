/** Elementwise operations and activation functions, over all exponents, at their kinks, and with special values. */
import * as cg from 'cyclegrad';
import type { DType, Shape, Tensor } from 'cyclegrad';
import type { Attrs, Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import { f32, i32, normal, ordinary, u8, uniform, type Operation, type Operations } from './operation.ts';

const EXTREME = [
  0,
  '-0',
  2 ** -149,
  -(2 ** -149),
  2 ** -126,
  1e-30,
  -1e-10,
  1,
  -1,
  88.7,
  -103.9,
  1e10,
  -3e19,
  3.4028234663852886e38,
  -3.4028234663852886e38,
];
const SPECIAL = [...EXTREME, 'NaN', 'Infinity', '-Infinity'];

type Domain = 'real' | 'positive' | 'above -1' | 'above 1' | 'below 1';

interface Unary {
  readonly apply: (x: Tensor, attrs: never) => Tensor;
  readonly domain?: Domain;
  /** Points where the function or its derivative is not smooth. */
  readonly kinks?: readonly number[];
  /** Composed of several terms, which may cancel. Near kinks a change of the input changes the term. */
  readonly composed?: 'smooth' | 'kinked';
  readonly attrs?: (draws: Draws) => Attrs;
}

const DOMAINS: Readonly<Record<Domain, Values>> = {
  real: normal(),
  positive: uniform(0.01, 8),
  'above -1': uniform(-0.9, 6),
  'above 1': uniform(1.01, 9),
  'below 1': uniform(-0.99, 0.99),
};

function shapeOf(draws: Draws): Shape {
  return draws.chance(0.15) ? [draws.longLength()] : draws.shape(draws.integer(0, 3));
}

function unary({ apply, domain = 'real', kinks = [0], composed, attrs }: Unary): Operation {
  return {
    draw(draws) {
      const shape = shapeOf(draws);
      const common = {
        attrs: attrs?.(draws) ?? {},
        budget: 'element',
        perturbed: composed !== undefined,
      } as const;
      const way = draws.below(10);
      const signs = domain === 'real' || domain === 'below 1' ? 'both' : 'positive';
      if (way < 4) {
        const values = domain === 'real' ? ordinary(draws) : DOMAINS[domain];
        return { ...common, inputs: [f32(shape, values)] };
      }
      if (way < 7) {
        return {
          ...common,
          inputs: [f32(shape, { kind: 'binades', low: -149, high: domain === 'below 1' ? -1 : 127, signs })],
        };
      }
      if (way < 8) {
        const inputs = [f32(shape, { kind: 'near', points: kinks })];
        return { ...common, order: 1, perturbed: composed === 'smooth', inputs };
      }
      const values = { kind: 'listed', values: way < 9 ? EXTREME : SPECIAL } as const;
      return { ...common, order: 0, perturbed: false, inputs: [f32(shape, values)] };
    },
    build: ([x], given) => apply(x, given as never),
  };
}

interface Alpha {
  readonly alpha: number;
}
const alpha = (draws: Draws): Attrs => ({ alpha: draws.pick([1, 0.5, 1.7, 0.01]) });

const unaries: Readonly<Record<string, Unary>> = {
  neg: { apply: cg.neg },
  abs: { apply: cg.abs },
  sign: { apply: cg.sign },
  floor: { apply: cg.floor, kinks: [-2, -1, 0, 1, 2, 8388607.5, -8388608] },
  ceil: { apply: cg.ceil, kinks: [-2, -1, 0, 1, 2, 8388607.5, -8388608] },
  round: { apply: cg.round, kinks: [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 8388607.5, -8388607.5] },
  trunc: { apply: cg.trunc, kinks: [-2, -1, 0, 1, 2, 8388607.5, -8388608] },
  exp: { apply: cg.exp, kinks: [0, 88.72, -87.3, -103.9] },
  exp2: { apply: cg.exp2, kinks: [0, 127.99, -126, -149, 0.5] },
  expm1: { apply: cg.expm1, kinks: [0, 88.72, -17.3, 1e-4] },
  log: { apply: cg.log, domain: 'positive', kinks: [1, 2 ** -126, 2 ** -149] },
  log2: { apply: cg.log2, domain: 'positive', kinks: [1, 2 ** -126, 2 ** -149, 8] },
  log10: { apply: cg.log10, domain: 'positive', kinks: [1, 2 ** -126, 2 ** -149, 1000] },
  log1p: { apply: cg.log1p, domain: 'above -1', kinks: [0, -0.5, 1, 1e-4] },
  sqrt: { apply: cg.sqrt, domain: 'positive', kinks: [1, 2 ** -126, 4] },
  rsqrt: { apply: cg.rsqrt, domain: 'positive', kinks: [1, 2 ** -126, 4] },
  reciprocal: { apply: cg.reciprocal, kinks: [1, 2 ** -126, -3] },
  square: { apply: cg.square },
  sin: { apply: cg.sin, kinks: [0, Math.PI, -Math.PI / 2, 8192, 1e5] },
  cos: { apply: cg.cos, kinks: [0, Math.PI, -Math.PI / 2, 8192, 1e5] },
  tan: { apply: cg.tan, kinks: [0, Math.PI, -Math.PI / 4, 8192, 1e5], composed: 'smooth' },
  asin: { apply: cg.asin, domain: 'below 1', kinks: [0, 0.5, -0.5, 0.999], composed: 'smooth' },
  acos: { apply: cg.acos, domain: 'below 1', kinks: [0, 0.5, -0.5, 0.999], composed: 'smooth' },
  sinh: { apply: cg.sinh, kinks: [0, 1, -1, 88.72, -89.4] },
  cosh: { apply: cg.cosh, kinks: [0, 1, -1, 88.72, -89.4] },
  asinh: { apply: cg.asinh, kinks: [0, 1, -1, 1e9], composed: 'smooth' },
  acosh: { apply: cg.acosh, domain: 'above 1', kinks: [1.001, 2, 1e9], composed: 'smooth' },
  atanh: { apply: cg.atanh, domain: 'below 1', kinks: [0, 0.5, -0.5, 0.999], composed: 'smooth' },
  atan: { apply: cg.atan, kinks: [0, 1, -1, 0.4142, 2.4142] },
  tanh: { apply: cg.tanh, kinks: [0, 0.55, -0.55, 9, -9] },
  sigmoid: { apply: cg.sigmoid, kinks: [0, 2, -2, 16.6, -88] },
  erf: { apply: cg.erf, kinks: [0, 0.5, 1, -1, 3.9] },
  erfc: { apply: cg.erfc, kinks: [0, 0.5, 1, -1, 10] },
  relu: { apply: cg.relu },
  silu: { apply: cg.silu, kinks: [0, -1.278, 20, -88], composed: 'smooth' },
  softplus: { apply: cg.softplus, kinks: [0, 20, -20, -88], composed: 'smooth' },
  gelu: {
    apply: (x, { approximate }: { readonly approximate: 'tanh' | null }) =>
      approximate === null ? cg.gelu(x) : cg.gelu(x, { approximate }),
    attrs: (draws) => ({ approximate: draws.pick([null, 'tanh']) }),
    kinks: [0, -0.75, 1.41, -13],
    composed: 'smooth',
  },
  leakyRelu: {
    apply: (x, { slope }: { readonly slope: number }) => cg.leakyRelu(x, slope),
    attrs: (draws) => ({ slope: draws.pick([0.01, 0.2, 0, 1.5, -0.3]) }),
  },
  elu: { apply: (x, given: Alpha) => cg.elu(x, given.alpha), attrs: alpha },
  celu: { apply: (x, given: Alpha) => cg.celu(x, given.alpha), attrs: alpha, composed: 'smooth' },
  selu: { apply: cg.selu },
  mish: { apply: cg.mish, kinks: [0, -1.19, 20, -88], composed: 'smooth' },
  hardSigmoid: { apply: cg.hardSigmoid, kinks: [0, 3, -3], composed: 'kinked' },
  hardSwish: { apply: cg.hardSwish, kinks: [0, 3, -3], composed: 'kinked' },
  hardTanh: { apply: cg.hardTanh, kinks: [0, 1, -1] },
  stopGradient: { apply: cg.stopGradient },
};

/** Two shapes that broadcast to each other. */
function pairOf(draws: Draws): readonly [Shape, Shape] {
  const shape = shapeOf(draws);
  if (draws.chance(0.4)) return [shape, shape];
  const narrowed = shape.map((n) => (draws.chance(0.4) ? 1 : n));
  const other = draws.chance(0.4) ? narrowed.slice(draws.below(shape.length + 1)) : narrowed;
  return draws.chance(0.5) ? [shape, other] : [other, shape];
}

const binary = (
  apply: (a: Tensor, b: Tensor) => Tensor,
  tied: readonly number[] = [-2, 0, 1, 3],
): Operation => ({
  draw(draws) {
    const [a, b] = pairOf(draws);
    const common = { budget: 'element', perturbed: false } as const;
    const way = draws.below(10);
    if (way < 4) {
      return { ...common, perturbed: true, inputs: [f32(a, ordinary(draws)), f32(b, ordinary(draws))] };
    }
    if (way < 6) {
      const wide = { kind: 'binades', low: -149, high: 127, signs: 'both' } as const;
      return { ...common, inputs: [f32(a, wide), f32(b, wide)] };
    }
    if (way < 8) {
      const equal = { kind: 'ties', values: tied } as const;
      return { ...common, order: 1, inputs: [f32(a, equal), f32(b, equal)] };
    }
    const values = { kind: 'listed', values: way < 9 ? EXTREME : SPECIAL } as const;
    return { ...common, order: 0, inputs: [f32(a, values), f32(b, values)] };
  },
  build: ([a, b]) => apply(a, b),
});

/** Operations of `f32` or `i32` whose result is exact. */
const comparison = (apply: (a: Tensor, b: Tensor) => Tensor): Operation => ({
  draw(draws) {
    const [a, b] = pairOf(draws);
    if (draws.chance(0.3)) return { order: 0, inputs: [i32(a, 3), i32(b, 3)], budget: 'exact' };
    const values = { kind: 'listed', values: draws.chance(0.5) ? SPECIAL : [-1, 0, 2] } as const;
    return { order: 0, inputs: [f32(a, values), f32(b, values)], budget: 'exact' };
  },
  build: ([a, b]) => apply(a, b),
});

const logic = (apply: (a: Tensor, b: Tensor) => Tensor): Operation => ({
  draw(draws) {
    const [a, b] = pairOf(draws);
    return { order: 0, inputs: [u8(a, draws.pick([2, 256])), u8(b, 2)], budget: 'exact' };
  },
  build: ([a, b]) => apply(a, b),
});

const test = (apply: (x: Tensor) => Tensor, input: 'f32' | 'u8'): Operation => ({
  draw(draws) {
    const shape = shapeOf(draws);
    const values = { kind: 'listed', values: SPECIAL } as const;
    return { order: 0, budget: 'exact', inputs: [input === 'u8' ? u8(shape, 3) : f32(shape, values)] };
  },
  build: ([x]) => apply(x),
});

/** Bases and exponents whose power is defined. */
const pow: Operation = {
  draw(draws) {
    const [a, b] = pairOf(draws);
    const way = draws.below(6);
    const common = { budget: 'element', perturbed: true } as const;
    if (way === 0) {
      const special = { kind: 'listed', values: [...SPECIAL, 2, -2, 0.5, 3] } as const;
      return { ...common, perturbed: false, order: 0, inputs: [f32(a, special), f32(b, special)] };
    }
    if (way === 1) {
      const wide = { kind: 'binades', low: -149, high: 127, signs: 'positive' } as const;
      return { ...common, inputs: [f32(a, wide), f32(b, uniform(-1.2, 1.2))] };
    }
    if (way === 2) {
      const whole = { kind: 'ties', values: [-3, -2, -1, 1, 2, 3, 4] } as const;
      return { ...common, perturbed: false, wrt: [0], inputs: [f32(a, normal(2)), f32(b, whole)] };
    }
    const exponent = draws.chance(0.5) ? [] : b;
    return { ...common, inputs: [f32(a, uniform(0.05, 6)), f32(exponent, normal(2))] };
  },
  build: ([a, b]) => cg.pow(a, b),
};

/** Integers, whose sums and products wrap around. */
const integers = (apply: (a: Tensor, b: Tensor) => Tensor, operation: Operation): Operation => ({
  draw(draws) {
    if (draws.chance(0.85)) return operation.draw(draws);
    const [a, b] = pairOf(draws);
    return { order: 0, budget: 'exact', inputs: [i32(a, 2 ** 31), i32(b, 2 ** 31)] };
  },
  build: ([a, b]) => apply(a, b),
});

const where: Operation = {
  draw(draws) {
    const [a, b] = pairOf(draws);
    const condition = draws.chance(0.5) ? a : b;
    const special = draws.chance(0.2);
    const values = special ? ({ kind: 'listed', values: SPECIAL } as const) : ordinary(draws);
    return {
      order: special ? 0 : 2,
      budget: 'element',
      inputs: [u8(condition, 2), f32(a, values), f32(b, values)],
    };
  },
  build: ([condition, a, b]) => cg.where(condition, a, b),
};

/** One slope, or one for each channel. */
const prelu: Operation = {
  draw(draws) {
    const shape = draws.shape(draws.integer(2, 4));
    const slope = draws.chance(0.4) ? [] : shape.slice(-1);
    const near = draws.chance(0.3);
    const values = near ? ({ kind: 'ties', values: [-2, 0, 1] } as const) : ordinary(draws);
    return { order: near ? 1 : 2, inputs: [f32(shape, values), f32(slope, normal())] };
  },
  build: ([x, slope]) => cg.prelu(x, slope),
};

interface Bounds {
  readonly low: number | null;
  readonly high: number | null;
}

const clamp: Operation = {
  draw(draws) {
    const [low, high] = [draws.pick([null, -0.5, 0, -1]), draws.pick([null, 0.5, 1, 0])];
    const values = draws.chance(0.5)
      ? ordinary(draws)
      : ({ kind: 'near', points: [-1, -0.5, 0, 0.5, 1] } as const);
    return {
      attrs: { low, high },
      budget: 'element',
      perturbed: false,
      inputs: [f32(shapeOf(draws), values)],
    };
  },
  build: ([x], { low, high }: Bounds) => cg.clamp(x, low ?? -Infinity, high ?? Infinity),
};

const cast: Operation = {
  draw(draws) {
    const to = draws.pick(['f32', 'i32', 'u8']);
    const from = draws.pick(['f32', 'i32', 'u8']);
    const shape = shapeOf(draws);
    const values = {
      kind: 'listed',
      values: [...SPECIAL, -1.5, 2.7, 300, 2147483648, -2147483904, 16777217],
    } as const;
    const input = { f32: f32(shape, values), i32: i32(shape, 2 ** 31), u8: u8(shape, 256) }[from];
    return { attrs: { dtype: to }, order: 0, budget: 'exact', inputs: [input!] };
  },
  build: ([x], { dtype }: { readonly dtype: DType }) => cg.cast(x, dtype),
};

/** The identity for finite values. A run with other values stops, which the tests of the backends cover. */
const checkFinite: Operation = {
  draw: (draws) => ({ budget: 'exact', inputs: [f32(shapeOf(draws), ordinary(draws))] }),
  build: ([x]) => cg.checkFinite(x, 'x'),
};

export const elementwise: Operations = {
  ...Object.fromEntries(Object.entries(unaries).map(([name, def]) => [name, unary(def)])),
  add: integers(cg.add, binary(cg.add)),
  sub: integers(cg.sub, binary(cg.sub)),
  mul: integers(cg.mul, binary(cg.mul)),
  div: binary(cg.div),
  maximum: integers(cg.maximum, binary(cg.maximum)),
  minimum: integers(cg.minimum, binary(cg.minimum)),
  pow,
  atan2: binary(cg.atan2),
  // Where the divisor is 0, PyTorch's gradient is infinite and ours NaN.
  remainder: binary(cg.remainder, [-2, 3, 1, -1]),
  prelu,
  equal: comparison(cg.equal),
  notEqual: comparison(cg.notEqual),
  less: comparison(cg.less),
  lessEqual: comparison(cg.lessEqual),
  greater: comparison(cg.greater),
  greaterEqual: comparison(cg.greaterEqual),
  and: logic(cg.and),
  or: logic(cg.or),
  xor: logic(cg.xor),
  not: test(cg.not, 'u8'),
  isNaN: test(cg.isNaN, 'f32'),
  isFinite: test(cg.isFinite, 'f32'),
  isInfinite: test(cg.isInfinite, 'f32'),
  where,
  clamp,
  cast,
  checkFinite,
};
