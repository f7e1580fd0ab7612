/** Operations that move, select, repeat or order elements. */
import * as cg from 'cyclegrad';
import type { Range, Shape, Tensor } from 'cyclegrad';
import type { Values } from '../case.ts';
import type { Draws } from '../draws.ts';
import {
  distinct,
  f32,
  i32,
  normal,
  u8,
  type Drawn,
  type Given,
  type Operation,
  type Operations,
  type Sketch,
} from './operation.ts';

const SPECIAL: Values = { kind: 'listed', values: ['NaN', 'Infinity', '-Infinity', '-0', 0, 1, -2] };

/** An input of any dtype that is only moved. */
function moved(draws: Draws, shape: Shape): Drawn {
  const way = draws.below(8);
  if (way === 0) return i32(shape, 2 ** 31);
  return way === 1 ? u8(shape, 256) : f32(shape, normal());
}

const moving = (
  draw: (draws: Draws) => Sketch,
  build: (inputs: readonly Tensor[], attrs: Given) => Tensor | readonly Tensor[],
): Operation => ({ draw: (draws) => ({ budget: 'exact', ...draw(draws) }), build });

/** Shapes with the same number of elements, regrouped. */
function regrouped(draws: Draws, shape: Shape): number[] {
  const result: number[] = [];
  for (const n of draws.chance(0.5) ? shape : draws.shuffle(shape)) {
    const last = result.length - 1;
    if (last >= 0 && draws.chance(0.5)) result[last] *= n;
    else result.push(n);
    if (draws.chance(0.1)) result.push(1);
  }
  return result;
}

function range(draws: Draws, n: number): Range {
  if (draws.chance(0.25)) return null;
  if (n > 0 && draws.chance(0.2)) return draws.integer(-n, n - 1);
  const step = draws.pick([1, 1, 2, 3, -1, -2]);
  const at = (): number => draws.integer(-n, n);
  return {
    step,
    ...(draws.chance(0.6) && { begin: at() }),
    ...(draws.chance(0.6) && { end: at() }),
  };
}

const rank = (draws: Draws): number => draws.integer(1, 4);
const shapeOf = (draws: Draws): number[] =>
  draws.chance(0.1) ? [draws.longLength()] : draws.shape(rank(draws));

const triangle = (apply: (x: Tensor, offset: number) => Tensor): Operation =>
  moving(
    (draws) => {
      const shape = draws.shape(draws.integer(2, 4));
      return { inputs: [moved(draws, shape)], attrs: { offset: draws.integer(-4, 4) } };
    },
    ([x], { offset }) => apply(x, offset),
  );

