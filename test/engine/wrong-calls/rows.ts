/**
 * One right call of every function that the package exports. The tests derive the wrong calls from them (see derive.ts). Options are
 * complete, so that each of them is also given wrong values.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as c from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { averageWeights, belowOne, notNegative, sgd } from 'cyclegrad/optim';
import * as s from 'cyclegrad/schedulers';
import { toOnnx, toTorch } from 'cyclegrad/interop';
import { Evaluator, type MachineLimits } from 'cyclegrad/tools';
import { trainInWorker } from 'cyclegrad/worker';
import * as zoo from 'cyclegrad/zoo';
import { writeCifar100, writeMnist, writeSvhn } from '../../datasets/official-files.ts';
import { encodePng } from '../../png.ts';
import { operations, row, rows, two, type Row } from './operations.ts';

const weight = c.ones([2]);
const loss = weight.mul(weight).sum();
const backend = c.reference();
const model = nn.mlp([2, 4, 2]);
const state = nn.initState(model, null, 1);
const normed = nn.batchNorm(2);
const data = arrays({ shape: [4, 2], data: new Float32Array(8) }, Int32Array.of(0, 1, 0, 1));
const batches = loader(data, { batchSize: 2 });
/** The folder of the calls, which the tests remove. */
export const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-wrong-calls-'));
mkdirSync(join(dir, 'pets/cat'), { recursive: true });
const picture = encodePng({ width: 2, height: 2, data: new Uint8Array(16), channels: 4 });
for (const path of ['pets/cat/1.png', 'cat.png']) writeFileSync(join(dir, path), picture);
await c.saveTensors(join(dir, 'weights.safetensors'), state);
const checkpointed = {
  model,
  backend,
  data: batches,
  optimizer: sgd({ lr: 0.1 }),
  steps: 1,
  checkpoint: { dir: join(dir, 'run'), every: 1 },
};
await c.fit(checkpointed);
const checkpointFile = c.checkpointPath(join(dir, 'run'), 1);
const checkpoint = await c.loadCheckpoint(checkpointFile);
const { signal } = new AbortController();
const training = {
  model,
  backend,
  steps: 1,
  seed: 1,
  data: batches,
  eval: { data, every: 1, batchSize: 2, loss: c.crossEntropy, metrics: { accuracy: c.accuracy } },
  optimizer: sgd({ lr: 0.1 }),
  step: ({ x, y, model: forward, loss }: c.StepContext) => loss(forward(x), y),
  initial: {},
  loss: c.crossEntropy,
  metrics: { accuracy: c.accuracy },
  callbacks: [],
  listeners: [],
  signal,
  resident: true,
  stepsPerCall: 1,
};
const range = {
  model,
  backend,
  data: batches,
  optimizer: (lr: s.Schedule) => sgd({ lr }),
  from: 0,
  to: 1,
  steps: 3,
  sweep: 'linear',
  seeds: [1],
  smoothing: 0.9,
  divergence: 4,
};
const curve = {
  seed: 1,
  points: Array.from({ length: 40 }, (_, step) => ({ step, lr: step / 100, loss: 1, smoothed: 1 })),
  evaluations: [],
  end: 'done',
};
const rangeTest = { sweep: 'linear', from: 0, to: 1, steps: 40, curves: [curve] };
const rangeCurve = curve as unknown as c.RangeCurve;
const store = (): unknown => ({ w: { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) } });
const spec = {
  inputs: { x: c.f32(2) },
  hyper: ['lr'],
  state: store(),
  build: ({ x: fed }: { readonly x: c.Tensor }) => ({ outputs: { fed } }),
};

