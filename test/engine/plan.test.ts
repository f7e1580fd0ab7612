// Is the plan right? The same numbers with buffer reuse and without, states written only after everything has succeeded.
/* oxlint-disable vitest/expect-expect -- expectSameBits and properties assert */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { compile, type Built, type Compiled } from '../../engine/compile.ts';
import { DataError, PlanError } from '../../engine/errors.ts';
import { grad } from '../../engine/grad.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  batchNorm,
  cast,
  checkFinite,
  dropout,
  exp,
  f32,
  i32,
  matmul,
  max,
  mean,
  mul,
  neg,
  relu,
  reshape,
  scalar,
  softmaxCrossEntropy,
  sub,
  sum,
  tanh,
  tensor,
  transpose,
  u8,
} from '../../engine/ops/index.ts';
import { relu as reluLayer } from '../../engine/nn/index.ts';
import type { Plan } from '../../engine/plan/plan.ts';
import { key } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor, State } from '../../engine/types.ts';
import { expectSameBitsByName } from './compare.ts';
import { buildProgram, feedsOf, initialState, programs, typesOf } from './programs.ts';

const backend = reference();

const floats = (...values: number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'f32',
  data: Float32Array.from(values),
});

const scratch = (plan: Plan) => {
  const own = plan.buffers.filter(({ kind }) => kind === 'scratch');
  return { count: own.length, bytes: own.reduce((total, { bytes }) => total + bytes, 0) };
};

type Build = (
  state: Readonly<Record<string, Tensor>>,
  feeds: { readonly x: Tensor; readonly n: Tensor },
) => Built;

/** Compiles a step of states and of feeds x [2] and n [2], with reuse and without; both must do the same. */
async function bothWays(
  state: State,
  build: Build,
  runs = 2,
): Promise<{ outputs: Record<string, number[]>; state: Record<string, number[]>; plan: Plan }> {
  const make = (reuse: boolean) =>
    compile(backend, {
      reuse,
      inputs: { x: f32(2), n: i32(2) },
      state,
      build: (inputs, states) => build(states, inputs),
    });
  const [on, off] = [await make(true), await make(false)];
  let outputs: Readonly<Record<string, HostTensor>> = {};
  for (let run = 0; run < runs; run++) {
    const feeds = { x: Float32Array.of(10 + run, 20 + run), n: Int32Array.of(1, 2) };
    // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
    const [a, b] = [await on.run(feeds), await off.run(feeds)];
    expectSameBitsByName(`outputs of run ${run}`, a, b);
    outputs = a;
  }
  const [a, b] = [await on.store.read(), await off.store.read()];
  expectSameBitsByName('state', a, b);
  const { plan } = on;
  await on.close();
  await off.close();
  const numbers = (values: Readonly<Record<string, HostTensor>>) =>
    Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, [...data]]));
  return { outputs: numbers(outputs), state: numbers(a), plan };
}

describe('random small graphs', () => {
  it('do the same with reuse, without, and with next values written by the host', async () => {
    await fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const make = (reuse: boolean) =>
          compile(backend, {
            reuse,
            inputs: typesOf(program),
            state: initialState(program),
            build: (inputs, state) => buildProgram(program, inputs, state),
          });
        const [on, off] = [await make(true), await make(false)];
        // The meaning of `next`, without the planner's part in it: new values as outputs, written between runs.
        const byHand = await compile(backend, {
          reuse: false,
          inputs: typesOf(program),
          state: initialState(program),
          build(inputs, state) {
            const { outputs, next } = buildProgram(program, inputs, state);
            const named = Object.entries(next ?? {}).map(([name, t]): [string, Tensor] => [
              `next ${name}`,
              t,
            ]);
            return { outputs: { ...outputs, ...Object.fromEntries(named) } };
          },
        });
        for (let step = 0; step < 3; step++) {
          const feeds = feedsOf(program, step);
          /* eslint-disable no-await-in-loop -- each run depends on the one before */
          const [a, b, c] = [await on.run(feeds), await off.run(feeds), await byHand.run(feeds)];
          const entries = Object.entries(c);
          const outputs = Object.fromEntries(entries.filter(([name]) => !name.startsWith('next ')));
          const next = entries.flatMap(([name, value]): [string, HostTensor][] =>
            name.startsWith('next ') ? [[name.slice(5), value]] : [],
          );
          await byHand.store.write(Object.fromEntries(next));
          expectSameBitsByName(`outputs of run ${step}, reuse on against by hand`, a, outputs);
          expectSameBitsByName(`outputs of run ${step}, reuse off against by hand`, b, outputs);
          const state = await byHand.store.read();
          expectSameBitsByName(`state after run ${step}, reuse on`, await on.store.read(), state);
          expectSameBitsByName(`state after run ${step}, reuse off`, await off.store.read(), state);
          /* eslint-enable no-await-in-loop */
        }
      }),
      { numRuns: 400, seed: 42 },
    );
  });
});

