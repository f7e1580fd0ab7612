// A snapshot ensemble on CIFAR-10: the ends of the cycles of one run, each alone and the last ones together.
// Arguments: the length of a cycle in steps (default 1000) and the number of cycles (default 5). The first run downloads CIFAR-10.
import { evaluate, fit, progressBar, snapshots, wasm, type State } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { channelStats, cifar10, loader } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';

const [cycleText = '1000', countText = '5'] = process.argv.slice(2);
const [cycle, count] = [Number(cycleText), Number(countText)];
const { train, test } = await cifar10();
const { mean, std } = channelStats(train);

const block = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({
    conv: nn.conv2d(inputs, outputs, 3, { padding: 'same', bias: false }),
    norm: nn.batchNorm(outputs),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
  });
const model = nn.sequential({
  input: nn.normalize(mean, { std }),
  block1: block(3, 32),
  block2: block(32, 64),
  block3: block(64, 128),
  flat: nn.flatten(),
  fc: nn.dense(2048, 10),
});

const backend = await wasm();
const ends = snapshots({ at: cycle });
await fit({
  model,
  backend,
  seed: 1,
  steps: cycle * count,
  data: loader(train, { batchSize: 128, augment: { crop: 4, flip: true } }),
  optimizer: sgd({
    lr: cyclicLR({ base: 1e-4, max: 0.1, stepSize: cycle / 2 }),
    momentum: 0.9,
    nesterov: true,
    weightDecay: 5e-4,
  }),
  callbacks: [ends],
  listeners: [progressBar()],
});

const accuracyOf = async (states: readonly State[]): Promise<string> => {
  const { metrics } = await evaluate({ ...nn.ensemble(model, states), data: test, backend });
  return `${(100 * (metrics['accuracy'] ?? NaN)).toFixed(2)} %`;
};
const states = ends.taken.map(({ state }) => state);
for (const [i, state] of states.entries()) console.log(`cycle ${i + 1}: ${await accuracyOf([state])}`);
for (let last = 2; last <= states.length; last++) {
  console.log(`the last ${last} together: ${await accuracyOf(states.slice(-last))}`);
}
await backend.close();