const engine: Readonly<Record<string, Row>> = {
  grad: row(loss, [weight]),
  valueAndGrad: {
    args: [(a: c.Tensor) => a.sum(), two],
    call: (f: never, ...inputs: never[]) => (c.valueAndGrad(f) as (...given: never[]) => unknown)(...inputs),
  },
  hessianVector: row(loss, [weight], [two]),
  customGradient: {
    args: [
      {
        name: 'twice',
        forward: (a: c.Tensor) => a.mul(2),
        gradient: ({ grad }: { grad: c.Tensor }) => [grad.mul(2)],
      },
    ],
    places: ['twice'],
    call: (spec: never) => c.customGradient(spec)(two),
  },
  compile: { args: [backend, spec] },
  key: row(1, 'noise'),
  permutation: row(5, 1, 'order', 0),
  stream: row(1, 'dice', 0),
  checkpointPath: row('runs/clr', 1000),
  bestPath: row('runs/clr'),
  latestCheckpoint: row(dir),
  loadCheckpoint: { args: [checkpointFile], places: ['text'] },
  loadMetadata: { args: [join(dir, 'weights.safetensors')], places: ['text'] },
  loadTensors: { args: [join(dir, 'weights.safetensors')], places: ['text'] },
  saveCheckpoint: row(join(dir, 'saved.safetensors'), checkpoint),
  saveTensors: { args: [join(dir, 'saved.safetensors'), store(), { metadata: { a: 'b' } }], named: [1] },
  evaluate: row({
    model,
    state,
    data,
    backend,
    batchSize: 2,
    loss: c.crossEntropy,
    metrics: { accuracy: c.accuracy },
  }),
  ...rows('fit train', training),
  earlyStopping: row({ monitor: 'loss', mode: 'min', patience: 1, minDelta: 0, restoreBest: true }),
  freezing: row([{ match: 'fc1', from: 0, until: 2 }]),
  reduceOnPlateau: {
    args: [
      {
        monitor: 'loss',
        mode: 'min',
        hyper: 'lr',
        factor: 0.1,
        patience: 1,
        threshold: 0,
        thresholdMode: 'absolute',
        cooldown: 0,
        min: 0,
      },
    ],
    places: ['plateau'],
  },
  snapshots: row({ at: 1, keep: 1, dir: join(dir, 'snapshots') }),
  updateBatchNorm: row({
    model: normed,
    state: nn.initState(normed, null, 1),
    data: batches,
    backend,
    batches: 1,
    seed: 1,
  }),
  augmentedBatch: row({ data: batches, backend, step: 1, mean: 0 }),
  predict: row({ model, state, data, backend, batchSize: 2 }),
  forward: row({ model, state, data, backend, batchSize: 2 }),
  predictor: row({ model, state, backend, batchSize: 2 }),
  memoryOf: {
    args: [nn.dense(2, 1), c.f32(1, 2), { optimizer: sgd({ lr: 0.1 }), threads: 1 }],
    places: ['bind', 'dense'],
    named: [1],
  },
  lrRangeTest: row(range),
  suggestBounds: { args: [curve], named: [0] },
  lossTrend: { args: [curve], named: [0] },
  meanCurve: row([curve]),
  rangeBand: row([curve]),
  rangeWarnings: { args: [rangeTest], named: [0] },
  cycleBounds: { args: [rangeTest], named: [0] },
  rangeSvg: row(
    [
      {
        label: 'seed 1',
        evaluations: [],
        trend: c.lossTrend(rangeCurve),
        suggestions: c.suggestBounds(rangeCurve),
      },
    ],
    { sweep: 'linear', title: 'Rates', band: c.rangeBand([rangeCurve]) },
  ),
  curveSvg: row(
    [
      {
        label: 'loss',
        points: [
          [0, 1],
          [1, 0.5],
        ],
      },
    ],
    {
      panels: [{ left: { label: 'loss' } }],
      title: 'Loss',
      subtitle: 'of a run',
      width: 600,
      height: 300,
    },
  ),
  formatDuration: row(1000),
  formatPercent: row(0.5, 1),
  jsonLines: row({ path: join(dir, 'events.jsonl'), append: true }),
  progressBar: row({ stream: process.stderr, every: 1, now: () => 0 }),
  report: row(join(dir, 'report'), { config: { net: 'mlp' }, title: 'A run' }),
  csvLog: row(join(dir, 'log.csv')),
  htmlReport: row(join(dir, 'report.html'), { config: { net: 'mlp' }, title: 'A run' }),
  tensorboard: row(join(dir, 'report'), { config: { net: 'mlp' }, every: 1 }),
  tracker: row(
    { init: () => undefined, log: () => undefined, finish: () => undefined },
    { config: { net: 'mlp' }, every: 1 },
  ),
  reference: row({ precision: 'f64' }),
  wasm: row({ threads: 1, simd: 'auto', convolution: 'auto', workers: false }),
  gpu: row({ mode: 'cpu', overrides: false, dawn: [] }),
  openBackend: row('reference', { log: () => undefined }),
  setDefaultBackend: {
    args: [backend],
    call: async (given: never) => {
      await c.setDefaultBackend(given);
    },
  },
};

