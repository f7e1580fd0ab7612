// Small trainings in gpu.js's CPU mode, which runs on any machine: layers, augmentations, optimizers and losses together follow the CPU
// backend.
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  binaryCrossEntropy,
  diceLoss,
  fit,
  gpu,
  reduceOnPlateau,
  resize2d,
  wasm,
  type Backend,
  type LossFunction,
  type TrainOptions,
} from 'cyclegrad';
import { arrays, loader, shapes, synthetic } from 'cyclegrad/datasets';
import * as augment from 'cyclegrad/augment';
import * as nn from 'cyclegrad/nn';
import {
  adamw,
  averageWeights,
  clipAdaptively,
  lamb,
  lion,
  lookahead,
  muon,
  radam,
  sgd,
} from 'cyclegrad/optim';
import * as zoo from 'cyclegrad/zoo';
import { describeWhere } from '../engine/gpu/available.ts';

type Run = Pick<TrainOptions, 'model' | 'data' | 'optimizer' | 'loss' | 'callbacks'>;

const STEPS = 4;
const pictures = synthetic({ kind: 'images', n: 12, classes: 3, height: 8 });
const input = (): nn.Layer => nn.normalize(110, { std: 60 });
const tokens = arrays(
  { shape: [8, 6], data: Int32Array.from({ length: 48 }, (_, i) => (i * 7 + (i >> 3)) % 11) },
  [0, 1, 2, 0, 1, 2, 0, 1],
);
const sequences = arrays({ shape: [8, 12, 2], data: Float32Array.from({ length: 192 }, (_, i) => Math.sin(i)) }, [0, 1, 2, 0, 1, 2, 0, 1]); // prettier-ignore
const masks = shapes({ n: 4, size: 16, targets: 'mask', seed: 1 });
const tokenMean = (): nn.Layer => nn.activation((x) => x.mean(1), 'tokenMean');
const small = (conv: nn.Layer, width: number): nn.Layer =>
  nn.sequential({ input: input(), conv, pool: nn.globalAvgPool2d(), fc: nn.dense(width, 3) });
const plain = (): nn.Layer => small(nn.conv2d(3, 4, 3, { padding: 1 }), 4);
const batches = (list: Parameters<typeof loader>[1]['augment'] = []) =>
  loader(pictures, { batchSize: 6, ...(list && { augment: list }) });

