import { expect, test } from 'vitest';
import { forward, reference, type HostTensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { CLASSIFIERS, classifier, suggestClassifier } from 'cyclegrad/zoo';

test('every name gives a network for the size', () => {
  for (const name of CLASSIFIERS) {
    const size = name === 'lenet5' ? 28 : 32;
    expect(nn.countParameters(classifier(name, { classes: 3, size }))).toBeGreaterThan(1000);
  }
  expect(() => classifier('lenet5', { classes: 3, size: 32 })).toThrow(RangeError);
  expect(() => classifier('vitB16', { classes: 3, size: 40 })).toThrow(
    'size must be a multiple of 16, got 40',
  );
  expect(() => classifier('alexnet' as never, { classes: 3, size: 40 })).toThrow(RangeError);
});

test('small images keep their resolution in the first layer of ResNet-18', () => {
  const shapeOf = (size: number) => classifier('resnet18', { classes: 3, size }).params['conv1.weight'].shape;
  expect([shapeOf(32), shapeOf(96)]).toEqual([
    [3, 3, 3, 64],
    [7, 7, 3, 64],
  ]);
});

test('the plain network gives logits of images of any size', async () => {
  const backend = reference();
  for (const size of [16, 21]) {
    const model = classifier('convnet', { classes: 3, size, mean: [1, 2, 3], std: [4, 5, 6] });
    const data: HostTensor = {
      shape: [2, size, size, 3],
      dtype: 'u8',
      data: new Uint8Array(2 * size * size * 3),
    };
    const output = await forward({ model, state: nn.initState(model, null, 1), backend, data });
    expect(output.shape).toEqual([2, 3]);
  }
  await backend.close();
});

test('more and larger images get larger networks', () => {
  const choose = (images: number, width: number, height: number) => {
    const { name, size } = suggestClassifier({ images, width, height });
    return [name, size];
  };
  expect(choose(100, 640, 480)).toEqual(['convnet', 64]);
  expect(choose(100, 20, 20)).toEqual(['convnet', 32]);
  expect(choose(50_000, 32, 32)).toEqual(['resnet20', 32]);
  expect(choose(5000, 640, 480)).toEqual(['resnet18', 128]);
  expect(choose(5000, 100, 80)).toEqual(['resnet18', 64]);
  expect(() => choose(0, 1, 1)).toThrow(RangeError);
});