const layers = { fc: nn.dense(2, 2) };
const weights = { init: nn.init.zeros, lrMult: 1, decayMult: 1 };
const affine = { affine: true, epsilon: 1e-5, lrMult: 1, decayMult: 1 };
const tree = { weight: c.ones([2, 2]), bias: c.ones([2]) };
const dense = nn.dense(2, 2);
const optimizer = sgd({ lr: 0.1 });

const network: Readonly<Record<string, Row>> = {
  activation: row((v: c.Tensor) => v.relu(), 'relu'),
  ensemble: row(dense, [nn.initState(dense, null, 0)], { mean: 'outputs' }),
  recompute: row(dense),
  withViews: row(dense, [(v: c.Tensor) => v], { mean: 'outputs' }),
  applyGradients: {
    args: [optimizer, dense, tree, tree.weight.sum().add(tree.bias.sum()), { lr: c.scalar(0.1) }],
    named: [2, 4],
    places: ['update weight'],
  },
  ...rows('avgPool1d avgPool2d', 2, 2, { padding: 0, ceil: true, divisor: 'inside' }),
  ...rows('maxPool1d maxPool2d', 2, 2, { padding: 0, ceil: true }),
  ...rows('adaptiveAvgPool2d adaptiveMaxPool2d', [3, 2]),
  ...rows('pixelShuffle pixelUnshuffle', 2),
  batchNorm: row(2, {
    form: 'caffe',
    affine: true,
    scale: true,
    shift: true,
    fraction: 0.9,
    epsilon: 1e-5,
    lrMult: 1,
    decayMult: 1,
  }),
  bind: {
    args: [
      dense,
      tree,
      { training: true, seed: 1, step: c.scalar(0, 'i32'), observe: (_: string, v: c.Tensor) => v },
    ],
    named: [1],
    call: (a: never, b: never, options: never) => nn.bind(a, b, options)(c.ones([1, 2])),
  },
  branches: { args: [layers, 0], named: [0] },
  ...rows('caffeFull caffeQuick caffeSigmoidBn', {
    mean: { shape: [32, 32, 3], dtype: 'f32', data: new Float32Array(3072) },
  }),
  ...rows('celu elu leakyRelu', 0.1),
  conv1d: row(2, 4, 3, { stride: 1, padding: [1, 1], dilation: 1, groups: 1, bias: weights, ...weights }),
  conv2d: row(2, 4, 3, {
    stride: 1,
    padding: 'same',
    paddingMode: 'edge',
    dilation: 1,
    groups: 1,
    bias: weights,
    ...weights,
  }),
  conv2dTranspose: row(2, 4, 3, {
    stride: 2,
    padding: 0,
    dilation: 1,
    groups: 1,
    outputPadding: 1,
    bias: weights,
    ...weights,
  }),
  depthwiseConv2d: row(2, 3, {
    stride: 1,
    padding: 'same',
    paddingMode: 'edge',
    dilation: 1,
    multiplier: 1,
    bias: weights,
    ...weights,
  }),
  countParameters: row(dense),
  crossEntropyLoss: row({ reduction: 'sum', labelSmoothing: 0.1, weight: c.ones([3]), ignoreIndex: -1 }),
  binaryCrossEntropyLoss: row({ reduction: 'sum', posWeight: 3 }),
  smoothL1Loss: row({ reduction: 'sum', beta: 1 }),
  huberLoss: row({ reduction: 'sum', delta: 1 }),
  focalLoss: row({ reduction: 'sum', alpha: 0.25, gamma: 2 }),
  diceLoss: row({ reduction: 'sum', smooth: 1 }),
  dense: row(2, 4, { bias: weights, ...weights }),
  ...rows('dropout dropout2d', 0.5),
  prelu: row(8, weights),
  embedding: row(10, 4, weights),
  multiHeadAttention: row(4, 2, { ...weights, bias: { init: nn.init.zeros }, causal: true, dropout: 0.1 }),
  transformerBlock: row(4, 2, {
    mlpWidth: 8,
    causal: true,
    dropout: 0.1,
    attentionDropout: 0.1,
    stochasticDepth: 0.1,
    epsilon: 1e-6,
  }),
  patchEmbedding: row(3, 4, [2, 2], { ...weights, bias: { init: nn.init.zeros } }),
  classToken: row(4, weights),
  positionalEmbedding: row(8, 4, { ...weights, kind: 'learned' }),
  stochasticDepth: row(0.5),
  ...rows(
    'flatten globalAvgPool2d globalMaxPool2d hardSigmoid hardSwish hardTanh mish relu selu sigmoid silu softplus tanh',
  ),
  freeze: row(dense, ['weight'], { statistics: true }),
  gelu: row({ approximate: 'tanh' }),
  groupNorm: row(2, 4, affine),
  initState: row(dense, optimizer, 1),
  instanceNorm: row(2, affine),
  layerNorm: row([2], affine),
  lrn: row({ region: 'within-channel', size: 3, alpha: 1e-4, beta: 0.75 }),
  mlp: row([2, 4, 2]),
  module: {
    args: [layers, (v: c.Tensor, own: { fc: (v: c.Tensor) => c.Tensor }) => own.fc(v), 'block'],
    named: [0],
    places: ['block'],
  },
  normalize: row([1, 2], { std: [1, 2] }),
  parameters: row(nn.sequential(layers), 'fc'),
  residual: row(dense, dense),
  sequential: { args: [layers], named: [0] },
  summary: { args: [dense, c.f32(1, 2)], places: ['dense', 'matmul'] },
  upsample2d: row(2, { mode: 'bicubic', alignCorners: true, antialias: true }),
  'init.constant': row(1),
  'init.normal': row(1, 0),
  'init.uniform': row(-1, 1),
  'init.xavier': row({ fan: 'in', distribution: 'normal' }),
  'init.dirac': row({ rest: nn.init.zeros }),
  'init.orthogonal': row(1),
  'init.he': row({ fan: 'in', distribution: 'normal' }),
  'init.fromArray': {
    args: [[1, 2]],
    call: (array: never) => nn.init.fromArray(array)([2], c.stream(1, 'init')),
  },
};

