// Attention on slices: q, k and v are read in the result of one dense layer, and their gradients written into one array.

/* oxlint-disable vitest/expect-expect -- the helpers assert */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile, type Compiled } from '../../engine/compile.ts';
import { grad } from '../../engine/grad.ts';
import { attention, concat, f32, mul, slice, split, sum } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { expectSameBitsByName } from './compare.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 2 });
});
afterAll(async () => {
  await backend.close();
});

const [N, T, W] = [3, 21, 16];

type Build = (x: Tensor) => Tensor;

/** The value of `build` at x [N, T, 3 W], and its gradient, in plans with fusions and without. */
async function bothWays(build: Build): Promise<string[]> {
  const make = (fuse: boolean): Promise<Compiled> =>
    compile(backend, {
      fuse,
      inputs: { x: f32(N, T, 3 * W), weights: f32(N, T, W) },
      build({ x, weights }) {
        const y = build(x);
        const [dx] = grad(sum(mul(y, weights)), [x]);
        return { outputs: { y, dx } };
      },
    });
  const draws = stream(1, 'attention on slices');
  const normal = (n: number) => Float32Array.from({ length: n }, () => draws.normal());
  const feeds = { x: normal(N * T * 3 * W), weights: normal(N * T * W) };
  const [fused, plain] = [await make(true), await make(false)];
  expectSameBitsByName('fused and not', await fused.run(feeds), await plain.run(feeds));
  const steps = fused.plan.steps.map(({ op }) => op);
  await fused.close();
  await plain.close();
  return steps;
}

const parts = (x: Tensor): [Tensor, Tensor, Tensor] => split(x, 3, -1) as [Tensor, Tensor, Tensor];

describe('attention on slices', () => {
  it.each([false, true])('needs no copies (causal: %s)', async (causal) => {
    const steps = await bothWays((x) => attention(...parts(x), { heads: 2, causal }));
    expect(steps.filter((op) => op !== 'mul' && op !== 'broadcastTo')).toEqual([
      'slicedAttention',
      'slicedAttentionGrad',
    ]);
  });

  it('works with parts in another order', async () => {
    const steps = await bothWays((x) => {
      const [v, q, k] = parts(x);
      return attention(q, k, v, { heads: 4 });
    });
    expect(steps).toContain('slicedAttentionGrad');
    expect(steps).not.toContain('concat');
  });

  it('keeps the sum of gradients if a part is used twice', async () => {
    const steps = await bothWays((x) => {
      const [q, , v] = parts(x);
      return attention(q, q, v, { heads: 2 });
    });
    expect(steps).toContain('slicedAttentionGrad');
    expect(steps.some((op) => op === 'pad' || op === 'concat')).toBe(true);
  });

  it('works if only some operands are slices', async () => {
    const steps = await bothWays((x) => {
      const [q, k, v] = parts(x);
      return attention(mul(q, 2), k, v, { heads: 2 });
    });
    expect(steps).toContain('slicedAttention');
  });

  it('leaves slices that others read, and slices of tokens', async () => {
    const read = await bothWays((x) => {
      const [q, k, v] = parts(x);
      return mul(attention(q, k, v, { heads: 2 }), k);
    });
    expect(read).toContain('attention');
    const tokens = await bothWays((x) => {
      const [q, k, v] = parts(x);
      const some = (t: Tensor): Tensor => slice(t, [null, { begin: 1 }, null]);
      return concat([attention(some(q), some(k), some(v)), slice(q, [null, { end: 1 }, null])], 1);
    });
    expect(tokens).toContain('slice');
  });
});