describe('hazards between old and new states', () => {
  it('two states swap', async () => {
    const { state } = await bothWays(
      { a: floats(1, 2), b: floats(3, 4) },
      ({ a, b }) => ({ outputs: {}, next: { a: b, b: a } }),
      1,
    );
    expect(state).toEqual({ a: [3, 4], b: [1, 2] });
  });

  it('three states rotate, through reshapes', async () => {
    const column: HostTensor = { shape: [2, 1], dtype: 'f32', data: Float32Array.of(3, 4) };
    const { state } = await bothWays(
      { a: floats(1, 2), b: column, c: floats(5, 6) },
      ({ a, b, c }) => ({ outputs: {}, next: { a: reshape(b, [2]), b: reshape(c, [2, 1]), c: a } }),
      1,
    );
    expect(state).toEqual({ a: [3, 4], b: [5, 6], c: [1, 2] });
  });

  it('a chain: each state takes the old value of the one before it', async () => {
    const { state } = await bothWays(
      { a: floats(1, 1), b: floats(2, 2), c: floats(3, 3) },
      ({ a, b }, { x }) => ({ outputs: {}, next: { a: add(a, x), b: a, c: b } }),
      1,
    );
    expect(state).toEqual({ a: [11, 21], b: [1, 1], c: [2, 2] });
  });

  it('an output is the old state, also reshaped, while the state changes', async () => {
    const { outputs, state } = await bothWays(
      { a: floats(1, 2) },
      ({ a }) => ({
        outputs: { old: a, column: reshape(a, [2, 1]), new: mul(a, 2) },
        next: { a: mul(a, 2) },
      }),
      1,
    );
    expect(outputs).toEqual({ old: [1, 2], column: [1, 2], new: [2, 4] });
    expect(state).toEqual({ a: [2, 4] });
  });

  it('an output is the new state itself', async () => {
    const { outputs, state } = await bothWays(
      { a: floats(1, 2) },
      ({ a }) => {
        const next = add(a, 1);
        return { outputs: { next, row: reshape(next, [1, 2]) }, next: { a: next } };
      },
      1,
    );
    expect([outputs, state]).toEqual([{ next: [2, 3], row: [2, 3] }, { a: [2, 3] }]);
  });

  it('the new value is a feed', async () => {
    const { state } = await bothWays(
      { a: floats(1, 2), i: { shape: [2], dtype: 'i32', data: Int32Array.of(0, 0) } },
      (_, { x, n }) => ({
        outputs: {},
        next: { a: x, i: n },
      }),
    );
    expect(state).toEqual({ a: [11, 21], i: [1, 2] });
  });

  it('the new value is a constant', async () => {
    const { state } = await bothWays({ a: floats(1, 2) }, () => ({
      outputs: {},
      next: { a: tensor([7, 8]) },
    }));
    expect(state).toEqual({ a: [7, 8] });
  });

  it('one value goes to two states', async () => {
    const { state } = await bothWays(
      { a: floats(1, 2), b: floats(0, 0) },
      ({ a }, { x }) => {
        const both = add(a, x);
        return { outputs: {}, next: { a: both, b: both } };
      },
      1,
    );
    expect(state).toEqual({ a: [11, 22], b: [11, 22] });
  });

  it('a state keeps its value', async () => {
    const { state } = await bothWays({ a: floats(1, 2), b: floats(3, 4) }, ({ a, b }) => ({
      outputs: {},
      next: { a: a, b: add(b, a) },
    }));
    expect(state).toEqual({ a: [1, 2], b: [5, 8] });
  });

  it('a late reader of the old value: the update is not in place', async () => {
    const { outputs, state } = await bothWays(
      { a: floats(1, 2), b: floats(0, 0) },
      ({ a }) => {
        const next = mul(a, 3);
        // Reads the old value after the new one exists.
        return { outputs: { both: add(next, a) }, next: { a: next, b: sub(next, a) } };
      },
      1,
    );
    expect(outputs).toEqual({ both: [4, 8] });
    expect(state).toEqual({ a: [3, 6], b: [2, 4] });
  });

  it('a late reader through a reshape of the old value', async () => {
    const { outputs } = await bothWays(
      { a: floats(1, 2) },
      ({ a }) => {
        const column = reshape(a, [2, 1]);
        const next = neg(a);
        return { outputs: { y: matmul(column, reshape(next, [1, 2])) }, next: { a: next } };
      },
      1,
    );
    expect(outputs).toEqual({ y: [-1, -2, -2, -4] });
  });

  it('a new value that reads its state in another order is not computed in place', async () => {
    const square: HostTensor = { shape: [2, 2], dtype: 'f32', data: Float32Array.of(1, 2, 3, 4) };
    const { state } = await bothWays(
      { a: square, b: square },
      ({ a, b }) => ({ outputs: {}, next: { a: transpose(a), b: matmul(b, b) } }),
      1,
    );
    expect(state).toEqual({ a: [1, 3, 2, 4], b: [7, 10, 15, 22] });
  });

  it('a new value that broadcasts its own state', async () => {
    const { state } = await bothWays(
      { a: floats(5) },
      ({ a }, { x }) => ({
        outputs: { wide: add(a, x) },
        next: { a: sum(add(a, x), 0, { keepDims: true }) },
      }),
      1,
    );
    expect(state).toEqual({ a: [40] });
  });

  it('two updates that read both states, like momentum', async () => {
    const { state } = await bothWays({ w: floats(1, 1), v: floats(0, 0) }, ({ w, v }, { x }) => {
      const velocity = add(mul(v, 0.5), x);
      return { outputs: {}, next: { w: sub(w, velocity), v: velocity } };
    });
    expect(state).toEqual({ w: [-25, -50], v: [16, 31] });
  });

  it('each of two updates reads the old value of the other', async () => {
    const { state } = await bothWays({ a: floats(1, 2), b: floats(10, 20) }, ({ a, b }) => ({
      outputs: {},
      next: { a: add(a, b), b: sub(b, a) },
    }));
    // (1, 10) -> (11, 9) -> (20, -2)
    expect(state).toEqual({ a: [20, 40], b: [-2, -4] });
  });

  it('the same operand twice in an update in place', async () => {
    const { state } = await bothWays(
      { a: floats(2, 3) },
      ({ a }) => ({ outputs: {}, next: { a: mul(a, a) } }),
      1,
    );
    expect(state).toEqual({ a: [4, 9] });
  });

  it('a constant is not overwritten by what reads it last', async () => {
    const { outputs } = await bothWays({ a: floats(1, 1) }, (_, { x }) => {
      const c = tensor([1, 2]);
      return { outputs: { y: relu(neg(c)), z: add(mul(c, 2), x) } };
    });
    expect(outputs).toEqual({ y: [0, 0], z: [13, 25] });
  });

  it('elementwise updates happen in place, and copies are made only where needed', async () => {
    const { plan } = await bothWays({ w: floats(1, 1), v: floats(0, 0) }, ({ w, v }, { x }) => {
      const velocity = add(mul(v, 0.5), x);
      return { outputs: {}, next: { w: sub(w, velocity), v: velocity } };
    });
    expect(plan.steps.map(({ op }) => op)).toEqual(['mul', 'add', 'sub']);
    const placeOf = (v: number) => plan.buffers[plan.bufferOf[v]];
    expect(placeOf(plan.steps[1].outputs[0])).toMatchObject({ kind: 'state', name: 'v' });
    expect(placeOf(plan.steps[2].outputs[0])).toMatchObject({ kind: 'state', name: 'w' });
  });
});