const averaged = await c
  .fit({ model: nn.dense(2, 2), backend, data: batches, steps: 1, optimizer: averageWeights(optimizer) })
  .then((result) => result.state);
const optimizers: Readonly<Record<string, Row>> = {
  accumulateGradients: row(optimizer, 2),
  adadelta: row({ lr: 1, rho: 0.9, epsilon: 1e-6, weightDecay: 0.1 }),
  adagrad: row({ lr: 1, epsilon: 1e-6, initialAccumulator: 0, weightDecay: 0.1 }),
  ...rows('adam', {
    lr: 1,
    beta1: 0.9,
    beta2: 0.99,
    epsilon: 1e-8,
    weightDecay: 0.1,
    form: 'caffe',
    amsgrad: true,
  }),
  ...rows('radam lamb', { lr: 1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 }),
  nadam: row({ lr: 1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, momentumDecay: 0.1, weightDecay: 0.1 }),
  lion: row({ lr: 1, beta1: 0.9, beta2: 0.99, weightDecay: 0.1 }),
  muon: row({
    lr: 1,
    momentum: 0.9,
    nesterov: true,
    weightDecay: 0.1,
    iterations: 1,
    coefficients: [1, 2, 3],
    scale: 'none',
    normalize: true,
    match: 'fc',
    others: optimizer,
  }),
  clipAdaptively: row(optimizer, { ratio: 0.1, epsilon: 0.1, except: 'fc' }),
  adamw: row({ lr: 1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8, weightDecay: 0.1 }),
  addWeightDecay: { args: [{ grad: two, param: two, decay: two }], named: [0] },
  averageWeights: row(optimizer, { decay: 0.9, warmup: true, every: 1, statistics: true }),
  swa: row(optimizer, { start: 1, every: 1, statistics: true }),
  lookahead: row(optimizer, { every: 1, alpha: 0.5, statistics: true }),
  averagedState: { args: [averaged], named: [0] },
  clipGradients: row(optimizer, { norm: 1 }),
  hyperParameter: { args: ['rule', 'lr', 0.1, notNegative], places: ['rule'] },
  perParameter: row({
    kind: 'rule',
    options: {},
    hyper: { lr: { schedule: s.constant(0.1), ...belowOne } },
    slots: [],
    update: ({ param }: { param: c.Tensor }) => ({ param, slots: {} }),
  }),
  rmsprop: row({ lr: 1, rho: 0.9, epsilon: 1e-6, momentum: 0.9, centered: true, weightDecay: 0.1 }),
  partition: row({ all: { match: '', optimizer } }),
  sgd: row({
    lr: 1,
    momentum: 0.9,
    nesterov: true,
    weightDecay: 0.1,
    form: 'pytorch',
    groups: [{ match: 'fc', name: 'head', lr: 2, lrMult: 1, decayMult: 1 }],
  }),
};

