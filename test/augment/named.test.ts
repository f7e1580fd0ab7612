// Augmentations of several images by name.
import { describe, expect, test } from 'vitest';
import { concat, fit, mean, reference, type Tensor } from 'cyclegrad';
import { brightness, flip, geometric, mixup, rotate, type Augmentation } from 'cyclegrad/augment';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { drawing, randomImages } from './fixture.ts';

const [left, right] = [randomImages(4, 5, 6, 1), randomImages(4, 3, 3, 2)];
const meta = { shape: [4, 2], data: new Float32Array(8) };
const labels = [0, 1, 0, 1];
const both = arrays({ left, right, meta }, labels);
type Pair = { readonly left: Tensor; readonly right: Tensor; readonly meta: Tensor };

const shifted = (pixels: number): Augmentation =>
  geometric({
    config: { kind: 'shifted', pixels },
    fill: 9,
    mode: 'nearest',
    map: () => [1, 0, pixels, 0, 1, 0],
  });

/** The sums of both images of each example, [N, 2], in the units of the data, as the loss gets them. */
const sums = nn.module({ a: nn.normalize(0), b: nn.normalize(0) }, (x: Pair, { a, b }) =>
  concat([a(x.left).sum([1, 2]), b(x.right).sum([1, 2])], 1),
);

/** The mean of something of the output and the targets in a step of training. */
async function measured(
  dataset: Parameters<typeof loader>[0],
  augment: Parameters<typeof loader>[1]['augment'],
  loss: (output: Tensor, y: Tensor) => Tensor,
  model = sums,
): Promise<number> {
  const data = loader(dataset, { batchSize: 4, shuffle: false, augment: augment! });
  const options = { data, model, loss, backend: reference(), steps: 1, optimizer: sgd({ lr: 0 }) };
  return (await fit(options as Parameters<typeof fit>[0])).loss!;
}

const total = ({ data }: { readonly data: ArrayLike<number> }): number =>
  Array.from(data).reduce((a, b) => a + b, 0);

describe('inputs by name', () => {
  const leftSum = (output: Tensor): Tensor => output.slice([null, 0]);
  const rightSum = (output: Tensor): Tensor => output.slice([null, { begin: 1 }]).sum(1);

  test('change their own image', async () => {
    const half = drawing(brightness(1), [0.5]);
    expect(await measured(both, { left: [half] }, leftSum)).toBeCloseTo(total(left) / 8, 2);
    expect(await measured(both, { left: [half] }, rightSum)).toBeCloseTo(total(right) / 4, 2);
    expect(await measured(both, { right: [half], left: [] }, leftSum)).toBeCloseTo(total(left) / 4, 2);
    expect(await measured(both, { right: [half], left: [] }, rightSum)).toBeCloseTo(total(right) / 8, 2);
  });

  test('draw for the size of their image, each on its own', () => {
    const sizes: number[][] = [];
    const seen: Augmentation = {
      ...brightness(0),
      draw: (random, { height, width }) => [sizes.push([height, width]), random.uniform()],
    };
    const data = loader(both, { batchSize: 4, augment: { left: [seen], right: [seen] } });
    const { draws } = data.batch(0);
    expect(sizes.slice(2)).toEqual([...Array(4).fill([5, 6]), ...Array(4).fill([3, 3])]);
    expect(draws![1]).not.toBe(draws![3]);
    expect(data.config['augment']).toEqual({
      left: [{ kind: 'brightness', strength: 0 }],
      right: [{ kind: 'brightness', strength: 0 }],
    });
  });
});

