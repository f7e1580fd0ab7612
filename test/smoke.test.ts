// The engine from end to end in seconds: read this first, and run it first.

import { afterAll, describe, expect, it } from 'vitest';
import {
  add,
  compile,
  crossEntropy,
  f32,
  grad,
  i32,
  key,
  matmul,
  mul,
  permutation,
  reference,
  stream,
  sub,
  sum,
  tensor,
  wasm,
  type State,
  dropout,
  tanh,
  accuracy,
} from 'cyclegrad';

describe('exploring', () => {
  it('builds, evaluates and differentiates', async () => {
    const w = tensor([
      [1, 2],
      [3, 4],
    ]);
    const x = tensor([[1, -1]]);
    const loss = sum(x.matmul(w).pow(2)); // ‖x·w‖² = (−2)² + (−2)²
    const [g] = grad(loss, [w]);
    expect(await loss.array()).toBe(8);
    expect(await g.array()).toEqual([
      [-4, -4],
      [4, 4],
    ]);
  });

  it('draws the same random numbers everywhere', () => {
    expect(permutation(6, 1, 'order')).toEqual(permutation(6, 1, 'order'));
    expect(stream(1, 'weights').normal()).toBe(stream(1, 'weights').normal());
  });
});

/** Three classes of points around three centres. */
function points(count: number): { x: Float32Array; y: Int32Array } {
  const draws = stream(1, 'points');
  const x = new Float32Array(count * 2);
  const y = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    y[i] = i % 3;
    const angle = (y[i] * 2 * Math.PI) / 3;
    x[2 * i] = 2 * Math.cos(angle) + draws.normal();
    x[2 * i + 1] = 2 * Math.sin(angle) + draws.normal();
  }
  return { x, y };
}

function initialState(): State {
  const draws = stream(1, 'initial weights');
  const random = (...shape: number[]) => ({
    shape,
    dtype: 'f32' as const,
    data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.5 * draws.normal()),
  });
  const zero = (...shape: number[]) => ({
    ...random(...shape),
    data: new Float32Array(shape.reduce((a, b) => a * b)),
  });
  return {
    w1: random(2, 16),
    b1: zero(16),
    w2: random(16, 3),
    b2: zero(3),
    v1: zero(2, 16),
    v2: zero(16, 3),
  };
}

describe.each([
  ['reference', () => Promise.resolve(reference())],
  ['wasm, 2 threads', () => wasm({ threads: 2 })],
] as const)('training by hand on %s', (_, make) => {
  const backend = make();
  afterAll(async () => (await backend).close());

  it('momentum SGD on a compiled step learns three clouds of points', async () => {
    const step = await compile(await backend, {
      inputs: { x: f32(60, 2), y: i32(60) },
      hyper: ['lr'],
      state: initialState(),
      build({ x, y, hyper, step: at }, { w1, b1, w2, b2, v1, v2 }) {
        const h = dropout(tanh(add(matmul(x, w1), b1)), 0.1, key(1, 'mask'), at);
        const logits = add(matmul(h, w2), b2);
        const loss = crossEntropy(logits, y);
        const [g1, gb1, g2, gb2] = grad(loss, [w1, b1, w2, b2]);
        const lr = hyper['lr'];
        const velocity1 = add(mul(v1, 0.9), mul(g1, lr));
        const velocity2 = add(mul(v2, 0.9), mul(g2, lr));
        return {
          outputs: { loss, accuracy: accuracy(logits, y) },
          next: {
            w1: sub(w1, velocity1),
            v1: velocity1,
            w2: sub(w2, velocity2),
            v2: velocity2,
            b1: sub(b1, mul(gb1, lr)),
            b2: sub(b2, mul(gb2, lr)),
          },
        };
      },
    });
    const { x, y } = points(60);
    const losses: number[] = [];
    for (let at = 0; at < 150; at++) {
      const lr = 0.02 + 0.08 * (1 - Math.abs((at % 50) / 25 - 1)); // a triangle: 0.02 up to 0.1 and back
      // oxlint-disable-next-line no-await-in-loop -- training is a sequence
      const { loss } = await step.run({ x, y, lr, step: at });
      losses.push(loss.data[0]);
    }
    expect(losses[0]).toBeGreaterThan(0.8);
    expect(losses.at(-1)).toBeLessThan(0.4);

    // Another executable on the same weights: evaluation of one point.
    const look = await compile(await backend, {
      inputs: { x: f32(1, 2), y: i32(1) },
      state: step.store,
      build: ({ x: one, y: label }, { w1, b1, w2, b2 }) => ({
        outputs: {
          loss: crossEntropy(add(matmul(tanh(add(matmul(one, w1), b1)), w2), b2), label, {
            reduction: 'none',
          }),
        },
      }),
    });
    const at = (label: number) => look.run({ x: Float32Array.of(2.5, 0), y: Int32Array.of(label) });
    expect((await at(0))['loss'].data[0]).toBeLessThan((await at(1))['loss'].data[0]);
    await look.close();
    await step.close();
  });
});