const cycle = { base: 0.1, max: 1, stepSize: 5 };
const named = { name: 'twice', fn: (v: number) => 2 * v };
const cyclic = {
  ...cycle,
  stepSizeDown: 5,
  mode: 'exp_range',
  gamma: 0.9,
  decays: 'bounds',
  window: 'parabolic',
};

const schedules: Readonly<Record<string, Row>> = {
  asSchedule: row(0.1),
  boundsFromMax: row(0.1, 0.25),
  clamp: row(s.constant(1), 0, 1),
  constant: row(1),
  cosine: row({ max: 1, min: 0, steps: 10 }),
  cosineWarmRestarts: row({ max: 1, min: 0, steps: 10, tMult: 2, decay: 0.5 }),
  custom: row(named),
  cyclicLR: row(cyclic),
  cyclicMomentum: row({ ...cyclic, decays: 'amplitude' }),
  decay: row(cycle),
  exponential: row({ base: 1, gamma: 0.9 }),
  geometric: row({ from: 1, to: 2, steps: 10 }),
  inv: row({ base: 1, gamma: 0.1, power: 1 }),
  isSchedule: row(s.constant(1)),
  join: row([1, 2], [10]),
  lastCycleEnd: row(s.cyclicLR(cycle), 100),
  linear: row({ from: 0, to: 1, steps: 10 }),
  mirror: row(s.constant(0.5), 0, 1),
  multistep: row({ base: 1, gamma: 0.1, at: [5] }),
  notices: row(s.cyclicLR(cycle), 100),
  oneCycle: row({ max: 1, steps: 10, form: 'pytorch', rise: 0.3, anneal: 'cos', div: 25, finalDiv: 1e4 }),
  oneCycleMomentum: row({ steps: 10, form: 'pytorch', rise: 0.3, anneal: 'cos', low: 0.85, high: 0.95 }),
  plateau: row({
    start: 1,
    mode: 'min',
    factor: 0.1,
    patience: 1,
    threshold: 0,
    thresholdMode: 'relative',
    cooldown: 0,
    min: 0,
  }),
  poly: row({ base: 1, power: 1, steps: 10 }),
  repeat: row(s.linear({ from: 0, to: 1, steps: 5 }), 5),
  scale: row(s.constant(1), 2),
  scheduleFromJSON: {
    args: [{ kind: 'custom', fn: { name: 'twice' } }, { functions: { twice: named.fn } }],
    places: ['custom'],
  },
  sigmoid: row({ base: 1, gamma: -0.1, center: 5 }),
  step: row({ base: 1, gamma: 0.1, every: 5 }),
  stepSizeFromEpochs: row(2, 500),
  trapezoid: row({ max: 1, steps: 10, up: 2, down: 2, start: 0, end: 0 }),
  warmup: row(2, s.constant(1)),
};

