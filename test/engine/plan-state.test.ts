// States are written only after everything has succeeded, and never before their last read.
/* oxlint-disable vitest/expect-expect -- expectSameBits and properties assert */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compile, type Compiled } from '../../engine/compile.ts';
import { withPath } from '../../engine/path.ts';
import {
  add,
  checkFinite,
  f32,
  i32,
  matmul,
  mul,
  neg,
  relu,
  reshape,
  crossEntropy,
  sub,
  sum,
  tensor,
  transpose,
} from '../../engine/ops/index.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor } from '../../engine/types.ts';
import { expectSameBitsByName } from './compare.ts';
import { buildProgram, initialState, programs, typesOf } from './programs.ts';
import { backend, bothWays, floats, type Build } from './plan-run.ts';

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
      const loss = withPath('loss', () => crossEntropy(w, n));
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
