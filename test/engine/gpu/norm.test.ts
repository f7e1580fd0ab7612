/** Batch normalisation in WGSL against the formula in double precision and gpu.js's kernels; skipped where there is no adapter. */
/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { expect, it } from 'vitest';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { batchNorm, batchNormGrad } from '../../../engine/backends/gpu/wgsl/index.ts';
import { compile } from '../../../engine/compile.ts';
import { grad } from '../../../engine/grad.ts';
import { add, batchNorm as normalise, f32, mul, relu, sum } from '../../../engine/ops/index.ts';
import { stream } from '../../../engine/rng.ts';
import { expectClose } from '../compare.ts';
import { testDevice } from './adapter.ts';
import { describeWhere } from './available.ts';

const { describeHere, runModules } = await testDevice();

const random = (name: string, n: number, offset = 0): Float32Array => {
  const draws = stream(13, name);
  return Float32Array.from({ length: n }, () => offset + 2 * draws.uniform() - 1);
};

const EPSILON = 1e-5;

/** Rows and channels: less than a workgroup of either, more, and neither a multiple of anything. */
const SIZES = [
  [1, 1],
  [2, 3],
  [5, 130],
  [100, 4],
  [67, 65],
  [1030, 16],
  [20_000, 3],
  [70_000, 1],
] as const;

describeHere('batch normalisation', () => {
  const close = (what: string, got: Float32Array, want: readonly number[], tolerance: number): void =>
    expectClose(
      what,
      { shape: [got.length], dtype: 'f32', data: got },
      { shape: [got.length], dtype: 'f32', data: Float32Array.from(want) },
      tolerance,
    );
  const perChannel = (channels: number, of: (channel: number) => number): number[] =>
    Array.from({ length: channels }, (_, channel) => of(channel));

  it.each(SIZES)('%i rows of %i channels, with all its options', async (rows, channels) => {
    const n = rows * channels;
    const [gamma, beta, added] = [random('gamma', channels), random('beta', channels), random('added', n)];
    for (const offset of [0, 3000]) {
      const x = random('x', n, offset);
      const sumOf = (of: (value: number) => number, channel: number): number => {
        let total = 0;
        for (let i = channel; i < n; i += channels) total += of(x[i]);
        return total;
      };
      const mean = perChannel(channels, (c) => sumOf((v) => v, c) / rows);
      const variance = perChannel(channels, (c) => sumOf((v) => (v - mean[c]) ** 2, c) / rows);
      for (const affine of [false, true]) {
        for (const residual of [false, true]) {
          const options = { rows, channels, epsilon: EPSILON, affine, residual, relu: residual };
          const inputs = [x, ...(affine ? [gamma, beta] : []), ...(residual ? [added] : [])];
          const [y, m, v] = await runModules(batchNorm(options)!, inputs, [n, channels, channels]);
          const want = Array.from(x, (value, i) => {
            const c = i % channels;
            const normal = (value - mean[c]) / Math.sqrt(variance[c] + EPSILON);
            const result = (affine ? normal * gamma[c] + beta[c] : normal) + (residual ? added[i] : 0);
            return residual ? Math.max(result, 0) : result;
          });
          close('mean', m, mean, 2e-5); // of means that are small beside what they are of
          close('variance', v, variance, 1e-5);
          // The mean's own rounding, in units of a deviation.
          close('y', y, want, offset === 0 ? 1e-5 : 2e-3);
        }
      }
    }
  });

  it.each(SIZES)('the gradient of %i rows of %i channels', async (rows, channels) => {
    const n = rows * channels;
    const [g, x, gamma] = [random('g', n), random('x', n, 0.5), random('gamma', channels)];
    const mean = random('mean', channels);
    const variance = random('variance', channels, 1.5);
    const deviation = (c: number): number => Math.sqrt(variance[c] + EPSILON);
    const sums = perChannel(channels, () => 0);
    const products = perChannel(channels, () => 0);
    g.forEach((value, i) => {
      const c = i % channels;
      sums[c] += value;
      products[c] += (value * (x[i] - mean[c])) / deviation(c);
    });
    for (const affine of [false, true]) {
      const inputs = [g, x, mean, variance, ...(affine ? [gamma] : [])];
      const modules = batchNormGrad({ rows, channels, epsilon: EPSILON, affine })!;
      const [dx, dGamma, dBeta] = await runModules(modules, inputs, [n, channels, channels]);
      const want = Array.from(g, (value, i) => {
        const c = i % channels;
        const normal = (x[i] - mean[c]) / deviation(c);
        const scale = (affine ? gamma[c] : 1) / deviation(c);
        return scale * (value - sums[c] / rows - (normal * products[c]) / rows);
      });
      // Sums of many numbers of both signs: as exact as what was added.
      const size = Math.sqrt(rows);
      close(
        'gamma',
        dGamma.map((v) => v / size),
        products.map((v) => v / size),
        2e-6,
      );
      close(
        'beta',
        dBeta.map((v) => v / size),
        sums.map((v) => v / size),
        2e-6,
      );
      close('dx', dx, want, 1e-5);
    }
  });
});

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  it('is what gpu.js makes of it, in the step and in its gradient', async () => {
    const [rows, channels] = [600, 12];
    const feeds = {
      x: random('x', rows * channels, 1),
      other: random('other', rows * channels),
      gamma: random('gamma', channels, 1),
      beta: random('beta', channels),
    };
    const results = [];
    for (const overrides of [true, false]) {
      const backend = await gpu({ mode: 'webgpu', overrides });
      const step = await compile(backend, {
        inputs: {
          x: f32(rows, channels),
          other: f32(rows, channels),
          gamma: f32(channels),
          beta: f32(channels),
        },
        build: ({ x, other, gamma, beta }) => {
          // Of what nobody else reads, so that its gradient takes its place.
          const { y, mean, variance } = normalise(mul(x, 2), { gamma, beta });
          const result = relu(add(y, other));
          const [dx, dGamma, dBeta] = grad(sum(mul(result, result)), [x, gamma, beta]);
          return { outputs: { result, mean, variance, dx, dGamma, dBeta } };
        },
      });
      expect(String(step.plan).includes('batchNormGrad: statistics')).toBe(overrides);
      expect(String(step.plan).includes('batchNorm: statistics')).toBe(overrides);
      const { steps, bufferOf } = step.plan;
      const norm = steps.find(({ op }) => op === 'batchNormGrad')!;
      expect(norm.inputs.slice(0, 2).map((v) => bufferOf[v])).toContain(bufferOf[norm.outputs[0]]);
      results.push(await step.run(feeds));
      await step.close();
      await backend.close();
    }
    const [own, generated] = results;
    for (const name of Object.keys(own) as (keyof Exclude<typeof own, undefined>)[]) {
      expectClose(name, own[name], generated[name], 1e-5);
    }
  });
});
