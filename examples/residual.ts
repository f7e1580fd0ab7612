// A residual network with batch normalization on synthetic images, and its summary.
// The argument is the number of steps (default 400).
import { f32, fit, progressBar, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { channelStats, loader, split, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const steps = Number(process.argv[2] ?? 400);
const plain = { bias: false } as const; // batch normalization subtracts it

/** Two convolutions with a shortcut, which is a 1×1 convolution if the size changes. */
function block(inputs: number, outputs: number, stride: number): nn.Layer {
  const main = nn.sequential({
    conv1: nn.conv2d(inputs, outputs, 3, { padding: 'same', stride, ...plain }),
    norm1: nn.batchNorm(outputs),
    relu1: nn.relu(),
    conv2: nn.conv2d(outputs, outputs, 3, { padding: 'same', ...plain }),
    norm2: nn.batchNorm(outputs),
  });
  const same = inputs === outputs && stride === 1;
  const sum = same
    ? nn.residual(main)
    : nn.residual(main, nn.conv2d(inputs, outputs, 1, { stride, ...plain }));
  return nn.sequential({ sum, relu: nn.relu() });
}

const [train, test] = split(synthetic({ kind: 'images', n: 1200, classes: 6, height: 16 }), 1000);
const { mean, std } = channelStats(train);
const model = nn.sequential({
  input: nn.normalize(mean, { std }),
  stem: nn.conv2d(3, 8, 3, { padding: 'same' }),
  block1: block(8, 8, 1),
  block2: block(8, 16, 2),
  pool: nn.globalAvgPool2d(),
  head: nn.dense(16, 6),
});
console.log(String(nn.summary(model, f32(1, 16, 16, 3))));

const backend = await wasm();
const { accuracy } = await fit({
  model,
  backend,
  steps,
  seed: 1,
  data: loader(train, { batchSize: 50 }),
  eval: { data: test, every: steps },
  optimizer: sgd({ lr: oneCycle({ max: 0.1, steps }), momentum: 0.9, weightDecay: 1e-4 }),
  listeners: [progressBar()],
});
await backend.close();
console.log(`test accuracy ${accuracy}`);