const layouts: Operations = {
  reshape: moving(
    (draws) => {
      const shape = shapeOf(draws);
      return { inputs: [moved(draws, shape)], attrs: { shape: regrouped(draws, shape) } };
    },
    ([x], { shape }) => cg.reshape(x, shape),
  ),
  transpose: moving(
    (draws) => {
      const shape = shapeOf(draws);
      const order = draws.shuffle(shape.map((_, axis) => axis));
      return { inputs: [moved(draws, shape)], attrs: { perm: draws.chance(0.2) ? null : order } };
    },
    ([x], { perm }) => (perm === null ? cg.transpose(x) : cg.transpose(x, perm)),
  ),
  broadcastTo: moving(
    (draws) => {
      const shape = draws.shape(rank(draws));
      const from = shape.map((n) => (draws.chance(0.5) ? 1 : n)).slice(draws.below(shape.length));
      return { inputs: [moved(draws, from)], attrs: { shape } };
    },
    ([x], { shape }) => cg.broadcastTo(x, shape),
  ),
  slice: moving(
    (draws) => {
      const shape = shapeOf(draws);
      const ranges = shape.map((n) => range(draws, n)).slice(0, draws.integer(1, shape.length));
      return { inputs: [moved(draws, shape)], attrs: { ranges } };
    },
    ([x], { ranges }) => cg.slice(x, ranges),
  ),
  concat: moving(
    (draws) => {
      const shape = draws.shape(rank(draws), 600);
      const axis = draws.below(shape.length);
      const parts = Array.from({ length: draws.integer(1, 5) }, () =>
        f32(shape.with(axis, draws.integer(draws.chance(0.1) ? 0 : 1, 20)), normal()),
      );
      return { inputs: parts, attrs: { axis: draws.chance(0.5) ? axis : axis - shape.length } };
    },
    (parts, { axis }) => cg.concat(parts, axis),
  ),
  stack: moving(
    (draws) => {
      const shape = draws.shape(draws.integer(0, 3), 600);
      const parts = Array.from({ length: draws.integer(1, 5) }, () => f32(shape, normal()));
      return { inputs: parts, attrs: { axis: draws.integer(-shape.length - 1, shape.length) } };
    },
    (parts, { axis }) => cg.stack(parts, axis),
  ),
  squeeze: moving(
    (draws) => {
      const shape = draws.shape(rank(draws)).map((n) => (draws.chance(0.4) ? 1 : n));
      const ones = shape.flatMap((n, axis) => (n === 1 ? [axis] : []));
      const axes = draws.chance(0.4) || ones.length === 0 ? null : ones.filter(() => draws.chance(0.6));
      return { inputs: [moved(draws, shape)], attrs: { axes } };
    },
    ([x], { axes }) => (axes === null ? cg.squeeze(x) : cg.squeeze(x, axes)),
  ),
  expandDims: moving(
    (draws) => {
      const shape = draws.shape(draws.integer(0, 3));
      return {
        inputs: [moved(draws, shape)],
        attrs: { axis: draws.integer(-shape.length - 1, shape.length) },
      };
    },
    ([x], { axis }) => cg.expandDims(x, axis),
  ),
  flip: moving(
    (draws) => {
      const shape = shapeOf(draws);
      return {
        inputs: [moved(draws, shape)],
        attrs: { axes: draws.chance(0.3) ? null : draws.axes(shape.length) },
      };
    },
    ([x], { axes }) => (axes === null ? cg.flip(x) : cg.flip(x, axes)),
  ),
  roll: moving(
    (draws) => {
      const shape = shapeOf(draws);
      const axes = draws.chance(0.3) ? null : draws.axes(shape.length);
      const shifts = axes === null ? draws.integer(-40, 40) : axes.map(() => draws.integer(-40, 40));
      return { inputs: [moved(draws, shape)], attrs: { shifts, axes } };
    },
    ([x], { shifts, axes }) => (axes === null ? cg.roll(x, shifts) : cg.roll(x, shifts, axes)),
  ),
  diag: moving(
    (draws) => {
      const shape = draws.shape(draws.integer(1, 2), 60);
      return { inputs: [moved(draws, shape)], attrs: { offset: draws.integer(-4, 4) } };
    },
    ([x], { offset }) => cg.diag(x, offset),
  ),
  triu: triangle(cg.triu),
  tril: triangle(cg.tril),
  pixelShuffle: moving(
    (draws) => {
      const factor = draws.integer(1, 3);
      const channels = factor ** 2 * draws.integer(1, 4);
      const shape = [draws.integer(1, 3), draws.integer(1, 7), draws.integer(1, 7), channels];
      return { inputs: [moved(draws, shape)], attrs: { factor } };
    },
    ([x], { factor }) => cg.pixelShuffle(x, factor),
  ),
  pixelUnshuffle: moving(
    (draws) => {
      const factor = draws.integer(1, 3);
      const [height, width] = [factor * draws.integer(1, 5), factor * draws.integer(1, 5)];
      const shape = [draws.integer(1, 3), height, width, draws.integer(1, 6)];
      return { inputs: [moved(draws, shape)], attrs: { factor } };
    },
    ([x], { factor }) => cg.pixelUnshuffle(x, factor),
  ),
  tile: moving(
    (draws) => {
      const shape = draws.shape(rank(draws), 300);
      return { inputs: [moved(draws, shape)], attrs: { counts: shape.map(() => draws.integer(1, 4)) } };
    },
    ([x], { counts }) => cg.tile(x, counts),
  ),
  repeat: moving(
    (draws) => {
      const shape = draws.shape(rank(draws), 300);
      return {
        inputs: [moved(draws, shape)],
        attrs: { count: draws.integer(1, 5), axis: draws.axis(shape.length) },
      };
    },
    ([x], { count, axis }) => cg.repeat(x, count, axis),
  ),
  pad: moving(
    (draws) => {
      const shape = draws.shape(rank(draws), 300);
      const mode = draws.pick(['constant', 'reflect', 'edge'] as const);
      const amount = (n: number): number => draws.below(mode === 'reflect' ? Math.min(n, 6) : 6);
      return {
        inputs: [moved(draws, shape)],
        attrs: {
          mode,
          value: mode === 'constant' ? draws.pick([0, 1, 7]) : 0,
          amounts: shape.map((n) => [amount(n), amount(n)]),
        },
      };
    },
    ([x], { amounts, ...options }) => cg.pad(x, amounts, options),
  ),
};

const split: Operation = {
  draw(draws) {
    const shape = draws.shape(rank(draws), 600);
    const axis = draws.below(shape.length);
    const sizes = Array.from({ length: 3 }, () => draws.integer(0, 12));
    const total = sizes.reduce((sum, n) => sum + n, 0);
    return {
      budget: 'exact',
      inputs: [moved(draws, shape.with(axis, total))],
      attrs: { sizes, axis: draws.chance(0.5) ? axis : axis - shape.length },
    };
  },
  build: ([x], { sizes, axis }) => cg.split(x, sizes, axis),
  results: 3,
};

/** An index that repeats some positions and misses others. */
function indexed(draws: Draws): { shape: number[]; axis: number; n: number; signed: number } {
  const shape = draws.chance(0.15)
    ? [draws.longLength(), draws.integer(1, 4)]
    : draws.shape(rank(draws), 1500);
  const axis = draws.below(shape.length);
  return { shape, axis, n: shape[axis], signed: draws.chance(0.5) ? axis : axis - shape.length };
}