const RUNS: Readonly<Record<string, () => Run>> = {
  'embedding, positions, attention': () => ({
    model: nn.sequential({
      words: nn.embedding(11, 8),
      positions: nn.positionalEmbedding(6, 8),
      block: nn.transformerBlock(8, 2, { stochasticDepth: 0.2 }),
      mean: tokenMean(),
      fc: nn.dense(8, 3),
    }),
    data: loader(tokens, { batchSize: 8 }),
    optimizer: muon({ lr: 0.02, others: adamw({ lr: 0.01 }) }),
  }),
  'a vision transformer that is recomputed, LAMB': () => ({
    model: zoo.vit({ classes: 3, size: 8, patch: 4, width: 8, depth: 2, heads: 2, dropout: 0.1, recompute: true, mean: [110, 110, 110], std: [60, 60, 60] }), // prettier-ignore
    data: batches(),
    optimizer: lamb({ lr: 0.01 }),
  }),
  '1-D convolution and pooling, Mish, PReLU, RAdam': () => ({
    model: nn.sequential({
      conv1: nn.conv1d(2, 6, 3, { padding: 1 }),
      mish: nn.mish(),
      pool: nn.maxPool1d(2),
      conv2: nn.conv1d(6, 6, 3),
      prelu: nn.prelu(6),
      flat: nn.flatten(),
      fc: nn.dense(24, 3),
    }),
    data: loader(sequences, { batchSize: 8 }),
    optimizer: radam({ lr: 0.01 }),
  }),
  'adaptive pools, pixel shuffle, bicubic sizes, reflected padding, Lion': () => ({
    model: nn.sequential({
      input: input(),
      size: nn.activation((x) => resize2d(x, [10, 10], { mode: 'bicubic', antialias: true }), 'bicubic'),
      conv: nn.conv2d(3, 8, 3, { padding: 1, paddingMode: 'reflect' }),
      shuffle: nn.pixelShuffle(2),
      selu: nn.selu(),
      average: nn.adaptiveAvgPool2d(5),
      most: nn.adaptiveMaxPool2d(2),
      flat: nn.flatten(),
      fc: nn.dense(8, 3),
    }),
    data: batches(),
    optimizer: lion({ lr: 0.01 }),
  }),
  'residual blocks that are recomputed, dropout of channels, stochastic depth': () => ({
    model: small(
      nn.recompute(
        nn.sequential({
          widen: nn.conv2d(3, 6, 1),
          block: nn.residual(
            nn.sequential({
              conv: nn.conv2d(6, 6, 3, { padding: 1 }),
              norm: nn.batchNorm(6, { scale: false }),
              relu: nn.relu(),
              dropout: nn.dropout2d(0.2),
              depth: nn.stochasticDepth(0.3),
            }),
          ),
        }),
      ),
      6,
    ),
    data: batches(),
    optimizer: lookahead(sgd({ lr: 0.05, momentum: 0.9 }), { every: 2 }),
  }),
  'geometric augmentations, averaged weights': () => ({
    model: plain(),
    data: batches([augment.crop(1, { fill: 'reflect' }), augment.flip(), augment.rotate(15), augment.scale([0.9, 1.1]), augment.randomErasing()]), // prettier-ignore
    optimizer: averageWeights(sgd({ lr: 0.05 }), { decay: 0.9 }),
  }),
  'color augmentations, CutMix, adaptive clipping': () => ({
    model: plain(),
    data: batches([augment.brightness(0.3), augment.contrast(0.3), augment.saturation(0.3), augment.hue(0.1), augment.cutmix(1)]), // prettier-ignore
    optimizer: clipAdaptively(sgd({ lr: 0.05 }), { ratio: 0.05, except: 'fc' }),
  }),
  'random policies, mixup, a plateau': () => ({
    model: plain(),
    data: batches([augment.trivialAugment(), augment.mixup(0.4)]),
    optimizer: sgd({ lr: 0.05 }),
    callbacks: [reduceOnPlateau({ factor: 0.5, patience: 0, monitor: 'loss' })],
  }),
  'segmentation with masks that move, Dice and cross-entropy': () => ({
    model: zoo.unet({ classes: 1, width: 2, mean: [60, 60, 60], std: [60, 60, 60] }),
    data: loader(masks, { batchSize: 2, augment: [augment.flip(), augment.rotate(10)] }),
    optimizer: sgd({ lr: 0.05, momentum: 0.9 }),
    loss: ((output, target, options) => {
      const truth = target.greater(0).cast().reshape(output.shape);
      return diceLoss(output, truth, options).add(binaryCrossEntropy(output, truth, options));
    }) satisfies LossFunction,
  }),
};

async function lossesOf(backend: Backend, run: Run): Promise<number[]> {
  const losses: number[] = [];
  await fit({
    ...run,
    backend,
    steps: STEPS,
    seed: 5,
    listeners: [(event) => void (event.type === 'step' && losses.push(event.loss))],
  });
  return losses;
}

await describeWhere("gpu.js's cpu mode", { mode: 'cpu' }, () => {
  let cpu: Backend;
  let interpreted: Backend;
  beforeAll(async () => {
    [cpu, interpreted] = await Promise.all([wasm({ threads: 1 }), gpu({ mode: 'cpu' })]);
  });
  afterAll(() => Promise.all([cpu.close(), interpreted.close()]));

  it.each(Object.entries(RUNS))('%s', { timeout: 300_000 }, async (_, make) => {
    const expected = await lossesOf(cpu, make());
    const losses = await lossesOf(interpreted, make());
    expect(losses).toHaveLength(STEPS);
    expect(new Set(losses).size).toBe(STEPS);
    losses.forEach((loss, step) => {
      expect(Math.abs(loss - expected[step]) / Math.abs(expected[step]), `step ${step}`).toBeLessThan(1e-3);
    });
  });
});