describe('buffers', () => {
  const chain = async (length: number, reuse: boolean): Promise<Plan> => {
    const deep = await compile(backend, {
      reuse,
      inputs: { x: f32(100, 10) },
      build({ x }) {
        let h: Tensor = x;
        for (let i = 0; i < length; i++)
          h = relu(matmul(h, tensor(new Float32Array(100), { shape: [10, 10] })));
        return { outputs: { y: h } };
      },
    });
    await deep.close();
    return deep.plan;
  };

  it('a deep chain needs a constant amount of scratch memory with reuse', async () => {
    const bytes = 100 * 10 * 4;
    expect(scratch(await chain(50, false))).toEqual({ count: 100, bytes: 100 * bytes });
    const short = scratch(await chain(5, true));
    expect(scratch(await chain(50, true))).toEqual(short);
    expect(short.bytes).toBeLessThanOrEqual(2 * bytes);
  });

  it('a result that nothing reads gives its buffer back at once', async () => {
    const make = async (length: number) => {
      const step = await compile(backend, {
        inputs: { x: f32(16, 8) },
        build({ x }) {
          let h: Tensor = x;
          for (let i = 0; i < length; i++) h = add(max(h, 1, { keepDims: true }), x); // positions are not read
          return { outputs: { h } };
        },
      });
      await step.close();
      return scratch(step.plan);
    };
    expect(await make(30)).toEqual(await make(3));
  });

  it('small values do not sit in large buffers', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(64, 64) },
      build({ x }) {
        // [64], while the inner product's buffer of [64, 64] is free.
        return { outputs: { small: sum(matmul(matmul(x, x), x), 0) } };
      },
    });
    const { plan } = step;
    const buffer = plan.buffers[plan.bufferOf[plan.outputs.get('small')!]];
    expect(buffer.bytes).toBe(64 * 4);
    await step.close();
  });

  it('the gradient of a normalisation takes the place of what it is the last to read', async () => {
    const step = await compile(backend, {
      fuse: false,
      inputs: { x: f32(4, 6), g: f32(4, 6) },
      build({ x, g }) {
        const { y } = batchNorm(mul(x, 2));
        return { outputs: { dx: grad(sum(mul(y, g)), [x])[0] } };
      },
    });
    const { steps, bufferOf } = step.plan;
    const { inputs, outputs } = steps.find(({ op }) => op === 'batchNormGrad')!;
    expect(inputs.slice(0, 2).map((v) => bufferOf[v])).toContain(bufferOf[outputs[0]]);
    await step.close();
  });

  it('a training step keeps what its gradient needs and no more', async () => {
    const make = async (reuse: boolean) => {
      const step = await compile(backend, {
        reuse,
        inputs: { x: f32(64, 32), y: i32(64) },
        state: {
          w: { shape: [32, 32], dtype: 'f32', data: new Float32Array(1024) },
        },
        build({ x, y }, { w }) {
          let h: Tensor = x;
          for (let i = 0; i < 6; i++) h = tanh(matmul(h, w));
          const loss = softmaxCrossEntropy(h, y);
          return { outputs: { loss }, next: { w: sub(w, mul(grad(loss, [w])[0], 0.1)) } };
        },
      });
      await step.close();
      return scratch(step.plan).bytes;
    };
    expect(await make(true)).toBeLessThan(0.5 * (await make(false)));
  });

  it('values alive at the same time never share a buffer', () => {
    // Asserted on the printed plan's own terms: replay it with value numbers instead of numbers.
    const check = (plan: Plan) => {
      const holder = new Map<number, number>();
      const rootOf = (v: number): number => plan.bufferOf[v];
      for (const [v] of plan.constants) holder.set(rootOf(v), v);
      for (const v of [...plan.state.values(), ...plan.inputs.values()]) holder.set(rootOf(v), v);
      const written = new Map<number, number>();
      for (const step of plan.steps) {
        for (const v of step.inputs) {
          const owner = written.get(v);
          const held = owner === undefined || owner === holder.get(rootOf(v));
          expect(held, `${step.op} reads value ${v}, which was overwritten`).toBe(true);
        }
        for (const v of step.outputs) {
          holder.set(rootOf(v), v);
          written.set(v, v);
        }
      }
    };
    return fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const step = await compile(backend, {
          inputs: typesOf(program),
          state: initialState(program),
          build: (inputs, state) => buildProgram(program, inputs, state),
        });
        check(step.plan);
        await step.close();
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  it('what no output needs is not computed', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      state: { a: floats(1, 2) },
      build({ x }, { a }) {
        exp(mul(x, a)); // not used
        const [, at] = [max(x), neg(x)];
        return { outputs: { at } };
      },
    });
    expect(step.plan.steps.map(({ op }) => op)).toEqual(['neg']);
    await step.close();
  });

  it('equal literals share one constant, and 0 is not -0', async () => {
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      build: ({ x }) => ({ outputs: { y: add(mul(x, 3), mul(x, 3)), z: add(mul(x, 0), mul(x, -0)) } }),
    });
    expect(step.plan.constants.size).toBe(3);
    const { z } = await step.run({ x: Float32Array.of(1, -1) });
    expect([...z.data]).toEqual([0, 0]);
    await step.close();
  });

  it('long chains are planned without recursion', async () => {
    const step = await compile(backend, {
      inputs: { x: f32() },
      build({ x }) {
        let y: Tensor = x;
        for (let i = 0; i < 20_000; i++) y = add(y, 1);
        return { outputs: { y } };
      },
    });
    expect((await step.run({ x: 1 }))['y'].data[0]).toBe(20_001);
    expect(scratch(step.plan)).toEqual({ count: 1, bytes: 4 });
    await step.close();
  });
});

