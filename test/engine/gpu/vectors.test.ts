/**
 * Products whose threads compute four results: their text, which is JavaScript too, against the reference kernels on any machine;
 * and on WebGL against the same products with one result a thread.
 */
/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { compileFunction } from 'node:vm';
import { assert, describe, expect, it } from 'vitest';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { functionOf, type BufferId, type KernelSource } from '../../../engine/backends/gpu/kernel.ts';
import { libraryOf } from '../../../engine/backends/gpu/library.ts';
import { loweringOf } from '../../../engine/backends/gpu/lower.ts';
import { compile } from '../../../engine/compile.ts';
import type { Attrs } from '../../../engine/op.ts';
import { grad } from '../../../engine/grad.ts';
import { add, conv2d, f32, matmul, mul, relu, reshape, sum } from '../../../engine/ops/index.ts';
import type { HostTensor, Shape } from '../../../engine/types.ts';
import { attrsOf, outputShape, weightShape, type ConvGeometry } from '../../cases/conv.ts';
import { expectClose } from '../compare.ts';
import { describeWhere } from './available.ts';
import { expected, random, type ProductOp } from './oracle.ts';

/** Runs a kernel as JavaScript. */
function evaluate(source: KernelSource, memory: ReadonlyMap<BufferId, Float32Array>): Float32Array {
  const { args, output, vectors } = source;
  const views = Object.entries(args).map(([name, { buffer, dims }]) => {
    const data = memory.get(buffer)!;
    const lanes = vectors?.args.has(name) === true ? 4 : 1;
    const [x, ...outer] = dims as readonly number[];
    const rows = (sizes: readonly number[], at: number): unknown =>
      sizes.length === 0
        ? Array.from({ length: x / lanes }, (_, i) =>
            lanes === 1 ? data[at * x + i] : data.subarray(at * x + 4 * i, at * x + 4 * i + 4),
          )
        : Array.from({ length: sizes.at(-1)! }, (_, i) => rows(sizes.slice(0, -1), at * sizes.at(-1)! + i));
    return rows(outer, 0);
  });
  const text = functionOf(source);
  const library = libraryOf(text).map((own) => own.source);
  const kernel = compileFunction([...library, text, 'return kernel;'].join('\n'))() as (
    ...views: readonly unknown[]
  ) => number | readonly number[];
  const [x, y = 1, z = 1] = output;
  const results: number[] = [];
  for (let i = 0; i < z; i++)
    for (let j = 0; j < y; j++)
      for (let k = 0; k < x / (vectors === undefined ? 1 : 4); k++)
        results.push(...[kernel.call({ thread: { x: k, y: j, z: i } }, ...views)].flat());
  return Float32Array.from(results);
}

/** The kernels that compute a step, and its result. */
function lowered(
  op: ProductOp | 'conv2dBias',
  inputs: readonly HostTensor[],
  attrs: Attrs,
  shape: Shape,
): { readonly sources: readonly KernelSource[]; readonly result: HostTensor } {
  const sources: KernelSource[] = [];
  let buffers = inputs.length + 1;
  loweringOf(op)({
    inputs: inputs.map((_, i) => i),
    outputs: [inputs.length],
    types: inputs,
    results: [{ shape, dtype: 'f32' }],
    attrs,
    maxArguments: 6,
    vectors: true,
    emit: (source) => sources.push(source),
    check: () => expect.unreachable(),
    scratch: () => buffers++,
  });
  const memory = new Map(inputs.map(({ data }, i) => [i, data as Float32Array]));
  for (const source of sources) memory.set(source.to, evaluate(source, memory));
  return { sources, result: { shape, dtype: 'f32', data: memory.get(inputs.length)! } };
}

/** Fetches for sixteen products; 32 where each thread has one result. */
const fetchesOf = ({ vectors }: KernelSource): number =>
  vectors === undefined ? 32 : Number(/(\d+) fetches/.exec(vectors.note)![1]);

