// Cyclical learning rates on CIFAR-10: the network and the schedule of the paper's Table 2.
// The argument is the number of steps (default 25,000). The first run downloads CIFAR-10 (170 MB). A stopped run resumes.
import { fit, progressBar, report, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { cifar10, loader, meanImage } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR, join } from 'cyclegrad/schedulers';

const { train, test } = await cifar10();
const norm = nn.lrn({ region: 'within-channel', size: 3, alpha: 5e-5, beta: 0.75 });
const model = nn.sequential({
  input: nn.normalize(meanImage(train)),
  conv1: nn.conv2d(3, 32, 5, { padding: 'same', init: nn.init.normal(1e-4), bias: { lrMult: 2 } }),
  pool1: nn.maxPool2d(3, 2, { ceil: true }),
  relu1: nn.relu(),
  norm1: norm,
  conv2: nn.conv2d(32, 32, 5, { padding: 'same', init: nn.init.normal(0.01), bias: { lrMult: 2 } }),
  relu2: nn.relu(),
  pool2: nn.avgPool2d(3, 2, { ceil: true }),
  norm2: norm,
  conv3: nn.conv2d(32, 64, 5, { padding: 'same', init: nn.init.normal(0.01) }),
  relu3: nn.relu(),
  pool3: nn.avgPool2d(3, 2, { ceil: true }),
  flat: nn.flatten(),
  fc: nn.dense(1024, 10, { init: nn.init.normal(0.01), decayMult: 250, bias: { lrMult: 2, decayMult: 0 } }),
});
const lr = join(
  [
    cyclicLR({ base: 1e-3, max: 5e-3, stepSize: 2000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-4, max: 5e-4, stepSize: 1000, mode: 'triangular2' }),
    cyclicLR({ base: 1e-5, max: 5e-5, stepSize: 500, mode: 'triangular2' }),
  ],
  [16_000, 22_000, 25_000],
);
const result = await fit({
  model,
  backend: await wasm(),
  steps: Number(process.argv[2] ?? 25_000),
  seed: 1,
  data: loader(train, { batchSize: 100, shuffle: false }),
  eval: { data: test, every: 1000 },
  optimizer: sgd({ lr, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
  checkpoint: { dir: 'runs/clr', every: 1000, resume: true },
  listeners: [progressBar(), report('runs/clr')],
});
console.log(`test accuracy ${result.accuracy}`);
