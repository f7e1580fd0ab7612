// Properties of the operations over random arguments; fast-check prints seed and path of what fails. Chains of elementwise
// operations of all dtypes: fused, unfused and on any number of threads the same bits. Linear operations: the derivative is the
// adjoint. Slicing and sorting: what plain JavaScript says.
/* oxlint-disable vitest/expect-expect -- expectClose and expectSameBitsByName assert */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile } from '../../engine/compile.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import * as ops from '../../engine/ops/index.ts';
import type { Range } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { sizeOf } from '../../engine/shape.ts';
import { constant, type Tensor } from '../../engine/tensor.ts';
import type { HostTensor, Shape } from '../../engine/types.ts';
import { expectClose, expectSameBitsByName } from './compare.ts';

const random = (purpose: string, shape: Shape): HostTensor => {
  const draws = stream(8, purpose);
  return { shape, dtype: 'f32', data: Float32Array.from({ length: sizeOf(shape) }, () => draws.normal()) };
};

describe('random chains of elementwise operations', () => {
  let backends: readonly Backend[];
  beforeAll(async () => {
    backends = [await wasm({ threads: 1 }), await wasm({ threads: 3 })];
  });
  afterAll(() => Promise.all(backends.map((backend) => backend.close())));

  /** Every value is f32 [3,5,7] between instructions; operands have this or a smaller, broadcasting shape. */
  const SHAPES: readonly Shape[] = [
    [3, 5, 7],
    [7],
    [5, 7],
    [3, 1, 1],
    [5, 1],
    [],
    [3, 5, 1],
    [1, 7],
    [3, 1, 7],
  ];
  const UNARY = [
    ops.neg,
    ops.abs,
    ops.sign,
    ops.floor,
    ops.ceil,
    ops.round,
    ops.exp,
    ops.expm1,
    ops.sin,
    ops.cos,
    ops.erf,
    ops.tanh,
    ops.sigmoid,
    ops.relu,
    (x: Tensor) => ops.sqrt(ops.abs(x)),
    (x: Tensor) => ops.log1p(ops.abs(x)),
    (x: Tensor) => ops.cast(ops.cast(x, 'i32')),
    (x: Tensor) => ops.cast(ops.cast(ops.mul(x, 50), 'u8')),
    (x: Tensor) => ops.cast(ops.add(ops.cast(x, 'i32'), 3)),
    (x: Tensor) => ops.cast(ops.isFinite(x)),
  ] as const;
  const BINARY = [
    ops.add,
    ops.sub,
    ops.mul,
    ops.maximum,
    ops.minimum,
    (a: Tensor, b: Tensor) => ops.where(ops.less(a, b), a, b),
    (a: Tensor, b: Tensor) => ops.where(ops.and(ops.less(a, 1), ops.lessEqual(b, 0.5)), b, ops.mul(a, 2)),
    (a: Tensor, b: Tensor) => ops.cast(ops.xor(ops.greater(a, b), ops.greaterEqual(a, 0))),
    (a: Tensor, b: Tensor) => ops.cast(ops.maximum(ops.cast(a, 'i32'), ops.cast(b, 'i32'))),
    (a: Tensor, b: Tensor) => ops.cast(ops.where(ops.equal(a, b), ops.less(a, 0), ops.not(ops.less(b, 0)))),
  ] as const;

  const instruction = fc.record({
    unary: fc.boolean(),
    which: fc.nat({ max: 19 }),
    shape: fc.nat({ max: SHAPES.length - 1 }),
    /** How far back the first operand is; mostly the last value. */
    back: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat({ max: 4 }) }),
  });

  it('fused, unfused and on three threads give the same bits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(instruction, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat({ max: 12 }), { maxLength: 3 }),
        async (body, extra) => {
          const make = (backend: Backend, fuse: boolean) =>
            compile(backend, {
              fuse,
              inputs: Object.fromEntries(SHAPES.map((shape, i) => [`x${i}`, ops.f32(...shape)])),
              build(inputs) {
                const given = inputs as unknown as Readonly<Record<string, Tensor>>;
                const values: Tensor[] = [given['x0']];
                for (const { unary, which, shape, back } of body) {
                  const a = values[Math.max(0, values.length - 1 - back)];
                  // Kept small, so that nothing overflows on one backend alone.
                  const next = unary
                    ? UNARY[which % UNARY.length](a)
                    : BINARY[which % BINARY.length](a, given[`x${shape}`]);
                  values.push(ops.clamp(next, -8, 8));
                }
                const outputs = [values.length - 1, ...extra].map((i, n): [string, Tensor] => [
                  `y${n}`,
                  values[i % values.length],
                ]);
                return { outputs: Object.fromEntries(outputs) };
              },
            });
          const feeds = Object.fromEntries(SHAPES.map((shape, i) => [`x${i}`, random(`x${i}`, shape)]));
          const [fused, plain, threads] = [
            await make(backends[0], true),
            await make(backends[0], false),
            await make(backends[1], true),
          ];
          try {
            const [a, b, c] = [await fused.run(feeds), await plain.run(feeds), await threads.run(feeds)];
            expectSameBitsByName('unfused', b, a);
            expectSameBitsByName('three threads', c, a);
          } finally {
            await Promise.all([fused.close(), plain.close(), threads.close()]);
          }
        },
      ),
      { seed: 20240229, numRuns: 150 },
    );
  });
});

