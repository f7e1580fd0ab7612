/** Plans whose state never changes. */
import {
  BackendError,
  compile,
  f32,
  NonFiniteError,
  PlanError,
  reference,
  wasm,
  type Backend,
  type Compiled,
} from 'cyclegrad';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encode } from '../../engine/backends/wasm/encode.ts';
import { checkFinite, exp, matmul, mul, scalar, stream, sum, type Tensor } from '../../engine/index.ts';

const backends: Record<string, () => Promise<Backend>> = {
  wasm: () => wasm({ threads: 2, simd: 'plain' }),
  reference: () => Promise.resolve(reference()),
};

describe.each(Object.entries(backends))('constant state on %s', (_, open) => {
  let backend: Backend;
  beforeAll(async () => {
    backend = await open();
  });
  afterAll(() => backend.close());

  const state = { w: { shape: [2, 2], dtype: 'f32', data: Float32Array.of(1, 2, 3, 4) } } as const;
  const inputs = { x: f32(2, 2) };
  const x = Float32Array.of(1, 0, 0, 1);

  it('gives the results of a plan whose state may change, in every run', async () => {
    const build: Parameters<typeof compile<typeof inputs>>[1]['build'] = ({ x: fed }, { w }) => {
      const derived = exp(mul(w, 0.5));
      // `derived` is read in every run, also as an output, and what it is computed from only once.
      return { outputs: { y: matmul(fed, derived), derived, total: sum(mul(derived, fed)) } };
    };
    const constant = await compile(backend, { inputs, state, build, constantState: true });
    const plain = await compile(backend, { inputs, state, build });
    expect(constant.plan.constantSteps).toBeGreaterThan(0);
    expect(plain.plan.constantSteps).toBe(0);
    expect(String(constant.plan)).toContain('-- above: depends on the state alone --');
    for (const factor of [1, 2, 3]) {
      const feeds = { x: x.map((value) => value * factor) };
      expect(await constant.run(feeds)).toEqual(await plain.run(feeds));
    }
    expect((await constant.profile({ x })).length).toBe(constant.plan.steps.length);
    await constant.close();
    await plain.close();
  });

  it.each([
    ['[131, 45]', [131, 45], false, 1],
    ['[45, 131] transposed', [45, 131], true, 1],
    ['[5000, 21], in two parts', [5000, 21], false, 2],
  ] as const)('multiplies by weights %s that it packs once', async (_name, shape, transB, parts) => {
    const k = transB ? shape[1] : shape[0];
    const draw = (seed: number, size: number): Float32Array => {
      const draws = stream(seed, 'weights');
      return Float32Array.from({ length: size }, () => draws.normal());
    };
    const weights = { w: { shape, dtype: 'f32', data: draw(1, shape[0] * shape[1]) } } as const;
    const given = { x: f32(7, k) };
    const build: Parameters<typeof compile<typeof given>>[1]['build'] = ({ x: fed }, { w }) => ({
      outputs: { y: matmul(fed, w, { transB }) },
    });
    const constant = await compile(backend, { inputs: given, state: weights, build, constantState: true });
    const plain = await compile(backend, { inputs: given, state: weights, build });
    for (const seed of [2, 3]) {
      const feeds = { x: draw(seed, 7 * k) };
      expect(await constant.run(feeds)).toEqual(await plain.run(feeds));
    }
    const callsOf = ({ plan }: Compiled) => {
      const machine = { threads: 1, lanes: 4, convolution: 'auto', table: () => 0 } as const;
      const at = new Float64Array(plan.values.length);
      const { once, stepOf, derivedBytes } = encode(plan, at, machine, { scratch: 0, derived: 0 });
      return { once: once.length > 0, every: stepOf.length, holds: derivedBytes >= 4 * shape[0] * shape[1] };
    };
    const { every } = callsOf(plain);
    expect(callsOf(plain)).toEqual({ once: false, every, holds: false });
    expect(callsOf(constant)).toEqual({ once: true, every: every - parts, holds: true });
    await constant.close();
    await plain.close();
  });

  it('checks values in every run, not once', async () => {
    const step = await compile(backend, {
      inputs,
      state: { w: { ...state.w, data: Float32Array.of(1, Infinity, 0, 0) } },
      constantState: true,
      build: ({ x: fed }, { w }) => ({ outputs: { y: mul(checkFinite(w, 'w'), fed) } }),
    });
    await expect(step.run({ x })).rejects.toThrow(NonFiniteError);
    await expect(step.run({ x })).rejects.toThrow(NonFiniteError);
    await step.close();
  });

  it('refuses to change the state', async () => {
    const changes = {
      state,
      build: (_: unknown, { w }: Readonly<Record<string, Tensor>>) => ({
        outputs: {},
        next: { w: mul(w, 2) },
      }),
    };
    await expect(compile(backend, { ...changes, constantState: true })).rejects.toThrow(
      new PlanError("next: 'w' changes the state, which constantState excludes (leave one of them out)"),
    );
    await expect(
      compile(backend, { constantState: 1 as never, build: () => ({ outputs: { y: scalar(1) } }) }),
    ).rejects.toThrow('compile: constantState must be true or false, got 1');
    const step = await compile(backend, {
      state,
      constantState: true,
      build: (_, { w }) => ({ outputs: { y: sum(w) } }),
    });
    await expect(step.store.write(state)).rejects.toThrow(BackendError);
    await expect(compile(backend, { ...changes, state: step.store })).rejects.toThrow(
      'load: one step changes the store, and another one was compiled with constantState',
    );
    await step.close();
  });
});
