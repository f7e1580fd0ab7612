/** What backend.ts promises of stores, runs and failures. */
/* oxlint-disable vitest/expect-expect -- expectClose and expectSameBits assert */
import fc from 'fast-check';
import { assert, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { RunsError } from '../../engine/backends/runs.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { compile, type Compiled } from '../../engine/compile.ts';
import { BackendError, DataError, NonFiniteError, PlanError } from '../../engine/errors.ts';
import { grad } from '../../engine/grad.ts';
import {
  add,
  batchNorm,
  cast,
  checkFinite,
  accuracy,
  dropout,
  f32,
  i32,
  matmul,
  mul,
  reshape,
  crossEntropy,
  sub,
  sum,
  gather,
  tanh,
  u8,
} from '../../engine/ops/index.ts';
import { withPath } from '../../engine/path.ts';
import { key, stream } from '../../engine/rng.ts';
import type { HostTensor, State } from '../../engine/types.ts';
import { expectClose, expectSameBitsByName } from './compare.ts';
import { buildProgram, feedsOf, initialState, programs, typesOf } from './programs.ts';

/** What a call of several runs throws. */
async function runsErrorOf(call: Promise<unknown>): Promise<RunsError> {
  const error = await call.catch((thrown: unknown) => thrown);
  assert(error instanceof RunsError);
  return error;
}

const floats = (...values: number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'f32',
  data: Float32Array.from(values),
});

/** A training step small enough to follow by hand and with everything in it: rows, masks, a loss, momentum. */
function trainingStep(backend: Backend, reuse = true): Promise<Compiled> {
  const draws = stream(5, 'training step');
  const random = (shape: readonly number[]): HostTensor => ({
    shape,
    dtype: 'f32',
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => draws.normal() * 0.3),
  });
  return compile(backend, {
    reuse,
    inputs: { index: i32(6), x: u8(20, 7), y: i32(20), lr: f32() },
    state: {
      w1: random([7, 9]),
      b1: random([9]),
      w2: random([9, 4]),
      v1: random([7, 9]),
      mean: random([9]),
    },
    build({ index, x, y, lr, step }, { w1, b1, w2, v1, mean }) {
      const labels = gather(y, index);
      const rows = mul(sub(cast(gather(x, index)), 128), 1 / 64);
      const h = batchNorm(add(matmul(rows, w1), b1), { epsilon: 1e-3 });
      const active = dropout(tanh(h.y), 0.25, key(3, 'mask'), step);
      const logits = matmul(active, w2);
      const loss = checkFinite(crossEntropy(logits, labels), 'loss');
      const [g1, gb, g2] = grad(loss, [w1, b1, w2]);
      const velocity = add(mul(v1, 0.9), mul(g1, lr));
      return {
        outputs: { loss, right: accuracy(logits, labels, { reduction: 'sum' }) },
        next: {
          w1: sub(w1, velocity),
          v1: velocity,
          b1: sub(b1, mul(gb, lr)),
          w2: sub(w2, mul(g2, lr)),
          mean: add(mul(mean, 0.9), mul(h.mean, 0.1)),
        },
      };
    },
  });
}

function trainingFeeds(step: number) {
  const draws = stream(6, 'training feeds', step);
  const fixed = stream(6, 'training data');
  return {
    index: Int32Array.from({ length: 6 }, () => draws.below(20)),
    x: Uint8Array.from({ length: 140 }, () => fixed.below(256)),
    y: Int32Array.from({ length: 20 }, () => fixed.below(4)),
    lr: 0.05 / (1 + step),
    step,
  };
}

