// Trains airbench94, 94% on CIFAR-10 in 9.9 epochs, from the files to a JSON file for each seed.
// Options: --seeds 1,2,3; --threads N (default: one for each core); --rates recipe,triangular,one-cycle,triangular2 (default: recipe);
// --runs DIR (checkpoints and reports); --results DIR (JSON files); --tiny (a few steps on generated images).
// Runs with a result are skipped. Ctrl-C saves the run, and the same command resumes it.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, homedir, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  crossEntropy,
  evaluate,
  fit,
  forward,
  freezing,
  progressBar,
  report,
  snapshots,
  wasm,
  type Backend,
  type Callback,
  type RunSummary,
  type State,
  type Tensor,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { alternatingFlip, crop } from 'cyclegrad/augment';
import { channelStats, cifar10, loader, split, synthetic, take, type Dataset } from 'cyclegrad/datasets';
import { lookahead, sgd } from 'cyclegrad/optim';
import {
  custom,
  cyclicLR,
  join as inTurn,
  linear,
  oneCycle,
  oneCycleMomentum,
  type Schedule,
} from 'cyclegrad/schedulers';
import { whitening } from 'cyclegrad/tools';

const cache = join(homedir(), '.cache', 'cyclegrad', 'airbench');
const { values: options } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    rates: { type: 'string', default: 'recipe' },
    runs: { type: 'string', default: cache },
    results: { type: 'string', default: cache },
    tiny: { type: 'boolean', default: false },
  },
});
const { tiny } = options;
const [batchSize, widths] = tiny ? [20, [8, 16, 16] as const] : [1024, [64, 256, 256] as const];
const stepsPerEpoch = tiny ? 2 : 48; // the incomplete batch at the end is dropped
const steps = Math.ceil(9.9 * stepsPerEpoch);

// The rate is 11.5 for 1,024 images, divided by 1 + 1 / (1 − momentum), by which Nesterov momentum enlarges the steps.
// The original sums the loss over 1,024 images. This is the mean, so nothing more is divided by 1,024.
const momentum = 0.85;
const max = 11.5 / (1 + 1 / (1 - momentum));
const peak = Math.floor(0.23 * steps);

/** The rate of the original, and others of the same length. */
const rates: Readonly<Record<string, { readonly lr: Schedule; readonly momentum?: Schedule }>> = {
  recipe: {
    lr: inTurn(
      [
        linear({ from: 0.2 * max, to: max, steps: peak }),
        linear({ from: max, to: 0.07 * max, steps: steps - peak }),
      ],
      [peak],
    ),
  },
  triangular: { lr: cyclicLR({ base: 0, max, stepSize: steps / 2 }) },
  'one-cycle': { lr: oneCycle({ max, steps }), momentum: oneCycleMomentum({ steps }) },
  triangular2: { lr: cyclicLR({ base: 0.07 * max, max, stepSize: steps / 4, mode: 'triangular2' }) },
};

/** Slow weights for the last seven epochs: every 5 steps, they keep 0.95⁵ · (step / steps)³ of themselves. Until then, they follow. */
const alpha = custom({
  name: 'airbench',
  fn: (t) => (t < 3 * stepsPerEpoch + 5 ? 1 : 1 - 0.95 ** 5 * ((t + 1) / steps) ** 3),
});

