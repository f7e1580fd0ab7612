// A residual network: blocks whose input is added to their output, with batch normalisation, on made-up pictures.
// An optional argument is the number of steps: `npm run example -- residual 100`.
import {
  batchNorm,
  conv2d,
  dense,
  f32,
  fit,
  globalAvgPool2d,
  normalize,
  progressBar,
  relu,
  residual,
  sequential,
  summary,
  wasm,
  type Layer,
} from 'cyclegrad';
import { channelStats, loader, split, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

const steps = Number(process.argv[2] ?? 400);
const plain = { bias: false } as const; // batch normalisation takes it away again

/** Two convolutions around a shortcut, which is a convolution itself where the size changes. */
function block(inputs: number, outputs: number, stride: number): Layer {
  const main = sequential({
    conv1: conv2d(inputs, outputs, 3, { stride, ...plain }),
    norm1: batchNorm(outputs),
    relu1: relu(),
    conv2: conv2d(outputs, outputs, 3, plain),
    norm2: batchNorm(outputs),
  });
  const same = inputs === outputs && stride === 1;
  const sum = same ? residual(main) : residual(main, conv2d(inputs, outputs, 1, { stride, ...plain }));
  return sequential({ sum, relu: relu() });
}

const [train, test] = split(synthetic({ kind: 'images', n: 1200, classes: 6, height: 16 }), 1000);
const { mean, std } = channelStats(train);
const model = sequential({
  input: normalize(mean, { std }),
  stem: conv2d(3, 8, 3),
  block1: block(8, 8, 1),
  block2: block(8, 16, 2),
  pool: globalAvgPool2d(),
  head: dense(16, 6),
});
console.log(String(summary(model, f32(1, 16, 16, 3))));

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