const twoInputs = arrays(
  {
    image: { shape: [4, 4, 4, 3], data: new Uint8Array(192) },
    meta: { shape: [4, 1], data: [1, 2, 3, 4] },
  },
  [0, 1, 0, 1],
);
const pictures = arrays({ shape: [4, 4, 4, 3], data: new Uint8Array(192) }, [0, 1, 0, 1]);
const numpy = JSON.parse(readFileSync(new URL('../../datasets/numpy.json', import.meta.url), 'utf8')) as {
  readonly right: readonly { readonly file: string }[];
  readonly archives: Readonly<Record<string, string>>;
};
const [npy, npz] = [numpy.right[0].file, numpy.archives['stored']].map((file) => Buffer.from(file, 'base64'));
const filled = { fill: 'reflect' };
const augmentations: Readonly<Record<string, Row>> = {
  ...rows('alternatingFlip flip', { direction: 'vertical' }),
  affine: row({ rotate: 10, translate: 0.1, scale: [0.8, 1.2], shear: 5, mode: 'nearest', ...filled }),
  ...rows('brightness contrast hue saturation sharpness cutmix mixup', 0.5),
  ...rows('autoContrast equalize', { probability: 0.5 }),
  crop: row(2, filled),
  cutout: row(2),
  geometric: row({
    config: { kind: 'still' },
    mode: 'nearest',
    map: (): readonly number[] => [1, 0, 0, 0, 1, 0],
    ...filled,
  }),
  posterize: row(4, { probability: 0.5 }),
  randAugment: row({ operations: 2, magnitude: 9, ...filled }),
  randomErasing: row({ probability: 0.5, area: [0.1, 0.2], ratio: [0.5, 2] }),
  rotate: row(10, filled),
  scale: row([0.8, 1.2], filled),
  solarize: row(0.5, { probability: 0.5 }),
  translate: row(0.1, filled),
  trivialAugment: row(filled),
};

const NO_DOWNLOAD = 'it would read or download CIFAR-10';
const binary = new Uint8Array(3073);
const record = { name: 'one.bin', md5: createHash('md5').update(binary).digest('hex') };
mkdirSync(join(dir, 'cifar'), { recursive: true });
writeFileSync(join(dir, 'cifar/one.bin'), binary);
const official = join(dir, 'official');
for (const write of [writeMnist, writeCifar100, writeSvhn]) write(official);
/** Calls that would use the cache of the user, or download into another folder. */
const noCache = Object.fromEntries(
  ['0', '0 undefined', '0 {}', '0.dir undefined', "0.dir 'text'"].map((at) => [at, 'it would download data']),
);
const sets: Readonly<Record<string, Row>> = {
  arrays: row({ shape: [2, 1], data: [1, 2] }, [0, 1], { classes: 2, name: 'two', targets: 'labels' }),
  channelStats: row(twoInputs, 'image'),
  similarImages: row(pictures, { distance: 0.1 }),
  cifar10: {
    args: [
      {
        dir: join(dir, 'cifar'),
        signal,
        onProgress: () => undefined,
        sources: { archive: null, npm: null, records: 1, train: [record], test: record },
      },
    ],
    skip: Object.fromEntries(
      [
        '0',
        '0 undefined',
        '0 {}',
        '0.dir undefined',
        '0.dir misspelled',
        '0.sources undefined',
        '0.sources {}',
      ].map((at) => [at, NO_DOWNLOAD]),
    ),
  },
  cifar10Dir: row(),
  dataDir: { args: ['svhn'] },
  imageFolder: {
    args: [
      join(dir, 'pets'),
      {
        height: 2,
        width: 2,
        channels: 3,
        fit: 'cover',
        background: [0, 0, 0],
        maxPixels: 100,
        classes: ['cat'],
        allowEmpty: false,
        onError: 'report',
        lazy: { memory: 0, shards: join(dir, 'shards'), workers: 1 },
        onProgress: () => undefined,
        signal,
      },
    ],
    places: [join(dir, 'pets/cat'), join(dir, 'text')],
  },
  imageFiles: {
    args: [
      [{ path: join(dir, 'pets/cat/1.png'), label: 0 }],
      {
        height: 2,
        width: 2,
        channels: 3,
        fit: 'cover',
        background: [0, 0, 0],
        maxPixels: 100,
        classes: ['cat'],
        onError: 'report',
        onProgress: () => undefined,
        signal,
      },
    ],
  },
  inspectImages: {
    args: [join(dir, 'pets'), { classes: ['cat'], onProgress: () => undefined, signal }],
    places: [join(dir, 'pets/cat'), join(dir, 'text')],
  },
  ...Object.fromEntries(
    ['mnist', 'fashionMnist', 'svhn', 'cifar100'].map((name) => [
      name,
      {
        args: [
          {
            dir: official,
            signal,
            onProgress: () => undefined,
            ...(name === 'cifar100' && { labels: 'fine' }),
          },
        ],
        skip: noCache,
      },
    ]),
  ),
  inMemory: row(data),
  loader: row(pictures, {
    batchSize: 2,
    shuffle: true,
    seed: 1,
    augment: { crop: 1, flip: true, mixup: 0.2 },
    partial: 'drop',
  }),
  meanImage: row(twoInputs, 'image'),
  readImage: {
    args: [
      join(dir, 'cat.png'),
      { height: 2, width: 2, channels: 3, fit: 'cover', background: [0, 0, 0], maxPixels: 100, signal },
    ],
    places: ['text'],
  },
  readIdx: row(Uint8Array.of(0, 0, 8, 1, 0, 0, 0, 1, 5)),
  readNpy: row(npy),
  readNpz: row(npz),
  shapes: row({ n: 2, targets: 'mask', size: 16, objects: 1, noise: 1, seed: 1 }),
  split: row(data, 2, { seed: 1 }),
  subset: row(data, [0, 1], 'part'),
  synthetic: row({ kind: 'images', n: 4, classes: 2, seed: 1, noise: 0.1, height: 4, width: 4, channels: 3 }),
  take: row(data, 2),
  targets: row(data),
};

