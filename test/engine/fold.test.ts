import { compile, customGradient, f32, wasm } from 'cyclegrad';
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

it('leaves operations with a derivative of their own in place', async () => {
  const backend = await wasm({ threads: 1, simd: 'plain' });
  const doubled = customGradient({
    name: 'doubled',
    forward: (x) => x.mul(2),
    gradient: ({ grad }) => [grad.mul(2)],
  });
  const layers = nn.sequential({
    conv: nn.conv2d(3, 4, 3, { bias: false }),
    norm: nn.batchNorm(4),
    gelu: nn.gelu(),
    doubled: nn.activation(doubled, 'doubled'),
  });
  const ready = await compile(backend, {
    inputs: { x: f32(2, 5, 5, 3) },
    state: nn.initState(layers, null, 3),
    build: ({ x }, tensors) => {
      const { output } = nn.bind(layers, tensors, { training: false })(x);
      return { outputs: { y: output, folded: foldScales([output])[0] } };
    },
  });
  const data = Float32Array.from({ length: 150 }, (_, i) => Math.sin(i * 1.7));
  const { y, folded } = await ready.run({ x: { shape: [2, 5, 5, 3], dtype: 'f32', data } });
  folded.data.forEach((value, i) => expect(value).toBeCloseTo(y.data[i], 5));
  expect(folded.data).not.toEqual(y.data); // folding rounds elsewhere
  await ready.close();
  await backend.close();
});
