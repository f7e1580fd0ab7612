/** Reductions, running sums and matrix products. */
import * as cg from 'cyclegrad';
import type { Tensor } from 'cyclegrad';
import type { Attrs, Json, Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import {
  distinct,
  f32,
  normal,
  ordinary,
  ties,
  u8,
  uniform,
  type Given,
  type Operation,
  type Operations,
  type Sketch,
} from './operation.ts';

/** All axes, one axis, or several, which need not be adjacent. */
function axesOf(draws: Draws, rank: number): Json {
  if (rank === 0 || draws.chance(0.2)) return null;
  return draws.chance(0.4) ? draws.axis(rank) : draws.axes(rank);
}

const shapeOf = (draws: Draws): number[] =>
  draws.chance(0.2)
    ? draws.shuffle([draws.longLength(), draws.integer(1, 3)])
    : draws.shape(draws.integer(0, 4), 3000);

type Draw = (draws: Draws) => Partial<Sketch> & { readonly values: Values; readonly attrs?: Attrs };

const reduction = (
  draw: Draw,
  apply: (x: Tensor, axes: Given, options: Given) => Tensor,
  dtype: 'f32' | 'u8' = 'f32',
): Operation => ({
  draw(draws) {
    const shape = shapeOf(draws);
    const { values, attrs, ...rest } = draw(draws);
    const x = dtype === 'u8' ? u8(shape, draws.pick([2, 2, 256])) : f32(shape, values);
    return {
      ...rest,
      inputs: [x],
      attrs: { axes: axesOf(draws, shape.length), keepDims: draws.chance(0.4), ...attrs },
    };
  },
  build: ([x], { axes, ...options }) => apply(x, axes ?? undefined, options),
});

/** Data whose largest element is unique, or not, or NaN. */
function withOrder(draws: Draws): {
  readonly values: Values;
  readonly order: 0 | 2;
  readonly perturbed: false;
} {
  const way = draws.below(4);
  if (way === 0) {
    const values = ['NaN', 'Infinity', '-Infinity', 1, -1, '-0', 0] as const;
    return { values: { kind: 'listed', values }, order: 0, perturbed: false };
  }
  return { values: way === 1 ? ties : distinct, order: 2, perturbed: false };
}

const exactly = { budget: 'exact' } as const;

/** Data for which exp(x) may overflow, underflow or meet equal maxima. */
function logits(draws: Draws): {
  readonly values: Values;
  readonly order?: 0 | 1;
  readonly perturbed?: false;
} {
  const way = draws.below(8);
  if (way === 0) {
    const values = [3e38, -3e38, 100, 0, -200, 1e10] as const;
    return { values: { kind: 'listed', values }, order: 0, perturbed: false };
  }
  if (way === 1) {
    const values = ['-Infinity', 0, 1, 50] as const;
    return { values: { kind: 'listed', values }, order: 0, perturbed: false };
  }
  if (way === 2) return { values: ties, perturbed: false };
  // Where one logit is far above the others, second derivatives are differences of equal numbers.
  if (way === 3) return { values: normal(40), order: 1 };
  return { values: normal(draws.pick([1, 1, 10]), draws.pick([0, 0, 500])) };
}

const reductions: Operations = {
  sum: reduction((draws) => ({ values: ordinary(draws) }), cg.sum),
  mean: reduction((draws) => ({ values: ordinary(draws) }), cg.mean),
  max: reduction((draws) => ({ ...exactly, ...withOrder(draws) }), cg.max),
  min: reduction((draws) => ({ ...exactly, ...withOrder(draws) }), cg.min),
  prod: reduction(
    (draws) => ({ values: draws.chance(0.2) ? { kind: 'ties', values: [0, 1, 2, -1] } : uniform(0.8, 1.25) }),
    cg.prod,
  ),
  logSumExp: reduction(logits, cg.logSumExp),
  any: reduction(() => ({ values: ties, order: 0, ...exactly }), cg.any, 'u8'),
  all: reduction(() => ({ values: ties, order: 0, ...exactly }), cg.all, 'u8'),
  norm: reduction(
    (draws) => ({
      // Second derivatives of tiny numbers overflow.
      ...(draws.chance(0.2)
        ? { values: normal(draws.pick([1e25, 1e-25, 1e10])), order: 1 }
        : { values: normal() }),
      attrs: { order: draws.pick([2, 2, 2, 1, 3, 1.5, 'Infinity']) },
    }),
    (x, axes, { order, ...options }) => cg.norm(x, axes, { order: Number(order), ...options }),
  ),
};

/** More elements than the correction in every variance. */
const spread = (apply: (x: Tensor, axes: Given, options: Given) => Tensor): Operation => ({
  draw(draws) {
    const shape = draws.shape(draws.integer(1, 3), 2000).map((n) => Math.max(2, n));
    const axes = draws.chance(0.3) ? null : draws.axis(shape.length);
    return {
      inputs: [f32(shape, ordinary(draws))],
      attrs: { axes, keepDims: draws.chance(0.4), correction: draws.pick([0, 1]) },
    };
  },
  build: ([x], { axes, ...options }) => apply(x, axes ?? undefined, options),
});

/** PyTorch may give the gradient to another one of equal elements. */
function quantiles(draws: Draws) {
  const shape = draws.chance(0.2) ? [draws.longLength()] : draws.shape(draws.integer(1, 3), 1500);
  const way = draws.below(4);
  const values: Values =
    way === 0 ? { kind: 'listed', values: ['NaN', 1, -1, 0, 2, 7, 0.5] } : way === 1 ? ties : distinct;
  return {
    perturbed: false,
    order: way < 2 ? 0 : 2,
    inputs: [f32(shape, values)],
    attrs: {
      axes: axesOf(draws, shape.length),
      keepDims: draws.chance(0.4),
      interpolation: draws.pick(['linear', 'linear', 'lower', 'higher', 'nearest', 'midpoint']),
    },
  } as const;
}

const median: Operation = {
  draw: quantiles,
  build: ([x], { axes, ...options }) => cg.median(x, axes ?? undefined, options),
};

const quantile: Operation = {
  draw(draws) {
    const { attrs, ...rest } = quantiles(draws);
    const share = (): number => draws.pick([0, 1, 0.5, 0.25, draws.short(0, 1)]);
    const q = draws.chance(0.5) ? share() : Array.from({ length: draws.integer(1, 4) }, share);
    return { ...rest, attrs: { ...attrs, q } };
  },
  build: ([x], { q, axes, ...options }) => cg.quantile(x, q, axes ?? undefined, options),
};

const position = (apply: (x: Tensor, axis: Given, options: Given) => Tensor): Operation => ({
  draw(draws) {
    const shape = shapeOf(draws);
    const axis = shape.length === 0 || draws.chance(0.3) ? null : draws.axis(shape.length);
    return {
      ...exactly,
      order: 0,
      inputs: [f32(shape, withOrder(draws).values)],
      attrs: { axis, keepDims: draws.chance(0.4) },
    };
  },
  build: ([x], { axis, ...options }) => apply(x, axis ?? undefined, options),
});

const alongAxis = (draw: Draw, apply: (x: Tensor, axis: number, options: Given) => Tensor): Operation => ({
  draw(draws) {
    const shape = draws.chance(0.15)
      ? draws.shuffle([draws.longLength(), draws.integer(1, 3)])
      : draws.shape(draws.integer(1, 4), 2000);
    const { values, attrs, ...rest } = draw(draws);
    return { ...rest, inputs: [f32(shape, values)], attrs: { axis: draws.axis(shape.length), ...attrs } };
  },
  build: ([x], { axis, ...options }) => apply(x, axis, options),
});

const dot: Operation = {
  draw(draws) {
    const shape = [draws.chance(0.3) ? draws.longLength() : draws.length(600)];
    return { inputs: [f32(shape, normal()), f32(shape, normal())] };
  },
  build: ([a, b]) => cg.dot(a, b),
};

const outer: Operation = {
  draw: (draws) => ({
    inputs: [f32([draws.length(60)], normal()), f32([draws.length(60)], normal())],
  }),
  build: ([a, b]) => cg.outer(a, b),
};

/** Batches of equal or broadcast shape, with sizes around the tiles of the kernels. */
const matmul: Operation = {
  draw(draws) {
    const [m, k, n] = [0, 1, 2].map(() => (draws.chance(0.1) ? draws.integer(60, 130) : draws.length(33)));
    const batch = draws.shape(draws.pick([0, 0, 0, 1, 1, 2]), 6);
    const narrowed = (): number[] =>
      draws.chance(0.5)
        ? batch
        : batch.map((size) => (draws.chance(0.5) ? 1 : size)).slice(draws.below(batch.length + 1));
    const [transA, transB] = [draws.chance(0.4), draws.chance(0.4)];
    const a = [...narrowed(), ...(transA ? [k, m] : [m, k])];
    const b = [...narrowed(), ...(transB ? [n, k] : [k, n])];
    const values = normal(draws.pick([1, 1, 1e3, 1e-3]));
    return { inputs: [f32(a, values), f32(b, normal())], attrs: { transA, transB } };
  },
  build: ([a, b], options) => cg.matmul(a, b, options),
};

const EQUATIONS: readonly (readonly [string, readonly string[]])[] = [
  ['ij,jk->ik', ['ij', 'jk']],
  ['bij,bjk->bik', ['bij', 'bjk']],
  ['ij->ji', ['ij']],
  ['ijk->k', ['ijk']],
  ['i,j->ij', ['i', 'j']],
  ['bhqd,bhkd->bhqk', ['bhqd', 'bhkd']],
  ['ij,ij->', ['ij', 'ij']],
  ['ij,jk,kl->il', ['ij', 'jk', 'kl']],
  ['bi,ij,bj->b', ['bi', 'ij', 'bj']],
];

const einsum: Operation = {
  draw(draws) {
    const [equation, terms] = draws.pick(EQUATIONS);
    const sizes = new Map<string, number>();
    const sizeOf = (letter: string): number => {
      const size = sizes.get(letter) ?? draws.integer(1, 9);
      sizes.set(letter, size);
      return size;
    };
    return { inputs: terms.map((term) => f32(Array.from(term, sizeOf), normal())), attrs: { equation } };
  },
  build: (operands, { equation }) => cg.einsum(equation, ...operands),
};

export const reduce: Operations = {
  ...reductions,
  variance: spread(cg.variance),
  std: spread(cg.std),
  median,
  quantile,
  argMax: position(cg.argMax),
  argMin: position(cg.argMin),
  softmax: alongAxis(logits, cg.softmax),
  logSoftmax: alongAxis(logits, cg.logSoftmax),
  cumsum: alongAxis(
    (draws) => ({
      values: ordinary(draws),
      attrs: { exclusive: draws.chance(0.4), reverse: draws.chance(0.4) },
    }),
    cg.cumsum,
  ),
  cumprod: alongAxis(
    (draws) => ({
      values: draws.chance(0.3) ? { kind: 'ties', values: [0, 1, 2, -1] } : uniform(0.8, 1.25),
      attrs: { exclusive: draws.chance(0.4), reverse: draws.chance(0.4) },
    }),
    cg.cumprod,
  ),
  dot,
  outer,
  matmul,
  einsum,
};