/** The network. Its first layer whitens patches of 2 × 2 pixels, with filters from the first 5,000 images. */
async function airbench(train: Dataset, backend: Backend): Promise<nn.Layer> {
  const { mean, std } = channelStats(train);
  const input = nn.normalize(mean, { std });
  const data = take(train, Math.min(5000, train.length));
  const images = await forward({ model: input, state: nn.initState(input, null, 0), data, backend });
  const filters = whitening(images, { kernel: 2, epsilon: 5e-4, negatives: true });
  const uniform = (inputs: number): nn.Initializer =>
    nn.init.uniform(-1 / Math.sqrt(inputs), 1 / Math.sqrt(inputs));
  const conv = (inputs: number, outputs: number): nn.Layer =>
    nn.conv2d(inputs, outputs, 3, {
      padding: 1,
      bias: false,
      init: nn.init.dirac({ rest: uniform(9 * inputs) }),
    });
  const norm = (channels: number): nn.Layer =>
    nn.batchNorm(channels, { scale: false, momentum: 0.4, epsilon: 1e-12 });
  const group = (inputs: number, outputs: number): nn.Layer =>
    nn.sequential({
      conv1: conv(inputs, outputs),
      pool: nn.maxPool2d(2),
      norm1: norm(outputs),
      gelu1: nn.gelu(),
      conv2: conv(outputs, outputs),
      norm2: norm(outputs),
      gelu2: nn.gelu(),
    });
  const [a, b, c] = widths;
  const fc = nn.dense(c, 10, { bias: false, init: uniform(c) });
  return nn.sequential({
    input,
    white: nn.freeze(nn.conv2d(3, 24, 2, { init: nn.init.fromArray(filters) }), ['weight']),
    gelu: nn.gelu(),
    group1: group(24, a),
    group2: group(a, b),
    group3: group(b, c),
    pool: nn.maxPool2d(3),
    flat: nn.flatten(),
    head: nn.module({ fc }, (x: Tensor, layers) => layers.fc(x).div(9)),
  });
}

/** The mean of the logits for six views: the image, and with half the weight its shifts by a pixel to both corners, each also mirrored. */
function sixViews(model: nn.Layer): nn.Layer {
  return {
    ...model,
    apply(x, scope) {
      const [, height, width] = x.shape as readonly [number, number, number, number];
      const both = (image: Tensor): Tensor =>
        model.apply(image, scope).add(model.apply(image.flip(2), scope));
      const padded = x.pad([[0, 0], [1, 1], [1, 1], [0, 0]], { mode: 'reflect' }); // prettier-ignore
      const at = (begin: number): Tensor =>
        padded.slice([null, { begin, end: begin + height }, { begin, end: begin + width }]);
      return both(x).mul(2).add(both(at(0))).add(both(at(2))).div(8); // prettier-ignore
    },
  };
}

/** Wall and CPU time in milliseconds of all processes of a run. Checkpoints store it. */
function stopwatch(begin: { readonly wall: number; readonly cpu: number }) {
  let earlier = { wall: 0, cpu: 0, processes: 0 };
  const read = () => ({
    wallMs: Math.round(earlier.wall + performance.now() - begin.wall),
    cpuMs: Math.round(earlier.cpu + cpuMs() - begin.cpu),
    processes: earlier.processes + 1,
  });
  const callback: Callback = {
    name: 'stopwatch',
    open(_, saved) {
      if (saved !== null) earlier = saved.data as typeof earlier;
      return {
        state() {
          const { wallMs: wall, cpuMs: cpu, processes } = read();
          return { data: { wall, cpu, processes } };
        },
      };
    },
  };
  return { callback, read };
}
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());

const tinyImages = () => {
  const [train, test] = split(synthetic({ kind: 'images', n: 100, seed: 1 }), 50);
  return { train, test };
};

const nameOf = (rate: string, seed: number): string => `${rate}-seed${seed}${tiny ? '-tiny' : ''}`;
const fileOf = (rate: string, seed: number): string => join(options.results, `${nameOf(rate, seed)}.json`);