const wasmReport = { backend: 'wasm', threads: 1, simd: 'relaxed', fused: true };
const limits: MachineLimits = { threads: 1, simd: 'relaxed', gflopPerSecond: 1, gbPerSecond: 1 };
const compiled = await c.compile(backend, { ...spec, hyper: [], state: {} } as never);
const patches = { shape: [1, 2, 2, 1], dtype: 'f32', data: new Float32Array(4) };

const tools: Readonly<Record<string, Row>> = {
  ...rows('eigh qr svd', [[1]]),
  whitening: row(patches, { kernel: 2, epsilon: 0.1, negatives: true }),
  Evaluator: { args: [backend], call: (given: never) => new Evaluator(given) },
  adapterName: row(wasmReport),
  formatProfile: { args: [{ rows: [], ms: 1, gflopPerSecond: 1, runs: 1, limits }], named: [0] },
  gradcheck: {
    args: [
      ({ a }: { a: c.Tensor }) => a.mul(a).sum(),
      { a: [1, 2] },
      { wrt: ['a'], step: 1e-3, tolerance: 1e-3, elements: 2, directions: 1, seed: 1 },
    ],
    named: [1],
  },
  measureLimits: {
    args: [{ threads: 1, simd: 'auto' }],
    skip: Object.fromEntries(
      ['right', '0', '0 undefined', '0 {}', '0.threads undefined', '0.simd undefined'].map((at) => [
        at,
        'it measures for a second',
      ]),
    ),
  },
  simdName: row(wasmReport),
  startLimit: row({ threads: 1, simd: 'auto' }),
  summarizeProfile: { args: [compiled.plan, [[]], limits], named: [2] },
  wideSimdUnavailableReason: row(),
};

const accumulators: Readonly<Record<string, Row>> = {
  auc: row(),
  averagePrecision: row(),
  confusionMatrix: row({ ignoreIndex: 1 }),
  f1: row({ average: 'macro', ignoreIndex: 1 }),
  meanAveragePrecision: row({
    detections: (output: c.Tensor) => ({ boxes: output, scores: output }),
    iou: [0.5],
    suppression: { iou: 0.5, minScore: 0, limit: 2 },
  }),
  meanIoU: row({ average: 'macro', ignoreIndex: 1 }),
  nonMaxSuppression: row([0, 0, 1, 1], [0.5], { iou: 0.5, minScore: 0, limit: 2 }),
  onTarget: row('kind', c.accuracy, { output: 'kind' }),
  precision: row({ average: 'macro', ignoreIndex: 1 }),
  recall: row({ average: 'macro', ignoreIndex: 1 }),
  topKAccuracy: row(2),
};

