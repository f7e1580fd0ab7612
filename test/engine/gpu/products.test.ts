/** The WGSL templates of products and convolutions against the reference kernels, tile by tile; skipped where there is no adapter. */
/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { describe, expect, it } from 'vitest';
import type { KernelModule } from '../../../engine/backends/gpu/kernel.ts';
import {
  conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  matmul,
  type Binding,
} from '../../../engine/backends/gpu/wgsl/index.ts';
import {
  chooseTiling,
  cut,
  sharedBytesOf,
  threadsOf,
  TILES,
  type ProductSize,
} from '../../../engine/backends/gpu/wgsl/tile.ts';
import { sizeOf } from '../../../engine/shape.ts';
import type { HostTensor, Shape } from '../../../engine/types.ts';
import { attrsOf, outputShape, weightShape, type ConvGeometry } from '../../cases/conv.ts';
import { expectClose, expectSameBits } from '../compare.ts';
import { testDevice } from './adapter.ts';
import { expected, random } from './oracle.ts';

/** The limits that every WebGPU device has. */
const LIMITS = {
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxStorageBufferBindingSize: 2 ** 27,
  maxStorageBuffersPerShaderStage: 8,
};

const { describeHere, runModules } = await testDevice();

async function run(
  modules: readonly KernelModule<Binding>[] | null,
  inputs: readonly HostTensor[],
  shapes: readonly Shape[],
): Promise<HostTensor[]> {
  expect(modules).not.toBeNull();
  const results = await runModules(
    modules!,
    inputs.map(({ data }) => data as Float32Array),
    shapes.map(sizeOf),
  );
  return results.map((data, i) => ({ shape: shapes[i], dtype: 'f32', data }));
}

describe('tilings', () => {
  it('every tile fits the default limits, and every thread has work', () => {
    const wrong = TILES.filter(
      (t) => threadsOf(t) > 256 || !Number.isInteger(threadsOf(t)) || sharedBytesOf(t) > 16384,
    );
    expect(wrong).toEqual([]);
  });

  it('a large product takes 8 × 8 results a thread, a narrow one small tiles and a split sum', () => {
    const large = chooseTiling({ batch: 1, m: 2048, n: 2048, k: 2048 }, LIMITS)!;
    expect(large).toMatchObject({ splits: 1, tile: { m: 128, n: 128, rows: 8, columns: 8 } });
    const narrow = chooseTiling({ batch: 1, m: 100, n: 10, k: 1024 }, LIMITS)!;
    expect(narrow.tile.n).toBeLessThanOrEqual(16);
    expect(narrow.splits).toBeGreaterThan(1);
    // The weight gradient of a layer with 32 filters of 5 × 5 × 32 over 100 images of 16 × 16.
    expect(chooseTiling({ batch: 1, m: 800, n: 32, k: 25600 }, LIMITS)!.splits).toBeGreaterThan(8);
  });

  it('the parts of a sum are whole tiles, and none is empty', () => {
    for (const k of [1, 7, 8, 9, 100, 1000, 25600]) {
      for (const t of TILES) {
        for (const splits of [1, 2, 3, 7, 64]) {
          const tiling = cut({ batch: 1, m: 1, n: 1, k }, t, splits);
          expect(tiling.part % t.k).toBe(0);
          expect((tiling.splits - 1) * tiling.part).toBeLessThan(k);
          expect(tiling.splits * tiling.part).toBeGreaterThanOrEqual(k);
        }
      }
    }
  });

  it('where the limits fit no tile there is no dispatch', () => {
    const size = { batch: 1, m: 4, n: 4, k: 4, transA: false, transB: false };
    expect(matmul(size, { ...LIMITS, maxComputeWorkgroupStorageSize: 512 })).toBeNull();
  });
});