/** One run from the files to its result. False if it was stopped. */
async function run(rate: string, seed: number, begin: { wall: number; cpu: number }): Promise<boolean> {
  const [name, file] = [nameOf(rate, seed), fileOf(rate, seed)];
  if (existsSync(file)) {
    console.log(`${name}: already finished, ${file}`);
    return true;
  }
  const schedule = rates[rate];
  const time = stopwatch(begin);
  const { train, test } = tiny ? tinyImages() : await cifar10();
  const backend = await wasm({ threads: Number(options.threads) });
  const model = await airbench(train, backend);
  const dir = join(options.runs, name);
  const ends = snapshots({ at: steps / 2 });
  const optimizer = sgd({
    lr: schedule.lr,
    momentum: schedule.momentum ?? momentum,
    nesterov: true,
    weightDecay: 0.0153 / 11.5,
    // Biases of batch normalization have 64 times the rate. Their decay does not depend on it.
    groups: [{ match: /beta$/, lrMult: 64, decayMult: 1 / 64 }],
  });
  const result = await fit({
    model,
    backend,
    steps,
    seed,
    data: loader(train, {
      batchSize,
      partial: 'drop',
      augment: [alternatingFlip(), crop(2, { fill: 'reflect' })],
    }),
    loss: (output, target, how) => crossEntropy(output, target, { ...how, labelSmoothing: 0.2 }),
    optimizer: lookahead(optimizer, { every: 5, alpha }),
    callbacks: [
      freezing([{ match: 'white.bias', from: 3 * stepsPerEpoch }]),
      time.callback,
      ...(rate === 'triangular2' ? [ends] : []),
    ],
    checkpoint: { dir, every: stepsPerEpoch, resume: true },
    listeners: [progressBar(), report(dir, { title: `airbench94, ${rate}, seed ${seed}` })],
    signal: stop.signal,
  });
  if (result.reason !== 'done') {
    console.log(`${name}: saved after step ${result.step} of ${steps}; the same command resumes it`);
    await backend.close();
    return false;
  }
  const accuracyOf = async (layer: nn.Layer, state: State): Promise<number> =>
    (await evaluate({ model: layer, state, data: test, backend, batchSize: tiny ? 10 : 500 })).metrics[
      'accuracy'
    ];
  const accuracy: Record<string, number> = { sixViews: await accuracyOf(sixViews(model), result.state) };
  const spent = time.read(); // the recipe ends here
  accuracy['plain'] = await accuracyOf(model, result.state);
  if (rate === 'triangular2') {
    const states = ends.taken.map(({ state }) => state);
    const both = nn.ensemble(sixViews(model), states);
    accuracy['snapshotEnsemble'] = await accuracyOf(both.model, both.state);
  }
  await backend.close();
  const { versions, report: executor } = JSON.parse(
    readFileSync(join(dir, 'summary.json'), 'utf8'),
  ) as RunSummary;
  const machine = {
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    memory: totalmem(),
    load: loadavg(),
  };
  const record = {
    rate,
    seed,
    steps,
    batchSize,
    accuracy,
    ...spent,
    date: new Date().toISOString(),
    machine,
    versions,
    executor,
  };
  mkdirSync(options.results, { recursive: true });
  writeFileSync(file, `${JSON.stringify(record)}\n`);
  const minutes = (spent.wallMs / 60_000).toFixed(1);
  console.log(
    `${name}: ${(100 * accuracy['sixViews']).toFixed(2)}% with six views, ${minutes} minutes, ${file}`,
  );
  return true;
}

const list = (text: string): string[] => text.split(',').map((part) => part.trim());
const wanted = list(options.rates);
const unknown = wanted.find((rate) => rates[rate] === undefined);
if (unknown !== undefined) {
  throw new Error(`--rates: there is no rate '${unknown}' (there are: ${Object.keys(rates).join(', ')})`);
}
let begin = { wall: 0, cpu: 0 }; // the first run includes the start of Node
for (const rate of wanted) {
  for (const seed of list(options.seeds)) {
    if (stop.signal.aborted || !(await run(rate, Number(seed), begin))) process.exit(130);
    begin = { wall: performance.now(), cpu: cpuMs() };
  }
  const accuracies = list(options.seeds).map((seed) => {
    const text = readFileSync(fileOf(rate, Number(seed)), 'utf8');
    return (JSON.parse(text) as { readonly accuracy: { readonly sixViews: number } }).accuracy.sixViews;
  });
  const mean = accuracies.reduce((sum, accuracy) => sum + accuracy, 0) / accuracies.length;
  console.log(`${rate}: ${(100 * mean).toFixed(2)}%, mean of ${accuracies.length} with six views`);
}
