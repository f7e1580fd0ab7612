// Regression: a small network fits a noisy sine through 200 points.
// The argument is the number of steps (default 3000).
import { fit, forward, meanSquaredError, stream, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { arrays, loader } from 'cyclegrad/datasets';
import { adam } from 'cyclegrad/optim';
import { cosine } from 'cyclegrad/schedulers';

const steps = Number(process.argv[2] ?? 3000);
const draws = stream(1, 'points');
const x = Float32Array.from({ length: 200 }, () => 6 * draws.uniform() - 3);
const y = x.map((at) => Math.sin(2 * at) + 0.1 * draws.normal());

const model = nn.sequential({ hidden: nn.dense(1, 32), act: nn.tanh(), out: nn.dense(32, 1) });
const backend = await wasm({ threads: 1 });
const { state, loss } = await fit({
  model,
  backend,
  steps,
  data: loader(arrays({ shape: [200, 1], data: x }, { shape: [200, 1], data: y }), { batchSize: 40 }),
  // A loss for each example, of which the trainer takes the mean.
  loss: meanSquaredError,
  optimizer: adam({ lr: cosine({ max: 0.02, steps }) }),
});
console.log(`mean squared error of the last batch ${loss?.toFixed(4)} (the variance of the noise is 0.0100)`);

const at = Float32Array.from({ length: 13 }, (_, i) => i / 2 - 3);
const curve = await forward({ model, state, backend, data: { shape: [13, 1], dtype: 'f32', data: at } });
for (const [i, value] of curve.data.entries()) {
  console.log(`${at[i].toFixed(1).padStart(5)} ${' '.repeat(Math.round(20 + 18 * value))}*`);
}
await backend.close();
