import { compile, f32, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { expect, it } from 'vitest';
import { foldScales } from '../../engine/fold.ts';

/** Every kind of convolution before a batch normalization, with and without a bias. */
const model = nn.sequential({
  conv: nn.conv2d(3, 8, 3, { padding: 'same', bias: false }),
  norm: nn.batchNorm(8),
  relu: nn.relu(),
  strided: nn.conv2d(8, 8, 3, { stride: 2 }),
  norm2: nn.batchNorm(8),
  depthwise: nn.conv2d(8, 8, 3, { padding: 'same', groups: 8 }),
  norm3: nn.batchNorm(8, { form: 'caffe' }),
  relu3: nn.relu(),
  pool: nn.globalAvgPool2d(),
  dense: nn.dense(8, 6),
  norm4: nn.batchNorm(6, { affine: false }),
  out: nn.dense(6, 4),
});

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
