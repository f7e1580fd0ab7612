/** Chains in WGSL against the same operations one after the other in single precision; skipped where there is no adapter. */
import { describe, expect, it } from 'vitest';
import { elementwise, type Chain, type FloatProgram } from '../../../engine/backends/gpu/wgsl/index.ts';
import { stream } from '../../../engine/rng.ts';
import { expectClose } from '../compare.ts';
import { testDevice } from './adapter.ts';

const LIMITS = { maxStorageBuffersPerShaderStage: 8 };

const { describeHere, runModules } = await testDevice();

const APPLY: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  neg: (a) => -a,
  sqrt: (a) => Math.sqrt(a),
  relu: (a) => (a < 0 ? 0 : a),
  reluGrad: (g, y) => (y > 0 ? g : 0),
};

/** Every result of a chain, rounded after each instruction. */
function evaluate(
  { program, results }: FloatProgram,
  inputs: readonly Float32Array[],
  n: number,
): Float32Array[] {
  const values = inputs.map((data) => Float32Array.from({ length: n }, (_, i) => data[i % data.length]));
  for (const [op, a, b = a] of program) {
    values.push(Float32Array.from({ length: n }, (_, i) => APPLY[op](values[a][i], values[b][i])));
  }
  return results.map((number) => values[number]);
}

/** v ← μv + ηg and w ← w − v, with both in place: inputs w, g, v, η, μ. */
const MOMENTUM: FloatProgram = {
  program: [
    ['mul', 2, 4],
    ['mul', 1, 3],
    ['add', 5, 6],
    ['sub', 0, 7],
  ],
  results: [8, 7],
};
/** Everything there is text for: inputs x, a row, a positive single. */
const ALL: FloatProgram = {
  program: [
    ['mul', 0, 0],
    ['sqrt', 3],
    ['neg', 1],
    ['div', 5, 2],
    ['sub', 4, 6],
    ['relu', 7],
    ['reluGrad', 0, 8],
    ['add', 9, 1],
  ],
  results: [8, 10],
};

const random = (name: string, n: number): Float32Array => {
  const draws = stream(12, name);
  return Float32Array.from({ length: n }, () => 2 * draws.uniform() - 1);
};

async function check(
  attrs: FloatProgram,
  sizes: readonly number[],
  n: number,
  inPlace: readonly number[],
): Promise<void> {
  const inputs = sizes.map((size, i) => (size === 1 ? Float32Array.of(0.75) : random(`input ${i}`, size)));
  const buffers = sizes.map((_, i) => i);
  const outputs = attrs.results.map((_, i) => inPlace[i] ?? 100 + i);
  const chain: Chain = { ...attrs, sizes, n, inputs: buffers, outputs };
  const modules = elementwise(chain, LIMITS)!;
  const got = await runModules(
    modules,
    inputs,
    attrs.results.map(() => n),
    inPlace,
  );
  evaluate(attrs, inputs, n).forEach((data, i) => {
    const want = { shape: [n], dtype: 'f32' as const, data };
    expectClose(`result ${i} of ${n}`, { ...want, data: got[i] }, want, 1e-6);
  });
}

describe('chains in WGSL, without a device', () => {
  const chain: Chain = {
    ...MOMENTUM,
    sizes: [8, 8, 8, 1, 1],
    n: 8,
    inputs: [0, 1, 2, 3, 4],
    outputs: [0, 2],
  };

  it('one binding for each buffer: a result in the buffer of an operand is that operand', () => {
    const [{ bindings, code }] = elementwise(chain, LIMITS)!;
    expect(bindings).toEqual([{ output: 0 }, { output: 1 }, { input: 1 }, { input: 3 }, { input: 4 }]);
    expect(code.match(/read_write/g)).toHaveLength(2);
    expect(code).toContain('array<vec4<f32>>');
  });

  it('leaves to others what it has no text for, or too few bindings', () => {
    expect(elementwise({ ...chain, program: [['exp', 0]], results: [5] }, LIMITS)).toBeNull();
    expect(elementwise(chain, { maxStorageBuffersPerShaderStage: 5 })).toBeNull();
    expect(elementwise({ ...chain, sizes: [0, 0, 0, 1, 1], n: 0 }, LIMITS)).toEqual([]);
  });
});

/* oxlint-disable vitest/expect-expect -- expectClose asserts */
describeHere('chains in WGSL', () => {
  it.each([1, 3, 4, 64, 1027, 70_000])('an update of %i elements, in place and not', async (n) => {
    await check(MOMENTUM, [n, n, n, 1, 1], n, []);
    await check(MOMENTUM, [n, n, n, 1, 1], n, [0, 2]);
  });

  it.each([
    [12, 4],
    [12, 3],
    [35, 5],
    [6400, 64],
    [7, 1],
  ])('%i elements with rows of %i', async (n, row) => {
    await check(ALL, [n, row, 1], n, []);
    await check(ALL, [n, row, 1], n, [0]);
  });

  it('relu and its gradient keep NaN', async () => {
    const chain: Chain = {
      program: [
        ['relu', 0],
        ['reluGrad', 0, 1],
      ],
      results: [2, 3],
      sizes: [4, 4],
      n: 4,
      inputs: [0, 1],
      outputs: [2, 3],
    };
    const inputs = [Float32Array.of(NaN, -1, 2, NaN), Float32Array.of(1, 1, NaN, 0)];
    const [relu, gradient] = await runModules(elementwise(chain, LIMITS)!, inputs, [4, 4]);
    expect([...relu]).toEqual([NaN, 0, 2, NaN]);
    expect([...gradient]).toEqual([NaN, -1, 0, 0]);
  });

  it('more workgroups than one axis has', async () => {
    const n = 2 ** 24 + 257;
    const chain: Chain = { program: [['neg', 0]], results: [1], sizes: [n], n, inputs: [0], outputs: [0] };
    const [module] = elementwise(chain, LIMITS)!;
    expect(module.workgroups[1]).toBeGreaterThan(1);
    const data = Float32Array.from({ length: n }, (_, i) => i % 977);
    const [got] = await runModules([module], [data], [n], [0]);
    expect(got.findIndex((value, i) => value !== -data[i])).toBe(-1);
  });
});