const stats = { channels: 1, mean: [1], std: [2] };
const anchors = zoo.anchorBoxes(16, [{ grid: 1, sizes: [8], ratios: [1] }]);
/** A model whose statistics `normalize` checks. */
const zooModel = (options: object): Row => ({ args: [options], places: ['normalize', 'dropout'] });
const models: Readonly<Record<string, Row>> = {
  anchorBoxes: row(16, [{ grid: 1, sizes: [8], ratios: [1] }]),
  boxOverlaps: row(c.tensor([[0, 0, 1, 1]]), c.tensor([[0, 0, 1, 1]])),
  classifier: {
    args: ['resnet20', { classes: 2, size: 16, ...stats }],
    places: ['resnet20', 'normalize'],
  },
  convnet: zooModel({ classes: 2, width: 2, blocks: 1, ...stats }),
  suggestClassifier: row({ images: 100, width: 64, height: 48 }),
  convnext: zooModel({ classes: 2, widths: [2, 2, 2, 2], blocks: [1, 1, 1, 1], ...stats }),
  convnextTiny: zooModel({ classes: 2, ...stats }),
  decodeDetections: row(c.tensor([[[0, 0, 0, 0, 0, 0]]]), anchors),
  densenet: zooModel({ classes: 2, depth: 10, growth: 2, bc: true, dropout: 0.1, ...stats }),
  densenet121: zooModel({ classes: 2, ...stats }),
  detectionLoss: row(anchors, { threshold: 0.5, negatives: 3, boxes: 1 }),
  detector: zooModel({ classes: 2, anchors: 1, width: 4, ...stats }),
  lenet5: zooModel({ classes: 2, ...stats }),
  matchAnchors: row(c.tensor([[[0, 0, 8, 8, 1]]]), anchors, 0.5),
  mobilenetV2: zooModel({ classes: 2, width: 0.5, dropout: 0.1, ...stats }),
  ...Object.fromEntries(
    [20, 32, 44, 56, 110].map((depth) => [`resnet${depth}`, zooModel({ classes: 2, ...stats })]),
  ),
  ...Object.fromEntries(
    [18, 34, 50].map((depth) => [`resnet${depth}`, zooModel({ classes: 2, stem: 'cifar', ...stats })]),
  ),
  selectDetections: row({ shape: [1, 1, 6], dtype: 'f32', data: new Float32Array(6) }, anchors, {
    score: 0.5,
    overlap: 0.5,
    limit: 1,
  }),
  unet: zooModel({ classes: 2, width: 4, ...stats }),
  vit: zooModel({ classes: 2, size: 8, patch: 4, width: 4, depth: 1, heads: 2, ...stats }),
  vitB16: { args: [{ classes: 2, size: 32, ...stats }], places: ['normalize', 'vit'] },
  wideResnet: zooModel({ classes: 2, depth: 10, widen: 1, dropout: 0.1, ...stats }),
};

const torchState = toTorch(dense, nn.initState(dense, null, 0));
const onnxFile = await toOnnx(dense, nn.initState(dense, null, 0), { input: [2] });
const exchange: Readonly<Record<string, Row>> = {
  fromOnnx: row(onnxFile),
  fromTorch: row(dense, torchState),
  toOnnx: { args: [dense, nn.initState(dense, null, 0), { input: [2] }], places: ['dense'] },
  toTorch: row(dense, nn.initState(dense, null, 0)),
};

const { port1: pagePort, port2: workerPort } = new MessageChannel();
for (const port of [pagePort, workerPort]) port.close();
const workers: Readonly<Record<string, Row>> = {
  serveTraining: row(() => training, { port: workerPort }),
  trainInWorker: {
    args: [pagePort, { input: 1, listeners: [], signal, resumeFrom: new Uint8Array(8) }],
    call: (...args: Parameters<typeof trainInWorker>) => {
      const run = trainInWorker(...args);
      run.result.catch(() => undefined);
      run.terminate(); // the port is free for the next call
    },
  },
};

/** Values that other functions made. Their members are no options, so none is misspelled or replaced. */
export const made: ReadonlySet<unknown> = new Set<unknown>([
  model,
  dense,
  optimizer,
  data,
  pictures,
  batches,
  backend,
  checkpoint,
  averaged,
  curve,
  state,
  compiled.plan,
  wasmReport,
]);

const pages = { livePage: row({ port: 0, title: 'A run', runs: [], command: 'script' }) };

/** The rows by entry. */
export const table: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  cyclegrad: { ...operations, ...engine },
  'cyclegrad/nn': network,
  'cyclegrad/optim': optimizers,
  'cyclegrad/schedulers': schedules,
  'cyclegrad/augment': augmentations,
  'cyclegrad/datasets': sets,
  'cyclegrad/metrics': accumulators,
  'cyclegrad/zoo': models,
  'cyclegrad/interop': exchange,
  'cyclegrad/tools': tools,
  'cyclegrad/ui': pages,
  'cyclegrad/worker': workers,
};