export function describeContract(backendOf: () => Backend): void {
  describe('contract', () => {
    it('a training step agrees with the reference over ten updates', async () => {
      const own = await trainingStep(backendOf());
      const other = await trainingStep(reference());
      for (let step = 0; step < 10; step++) {
        // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
        const [got, want] = [await own.run(trainingFeeds(step)), await other.run(trainingFeeds(step))];
        expectClose(`loss at ${step}`, got['loss'], want['loss'], 1e-4);
        expectClose(`right at ${step}`, got['right'], want['right'], 0);
      }
      const [got, want] = [await own.store.read(), await other.store.read()];
      for (const [name, value] of Object.entries(want)) expectClose(name, got[name], value, 1e-4);
      await own.close();
      await other.close();
    });

    it('buffer reuse changes no bit of a training step', async () => {
      const [on, off] = [await trainingStep(backendOf(), true), await trainingStep(backendOf(), false)];
      for (let step = 0; step < 4; step++) {
        // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
        expectSameBitsByName(
          `step ${step}`,
          await on.run(trainingFeeds(step)),
          await off.run(trainingFeeds(step)),
        );
      }
      expectSameBitsByName('state', await on.store.read(), await off.store.read());
      await on.close();
      await off.close();
    });

    it('random small training steps agree with the reference, with reuse and without', async () => {
      await fc.assert(
        fc.asyncProperty(programs, async (program) => {
          const make = (backend: Backend, reuse: boolean) =>
            compile(backend, {
              reuse,
              inputs: typesOf(program),
              state: initialState(program),
              build: (inputs, state) => buildProgram(program, inputs, state),
            });
          const [on, off, want] = [
            await make(backendOf(), true),
            await make(backendOf(), false),
            await make(reference(), true),
          ];
          try {
            for (let step = 0; step < 2; step++) {
              const feeds = feedsOf(program, step);
              // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
              const [a, b, c] = [await on.run(feeds), await off.run(feeds), await want.run(feeds)];
              expectSameBitsByName(`outputs of run ${step}`, a, b);
              // What cancels leaves the rounding of numbers around 1.
              for (const [name, value] of Object.entries(c)) expectClose(name, a[name], value, 2e-4, 0.01);
            }
            expectSameBitsByName('state', await on.store.read(), await off.store.read());
            const [got, state] = [await on.store.read(), await want.store.read()];
            for (const [name, value] of Object.entries(state))
              expectClose(name, got[name], value, 2e-4, 0.01);
          } finally {
            await Promise.all([on.close(), off.close(), want.close()]);
          }
        }),
        { seed: 20150417, numRuns: 60 },
      );
    });

    it('runMany equals as many runs, bit for bit', async () => {
      const [many, one] = [await trainingStep(backendOf()), await trainingStep(backendOf())];
      const K = 5;
      const each = Array.from({ length: K }, (_, step) => trainingFeeds(step));
      const stacked = await many.runMany({
        index: Int32Array.from(each.flatMap(({ index }) => [...index])),
        x: Uint8Array.from(each.flatMap(({ x }) => [...x])),
        y: Int32Array.from(each.flatMap(({ y }) => [...y])),
        lr: Float64Array.from(each, ({ lr }) => lr),
        step: Int32Array.from(each, ({ step }) => step),
      });
      expect(stacked['loss'].shape).toEqual([K]);
      for (const [k, feeds] of each.entries()) {
        // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
        const outputs = await one.run(feeds);
        expect(stacked['loss'].data[k]).toBe(outputs['loss'].data[0]);
        expect(stacked['right'].data[k]).toBe(outputs['right'].data[0]);
      }
      expectSameBitsByName('state', await many.store.read(), await one.store.read());
      await many.close();
      await one.close();
    });

    it('runMany ends at the run that throws: those before it have run, and tell what they gave', async () => {
      const step = await compile(backendOf(), {
        inputs: { x: f32(2) },
        state: { total: floats(1, 1) },
        build: ({ x }, { total }) => ({
          outputs: { sum: sum(checkFinite(x, 'x')) },
          next: { total: add(mul(total, 2), x) },
        }),
      });
      const stopped = step.runMany({ x: Float32Array.of(1, 2, 3, 4, NaN, 5, 6, 7) });
      await expect(stopped).rejects.toThrow(/^x is not finite: NaN at element 0/);
      const { before, cause } = await runsErrorOf(stopped);
      expect(cause).toEqual(new NonFiniteError('x', NaN, 0));
      const { sum: sums } = before;
      expect([...sums.data]).toEqual([3, 7]);
      expect([...(await step.store.read())['total'].data]).toEqual([9, 12]);
      const first = step.runMany({ x: Float32Array.of(NaN, 1) });
      expect((await runsErrorOf(first)).before).toEqual({});
      await step.run({ x: new Float32Array(2) });
      expect([...(await step.store.read())['total'].data]).toEqual([18, 24]);
      await step.close();
    });

    it('runs queue in call order, and feeds are copied before run returns', async () => {
      const step = await compile(backendOf(), {
        inputs: { x: f32(3) },
        state: { total: floats(0, 0, 0) },
        build: ({ x }, { total }) => {
          const next = add(mul(total, 2), x);
          return { outputs: { y: next }, next: { total: next } };
        },
      });
      const x = new Float32Array(3);
      const runs = [1, 2, 3, 4, 5].map((v) => {
        x.fill(v);
        return step.run({ x });
      });
      x.fill(1000);
      const results = await Promise.all(runs);
      let total = 0;
      results.forEach(({ y }, i) => {
        total = 2 * total + i + 1;
        expect([...y.data]).toEqual([total, total, total]);
      });
      expect([...(await step.store.read())['total'].data]).toEqual([total, total, total]);
      await step.close();
    });

    it('outputs belong to the caller: a later run does not change them', async () => {
      const twice = await compile(backendOf(), {
        inputs: { x: f32(2) },
        build: ({ x }) => ({ outputs: { y: mul(x, 2), same: x } }),
      });
      const first = await twice.run({ x: Float32Array.of(1, 2) });
      await twice.run({ x: Float32Array.of(5, 6) });
      expect([[...first['y'].data], [...first['same'].data]]).toEqual([
        [2, 4],
        [1, 2],
      ]);
      await twice.close();
    });

    it('state of every dtype is kept, swapped and copied', async () => {
      const initial: State = {
        a: { shape: [3], dtype: 'u8', data: Uint8Array.of(1, 2, 255) },
        b: { shape: [3], dtype: 'u8', data: Uint8Array.of(7, 8, 9) },
        i: { shape: [2], dtype: 'i32', data: Int32Array.of(-5, 2 ** 31 - 1) },
        j: { shape: [2], dtype: 'i32', data: Int32Array.of(0, 0) },
        f: floats(1.5),
      };
      const swap = await compile(backendOf(), {
        state: initial,
        build: (_, { a, b, i }) => ({ outputs: { old: a }, next: { a: b, b: a, j: i } }),
      });
      const { old } = await swap.run({});
      expect([...old.data]).toEqual([1, 2, 255]);
      const state = await swap.store.read();
      expect([...state['a'].data]).toEqual([7, 8, 9]);
      expect([...state['b'].data]).toEqual([1, 2, 255]);
      expect([...state['j'].data]).toEqual([-5, 2 ** 31 - 1]);
      expect([...state['f'].data]).toEqual([1.5]);
      await swap.close();
    });

    it.each([
      ['a loss that is not finite', { lr: NaN }, /^lr is not finite: NaN at element 0/],
      [
        'a label out of range',
        { y: Int32Array.from({ length: 20 }, (_, i) => (i === 3 ? 4 : 1)) },
        'head / softmaxCrossEntropy: label 4 at row 3 is outside 0 … 3 (the model has 4 classes)',
      ],
      [
        'a negative label',
        { y: Int32Array.from({ length: 20 }, (_, i) => (i === 5 ? -1 : 0)) },
        'head / softmaxCrossEntropy: label -1 at row 5 is outside 0 … 3 (the model has 4 classes)',
      ],
      [
        'an index out of range',
        { index: Int32Array.of(0, 1, 20, 3, 4, 5) },
        'gatherRows: index 20 at position 2 is outside 0 … 19',
      ],
    ])('%s stops the run, by name, and changes no state', async (_, wrong, message) => {
      const step = await compile(backendOf(), {
        inputs: { index: i32(6), y: i32(20), lr: f32() },
        state: { w: { shape: [6, 4], dtype: 'f32', data: new Float32Array(24).fill(0.1) }, n: floats(0) },
        build({ index, y, lr }, { w, n }) {
          const loss = withPath('head', () => crossEntropy(w, gather(y, index)));
          const [g] = grad(loss, [w]);
          const rate = checkFinite(lr, 'lr');
          return { outputs: { loss }, next: { n: add(n, 1), w: sub(w, mul(g, rate)) } };
        },
      });
      const good = {
        index: Int32Array.of(0, 1, 2, 3, 4, 5),
        y: Int32Array.from({ length: 20 }, (__, i) => i % 4),
        lr: 0.5,
      };
      await step.run(good);
      const before = await step.store.read();
      const failing = step.run({ ...good, ...wrong });
      await expect(failing).rejects.toBeInstanceOf(DataError);
      await expect(failing).rejects.toThrow(message);
      expectSameBitsByName('state after the failure', await step.store.read(), before);
      await step.run(good); // the backend goes on
      expect((await step.store.read())['n'].data[0]).toBe(2);
      await step.close();
    });

    it('a check of the new values themselves still comes before any state is written', async () => {
      const step = await compile(backendOf(), {
        inputs: { x: f32(2) },
        state: { a: floats(1, 2), b: floats(3, 4), c: floats(0, 0) },
        build({ x }, { a, b }) {
          const sumOfBoth = checkFinite(add(b, x), 'new b');
          return {
            outputs: {},
            next: {
              a: checkFinite(add(a, 1), 'new a'),
              b: sumOfBoth,
              c: checkFinite(mul(sumOfBoth, 2), 'new c'),
            },
          };
        },
      });
      await expect(step.run({ x: Float32Array.of(0, Infinity) })).rejects.toThrow(
        /^new b is not finite: Infinity at element 1/,
      );
      const state = await step.store.read();
      expect([[...state['a'].data], [...state['b'].data], [...state['c'].data]]).toEqual([
        [1, 2],
        [3, 4],
        [0, 0],
      ]);
      await expect(step.run({ x: Float32Array.of(0, 3e38) })).rejects.toThrow(
        /^new c is not finite: Infinity at element 1/,
      );
      expectSameBitsByName('state', await step.store.read(), state);
      await step.run({ x: Float32Array.of(1, 1) });
      const after = await step.store.read();
      expect([[...after['a'].data], [...after['b'].data], [...after['c'].data]]).toEqual([
        [2, 3],
        [4, 5],
        [8, 10],
      ]);
      await step.close();
    });

    it('several executables share a store, which closes after them', async () => {
      const backend = backendOf();
      const store = await backend.createStore({ w: floats(1, 2) });
      const grow = await compile(backend, {
        state: store,
        build: (_, { w }) => ({ outputs: {}, next: { w: mul(w, 3) } }),
      });
      const look = await compile(backend, {
        state: store,
        build: (_, { w }) => ({ outputs: { total: sum(w) } }),
      });
      await grow.run({});
      expect((await look.run({}))['total'].data[0]).toBe(9);
      await expect(store.close()).rejects.toThrow(
        new BackendError('store.close: 2 executables still use the store (close them first)'),
      );
      await grow.close();
      await grow.close(); // twice is once
      await look.close();
      await expect(grow.run({})).rejects.toThrow(
        new BackendError('run: the executable is closed (compile it again)'),
      );
      await expect(backend.close()).rejects.toThrow(BackendError);
      await store.close();
    });

    it('stores read what was written, by name, and copy both ways', async () => {
      const store = await backendOf().createStore({ a: floats(1, 2), b: floats(3) });
      const data = Float32Array.of(8, 9);
      await store.write({ a: { shape: [2], dtype: 'f32', data } });
      data.fill(0);
      const read = await store.read(['a']);
      expect(Object.keys(read)).toEqual(['a']);
      expect([...read['a'].data]).toEqual([8, 9]);
      (read['a'].data as Float32Array).fill(7);
      expect([...(await store.read())['a'].data]).toEqual([8, 9]);
      await expect(store.read(['c'])).rejects.toThrow("store.read: there is no array 'c' (arrays: ");
      await store.close();
    });

    it('a write that does not fit changes nothing', async () => {
      const store = await backendOf().createStore({ a: floats(1, 2), b: floats(3) });
      await expect(store.write({ a: floats(9, 9), b: floats(1, 2, 3) })).rejects.toThrow(
        new DataError("store.write: 'b' is f32 [1], got f32 [3] (both must be equal)"),
      );
      await expect(store.write({ a: floats(9, 9), c: floats(1) })).rejects.toThrow(
        new DataError("store.write: there is no array 'c' (arrays: a, b)"),
      );
      const state = await store.read();
      expect([[...state['a'].data], [...state['b'].data]]).toEqual([[1, 2], [3]]);
      await store.close();
    });

    it("refuses another backend's store", async () => {
      const other = reference();
      const store = await other.createStore({});
      await expect(compile(backendOf(), { state: store, build: () => ({ outputs: {} }) })).rejects.toThrow(
        PlanError,
      );
      await store.close();
    });

    it('says what ran', async () => {
      const step = await trainingStep(backendOf());
      const { report } = step;
      expect(report.backend).toBe(backendOf().name);
      expect(report.executor).not.toBe('');
      expect(report.threads).toBeGreaterThan(0);
      expect(report.bytes).toBeGreaterThan(0);
      expect(report.fallback).toBeNull();
      await step.close();
    });

    it('times every step of a plan that has any, in order', async () => {
      const step = await trainingStep(backendOf());
      const times = await step.profile(trainingFeeds(0));
      expect(times.map((time) => time.step)).toEqual(step.plan.steps);
      for (const { ms } of times) expect(ms).toBeGreaterThanOrEqual(0);
      await step.close();
    });

    it('runs a plan without steps: feeds and state pass through', async () => {
      const pass = await compile(backendOf(), {
        inputs: { x: f32(2, 2) },
        state: { w: floats(4, 5) },
        build: ({ x }, { w }) => ({ outputs: { x, flat: reshape(x, [4]), w } }),
      });
      const outputs = await pass.run({ x: Float32Array.of(1, 2, 3, 4) });
      expect(outputs['flat'].shape).toEqual([4]);
      expect([[...outputs['x'].data], [...outputs['flat'].data], [...outputs['w'].data]]).toEqual([
        [1, 2, 3, 4],
        [1, 2, 3, 4],
        [4, 5],
      ]);
      await pass.close();
    });
  });
}
