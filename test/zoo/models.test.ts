import type { Shape } from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import * as zoo from 'cyclegrad/zoo';
import { fit, wasm } from 'cyclegrad';
import { expect, test } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { outputShape } from '../nn/run.ts';

const CIFAR: Shape = [2, 32, 32, 3];
const IMAGENET: Shape = [2, 224, 224, 3];

const SMALL_VIT = { size: 32, patch: 4, width: 128, depth: 4, heads: 4 };

/** Parameters as the papers and the reference implementations state them, and inputs and outputs. */
const MODELS: readonly (readonly [string, nn.Layer, number, Shape, Shape])[] = [
  ['lenet5', zoo.lenet5({ classes: 10 }), 61_706, [2, 28, 28, 1], [2, 10]],
  ['resnet20', zoo.resnet20({ classes: 10 }), 269_722, CIFAR, [2, 10]],
  ['resnet32', zoo.resnet32({ classes: 10 }), 464_154, CIFAR, [2, 10]],
  ['resnet44', zoo.resnet44({ classes: 10 }), 658_586, CIFAR, [2, 10]],
  ['resnet56', zoo.resnet56({ classes: 10 }), 853_018, CIFAR, [2, 10]],
  ['resnet110', zoo.resnet110({ classes: 10 }), 1_727_962, CIFAR, [2, 10]],
  ['resnet18', zoo.resnet18({ classes: 1000 }), 11_689_512, IMAGENET, [2, 1000]],
  ['resnet34', zoo.resnet34({ classes: 1000 }), 21_797_672, IMAGENET, [2, 1000]],
  ['resnet50', zoo.resnet50({ classes: 1000 }), 25_557_032, IMAGENET, [2, 1000]],
  ['resnet18, CIFAR stem', zoo.resnet18({ classes: 10, stem: 'cifar' }), 11_173_962, CIFAR, [2, 10]],
  ['resnet34, CIFAR stem', zoo.resnet34({ classes: 10, stem: 'cifar' }), 21_282_122, CIFAR, [2, 10]],
  ['resnet50, CIFAR stem', zoo.resnet50({ classes: 10, stem: 'cifar' }), 23_520_842, CIFAR, [2, 10]],
  ['WRN-28-10', zoo.wideResnet({ depth: 28, widen: 10, classes: 10 }), 36_479_194, CIFAR, [2, 10]],
  ['WRN-16-8', zoo.wideResnet({ depth: 16, widen: 8, classes: 10 }), 10_961_370, CIFAR, [2, 10]],
  ['DenseNet-40-12', zoo.densenet({ depth: 40, growth: 12, classes: 10 }), 1_019_722, CIFAR, [2, 10]],
  [
    'DenseNet-BC-100-12',
    zoo.densenet({ depth: 100, growth: 12, bc: true, classes: 10 }),
    769_162,
    CIFAR,
    [2, 10],
  ],
  ['densenet121', zoo.densenet121({ classes: 1000 }), 7_978_856, IMAGENET, [2, 1000]],
  ['mobilenetV2', zoo.mobilenetV2({ classes: 1000 }), 3_504_872, IMAGENET, [2, 1000]],
  ['convnextTiny', zoo.convnextTiny({ classes: 1000 }), 28_589_128, IMAGENET, [2, 1000]],
  [
    'ConvNeXt-Small',
    zoo.convnext({ classes: 1000, widths: [96, 192, 384, 768], blocks: [3, 3, 27, 3] }),
    50_223_688,
    IMAGENET,
    [2, 1000],
  ],
  ['vitB16', zoo.vitB16({ classes: 1000 }), 86_567_656, IMAGENET, [2, 1000]],
  ['vit for CIFAR', zoo.vit({ ...SMALL_VIT, classes: 10 }), 809_354, CIFAR, [2, 10]],
  ['unet', zoo.unet({ classes: 2 }), 31_037_698, [1, 32, 48, 3], [1, 32, 48, 2]],
];

