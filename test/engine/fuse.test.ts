// Fusion changes how a plan is computed, not what: fused and unfused plans agree, and the expected steps are there.

/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile, type Compiled } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import {
  add,
  avgPool2d,
  batchNorm,
  conv2d,
  f32,
  i32,
  maxPool2d,
  mean,
  mul,
  relu,
  crossEntropy,
  sub,
  sum,
} from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import type { State } from '../../engine/types.ts';
import { expectClose } from './compare.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 2 });
});
afterAll(async () => {
  await backend.close();
});

function random(seed: number, shape: readonly number[], scale = 1): State[string] {
  const draws = stream(seed, 'fuse');
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, dtype: 'f32', data: Float32Array.from({ length: size }, () => draws.normal() * scale) };
}

const initial = (kernel: number): State => ({
  w1: random(1, [kernel, kernel, 3, 13], 0.3),
  b1: random(2, [13]),
  w2: random(3, [kernel, kernel, 13, 10], 0.2),
  b2: random(4, [10]),
});

/** conv, max pool, relu, conv, relu, average pool, mean: the shape of Caffe's network. */
function network(kernel: number, stride: number, fuse: boolean): Promise<Compiled> {
  return compile(backend, {
    fuse,
    inputs: { x: f32(6, 15, 17, 3), y: i32(6) },
    state: initial(kernel),
    build({ x, y }, state) {
      const first = add(conv2d(x, state.w1, { padding: 'same', stride }), state.b1);
      const second = relu(maxPool2d(first, 3, { stride: 2, ceil: true }));
      const third = relu(add(state.b2, conv2d(second, state.w2, { padding: 'same' })));
      const fourth = avgPool2d(third, 3, {
        stride: stride === 1 ? 2 : 1,
        padding: stride === 1 ? 0 : 1,
        ceil: true,
      });
      const loss = crossEntropy(mean(fourth, [1, 2]), y);
      const names = Object.keys(state);
      const gradients = grad(
        loss,
        names.map((name) => state[name]),
      );
      return {
        outputs: { loss, ...Object.fromEntries(names.map((name, i) => [`d ${name}`, gradients[i]])) },
        next: Object.fromEntries(names.map((name, i) => [name, sub(state[name], mul(gradients[i], 0.1))])),
      };
    },
  });
}

const feeds = {
  x: random(9, [6, 15, 17, 3]),
  y: Int32Array.of(0, 1, 2, 3, 4, 0),
};

describe('fusion', () => {
  it.each([
    ['Winograd, 5×5', 5, 1],
    ['Winograd, 3×3', 3, 1],
    ['direct, stride 2', 5, 2],
  ])('agrees with the unfused plan: %s', async (_, kernel, stride) => {
    const plain = await network(kernel, stride, false);
    const fused = await network(kernel, stride, true);
    const expected = await plain.run(feeds);
    const got = await fused.run(feeds);
    for (const [name, value] of Object.entries(expected)) expectClose(name, got[name], value, 2e-5);
    const [a, b] = [await plain.store.read(), await fused.store.read()];
    for (const [name, value] of Object.entries(a)) expectClose(name, b[name], value, 2e-5);
    await plain.close();
    await fused.close();
  });

  it('finds every pattern of the network, and nothing when switched off', async () => {
    const fused = await network(5, 1, true);
    const ops = fused.plan.steps.map(({ op }) => op);
    const count = (name: string): number => ops.filter((op) => op === name).length;
    expect({
      conv2dBias: count('conv2dBias'),
      conv2dMaxPool: count('conv2dMaxPool'),
      conv2dGradWeightBias: count('conv2dGradWeightBias'),
      conv2dMaxPoolGradWeight: count('conv2dMaxPoolGradWeight'),
      avgPool2dReluGrad: count('avgPool2dReluGrad'),
    }).toEqual({
      conv2dBias: 1,
      conv2dMaxPool: 1,
      conv2dGradWeightBias: 1,
      conv2dMaxPoolGradWeight: 1,
      avgPool2dReluGrad: 1,
    });
    expect(ops.some((op) => /^(relu|conv2d$|maxPool2d)/.test(op))).toBe(false);
    await fused.close();

    const plain = await network(5, 1, false);
    expect(plain.plan.steps.some(({ op }) => /^conv2d(Bias|MaxPool)|^maxPool2d(Relu|Argmax)/.test(op))).toBe(
      false,
    );
    await plain.close();
  });

  it.each([
    { both: false, affine: true, channels: 6 },
    { both: true, affine: true, channels: 20 },
    { both: false, affine: false, channels: 16 },
  ])(
    'takes sum and relu into the normalisation before them, and relu into its gradient: $both, $affine, $channels',
    async ({ both, affine, channels }) => {
      const block = (fuse: boolean): Promise<Compiled> =>
        compile(backend, {
          fuse,
          inputs: { x: f32(2, 5, 7, channels) },
          state: {
            gamma: random(1, [channels]),
            beta: random(2, [channels]),
            mean: random(3, [channels]),
            w: random(4, [1, 1, channels, channels]),
          },
          build({ x }, { gamma, beta, mean: running, w }) {
            const parameters = affine ? { gamma, beta } : {};
            const first = batchNorm(conv2d(x, w), parameters);
            const second = batchNorm(conv2d(relu(first.y), w), parameters);
            const shortcut = both ? batchNorm(x).y : x;
            const y = relu(add(second.y, shortcut));
            const [dx, dw, ...rest] = grad(sum(mul(y, y)), [x, w, ...(affine ? [gamma, beta] : [])]);
            return {
              outputs: { y, dx, dw, ...Object.fromEntries(rest.entries()) },
              next: { mean: add(mul(running, 0.9), first.mean) },
            };
          },
        });
      const plain = await block(false);
      const fused = await block(true);
      const ops = fused.plan.steps.map(({ op }) => op).filter((op) => op === 'batchNorm' || op === 'relu');
      expect(ops).toEqual(both ? ['batchNorm'] : []);
      // That of the second normalisation has a relu after the sum, which others wait for too.
      expect(fused.plan.steps.filter(({ op }) => op === 'batchNormActGrad')).toHaveLength(1);
      const x = random(5, [2, 5, 7, channels]);
      const [expected, got] = [await plain.run({ x }), await fused.run({ x })];
      expect(got).toEqual(expected);
      expect(await fused.store.read()).toEqual(await plain.store.read());
      await plain.close();
      await fused.close();
    },
  );

  it('leaves alone what somebody else reads', async () => {
    const compiled = await compile(backend, {
      inputs: { x: f32(1, 6, 6, 4) },
      state: { w: random(1, [3, 3, 4, 4]), b: random(2, [4]) },
      build({ x }, { w, b }) {
        const raw = conv2d(x, w);
        const shifted = add(raw, b);
        return { outputs: { total: sum(raw), shifted, positive: relu(shifted) } };
      },
    });
    // conv2d is read twice, so the bias stays out of it; what follows is one chain with two results.
    expect(compiled.plan.steps.map(({ op }) => op).filter((op) => op !== 'sum')).toEqual([
      'conv2d',
      'elementwise',
    ]);
    const { shifted, positive } = await compiled.run({ x: random(3, [1, 6, 6, 4]) });
    expect([...positive.data]).toEqual([...shifted.data].map((v) => Math.max(v, 0)));
    await compiled.close();
  });
});