describe('a plan prints itself', () => {
  it('with types, places, cost and totals', async () => {
    const step = await compile(backend, {
      inputs: { x: u8(4, 3), y: i32(4) },
      hyper: { lr: 0.1 },
      state: {
        w: { shape: [3, 2], dtype: 'f32', data: new Float32Array(6) },
        seen: { shape: [], dtype: 'f32', data: new Float32Array(1) },
      },
      build({ x, y, hyper }, { w, seen }) {
        const h = withPath('input', () => mul(sub(cast(x), 128), 1 / 64));
        const logits = withPath('fc', () => matmul(h, w));
        const loss = softmaxCrossEntropy(logits, y);
        const [g] = grad(loss, [w]);
        return { outputs: { loss }, next: { w: sub(w, mul(g, hyper['lr'])), seen: add(seen, 4) } };
      },
    });
    expect(step.plan.toString()).toMatchInlineSnapshot(`
      "inputs   x: u8 [4,3]@feed:x, y: i32 [4]@feed:y, lr: f32 []@feed:lr
         0  f32 [4,3]@b9 = cast(u8 [4,3]@feed:x) dtype="f32"  (input)
         1  f32 [4,3]@b9 = sub(f32 [4,3]@b9, f32 []@b5)  (input)  0.000 MFLOP
         2  f32 [4,3]@b9 = mul(f32 [4,3]@b9, f32 []@b6)  (input)  0.000 MFLOP
         3  f32 [4,2]@b10 = matmul(f32 [4,3]@b9, f32 [3,2]@state:w) transA=false transB=false  (fc)  0.000 MFLOP
         4  f32 [4]@b11, f32 [4,2]@b12 = softmaxCrossEntropy(f32 [4,2]@b10, i32 [4]@feed:y)  0.000 MFLOP
         5  f32 [1,1]@b13 = sum(f32 [1,4,1]@b11)  0.000 MFLOP
         6  f32 []@b13 = div(f32 []@b13, f32 []@b7)  0.000 MFLOP
         7  f32 []@b11 = div(f32 []@b8, f32 []@b7)  0.000 MFLOP
         8  f32 [1,4,1]@b10 = broadcastTo(f32 [1,1,1]@b11) shape=[1,4,1]
         9  f32 [4,2]@b14 = softmaxCrossEntropyGrad(f32 [4]@b10, f32 [4,2]@b12, i32 [4]@feed:y)
        10  f32 [3,2]@b12 = matmul(f32 [4,3]@b9, f32 [4,2]@b14) transA=true transB=false  (fc)  0.000 MFLOP
        11  f32 [3,2]@b12 = mul(f32 [3,2]@b12, f32 []@feed:lr)  0.000 MFLOP
      -- state is written from here on --
        12  f32 [3,2]@state:w = sub(f32 [3,2]@state:w, f32 [3,2]@b12)  0.000 MFLOP
        13  f32 []@state:seen = add(f32 []@state:seen, f32 []@b7)  0.000 MFLOP
      outputs  loss: f32 []@b13
      next     w, seen
      total    14 steps, 0.000 MFLOP, 0.00 MiB scratch (6 buffers), 0.00 MiB state, 0.00 MiB constant"
    `);
    await step.close();
  });
});

