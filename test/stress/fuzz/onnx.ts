/** ONNX files: `fromOnnx` on damaged files, and the graphs of those that it reads. */
import { tensor, zeros } from 'cyclegrad';
import { fromOnnx, toOnnx } from 'cyclegrad/interop';
import * as nn from 'cyclegrad/nn';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { damage } from './values.ts';

const model = nn.sequential({
  conv: nn.conv2d(2, 4, 3, { padding: 1 }),
  norm: nn.batchNorm(4),
  relu: nn.relu(),
  pool: nn.maxPool2d(2),
  flat: nn.flatten(),
  fc: nn.dense(16, 3),
});
const bytes = toOnnx(model, nn.initState(model, null, 1), { input: [4, 4, 2] });

export const onnx: FuzzTarget = {
  name: 'onnx',
  async run(random) {
    const read = await valueOrRefusal(['fromOnnx'], async () => fromOnnx(damage(random, await bytes)));
    claimPrototypeIntact();
    if (read === undefined) return;
    for (const [name, { shape, data }] of Object.entries(read.state)) {
      claim(data.length === shape.reduce((a, b) => a * b, 1), () => `'${name}' has ${data.length} elements`);
    }
    const state = Object.fromEntries(
      Object.entries(read.state).map(([name, { shape, data }]) => [name, tensor(data, { shape })]),
    );
    const x = zeros([2, 4, 4, 2]);
    await valueOrRefusal(['fromOnnx'], () => nn.bind(read.model, state, { training: false })(x).output);
  },
};