describe('on the reference in double precision', () => {
  const evaluator = new Evaluator(reference({ precision: 'f64' }));
  afterAll(() => evaluator.close());
  const valuesOf = async (...tensors: readonly Tensor[]): Promise<readonly HostTensor[]> =>
    evaluator.evaluate(tensors);

  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 });
  const seeds = fc.nat({ max: 1000 });

  /** Linear operations of a tensor, with arguments drawn for its shape. */
  const LINEAR: Readonly<Record<string, (x: Tensor, draw: (n: number) => number) => Tensor>> = {
    slice: (x, draw) =>
      ops.slice(
        x,
        x.shape.map((d): Range => {
          const step = draw(2) === 0 ? -1 - draw(2) : 1 + draw(2);
          return draw(4) === 0 ? draw(d) : { begin: draw(d), step };
        }),
      ),
    pad: (x, draw) =>
      ops.pad(
        x,
        x.shape.map(() => [draw(3), draw(3)]),
      ),
    edge: (x, draw) =>
      ops.pad(
        x,
        x.shape.map(() => [draw(3), draw(3)]),
        { mode: 'edge' },
      ),
    reflect: (x, draw) =>
      ops.pad(
        x,
        x.shape.map((d) => [draw(d), draw(d)]),
        { mode: 'reflect' },
      ),
    concat: (x, draw) => ops.concat([x, ops.mul(x, 3), ops.flip(x)], draw(x.rank)),
    stack: (x, draw) => ops.stack([x, ops.neg(x)], draw(x.rank + 1)),
    split: (x, draw) => {
      const axis = draw(x.rank);
      const first = draw(x.shape[axis] + 1);
      const [a, b] = ops.split(x, [first, x.shape[axis] - first], axis);
      return ops.concat([b, a], axis);
    },
    tile: (x, draw) =>
      ops.tile(
        x,
        x.shape.map(() => 1 + draw(3)),
      ),
    repeat: (x, draw) => ops.repeat(x, 1 + draw(3), draw(x.rank)),
    transpose: (x, draw) => {
      const first = draw(x.rank);
      return ops.transpose(x, [first, ...x.shape.map((_, i) => i).filter((i) => i !== first)]);
    },
    gather: (x, draw) => {
      const axis = draw(x.rank);
      const index = Int32Array.from({ length: 4 }, () => draw(x.shape[axis]));
      return ops.gather(x, ops.tensor(index, { shape: [2, 2] }), axis);
    },
    scatterAdd: (x, draw) => {
      const axis = draw(x.rank);
      const index = Int32Array.from({ length: x.shape[axis] }, () => draw(5));
      return ops.scatterAdd(x, ops.tensor(index), 5, axis);
    },
    takeAlongAxis: (x, draw) => {
      const axis = draw(x.rank);
      const shape = x.shape.map((d, i) => (i === axis ? 3 : d));
      const index = Int32Array.from({ length: sizeOf(shape) }, () => draw(x.shape[axis]));
      return ops.takeAlongAxis(x, ops.tensor(index, { shape }), axis);
    },
    scatterAddAlongAxis: (x, draw) => {
      const axis = draw(x.rank);
      const index = Int32Array.from({ length: sizeOf(x.shape) }, () => draw(3));
      return ops.scatterAddAlongAxis(x, ops.tensor(index, { shape: x.shape }), 3, axis);
    },
    cumsum: (x, draw) => ops.cumsum(x, draw(x.rank), { exclusive: draw(2) === 0, reverse: draw(2) === 0 }),
    sort: (x, draw) => ops.sort(x, draw(x.rank), { descending: draw(2) === 0 }).values,
  };

  it.each(Object.entries(LINEAR))('%s: the derivative is the adjoint', async (name, apply) => {
    await fc.assert(
      fc.asyncProperty(shapes, seeds, async (shape, seed) => {
        const draws = stream(seed, name);
        const x = constant(random(`x ${seed}`, shape));
        const y = apply(x, (n) => draws.below(n));
        const w = constant(random(`w ${seed}`, y.shape));
        const [g] = grad(ops.sum(ops.mul(y, w)), [x]);
        // <f(x), w> = <x, f*(w)>: sorting is linear around x.
        const [left, right] = await valuesOf(ops.sum(ops.mul(y, w)), ops.sum(ops.mul(x, g)));
        expectClose(`${name} of [${shape.join(',')}]`, left, right, 1e-9, 1);
      }),
      { seed: 5, numRuns: 40 },
    );
  });

  it('slice is what Python says of begin:end:step', async () => {
    const position = fc.option(fc.integer({ min: -9, max: 9 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: 6 }),
        position,
        position,
        fc.integer({ min: -4, max: 4 }).filter((step) => step !== 0),
        async (n, begin, end, step) => {
          const list = Array.from({ length: n }, (_, i) => i);
          const range = {
            step,
            ...(begin === undefined ? {} : { begin }),
            ...(end === undefined ? {} : { end }),
          };
          const [got] = await valuesOf(ops.slice(ops.tensor(Int32Array.from(list)), [range]));
          expect([...got.data]).toEqual(pythonSlice(n, begin, end, step));
        },
      ),
      { seed: 6, numRuns: 200 },
    );
  });

  it('sort is stable and keeps every element', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: -3, max: 3 })), fc.boolean(), async (list, descending) => {
        const { values, indices } = ops.sort(ops.tensor(list), 0, { descending });
        const [sorted, order] = await valuesOf(values, indices);
        const expected = list
          .map((value, i) => ({ value, i }))
          .sort((a, b) => (descending ? b.value - a.value : a.value - b.value) || a.i - b.i);
        expect([...order.data]).toEqual(expected.map(({ i }) => i));
        expect([...sorted.data]).toEqual(expected.map(({ value }) => value));
      }),
      { seed: 7, numRuns: 100 },
    );
  });
});

/** The definition in Python's reference: positions begin + k · step while on this side of the end. */
function pythonSlice(n: number, begin: number | undefined, end: number | undefined, step: number): number[] {
  const clip = (i: number, low: number, high: number): number =>
    Math.min(Math.max(i < 0 ? i + n : i, low), high);
  const [low, high] = step > 0 ? [0, n] : [-1, n - 1];
  const first = begin === undefined ? (step > 0 ? low : high) : clip(begin, low, high);
  const last = end === undefined ? (step > 0 ? high : low) : clip(end, low, high);
  const result: number[] = [];
  for (let i = first; step > 0 ? i < last : i > last; i += step) result.push(i);
  return result;
}