describeHere('products in WGSL', () => {
  const FLAGS = [
    { transA: false, transB: false },
    { transA: true, transB: false },
    { transA: false, transB: true },
    { transA: true, transB: true },
  ];
  const product = async (
    [batch, m, k, n]: readonly number[],
    flags: (typeof FLAGS)[number],
    tiling?: NonNullable<ReturnType<typeof chooseTiling>>,
  ): Promise<void> => {
    const a = random('a', [batch, ...(flags.transA ? [k, m] : [m, k])]);
    const b = random('b', [batch, ...(flags.transB ? [n, k] : [k, n])]);
    const modules = matmul({ batch, m, n, k, ...flags }, LIMITS, tiling);
    const [got] = await run(modules, [a, b], [[batch, m, n]]);
    const what = `${batch} × ${m}×${k}·${k}×${n} ${JSON.stringify(flags)} ${JSON.stringify(tiling)}`;
    expectClose(what, got, expected('matmul', [a, b], flags, [batch, m, n]), 2e-6, 1);
  };

  const SIZES = [
    [1, 1, 1, 1],
    [1, 100, 64, 10],
    [1, 7, 9, 5],
    [3, 4, 5, 6],
    [1, 33, 1, 35],
    [2, 17, 19, 21],
    [1, 36, 44, 52],
    [1, 130, 100, 68],
    [5, 1, 300, 1],
    [1, 5, 0, 3],
    [0, 5, 2, 3],
    [1, 64, 515, 10],
    [1, 3, 2000, 3],
  ];
  it.each(SIZES.map((size, i) => [size, FLAGS[i % 4]] as const))('matmul %j, %j', (size, flags) =>
    product(size, flags),
  );

  it.each(FLAGS)('a batch, and one matrix with vectors, at %j', async (flags) => {
    await product([2, 9, 7, 13], flags);
    await product([1, 36, 20, 28], flags);
  });

  it.each(TILES)('tile $m×$n×$k at sizes that fit it and sizes that do not', async (t) => {
    const [plain, , , both] = FLAGS;
    const at = (m: number, k: number, n: number, flags: typeof plain, splits: number): Promise<void> =>
      product([1, m, k, n], flags, cut({ batch: 1, m, n, k }, t, splits));
    await at(t.m, t.k * 3, t.n, plain, 1);
    await at(t.m + 1, t.k * 2 + 3, t.n + 7, both, 3);
    await at(t.m * 2 - 4, t.k * 3 + 4, t.n + 4, both, 1);
  });

  it('a product so large that its loops have a known length', async () => {
    const [m, n, k] = [257, 514, 512];
    const row = Float32Array.from({ length: m * k }, (_, i) => ((i * 7) % 13) - 6);
    const ones = new Float32Array(n * k).fill(0.5);
    const sites = { batch: 1, m, n, k, transA: false, transB: false };
    const [got] = await runModules(matmul(sites, LIMITS)!, [row, ones], [m * n]);
    const wrong = got.findIndex((value, i) => {
      const at = Math.floor(i / n) * k;
      return value !== row.subarray(at, at + k).reduce((sum, v) => sum + v, 0) / 2;
    });
    expect(wrong).toBe(-1);
  });

  it('gives the same bits twice', async () => {
    const size = { batch: 1, m: 50, n: 10, k: 1000, transA: false, transB: false };
    const inputs = [random('a', [1, 50, 1000]), random('b', [1, 1000, 10])];
    const [first] = await run(matmul(size, LIMITS), inputs, [[50, 10]]);
    const [second] = await run(matmul(size, LIMITS), inputs, [[50, 10]]);
    expectSameBits('product', second, first);
  });

  const GEOMETRIES: readonly ConvGeometry[] = [
    { x: [1, 1, 1, 1], kernel: [1, 1], filters: 1 },
    { x: [2, 7, 6, 3], kernel: [3, 3], filters: 5, padding: 1 },
    { x: [2, 9, 7, 3], kernel: [5, 5], filters: 32, padding: 2 },
    { x: [1, 8, 8, 32], kernel: [5, 5], filters: 32, padding: 2 },
    { x: [3, 6, 5, 4], kernel: [3, 3], filters: 8, padding: 1 },
    { x: [2, 5, 4, 8], kernel: [3, 2], filters: 6 },
    { x: [1, 13, 11, 3], kernel: [7, 7], filters: 8, stride: 2, padding: 3 },
    { x: [2, 7, 8, 4], kernel: [5, 5], filters: 4, stride: 2, padding: 2 },
    { x: [2, 5, 5, 32], kernel: [1, 1], filters: 13 },
    { x: [1, 5, 4, 3], kernel: [1, 1], filters: 2, stride: 2 },
    { x: [1, 2, 3, 2], kernel: [1, 1], filters: 2, padding: 1 },
    { x: [2, 8, 7, 3], kernel: [2, 2], filters: 2, stride: 3 },
    { x: [1, 8, 9, 5], kernel: [3, 2], filters: 7, stride: 3 },
    { x: [1, 4, 7, 2], kernel: [3, 5], filters: 3, stride: [1, 2], padding: [1, 2] },
    { x: [2, 6, 8, 3], kernel: [3, 3], filters: 4, stride: 2, padding: 'same' },
    { x: [2, 5, 4, 3], kernel: [2, 2], filters: 3, padding: 'same' },
    { x: [1, 6, 5, 2], kernel: [3, 2], filters: 3, stride: 2, padding: [1, 2, 0, 1] },
    { x: [1, 3, 2, 2], kernel: [2, 2], filters: 3, padding: 3 },
    { x: [1, 3, 2, 2], kernel: [5, 4], filters: 3, padding: 1 },
    { x: [1, 1, 33, 2], kernel: [1, 5], filters: 3, padding: [0, 2] },
    { x: [0, 4, 4, 2], kernel: [3, 3], filters: 3 },
    { x: [1, 2, 9, 4], kernel: [1, 3], filters: 4, stride: 4 },
  ];
  const FUSED = ['alone', 'with bias', 'with bias and relu'] as const;
  const named = GEOMETRIES.map((geometry, i) => {
    const { x, kernel, filters, stride = 1, padding = 'valid' } = geometry;
    const attrs = attrsOf(geometry);
    const sizes = { images: x[0], channels: x[3], filters };
    const shapes = { x, w: weightShape(geometry), g: outputShape(geometry, attrs) };
    const what = `${JSON.stringify(x)} by ${kernel.join('×')} to ${filters}, stride ${stride.toString()}, padding ${padding.toString()}`;
    return { what, attrs, sizes, shapes, fused: FUSED[i % 3], splits: i % 2 === 0 ? 4 : 1 };
  });

  it.each(named)('conv2d, $fused: $what', async ({ attrs, sizes, shapes, fused }) => {
    const bias = fused !== 'alone';
    const relu = fused === 'with bias and relu';
    const inputs = [random('x', shapes.x), random('w', shapes.w)];
    const want = expected('conv2d', inputs, attrs, shapes.g);
    if (bias) {
      const b = random('b', [sizes.filters]);
      inputs.push(b);
      want.data.forEach((value, i) => {
        const sum = value + b.data[i % sizes.filters];
        want.data[i] = relu ? Math.max(0, sum) : sum;
      });
    }
    const [got] = await run(conv2d(attrs, { ...sizes, bias, relu }, LIMITS), inputs, [shapes.g]);
    expectClose('conv2d', got, want, 2e-6, 1);
  });

  it.each(named)('conv2dGradInput: $what', async ({ attrs, sizes, shapes }) => {
    const [g, w] = [random('g', shapes.g), random('w', shapes.w)];
    const [got] = await run(conv2dGradInput(attrs, sizes, LIMITS), [g, w], [shapes.x]);
    expectClose('gradient', got, expected('conv2dGradInput', [g, w], attrs, shapes.x), 2e-6, 1);
  });

  it.each(named)(
    'conv2dGradWeight in at most $splits parts: $what',
    async ({ attrs, sizes, shapes, splits }) => {
      const [x, g] = [random('x', shapes.x), random('g', shapes.g)];
      const choose = (size: ProductSize) => cut(size, chooseTiling(size, LIMITS)!.tile, splits);
      const modules = conv2dGradWeight(attrs, { ...sizes, bias: true }, LIMITS, choose);
      const [got, gotSums] = await run(modules, [x, g], [shapes.w, [sizes.filters]]);
      expectClose('gradient', got, expected('conv2dGradWeight', [x, g], attrs, shapes.w), 3e-6, 1);
      const sums = new Float64Array(sizes.filters);
      g.data.forEach((value, i) => {
        sums[i % sizes.filters] += value;
      });
      const wantSums: HostTensor = { shape: [sizes.filters], dtype: 'f32', data: Float32Array.from(sums) };
      expectClose('bias gradient', gotSums, wantSums, 3e-6, 1);
    },
  );

  it('conv2dGradWeight without the sums', async () => {
    const { attrs, sizes, shapes } = named[1];
    const [x, g] = [random('x', shapes.x), random('g', shapes.g)];
    const [got] = await run(conv2dGradWeight(attrs, sizes, LIMITS), [x, g], [shapes.w]);
    expectClose('gradient', got, expected('conv2dGradWeight', [x, g], attrs, shapes.w), 3e-6, 1);
  });

  it('relu keeps NaN', async () => {
    const attrs = attrsOf({ x: [1, 1, 2, 1], kernel: [1, 1], filters: 1 });
    const of = (...values: number[]): HostTensor => ({
      shape: [values.length],
      dtype: 'f32',
      data: Float32Array.from(values),
    });
    const sizes = { images: 1, channels: 1, filters: 1, bias: true, relu: true };
    const [got] = await run(conv2d(attrs, sizes, LIMITS), [of(NaN, -1), of(1), of(0)], [[2]]);
    expect([...got.data]).toEqual([NaN, 0]);
  });
});
