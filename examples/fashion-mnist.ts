// Fashion-MNIST with a small convolutional network, one cycle of the learning rate, and mirror images.
// Arguments: the number of steps (default 2800), the seed (default 1) and the number of threads (default: one for each core).
// It finds the files of Debian's package dataset-fashion-mnist, or downloads them.
import { evaluate, fit, progressBar, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { flip } from 'cyclegrad/augment';
import { channelStats, fashionMnist, loader } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const [stepsText = '2800', seedText = '1', threadsText = ''] = process.argv.slice(2);
const steps = Number(stepsText);
const { train, test } = await fashionMnist();
const { mean, std } = channelStats(train);

const block = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({
    conv: nn.conv2d(inputs, outputs, 3, { padding: 'same', bias: false }),
    norm: nn.batchNorm(outputs),
    relu: nn.relu(),
  });
const model = nn.sequential({
  input: nn.normalize(mean, { std }),
  block1: block(1, 32),
  pool1: nn.maxPool2d(2),
  block2: block(32, 64),
  pool2: nn.maxPool2d(2),
  block3: block(64, 128),
  pool3: nn.maxPool2d(2),
  flatten: nn.flatten(),
  head: nn.dense(3 * 3 * 128, 10),
});

const backend = await wasm(threadsText === '' ? {} : { threads: Number(threadsText) });
const { accuracy, state } = await fit({
  model,
  backend,
  steps,
  seed: Number(seedText),
  data: loader(train, { batchSize: 128, augment: [flip()] }),
  eval: { data: test, every: steps, batchSize: 500 },
  optimizer: sgd({
    lr: oneCycle({ max: 0.1, steps }),
    momentum: 0.9,
    nesterov: true,
    weightDecay: 5e-4,
  }),
  listeners: [progressBar()],
});
const mirrored = nn.withViews(model, [(x) => x, (x) => x.flip(2)]);
const { metrics } = await evaluate({ model: mirrored, state, data: test, backend, batchSize: 500 });
await backend.close();
console.log(`test accuracy ${accuracy}, with mirror images ${metrics['accuracy']}`);