describe('state is written only after everything has succeeded', () => {
  const labelled = (build: Build): Promise<Compiled> =>
    compile(backend, {
      inputs: { x: f32(2), n: i32(2) },
      state: {
        w: { shape: [2, 2], dtype: 'f32', data: Float32Array.of(1, -2, 3, NaN) },
        count: floats(0, -0),
      },
      build: (inputs, state) => build(state, inputs),
    });

  it.each([
    ['next after the check', (w: Tensor, loss: Tensor) => sub(w, mul(w, loss))],
    ['next before the check, which does not need it', (w: Tensor) => neg(w)],
  ])('a failing check leaves all state unchanged bit for bit: %s', async (_, next) => {
    const step = await labelled(({ w, count }, { x }) => {
      const early = add(count, 1);
      const loss = checkFinite(sum(x), 'loss');
      return { outputs: { loss }, next: { count: early, w: next(w, loss) } };
    });
    const before = await step.store.read();
    await expect(step.run({ x: Float32Array.of(1, Infinity), n: new Int32Array(2) })).rejects.toThrow(
      'loss is not finite: Infinity at element 0',
    );
    expectSameBitsByName('state', await step.store.read(), before);
    await step.run({ x: Float32Array.of(1, 1), n: new Int32Array(2) });
    expect([...(await step.store.read(['count']))['count'].data]).toEqual([1, 1]);
    await step.close();
  });

  it('a label out of range leaves all state unchanged bit for bit, whatever the order of creation', async () => {
    const step = await labelled(({ w, count }, { n }) => {
      const next = { w: mul(w, 2), count: add(count, 1) };
      const loss = withPath('loss', () => softmaxCrossEntropy(w, n));
      return { outputs: { loss }, next };
    });
    const before = await step.store.read();
    await expect(step.run({ x: new Float32Array(2), n: Int32Array.of(0, 2) })).rejects.toThrow(
      'loss / softmaxCrossEntropy: label 2 at row 1 is outside 0 … 1 (the model has 2 classes)',
    );
    expectSameBitsByName('state', await step.store.read(), before);
    await step.close();
  });

  it('a check that depends on a new value comes before the first write, too', async () => {
    const step = await labelled(({ count }, { x }) => {
      const next = add(count, x);
      return { outputs: { checked: checkFinite(mul(next, 1e30), 'scaled') }, next: { count: next } };
    });
    const before = await step.store.read();
    const n = new Int32Array(2);
    await expect(step.run({ x: Float32Array.of(1, 1e30), n })).rejects.toThrow(
      'scaled is not finite: Infinity at element 1',
    );
    expectSameBitsByName('state', await step.store.read(), before);
    await step.run({ x: Float32Array.of(1, 2), n });
    expect([...(await step.store.read(['count']))['count'].data]).toEqual([1, 2]);
    await step.close();
  });

  it('no step that may fail comes after the first that may write state', () =>
    fc.assert(
      fc.asyncProperty(programs, async (program) => {
        const step = await compile(backend, {
          inputs: typesOf(program),
          state: initialState(program),
          build: (inputs, state) => buildProgram(program, inputs, state),
        });
        const { plan } = step;
        const writes = (outputs: readonly number[]) =>
          outputs.some((v) => plan.buffers[plan.bufferOf[v]].kind === 'state');
        const misplaced = plan.steps.filter(({ op, outputs }, i) =>
          i < plan.commitStep ? writes(outputs) : op === 'checkFinite',
        );
        expect(misplaced).toEqual([]);
        await step.close();
      }),
      { numRuns: 200, seed: 11 },
    ));
});