describe('the text of products', () => {
  it.each([
    // batch, m, k, n, flags, fetches
    [2, 3, 8, 12, false, false, 5],
    [1, 3, 4, 4, false, false, 5],
    [2, 3, 5, 8, false, false, 8],
    [1, 1, 1, 4, false, false, 8],
    [2, 4, 8, 12, true, false, 8],
    [1, 5, 7, 8, true, false, 8],
    [2, 3, 8, 12, false, true, 5],
    [2, 3, 8, 12, true, true, 8],
    [1, 3, 6, 8, false, true, 32],
    [1, 3, 6, 8, true, true, 32],
    [1, 4, 8, 10, false, false, 32],
    [1, 4, 8, 2, false, true, 32],
  ])('%i × %i×%i·%i, transposed %j and %j, takes %i fetches', (batch, m, k, n, transA, transB, fetches) => {
    const inputs = [
      random('a', [batch, ...(transA ? [k, m] : [m, k])]),
      random('b', [batch, ...(transB ? [n, k] : [k, n])]),
    ];
    const { sources, result } = lowered('matmul', inputs, { transA, transB }, [batch, m, n]);
    expect(sources.map(fetchesOf)).toEqual([fetches]);
    expectClose('matmul', result, expected('matmul', inputs, { transA, transB }, [batch, m, n]), 2e-6, 1);
  });

  interface Geometry extends ConvGeometry {
    /** Of the result, the input gradient and the weight gradient. */
    readonly fetches: readonly [number, number, number];
  }
  const GEOMETRIES: readonly Geometry[] = [
    { x: [2, 5, 4, 8], kernel: [3, 3], filters: 12, padding: 1, fetches: [5, 5, 8] },
    { x: [2, 5, 6, 3], kernel: [3, 2], filters: 8, padding: 1, stride: 2, fetches: [8, 32, 8] },
    { x: [1, 6, 5, 8], kernel: [2, 3], filters: 3, padding: [1, 2], fetches: [32, 32, 32] },
    { x: [1, 7, 6, 4], kernel: [3, 3], filters: 4, dilation: 2, padding: 2, fetches: [5, 5, 8] },
    { x: [2, 4, 4, 4], kernel: [1, 1], filters: 8, fetches: [5, 5, 8] },
    { x: [2, 4, 4, 8], kernel: [3, 3], filters: 8, groups: 2, fetches: [32, 32, 32] },
    { x: [1, 5, 4, 1], kernel: [3, 3], filters: 4, fetches: [8, 32, 8] },
  ];
  it.each(GEOMETRIES)('convolution of $x by $kernel to $filters, in $groups groups', (geometry) => {
    const attrs = attrsOf(geometry);
    const image = random('x', geometry.x);
    const weight = random('w', weightShape(geometry));
    const g = random('g', outputShape(geometry, attrs));
    const steps3 = [
      ['conv2d', [image, weight], g.shape],
      ['conv2dGradInput', [g, weight], image.shape],
      ['conv2dGradWeight', [image, g], weight.shape],
    ] as const;
    for (const [i, [op, inputs, shape]] of steps3.entries()) {
      const { sources, result } = lowered(op, inputs, attrs, shape);
      expect([op, fetchesOf(sources[0])]).toEqual([op, geometry.fetches[i]]);
      expectClose(op, result, expected(op, inputs, attrs, shape), 3e-6, 1);
    }
  });

  it('adds a bias for each filter, and keeps what is above 0 where asked', () => {
    const [x, w, bias] = [random('x', [1, 3, 3, 4]), random('w', [3, 3, 4, 8]), random('bias', [8])];
    const attrs = attrsOf({ x: [1, 3, 3, 4], kernel: [3, 3], filters: 8, padding: 1 });
    const want = expected('conv2d', [x, w], attrs, [1, 3, 3, 8]);
    want.data.forEach((value, i) => (want.data[i] = Math.max(0, value + bias.data[i % 8])));
    const { result } = lowered('conv2dBias', [x, w, bias], { ...attrs, relu: true }, want.shape);
    expectClose('conv2dBias', result, want, 2e-6, 1);
    expect(result.data).toContain(0);
  });
});

await describeWhere('WebGL', { mode: 'webgl' }, () => {
  it('products take four results a thread, say so, and agree with one', async () => {
    const inputs = { x: f32(2, 6, 6, 8), w: f32(3, 3, 8, 12), b: f32(12), d: f32(432, 20), e: f32(20, 10) };
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([name, { shape }]) => [name, random(name, shape).data]),
    );
    const run = async (overrides: boolean) => {
      const backend = await gpu({ mode: 'webgl', overrides });
      const step = await compile(backend, {
        inputs,
        build({ x, w, b, d, e }) {
          const hidden = relu(add(conv2d(x, w, { padding: 1 }), b));
          const y = matmul(matmul(reshape(hidden, [2, 432]), d), e);
          const [dx, dw, db, dd] = grad(sum(mul(y, y)), [x, w, b, d]);
          return { outputs: { y, dx, dw, db, dd } };
        },
      });
      const outputs = await step.run(feeds);
      const { report, plan } = step;
      await step.close();
      await backend.close();
      assert(report.backend === 'gpu');
      return { outputs, kernels: report.kernels, plan: String(plan) };
    };
    const [four, one] = [await run(true), await run(false)];
    // The convolution, its gradients, and the products of 432 and of 20; not those of 10.
    expect(four.kernels).toEqual({ ...one.kernels, vec4: 6 });
    expect(one.kernels.vec4).toBeUndefined();
    expect(four.plan).toMatch(/conv2dBias.*four results a thread, 5 fetches for 16 products/);
    expect(one.plan).not.toContain('fetches');
    for (const name of Object.keys(one.outputs) as (keyof typeof one.outputs)[])
      expectClose(name, four.outputs[name], one.outputs[name], 5e-6, 1);
  });
});