describe('targets', () => {
  const mask = { shape: [4, 5, 6], dtype: 'f32', data: Float32Array.from(left.data) } as const;
  const of = (name: string) =>
    arrays({ left, right, meta }, mask, { targets: { kind: 'mask', of: name, fill: 9 } });
  const maskSum = (_: Tensor, y: Tensor): Tensor => y.sum([1, 2]);

  test('move with the image that they belong to', async () => {
    const moved = await measured(of('left'), { left: [shifted(2)], right: [shifted(1)] }, maskSum);
    const image = await measured(of('left'), { left: [shifted(2)] }, (output) => output.slice([null, 0]));
    expect(moved).toBe(image);
    expect(moved).not.toBe(total(mask) / 4);
  });

  test('stay as they are if another image moves', async () => {
    expect(await measured(of('left'), { right: [shifted(1)] }, maskSum)).toBeCloseTo(total(mask) / 4, 2);
  });

  test('belong to the only image by default', async () => {
    const one = arrays({ left, meta }, mask, { targets: 'mask' });
    const model = nn.module({ a: nn.normalize(0) }, (x: Pair, { a }) => a(x.left).sum([1, 2]));
    const named = await measured(one, { left: [shifted(2)] }, maskSum, model);
    expect(named).toBe(await measured(one, [shifted(2)], maskSum, model));
    expect(named).not.toBe(total(mask) / 4);
  });

  test.each<[string, () => unknown, string]>([
    [
      'of an input that does not exist',
      () => of('lefft'),
      "arrays: there is no input called 'lefft': arrays has inputs by name (did you mean 'left'?",
    ],
    [
      'of no image',
      () => of('meta'),
      "arrays: the input 'meta' of arrays is f32 [2], no image [height, width, channels]",
    ],
    [
      'of an image of another size',
      () => of('right'),
      'arrays: targets: mask of images [3, 3, 2] must be [3, 3] or [3, 3, channels] for each example, but y is f32 [5,6]',
    ],
    [
      'of one of several images',
      () => arrays({ left, right }, mask, { targets: 'mask' }),
      'arrays: augment: needs exactly one input that is an image [height, width, channels], but arrays has 2 (left u8 [5,6,1], right u8 [3,3,2]; ' +
        "choose by name: augment: { left: […] }, and for targets that move { kind: 'mask', of: 'left' })",
    ],
    [
      'without a declaration',
      () => loader(arrays({ left, right }, mask), { batchSize: 2, augment: { left: [flip()] } }),
      'loader: augment: the images of arrays would move, and whether its targets must move with them is unknown: x is left u8 [5,6,1], right u8 [3,3,2]',
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});

describe('wrong use', () => {
  test.each<[string, Parameters<typeof loader>[1]['augment'], string]>([
    [
      'a wrong name',
      { lfet: [flip()] },
      "loader: augment: there is no input called 'lfet': arrays has inputs by name (did you mean 'left'?",
    ],
    ['no image', { meta: [flip()] }, "loader: augment: the input 'meta' of arrays is f32 [2], no image"],
    [
      'no list',
      { left: [flip()], right: flip() } as never,
      'loader: augment.right must be a list of augmentations, for instance [flip()], got an object',
    ],
    ['no augmentation', { left: [flip] } as never, 'loader: augment.left[0] must be an augmentation'],
    [
      'mixup',
      { left: [mixup()] } as never,
      'loader: augment: mixup needs a single input, but arrays has left, right, meta (omit it)',
    ],
    [
      'a single list',
      [rotate(5)],
      'loader: augment: needs exactly one input that is an image [height, width, channels], but arrays has 2',
    ],
  ])('%s', (_, augment, message) => {
    expect(() => loader(both, { batchSize: 2, augment: augment! })).toThrow(message);
  });

  test('a single input has no name', () => {
    expect(() => loader(arrays(left, labels), { batchSize: 2, augment: { left: [flip()] } })).toThrow(
      "loader: augment: there is no input called 'left': arrays has a single input without a name",
    );
  });

  test('a model that does not normalize an input', async () => {
    const half = nn.module({ a: nn.normalize(0) }, (x: Pair, { a }) => a(x.left).sum([1, 2]));
    await expect(measured(both, { right: [flip()] }, (output) => mean(output, 1), half)).rejects.toThrow(
      "augment.right: the model does not augment its input 'right' (apply nn.normalize to it first)",
    );
  });

  test('a model that normalizes something else', async () => {
    const other = nn.module({ a: nn.normalize(0) }, (x: Pair, { a }) => a(x.left.cast('f32')).sum([1, 2]));
    await expect(measured(both, { left: [flip()] }, (output) => mean(output, 1), other)).rejects.toThrow(
      'a: normalize: its input f32 [4,5,6,1] is none of the inputs of the model (left, right, meta), so how to augment it is unknown',
    );
  });
});