describe('feeds', () => {
  const twice = () =>
    compile(backend, {
      inputs: { x: f32(2, 2), n: i32(3), b: u8(2), s: f32() },
      build: ({ x, s }) => ({ outputs: { y: mul(x, s) } }),
    });
  const good = {
    x: new Float32Array(4),
    n: new Int32Array(3),
    b: new Uint8Array(2),
    s: 2,
  };

  it.each([
    ['an unknown name', { ...good, z: 1 }, "run: there is no input called 'z' (inputs: x, s, n, b)"],
    ['a missing name', { x: good.x, n: good.n, s: 2 }, "run: input 'b' is missing (given: x, n, s)"],
    ['nothing', {}, "run: input 'x' is missing (given: nothing)"],
    ['a number for an array', { ...good, x: 3 }, "run: input 'x' is f32 [2,2] but a single number was fed"],
    [
      'another shape',
      { ...good, x: { shape: [4], dtype: 'f32', data: new Float32Array(4) } as const },
      "run: input 'x' is f32 [2,2] but f32 [4] was fed",
    ],
    [
      'another length',
      { ...good, x: new Float32Array(5) },
      "run: input 'x' is f32 [2,2], 4 elements, but Float32Array (5) was fed",
    ],
    [
      'another dtype',
      { ...good, n: new Float32Array(3) },
      "run: input 'n' is i32 [3], 3 elements, but Float32Array (3) was fed",
    ],
    [
      'bytes where integers belong',
      { ...good, b: new Int32Array(2) },
      "run: input 'b' is u8 [2], 2 elements, but Int32Array (2) was fed",
    ],
  ])('%s is refused by name', async (_, feeds, message) => {
    const step = await twice();
    await expect(step.run(feeds)).rejects.toThrow(new PlanError(message));
    await step.close();
  });

  it('a number that does not fit an integer is refused', async () => {
    const step = await compile(backend, {
      inputs: { i: i32(), b: u8() },
      build: ({ i, b }) => ({ outputs: { i, b } }),
    });
    await expect(step.run({ i: 1.5, b: 1 })).rejects.toThrow(
      new PlanError("run: input 'i' is i32, which does not hold 1.5"),
    );
    await expect(step.run({ i: 2 ** 31, b: 1 })).rejects.toThrow(
      "'i' is i32, which does not hold 2147483648",
    );
    await expect(step.run({ i: 1, b: 256 })).rejects.toThrow("'b' is u8, which does not hold 256");
    expect((await step.run({ i: -5, b: 255 }))['i'].data).toEqual(Int32Array.of(-5));
    await step.close();
  });

  it('an input that the graph does not use must be fed all the same', async () => {
    const step = await twice();
    expect((await step.run({ ...good, x: Float32Array.of(1, 2, 3, 4) }))['y'].data).toEqual(
      Float32Array.of(2, 4, 6, 8),
    );
    await step.close();
  });

  it('`step` may be fed or left out where the graph does not use it', async () => {
    const step = await twice();
    await step.run(good);
    expect((await step.run({ ...good, step: 7 }))['y'].shape).toEqual([2, 2]);
    await step.runMany({
      x: new Float32Array(8),
      n: new Int32Array(6),
      b: new Uint8Array(4),
      s: new Float32Array(2),
      step: new Int32Array(2),
    });
    await step.close();
  });

  it('`step` must be fed where the graph uses it, and moves the mask', async () => {
    const masked = await compile(backend, {
      inputs: { x: f32(64) },
      build: ({ x, step }) => ({ outputs: { y: dropout(x, 0.5, key(1, 'mask'), step) } }),
    });
    const x = new Float32Array(64).fill(1);
    await expect(masked.run({ x })).rejects.toThrow(new PlanError("run: input 'step' is missing (given: x)"));
    const [a, b, again] = [
      await masked.run({ x, step: 0 }),
      await masked.run({ x, step: 1 }),
      await masked.run({ x, step: 0 }),
    ];
    expect(a).toEqual(again);
    expect(a).not.toEqual(b);
    await masked.close();
  });

  it('hyper-parameters are fed by their own names', async () => {
    const step = await compile(backend, {
      hyper: { lr: 1, momentum: 0 },
      build: ({ hyper }) => ({ outputs: { y: mul(hyper['lr'], hyper['momentum']) } }),
    });
    expect((await step.run({ lr: 3, momentum: 0.5 }))['y'].data[0]).toBe(1.5);
    await expect(step.run({ lr: 3 })).rejects.toThrow("run: input 'momentum' is missing (given: lr)");
    await step.close();
  });
});

