// Transfer learning: pretrained weights, frozen layers, early stopping and a confusion matrix.
// The convolutions of a network for ten classes of synthetic images are reused for six other classes with few examples.
// The argument is the number of pretraining steps (default 300).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bestPath, fit, loadCheckpoint, loadTensors, predict, saveTensors, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { channelStats, loader, split, synthetic, targets } from 'cyclegrad/datasets';
import { adam } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const steps = Number(process.argv[2] ?? 300);
const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-transfer-')); // your runs would have a permanent folder
const weights = join(folder, 'body.safetensors');
const many = synthetic({ kind: 'images', n: 3000, classes: 10, height: 12, noise: 1, seed: 1 });
const [test, few] = split(
  synthetic({ kind: 'images', n: 600, classes: 6, height: 12, noise: 1, seed: 2 }),
  500,
);
const { mean, std } = channelStats(many);

const body = (): nn.Layer =>
  nn.sequential({
    input: nn.normalize(mean, { std }),
    conv1: nn.conv2d(3, 8, 3, { padding: 'same' }),
    relu1: nn.relu(),
    pool1: nn.maxPool2d(2),
    conv2: nn.conv2d(8, 16, 3, { padding: 'same' }),
    relu2: nn.relu(),
    pool2: nn.globalAvgPool2d(),
  });

const backend = await wasm({ threads: 1 });
const first = nn.sequential({ body: body(), head: nn.dense(16, 10) });
const { state } = await fit({
  model: first,
  backend,
  steps,
  data: loader(many, { batchSize: 50 }),
  optimizer: adam({ lr: oneCycle({ max: 0.02, steps }) }),
});
const kept = nn.parameters(first, 'body').map(({ name }) => [name, state[name]] as const);
await saveTensors(weights, Object.fromEntries(kept));

const control = new AbortController();
let [best, since] = [0, 0];
const model = nn.freeze(nn.sequential({ body: body(), head: nn.dense(16, 6) }), ['body']);
const result = await fit({
  model,
  backend,
  steps: 10 * steps,
  data: loader(few, { batchSize: 20 }),
  eval: { data: test, every: 20 },
  initial: await loadTensors(weights),
  optimizer: adam({ lr: 0.02 }),
  checkpoint: { dir: join(folder, 'run'), every: 1000, best: true },
  signal: control.signal,
  listeners: [
    (event) => {
      if (event.type !== 'eval') return;
      const { accuracy = 0 } = event.metrics;
      since = accuracy > best ? 0 : since + 1;
      best = Math.max(best, accuracy);
      if (since === 8) control.abort();
    },
  ],
});
console.log(
  `stopped after ${result.step} of ${10 * steps} steps, best evaluation at step ${result.best!.step}`,
);

// Rows are classes, columns are predictions.
const found = await loadCheckpoint(bestPath(join(folder, 'run')));
const { classes } = await predict({ model, state: found.state, data: test, backend });
const confusion = test.classes.map(() => test.classes.map(() => 0));
targets(test).forEach((label, i) => confusion[label][classes[i]]++);
console.log(confusion.map((row) => row.map((n) => String(n).padStart(4)).join('')).join('\n'));
console.log(`test accuracy ${result.best!.metrics['accuracy']}`);
await backend.close();
rmSync(folder, { recursive: true });
