/** Random compositions of operations, with values that several operations use. */
import type { Shape } from 'cyclegrad';
import type { Attrs, Input, Node } from './case.ts';
import { sizeOf, type Draws } from './draws.ts';
import { normal } from './operations/operation.ts';

/** The parts of a case that a program decides. */
export interface Program {
  readonly inputs: readonly Omit<Input, 'role'>[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly number[];
}

const SMOOTH = ['tanh', 'sigmoid', 'sin', 'silu', 'softplus', 'erf', 'atan', 'neg'] as const;
const KINKED = ['relu', 'abs', 'leakyRelu', 'hardTanh'] as const;
const PAIRS = ['add', 'sub', 'mul', 'maximum', 'minimum'] as const;

const NO_ATTRS: Attrs = {};
const POOL = { kernel: 3, stride: 1, padding: 1, ceil: false };

interface Value {
  readonly id: number;
  readonly shape: Shape;
}

/** Collects inputs and nodes. Ids are final only when all inputs are known, so nodes refer to values by objects. */
class Builder {
  readonly inputs: { value: Value; deviation: number }[] = [];
  readonly nodes: { op: string; args: readonly Value[]; attrs: Attrs; result: Value }[] = [];
  #count = 0;

  input(shape: Shape, deviation = 1): Value {
    const value = { id: this.#count++, shape };
    this.inputs.push({ value, deviation });
    return value;
  }

  node(op: string, args: readonly Value[], shape: Shape, attrs: Attrs = NO_ATTRS, results = 1): Value {
    const result = { id: this.#count, shape };
    this.#count += results;
    this.nodes.push({ op, args, attrs, result });
    return result;
  }
}

type Move = (b: Builder, x: Value, other: Value, draws: Draws) => Value | null;

const sameSize = (x: Value, y: Value): boolean => sizeOf(x.shape) === sizeOf(y.shape);
const likes = (b: Builder, x: Value, shape: Shape): Value =>
  x.shape.length === shape.length && x.shape.every((n, i) => n === shape[i])
    ? x
    : b.node('reshape', [x], shape, { shape: [...shape] });

const moves: readonly Move[] = [
  (b, x, _, draws) => b.node(draws.pick(SMOOTH), [x], x.shape),
  (b, x, _, draws) => b.node(draws.pick(SMOOTH), [x], x.shape),
  (b, x, _, draws) => b.node(draws.pick(KINKED), [x], x.shape, { slope: 0.1 }),
  (b, x, other, draws) =>
    sameSize(x, other) ? b.node(draws.pick(PAIRS), [x, likes(b, other, x.shape)], x.shape) : null,
  (b, x, other, draws) =>
    sameSize(x, other) ? b.node(draws.pick(PAIRS), [likes(b, other, x.shape), x], x.shape) : null,
  // Bias, scale and gate, as convolutions and normalizations have them.
  (b, x) => b.node('add', [x, b.input(x.shape.slice(-1))], x.shape),
  (b, x) => b.node('mul', [x, b.input(x.shape.slice(-1))], x.shape),
  (b, x) => b.node('mul', [b.input([]), x], x.shape),
  (b, x) => b.node('tanh', [b.node('square', [x], x.shape)], x.shape),
  (b, x, _, draws) => {
    const axis = draws.below(x.shape.length);
    const op = draws.pick(['mean', 'max', 'logSumExp', 'norm']);
    const kept = b.node(op, [x], x.shape.with(axis, 1), {
      axes: axis,
      keepDims: true,
      ...(op === 'norm' && { order: 2 }),
    });
    return b.node('add', [x, kept], x.shape);
  },
  (b, x, _, draws) => b.node(draws.pick(['softmax', 'logSoftmax']), [x], x.shape, { axis: -1 }),
  (b, x, _, draws) =>
    b.node(
      'tanh',
      [
        b.node('cumsum', [x], x.shape, {
          axis: draws.below(x.shape.length),
          exclusive: false,
          reverse: draws.chance(0.5),
        }),
      ],
      x.shape,
    ),
  (b, x) => (x.shape.at(-1)! < 2 ? null : b.node('layerNorm', [x], x.shape, { axes: 1, epsilon: 0.1 })),
  (b, x) =>
    sizeOf(x.shape.slice(0, -1)) < 2 ? null : b.node('batchNorm', [x], x.shape, { epsilon: 0.1 }, 3),
  (b, x, _, draws) => {
    const perm = draws.shuffle(x.shape.map((_unused, axis) => axis));
    return b.node(
      'transpose',
      [x],
      perm.map((axis) => x.shape[axis]),
      { perm },
    );
  },
  (b, x, _, draws) => b.node('flip', [x], x.shape, { axes: [draws.below(x.shape.length)] }),
  (b, x) => {
    const n = x.shape[0];
    return b.node('concat', [x, b.node('tanh', [x], x.shape)], x.shape.with(0, 2 * n), { axis: 0 });
  },
  (b, x) =>
    x.shape[0] < 2 ? null : b.node('slice', [x], x.shape.with(0, x.shape[0] - 1), { ranges: [{ begin: 1 }] }),
  (b, x, _, draws) => {
    if (x.shape.length !== 4) return null;
    const [k, filters] = [draws.pick([1, 3, 3, 5]), draws.integer(1, 8)];
    const w = b.input([k, k, x.shape[3], filters], 0.4);
    return b.node('conv2d', [x, w], x.shape.with(3, filters), {
      stride: 1,
      padding: 'same',
      dilation: 1,
      groups: 1,
    });
  },
  (b, x, _, draws) => {
    if (x.shape.length !== 4) return null;
    const w = b.input([3, 3, x.shape[3], 4], 0.4);
    const y = b.node('conv2d', [x, w], x.shape.with(3, 4), { stride: 1, padding: 1, dilation: 1, groups: 1 });
    const biased = b.node('add', [y, b.input([4])], y.shape);
    return draws.chance(0.5) ? biased : b.node('relu', [biased], y.shape);
  },
  (b, x) => (x.shape.length === 4 ? b.node('maxPool2d', [x], x.shape, POOL) : null),
  (b, x) => (x.shape.length === 4 ? b.node('avgPool2d', [x], x.shape, { ...POOL, divisor: 'inside' }) : null),
  (b, x) =>
    x.shape.length === 4 ? b.node('lrnWithin', [x], x.shape, { size: 3, alpha: 0.5, beta: 0.75 }) : null,
  (b, x, _, draws) => {
    if (x.shape.length !== 2) return null;
    const n = draws.integer(1, 9);
    return b.node('matmul', [x, b.input([x.shape[1], n], 0.5)], [x.shape[0], n], {
      transA: false,
      transB: false,
    });
  },
];

const STARTS: readonly Shape[] = [[2, 6, 5, 4], [3, 8], [2, 6, 5, 4], [7, 5], [33], [2, 3, 4]];

/** 3 to 12 operations. Mostly each one takes the last value, so that chains form, sometimes an older one. */
export function drawProgram(draws: Draws): Program {
  const b = new Builder();
  const values = [b.input(draws.pick(STARTS))];
  const count = draws.integer(3, 12);
  while (b.nodes.length < count) {
    const x = draws.chance(0.75) ? values[values.length - 1] : draws.pick(values);
    const next = draws.pick(moves)(b, x, draws.pick(values), draws);
    if (next !== null && sizeOf(next.shape) <= 2000) values.push(next);
  }
  const ids = numbering(b);
  const outputs = new Set([values[values.length - 1], ...(draws.chance(0.4) ? [draws.pick(values)] : [])]);
  return {
    inputs: b.inputs.map(({ value, deviation }) => ({
      shape: value.shape,
      dtype: 'f32',
      values: normal(deviation),
    })),
    nodes: b.nodes.map(({ op, args, attrs }) => ({ op, args: args.map((x) => ids.get(x.id)!), attrs })),
    outputs: [...outputs].map((x) => ids.get(x.id)!),
  };
}

/** Numbers of values as in a case: inputs first. */
function numbering({ inputs, nodes }: Builder): ReadonlyMap<number, number> {
  const ids = new Map(inputs.map(({ value }, i) => [value.id, i]));
  let next = inputs.length;
  for (const { op, result } of nodes) {
    ids.set(result.id, next);
    next += op === 'batchNorm' ? 3 : 1;
  }
  return ids;
}