describe('runMany', () => {
  const counter = () =>
    compile(backend, {
      inputs: { x: f32(2), n: i32() },
      state: { total: floats(0, 0) },
      build({ x, n }, { total }) {
        const next = add(mul(total, 0.5), mul(x, cast(n)));
        return { outputs: { next, n }, next: { total: next } };
      },
    });

  it('equals K runs bit for bit, with outputs stacked', async () => {
    const [many, one] = [await counter(), await counter()];
    const x = Float32Array.of(0.1, 0.2, 0.3, 0.4, 0.5, 0.6);
    const n = Int32Array.of(3, -1, 7);
    const stacked = await many.runMany({ x, n });
    expect([stacked['next'].shape, stacked['n'].shape]).toEqual([[3, 2], [3]]);
    for (let k = 0; k < 3; k++) {
      // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
      const { next } = await one.run({ x: x.slice(2 * k, 2 * k + 2), n: n[k] });
      expect(stacked['next'].data.slice(2 * k, 2 * k + 2)).toEqual(next.data);
    }
    expect(stacked['n'].data).toEqual(n);
    expectSameBitsByName('state', await many.store.read(), await one.store.read());
    await many.close();
    await one.close();
  });

  it.each([
    [
      'a single number',
      { x: new Float32Array(4), n: 3 },
      "runMany: 'n' must be an input with a leading axis of runs",
    ],
    ['an unknown name', { x: new Float32Array(4), z: new Int32Array(2) }, "runMany: 'z' must be an input"],
    [
      'another number of runs',
      { x: new Float32Array(4), n: new Int32Array(3) },
      "runMany: 'n' holds 3 elements: with 1 for one run that is 3 runs, but the others have 2",
    ],
    [
      'part of a run',
      { x: new Float32Array(5), n: new Int32Array(2) },
      "runMany: 'x' holds 5 elements: with 2 for one run that is 2.5 runs",
    ],
    ['no runs', { x: new Float32Array(0), n: new Int32Array(0) }, 'runMany: there are no runs in the feeds'],
    ['a missing name', { x: new Float32Array(4) }, "run: input 'n' is missing (given: x)"],
  ])('%s is refused', async (_, feeds, message) => {
    const step = await counter();
    await expect(step.runMany(feeds)).rejects.toThrow(message);
    await step.close();
  });
});