const gathering: Operations = {
  gather: moving(
    (draws) => {
      const { shape, n, signed } = indexed(draws);
      return {
        inputs: [moved(draws, shape), i32(draws.shape(draws.integer(0, 2), 60), n)],
        attrs: { axis: signed },
      };
    },
    ([x, index], { axis }) => cg.gather(x, index, axis),
  ),
  takeAlongAxis: moving(
    (draws) => {
      const { shape, axis, n, signed } = indexed(draws);
      const index = shape.with(axis, draws.integer(1, 30));
      return { inputs: [moved(draws, shape), i32(index, n)], attrs: { axis: signed } };
    },
    ([x, index], { axis }) => cg.takeAlongAxis(x, index, axis),
  ),
  oneHot: moving(
    (draws) => {
      const n = draws.integer(1, 40);
      return { order: 0, inputs: [i32(draws.shape(draws.integer(0, 3), 300), n)], attrs: { n } };
    },
    ([index], { n }) => cg.oneHot(index, n),
  ),
  scatterAdd: {
    draw(draws) {
      const index = draws.shape(draws.integer(0, 2), draws.chance(0.1) ? 4000 : 80);
      const [lead, tail] = [draws.shape(draws.integer(0, 2), 12), draws.shape(draws.integer(0, 2), 20)];
      const n = draws.integer(1, 20);
      return {
        inputs: [f32([...lead, ...index, ...tail], normal()), i32(index, n)],
        attrs: { n, axis: lead.length, indexRank: index.length },
      };
    },
    build: ([values, index], { n, axis }) => cg.scatterAdd(values, index, n, axis),
  },
  scatterAddAlongAxis: {
    draw(draws) {
      const { shape, signed } = indexed(draws);
      const n = draws.integer(1, 20);
      return { inputs: [f32(shape, normal()), i32(shape, n)], attrs: { n, axis: signed } };
    },
    build: ([values, index], { n, axis }) => cg.scatterAddAlongAxis(values, index, n, axis),
  },
};

/** Distinct values, equal values, or values that need a convention. */
function ordered(draws: Draws): { readonly values: Values; readonly order: 0 | 2 } {
  const way = draws.below(5);
  if (way === 0) return { values: SPECIAL, order: 0 };
  return { values: way < 3 ? { kind: 'ties', values: [-1, 0, 0.5, 2] } : distinct, order: 2 };
}

const sortable = (draws: Draws): { readonly shape: number[]; readonly axis: number } => {
  const shape = draws.chance(0.15) ? [draws.longLength()] : draws.shape(rank(draws));
  return { shape, axis: draws.axis(shape.length) };
};

const orders: Operations = {
  sort: {
    draw(draws) {
      const { shape, axis } = sortable(draws);
      const { values, order } = ordered(draws);
      return {
        budget: 'exact',
        perturbed: false,
        order,
        inputs: [f32(shape, values)],
        attrs: { axis, descending: draws.chance(0.5) },
      };
    },
    build([x], { axis, descending }) {
      const { values, indices } = cg.sort(x, axis, { descending });
      return [values, indices];
    },
    results: 2,
  },
  argSort: {
    draw(draws) {
      const { shape, axis } = sortable(draws);
      return {
        budget: 'exact',
        order: 0,
        inputs: [f32(shape, ordered(draws).values)],
        attrs: { axis, descending: draws.chance(0.5) },
      };
    },
    build: ([x], { axis, descending }) => cg.argSort(x, axis, { descending }),
  },
  topK: {
    draw(draws) {
      const { shape, axis } = sortable(draws);
      const { values, order } = ordered(draws);
      const n = shape[(axis + shape.length) % shape.length];
      return {
        budget: 'exact',
        perturbed: false,
        order,
        inputs: [f32(shape, values)],
        attrs: { axis, k: draws.integer(Math.min(1, n), n) },
      };
    },
    build([x], { axis, k }) {
      const { values, indices } = cg.topK(x, k, axis);
      return [values, indices];
    },
    results: 2,
  },
};

const normalizeImages: Operation = {
  draw(draws) {
    const [n, h, w, c] = [draws.integer(1, 4), draws.integer(1, 9), draws.integer(1, 9), draws.integer(1, 5)];
    const statistics = (): number[] => draws.pick([[], [c], [1], [h, w, c]]);
    const images = draws.chance(0.6) ? u8([n, h, w, c], 256) : f32([n, h, w, c], normal(50, 100));
    const augmented = draws.chance(0.6);
    const amounts: Values = { kind: 'ties', values: [0, 1, 0, 1, 0, 1, 2, -1, -3] };
    return {
      order: 0,
      inputs: [
        images,
        f32(statistics(), { kind: 'uniform', low: 90, high: 140 }),
        f32(statistics(), { kind: 'uniform', low: 0.01, high: 0.02 }),
        ...(augmented ? [{ shape: [n, 2], dtype: 'i32', values: amounts } as const, i32([n, 1], 2)] : []),
      ],
    };
  },
  build([x, mean, scale, ...augmentation]) {
    if (augmentation.length === 0) return cg.normalizeImages(x, mean, scale);
    return cg.normalizeImages(x, mean, scale, cg.concat(augmentation, 1));
  },
};

export const layout: Operations = { ...layouts, split, ...gathering, ...orders, normalizeImages };
