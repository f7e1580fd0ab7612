// What compile takes and refuses, and how a compiled step runs.

import { describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { compile } from '../../engine/compile.ts';
import { DataError, PlanError } from '../../engine/errors.ts';
import { add, cast, dropout, f32, i32, mean, mul, scalar, sum, u8 } from '../../engine/ops/index.ts';
import * as nn from 'cyclegrad/nn';
import { key } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { expectSameBitsByName } from './compare.ts';
import { backend, floats } from './plan-run.ts';

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
    ['an unknown name', { ...good, z: 1 }, "run: there is no input 'z' (inputs: x, s, n, b)"],
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
      "run: input 'x' is f32 [2,2], 4 elements, but Float32Array (5) was fed (expected: Float32Array (4))",
    ],
    [
      'another dtype',
      { ...good, n: new Float32Array(3) },
      "run: input 'n' is i32 [3], 3 elements, but Float32Array (3) was fed (expected: Int32Array (3))",
    ],
    [
      'bytes where integers belong',
      { ...good, b: new Int32Array(2) },
      "run: input 'b' is u8 [2], 2 elements, but Int32Array (2) was fed (expected: Uint8Array (2))",
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

  it('hyperparameters are fed by their own names', async () => {
    const step = await compile(backend, {
      hyper: ['lr', 'momentum'],
      build({ hyper }) {
        // @ts-expect-error: no hyperparameter has this name
        expect(hyper['rate']).toBeUndefined();
        return { outputs: { y: mul(hyper['lr'], hyper['momentum']) } };
      },
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
      "runMany: 'n' must be an input with a first axis of runs, got a number (inputs: ",
    ],
    ['an unknown name', { x: new Float32Array(4), z: new Int32Array(2) }, "runMany: 'z' must be an input"],
    [
      'another number of runs',
      { x: new Float32Array(4), n: new Int32Array(3) },
      "runMany: 'n' has 3 elements, which are 3 runs of 1 elements, but the other feeds have 2 runs",
    ],
    [
      'part of a run',
      { x: new Float32Array(5), n: new Int32Array(2) },
      "runMany: 'x' has 5 elements, which are 2.5 runs of 2 elements (pass a whole number of runs)",
    ],
    [
      'no runs',
      { x: new Float32Array(0), n: new Int32Array(0) },
      'runMany: the feeds have no runs (pass at least one)',
    ],
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
      'a hyperparameter of the name of an input',
      () => compile(backend, { inputs: { lr: f32() }, hyper: ['lr'], build: () => ({ outputs: {} }) }),
      "compile: 'lr' is both an input and a hyperparameter (rename one)",
    ],
    [
      'values of hyperparameters in place of their names',
      () => compile(backend, { hyper: { lr: 1 } as unknown as ['lr'], build: () => ({ outputs: {} }) }),
      "compile: hyper must be an array of names, got an object (the values are fed with each run: pass hyper: ['lr'] or " +
        'Object.keys(optimizer.at(0)))',
    ],
    [
      'a hyperparameter that is no name',
      () => compile(backend, { hyper: ['lr', 1] as unknown as ['lr'], build: () => ({ outputs: {} }) }),
      'compile: hyper must be an array of names, but hyper[1] is 1',
    ],
    [
      'a hyperparameter twice',
      () => compile(backend, { hyper: ['lr', 'lr'], build: () => ({ outputs: {} }) }),
      "compile: hyper names 'lr' twice (remove hyper[1])",
    ],
    [
      'a layer for an operation',
      () => compile(backend, { build: () => ({ outputs: { y: nn.relu() as unknown as Tensor } }) }),
      "compile: outputs 'y' is a layer, not a tensor (apply it with nn.bind(layer, state, options)(x))",
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
      "compile: next 'w' is undefined, not a tensor",
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
        "compile: state: 'w' is f32 [4], 4 elements, but its data is Float32Array (3) (use a Float32Array or Float64Array of length 4)",
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
      hyper: ['lr'],
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