describe('compile', () => {
  it.each([
    [
      'a reserved input name',
      () => compile(backend, { inputs: { step: i32() }, build: () => ({ outputs: {} }) }),
      "compile: the input name 'step' is reserved (choose another)",
    ],
    [
      'the other reserved input name',
      () => compile(backend, { inputs: { hyper: f32() }, build: () => ({ outputs: {} }) }),
      "compile: the input name 'hyper' is reserved (choose another)",
    ],
    [
      'a hyper-parameter of the name of an input',
      () => compile(backend, { inputs: { lr: f32() }, hyper: { lr: 1 }, build: () => ({ outputs: {} }) }),
      "compile: 'lr' is both an input and a hyper-parameter (rename one)",
    ],
    [
      'a layer for an operation',
      () => compile(backend, { build: () => ({ outputs: { y: reluLayer() as unknown as Tensor } }) }),
      "compile: outputs 'y' is object, not a tensor (of a layer's name, such as relu or conv2d, the operation is ops.relu(x) or x.relu())",
    ],
    [
      'a build that gives nothing',
      () => compile(backend, { build: () => undefined as never }),
      'compile: build must return { outputs: { … } } (and be no async function), got undefined',
    ],
    [
      'a build that is asynchronous',
      () => compile(backend, { build: (() => Promise.resolve({ outputs: {} })) as never }),
      'compile: build must return { outputs: { … } } (and be no async function), got a promise (is an await missing?)',
    ],
    [
      'no backend',
      () => compile('wasm' as never, { build: () => ({ outputs: {} }) }),
      "compile: backend must be a backend, for instance await wasm(); got 'wasm'",
    ],
    [
      'nothing for a next',
      () =>
        compile(backend, {
          state: { w: floats(1) },
          build: () => ({ outputs: {}, next: { w: undefined as unknown as Tensor } }),
        }),
      "compile: next 'w' is undefined, not a tensor (of a layer's name, such as relu or conv2d, the operation is ops.relu(x) or x.relu())",
    ],
    [
      'a next without a state',
      () =>
        compile(backend, {
          state: { w: floats(1) },
          build: (_, { w }) => ({ outputs: {}, next: { v: w } }),
        }),
      "next: there is no state called 'v' (known: w)",
    ],
    [
      'a next without any state',
      () => compile(backend, { build: () => ({ outputs: {}, next: { v: scalar(1) } }) }),
      "next: there is no state called 'v' (known: none)",
    ],
    [
      'a next of another shape',
      () =>
        compile(backend, {
          state: { w: floats(1, 2) },
          build: (_, { w }) => ({ outputs: {}, next: { w: sum(w) } }),
        }),
      "next: 'w' is f32 [2] but its new value is f32 []",
    ],
    [
      'a next of another dtype',
      () =>
        compile(backend, {
          inputs: { i: i32(1) },
          state: { w: floats(1) },
          build: ({ i }) => ({ outputs: {}, next: { w: i } }),
        }),
      "next: 'w' is f32 [1] but its new value is i32 [1]",
    ],
  ])('refuses %s', async (_, make, message) => {
    await expect(make()).rejects.toThrow(new PlanError(message));
  });

  it('refuses state that does not fill its shape', async () => {
    const w = { shape: [4], dtype: 'f32', data: new Float32Array(3) } as const;
    await expect(compile(backend, { state: { w }, build: () => ({ outputs: {} }) })).rejects.toThrow(
      new DataError(
        "compile: state: 'w' is f32 [4], 4 elements, but its data is Float32Array (3) (give it a Float32Array or Float64Array of length 4)",
      ),
    );
  });

  it('refuses an impossible input shape by name', async () => {
    await expect(
      compile(backend, {
        inputs: { x: { shape: [2, -1], dtype: 'f32' } },
        build: () => ({ outputs: {} }),
      }),
    ).rejects.toThrow("compile: input 'x': sizes must be non-negative integers, got -1 in [2,-1]");
  });

  it('closes its own store when loading fails', async () => {
    const own = reference();
    await expect(
      compile(
        {
          name: own.name,
          fusions: own.fusions,
          runsPerCall: 1,
          createStore: (s) => own.createStore(s),
          close: () => own.close(),
          load: () => Promise.reject(new Error('no')),
        },
        { state: { w: floats(1) }, build: () => ({ outputs: {} }) },
      ),
    ).rejects.toThrow('no');
    await own.close();
  });

  it('calls build once, with everything it may need', async () => {
    let calls = 0;
    const step = await compile(backend, {
      inputs: { x: f32(1) },
      hyper: { lr: 1 },
      state: { w: floats(1) },
      build({ x, step: at, hyper }, { w }) {
        calls++;
        expect([x.shape, at.shape, at.dtype, hyper['lr'].shape, w.shape]).toEqual([[1], [], 'i32', [], [1]]);
        return { outputs: { y: mean(mul(x, w)) } };
      },
    });
    await step.run({ x: Float32Array.of(1), lr: 1 });
    await step.run({ x: Float32Array.of(1), lr: 1 });
    expect(calls).toBe(1);
    await step.close();
  });
});
