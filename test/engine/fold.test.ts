import { compile, f32, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { expect, it } from 'vitest';
import { foldScales } from '../../engine/fold.ts';
import { normalized as model } from '../nn/normalized.ts';

it('leaves no product of the size of a convolution', async () => {
  const backend = await wasm({ threads: 1, simd: 'plain' });
  const ready = await compile(backend, {
    inputs: { x: f32(2, 11, 11, 3) },
    state: nn.initState(model, null, 3),
    constantState: true,
    build: ({ x }, tensors) => {
      const { output } = nn.bind(model, tensors, { training: false })(x);
      return { outputs: { y: foldScales([output])[0] } };
    },
  });
  const { steps, constantSteps } = ready.plan;
  const names = steps.slice(constantSteps).map(({ op }) => op);
  expect(names).toEqual([
    'conv2dBias',
    'conv2dBias',
    'conv2dBias',
    'sum',
    'div',
    'matmul',
    'add',
    'matmul',
    'add',
  ]);
  await ready.close();
  await backend.close();
});
