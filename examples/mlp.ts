// A multilayer perceptron with a cyclical learning rate, on points in three spirals. It takes seconds.
import { fit, progressBar, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, split, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';

const [train, test] = split(synthetic({ kind: 'spirals', n: 3000, seed: 1 }), 2500);
const backend = await wasm({ threads: 1 }); // several threads would be slower for a model this small
const { accuracy } = await fit({
  model: nn.mlp([2, 64, 64, 3]),
  backend,
  steps: 2000,
  seed: 1,
  data: loader(train, { batchSize: 50 }),
  eval: { data: test, every: 500 },
  optimizer: sgd({
    lr: cyclicLR({ base: 0.01, max: 0.1, stepSize: 250, mode: 'triangular2' }),
    momentum: 0.9,
  }),
  listeners: [progressBar()],
});
await backend.close();
console.log(`test accuracy ${accuracy}`);
