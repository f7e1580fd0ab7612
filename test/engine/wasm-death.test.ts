// A worker that dies in the middle of a run. Positions of a pooling are made by the engine alone and are not checked, so
// feeding absurd ones makes a kernel touch memory that does not exist.
import { expect, it } from 'vitest';
import { compile } from '../../engine/compile.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { f32, i32 } from '../../engine/ops/index.ts';
import { maxPool2dGradOp } from '../../engine/ops/primitives/pool.ts';

const geometry = {
  kernel: [1, 1],
  stride: [1, 1],
  pad: [0, 0, 0, 0],
  input: [2, 2],
  output: [2, 2],
  insideOnly: false,
} as const;

it('a dead worker is an error, not a hang, and later runs say the same', async () => {
  const backend = await wasm({ threads: 3 });
  const step = await compile(backend, {
    inputs: { g: f32(6, 2, 2, 1), at: i32(6, 2, 2, 1) },
    build: ({ g, at }) => ({ outputs: { dx: maxPool2dGradOp([g, at], geometry)[0] } }),
  });
  const g = new Float32Array(24).fill(1);
  const at = Int32Array.from({ length: 24 }, (_, i) => i % 4);
  expect([...(await step.run({ g, at })).dx.data]).toEqual([...g]);

  at[9] = 500_000_000;
  const message = /^wasm: worker \d of 3 ended: memory access out of bounds \(make a new backend\)$/;
  await expect(step.run({ g, at })).rejects.toThrow(message);
  await expect(step.run({ g, at })).rejects.toThrow(message);
  await step.close();
  await backend.close();

  const next = await wasm({ threads: 2 });
  await next.close();
});