test.each(MODELS)('%s has the published number of parameters', (_, model, count, from, to) => {
  expect(nn.countParameters(model)).toBe(count);
  expect(outputShape(model, from)).toEqual(to);
});

test('statistics of the images become a first layer, which is not trained', () => {
  const model = zoo.resnet20({ classes: 10, mean: [125, 123, 114], std: [63, 62, 67] });
  expect(Object.keys(model.params).slice(0, 3)).toEqual(['input.mean', 'input.scale', 'conv1.weight']);
  expect(nn.countParameters(model)).toBe(269_722);
});

test('the shortcuts of option A have no parameters, and fill new channels with zeros', () => {
  expect(Object.keys(zoo.resnet20({ classes: 10 }).params).filter((name) => name.includes('down'))).toEqual(
    [],
  );
});

test.skipIf(!isLong)(`a model of the zoo trains (${LONG})`, async () => {
  const n = 64;
  const data = Float32Array.from({ length: n * 64 }, (_, i) => Math.floor(i / 64) % 2);
  const set = arrays(
    { shape: [n, 8, 8, 1], data },
    Int32Array.from({ length: n }, (_, i) => i % 2),
  );
  const { accuracy } = await fit({
    model: zoo.resnet20({ classes: 2, channels: 1 }),
    backend: await wasm({ threads: 1 }),
    data: loader(set, { batchSize: 16 }),
    steps: 6,
    seed: 1,
    eval: { data: set, every: 6 },
    optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  });
  expect(accuracy).toBeGreaterThan(0.9);
});

test.each([
  [
    "resnet18: stem must be 'imagenet' or 'cifar', got 'small'",
    () => zoo.resnet18({ classes: 10, stem: 'small' as never }),
  ],
  ['resnet20: classes must be', () => zoo.resnet20({ classes: 0 })],
  ['resnet20: classes must be', () => zoo.resnet20({} as never)],
  ["resnet20: unknown option 'stem'", () => zoo.resnet20({ classes: 10, stem: 'cifar' } as never)],
  ['unet: got std without mean (give both', () => zoo.unet({ classes: 2, std: [1, 1, 1] })],
  ['wideResnet: depth must be 6n + 4, got 20', () => zoo.wideResnet({ depth: 20, widen: 1, classes: 2 })],
  [
    'densenet: depth must be a depth 6n + 4, got 44',
    () => zoo.densenet({ depth: 44, growth: 12, bc: true, classes: 2 }),
  ],
  [
    'vit: patch must be a divisor of the size, 32, got 5',
    () => zoo.vit({ ...SMALL_VIT, classes: 2, patch: 5 }),
  ],
  [
    'vit: heads must be a divisor of the width, 128, got 3',
    () => zoo.vit({ ...SMALL_VIT, classes: 2, heads: 3 }),
  ],
  ['vit: depth must be an integer >= 1, got 0', () => zoo.vit({ ...SMALL_VIT, classes: 2, depth: 0 })],
  ["vitB16: unknown option 'patch'", () => zoo.vitB16({ classes: 2, patch: 8 } as never)],
  [
    'vit: the images must be 32 × 32, got 28 × 28',
    () => outputShape(zoo.vit({ ...SMALL_VIT, classes: 2 }), [1, 28, 28, 3]),
  ],
  [
    'vit: stochasticDepth must be in [0, 1), got 1',
    () => zoo.vit({ ...SMALL_VIT, classes: 2, stochasticDepth: 1 }),
  ],
  [
    'convnext: stochasticDepth must be in [0, 1), got -0.1',
    () => zoo.convnextTiny({ classes: 2, stochasticDepth: -0.1 }),
  ],
  [
    'convnext: widths must be an array of 4 integers, got',
    () => zoo.convnext({ classes: 2, widths: [8, 8, 8], blocks: [1, 1, 1, 1] }),
  ],
  [
    'unet: the size must be a multiple of 16, got 24 × 32',
    () => outputShape(zoo.unet({ classes: 2 }), [1, 24, 32, 3]),
  ],
])('refuses wrong use: %s', (message, make) => {
  expect(make).toThrow(message);
});
