// Image classification from a folder with one subfolder for each class.
// Arguments: the folder, the size in pixels (default 32) and the number of steps (default 300), for instance `~/pets 64 500`.
// Without a folder it trains on synthetic images.
import { fit, predict, progressBar, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { channelStats, imageFolder, loader, split, synthetic, targets } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const [folder = '', sizeText = '32', stepsText = '300'] = process.argv.slice(2);
const size = Number(sizeText);
const steps = Number(stepsText);
const all =
  folder === ''
    ? synthetic({ kind: 'images', n: 500, classes: 3, height: size })
    : await imageFolder(folder, { height: size, width: size });
const [train, test] = split(all, Math.round(0.8 * all.length), { seed: 1 });
const { mean, std } = channelStats(train);

const block = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({
    conv: nn.conv2d(inputs, outputs, 3, { padding: 'same', bias: false }),
    norm: nn.batchNorm(outputs),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
  });
const model = nn.sequential({
  input: nn.normalize(mean, { std }), // from bytes; part of the model, so a checkpoint contains it
  block1: block(3, 16),
  block2: block(16, 32),
  block3: block(32, 64),
  pool: nn.globalAvgPool2d(),
  head: nn.dense(64, all.classes.length),
});

const backend = await wasm();
const { state, accuracy } = await fit({
  model,
  backend,
  steps,
  data: loader(train, {
    batchSize: Math.min(32, train.length),
    // A flip would change the direction of the waves, which is the class of the synthetic images.
    augment: { crop: Math.floor(size / 8), flip: folder !== '' },
  }),
  eval: { data: test, every: 100 },
  optimizer: sgd({ lr: oneCycle({ max: 0.1, steps }), momentum: 0.9, weightDecay: 5e-4 }),
  listeners: [progressBar()],
});

const { classes } = await predict({ model, state, data: test, backend });
const labels = targets(test);
for (const [label, name] of all.classes.entries()) {
  const examples = [...labels.keys()].filter((i) => labels[i] === label);
  const correct = examples.filter((i) => classes[i] === label);
  console.log(`class ${name}: ${correct.length} of ${examples.length} correct`);
}
console.log(`test accuracy ${accuracy}`);
await backend.close();
