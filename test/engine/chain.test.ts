// Chains of elementwise operations: one pass over memory, and the same bits as one operation after the other.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile, type Compiled } from '../../engine/compile.ts';
import {
  add,
  cast,
  div,
  equal,
  exp,
  f32,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  relu,
  reshape,
  round,
  sqrt,
  sub,
  sum,
  tanh,
  where,
} from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import type { HostTensor } from '../../engine/types.ts';
import type { Tensor } from '../../engine/tensor.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 3 });
});
afterAll(async () => {
  await backend.close();
});

function random(seed: number, shape: readonly number[]): HostTensor {
  const draws = stream(seed, 'chain');
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, dtype: 'f32', data: Float32Array.from({ length: size }, () => draws.normal()) };
}

const opsOf = ({ plan }: Compiled): string[] => plan.steps.map(({ op }) => op);

interface Case {
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly state?: Readonly<Record<string, readonly number[]>>;
  readonly build: (
    inputs: Record<string, Tensor>,
    state: Record<string, Tensor>,
  ) => { outputs: Record<string, Tensor>; next?: Record<string, Tensor> };
  readonly steps: readonly string[];
}

/** Adam's update, with its bias corrections left out. */
function adam({ g }: Record<string, Tensor>, { w, m, v }: Record<string, Tensor>) {
  const mean = add(mul(m, 0.9), mul(g, 0.1));
  const square = add(mul(v, 0.99), mul(mul(g, g), 0.01));
  return {
    outputs: {},
    next: { m: mean, v: square, w: sub(w, mul(div(mean, add(sqrt(square), 1e-6)), 0.01)) },
  };
}

const cases: Readonly<Record<string, Case>> = {
  'an update of several states': {
    inputs: { g: [37, 41] },
    state: { w: [37, 41], m: [37, 41], v: [37, 41] },
    build: adam,
    steps: ['elementwise'],
  },
  'rows that repeat, single values, and strips that end in the middle of a row': {
    inputs: { x: [301, 7], row: [7], outer: [1, 7], one: [1], scalar: [] },
    build: ({ x, row, outer, one, scalar }) => ({
      outputs: { y: relu(mul(add(mul(x, row), outer), sub(one, scalar))) },
    }),
    steps: ['sub', 'elementwise'],
  },
  'results in the middle that somebody else reads later': {
    inputs: { x: [5, 300] },
    build({ x }) {
      const a = exp(x);
      const b = mul(a, x);
      const c = tanh(b);
      return { outputs: { total: sum(a), b, c } };
    },
    steps: ['elementwise', 'sum'],
  },
  'nothing moves past a reader between': {
    inputs: { x: [700] },
    build({ x }) {
      const a = exp(x);
      return { outputs: { y: mul(a, sum(a)) } };
    },
    steps: ['exp', 'sum', 'mul'],
  },
  'reshapes between, and an operand that is used twice': {
    inputs: { x: [24, 50] },
    build({ x }) {
      const a = mul(x, x);
      return { outputs: { y: sub(mul(reshape(a, [1200]), reshape(a, [1200])), reshape(x, [1200])) } };
    },
    steps: ['elementwise'],
  },
  'columns and middle axes that repeat': {
    inputs: { x: [30, 41], column: [30, 1], middle: [41, 1], inner: [6] },
    build({ x, column, middle, inner }) {
      const y = exp(mul(add(x, 1), column));
      const z = add(mul(reshape(y, [41, 30]), reshape(column, [30])), 2); // the same values as rows
      const w = sub(mul(reshape(z, [10, 3, 41, 1]), middle), 1);
      return { outputs: { v: mul(reshape(w, [5, 6, 41]), reshape(inner, [6, 1])) } };
    },
    steps: ['elementwise'],
  },
  'comparisons that choose between floats': {
    inputs: { x: [301, 7], z: [301, 7], row: [7], one: [] },
    build({ x, z, row, one }) {
      const clipped = minimum(maximum(x, -1), one);
      const passed = where(less(clipped, x), 0, where(less(x, -1), 0, z));
      const whole = where(equal(round(x), 1), row, passed);
      const both = lessEqual(0, div(z, where(less(row, x), 0, x))); // of NaN and infinities, for two readers
      return { outputs: { y: where(both, whole, x), w: add(where(both, 1, 0), sub(1, z)) } };
    },
    steps: ['elementwise'],
  },
  'comparisons with other readers': {
    inputs: { x: [301, 7], z: [301, 7] },
    build({ x, z }) {
      const kept = less(x, z);
      const counted = less(z, 0);
      const bytes = where(kept, counted, equal(x, x));
      return {
        outputs: { kept, y: where(kept, x, 0), n: add(cast(counted, 'f32'), where(counted, z, x)), bytes },
      };
    },
    steps: ['elementwise'],
  },
  'longer than one chain may be': {
    inputs: { x: [1000] },
    build({ x }) {
      let y = x;
      for (let i = 0; i < 30; i++) y = add(mul(y, 0.9), x);
      return { outputs: { y } };
    },
    steps: ['elementwise', 'elementwise', 'elementwise'],
  },
};

describe('chains', () => {
  it.each(Object.entries(cases))('%s', async (_, { inputs, state = {}, build, steps }) => {
    const types = Object.fromEntries(Object.entries(inputs).map(([name, shape]) => [name, f32(...shape)]));
    const initial = Object.fromEntries(
      Object.entries(state).map(([name, shape], i) => [
        name,
        name === 'v' ? ones(shape) : random(i + 50, shape),
      ]),
    );
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, shape], i) => [name, random(i + 1, shape)]),
    );
    const results = [];
    const found: string[][] = [];
    for (const fuse of [true, false]) {
      const compiled = await compile(backend, {
        fuse,
        inputs: types,
        state: initial,
        build: (given, own) => build(given, own),
      });
      found.push(opsOf(compiled));
      const outputs = [await compiled.run(feeds), await compiled.run(feeds)];
      results.push({ outputs, state: await compiled.store.read() });
      await compiled.close();
    }
    expect(results[0]).toEqual(results[1]);
    expect(found[0]).toEqual(steps);
    expect(found[1]).not.toContain('elementwise');
  });

  it('updates state in place, without a copy', async () => {
    const shape = [50, 60];
    const compiled = await compile(backend, {
      inputs: { g: f32(...shape) },
      state: { w: random(1, shape), m: random(2, shape), v: ones(shape) },
      build: ({ g }, state) => adam({ g }, state),
    });
    const { plan } = compiled;
    expect(plan.steps).toHaveLength(1);
    for (const [name, v] of plan.next) expect(plan.bufferOf[v]).toBe(plan.bufferOf[plan.state.get(name)!]);
    expect(plan.buffers.filter(({ kind }) => kind === 'scratch')).toEqual([]);
    await compiled.close();
  });
});

function ones(shape: readonly number[]): HostTensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, dtype: 'f32', data: new Float32Array(size).fill(1) };
}
