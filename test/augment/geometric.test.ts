// Augmentations that move pixels, and targets that move with them.
import { describe, expect, test } from 'vitest';
import { augmentedBatch, reference, wasm, type HostTensor } from 'cyclegrad';
import {
  affine,
  alternatingFlip,
  brightness,
  crop,
  flip,
  geometric,
  rotate,
  scale,
  translate,
  trivialAugment,
  type Affine,
  type Augmentation,
} from 'cyclegrad/augment';
import { arrays, loader } from 'cyclegrad/datasets';
import { augmented, drawing, pixelsOf, randomImages, withTargets } from './fixture.ts';

const moved = (map: Affine, fill?: 'zero' | 'reflect' | number): Augmentation =>
  geometric({
    config: { kind: 'moved' },
    mode: 'nearest',
    map: () => map,
    ...(fill !== undefined && { fill }),
  });

const ROWS = [
  [1, 2, 3],
  [4, 5, 6],
];

describe('one image', () => {
  test.each<[string, Affine, 'zero' | 'reflect' | number, number[]]>([
    ['to the right', [1, 0, 1, 0, 1, 0], 'zero', [0, 1, 2, 0, 4, 5]],
    ['to the right, reflected', [1, 0, 1, 0, 1, 0], 'reflect', [2, 1, 2, 5, 4, 5]],
    ['two to the left, reflected', [1, 0, -2, 0, 1, 0], 'reflect', [3, 2, 1, 6, 5, 4]],
    ['down, filled', [1, 0, 0, 0, 1, 1], 9, [9, 9, 9, 1, 2, 3]],
    ['mirrored', [-1, 0, 0, 0, 1, 0], 'zero', [3, 2, 1, 6, 5, 4]],
    ['upside down', [1, 0, 0, 0, -1, 0], 'zero', [4, 5, 6, 1, 2, 3]],
    ['half a turn', [-1, 0, 0, 0, -1, 0], 'zero', [6, 5, 4, 3, 2, 1]],
  ])('%s', async (_, map, fill, expected) => {
    expect(await pixelsOf(ROWS, [moved(map, fill)])).toEqual(expected);
  });

  test("fill 'zero' is 0 after normalize, so the mean", async () => {
    expect(await pixelsOf(ROWS, [moved([1, 0, 1, 0, 1, 0])], 7)).toEqual([7, 1, 2, 7, 4, 5]);
    expect(await pixelsOf(ROWS, [moved([1, 0, 1, 0, 1, 0], 0)], 7)).toEqual([0, 1, 2, 0, 4, 5]);
  });

  test('rotates counterclockwise by 90 degrees', async () => {
    const quarter = rotate(90);
    const turns = await Promise.all(
      [0.25, 0.5, 0.75, 1 - 2 ** -32].map((u) => {
        const random = { uniform: () => u } as never;
        const draws = quarter.draw(random, { height: 3, width: 3, index: 0, epoch: 0, seed: 0 });
        return pixelsOf([[1, 2, 3], [4, 5, 6], [7, 8, 9]], [drawing(quarter, draws)]); // prettier-ignore
      }),
    );
    expect(turns[3].map((value) => Math.round(value))).toEqual([3, 6, 9, 2, 5, 8, 1, 4, 7]);
    expect(turns[1].map((value) => Math.round(value))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  test('scales around the center', async () => {
    expect(await pixelsOf([[1, 2, 3, 4]], [scale([2, 2])])).toEqual([1.75, 2.25, 2.75, 3.25]);
  });
});

describe('targets', () => {
  const x = randomImages(6, 5, 7);
  const masks = (dtype: 'i32' | 'f32', channels: readonly number[] = []): HostTensor => ({
    shape: [6, 5, 7, ...channels],
    dtype,
    data: dtype === 'i32' ? Int32Array.from(x.data) : Float32Array.from(x.data),
  });
  const lists: readonly (readonly [string, Parameters<typeof augmented>[1]])[] = [
    ['the short form', { crop: 2, flip: true }],
    ['crop and flip', [crop(2), flip()]],
    ['reflected crop', [crop(4, { fill: 'reflect' }), flip({ direction: 'vertical' })]],
    ['alternating flip', [alternatingFlip()]],
    [
      'nearest affine',
      [affine({ rotate: 30, scale: [0.8, 1.2], translate: 0.2, shear: 10, mode: 'nearest' })],
    ],
    ['after colors', [moved([-1, 0, 2, 0, 1, -1]), moved([1, 0, 0, 0, -1, 1])]],
  ];

  test.each(lists)('masks move exactly as images: %s', async (_, augment) => {
    for (const [y, kind] of [
      [masks('i32'), 'mask'],
      [masks('f32'), 'mask'],
      [masks('f32', [1]), 'image'],
    ] as const) {
      const both = await augmented(withTargets(x, y, kind), augment);
      expect([...both.y.data]).toEqual([...both.x.data]);
      expect([both.y.shape, both.y.dtype]).toEqual([y.shape, y.dtype]);
      expect([...both.x.data]).not.toEqual([...x.data]);
    }
  });

  test('pixels from outside of a mask get its fill', async () => {
    const data = withTargets(x, masks('i32'), { kind: 'mask', fill: 255 });
    const both = await augmented(data, [crop(3)], { mean: 0 });
    expect([...both.y.data]).toEqual([...both.x.data].map((value) => (value === 0 ? 255 : value)));
    expect(both.y.data).toContain(255);
  });

  test('labels stay as they are', async () => {
    const labels = Int32Array.of(0, 1, 2, 3, 4, 5);
    const { y } = await augmented(arrays(x, labels), [crop(2), flip(), rotate(20)]);
    expect([...y.data]).toEqual([...labels]);
  });

  test('boxes and points move by their definition', async () => {
    const boxes = { shape: [1, 3, 5], dtype: 'f32', data: Float32Array.of(1, 1, 3, 4, 7, 5, 0, 7, 2, 8, 0, 0, 0, 0, 9) } as const; // prettier-ignore
    const image = randomImages(1, 5, 7);
    const after = async (map: Affine) => [
      ...(await augmented(withTargets(image, boxes, 'boxes'), [moved(map)])).y.data,
    ];
    expect(await after([-1, 0, 0, 0, 1, 0])).toEqual([4, 1, 6, 4, 7, 0, 0, 2, 2, 8, 0, 0, 0, 0, 9]);
    expect(await after([1, 0, 3, 0, 1, 2])).toEqual([4, 3, 6, 5, 7, 0, 0, 0, 0, 8, 0, 0, 0, 0, 9]);
    expect(await after([1, 0, 0, 0, -1, 0])).toEqual([1, 1, 3, 4, 7, 5, 3, 7, 5, 8, 0, 0, 0, 0, 9]);
    const points = { shape: [1, 2, 3], dtype: 'f32', data: Float32Array.of(0.5, 0.5, 1, 6, 2, 0) } as const;
    const { y } = await augmented(withTargets(image, points, 'points'), [moved([-1, 0, 2, 0, 1, 1])]);
    expect([...y.data]).toEqual([8.5, 1.5, 1, 3, 3, 0]);
  });

  test('a list of the short form gives the same bytes', async () => {
    const data = withTargets(randomImages(9, 6, 6, 3));
    const [list, short] = [loader(data, { batchSize: 4, augment: [crop(2), flip()] }), loader(data, { batchSize: 4, augment: { crop: 2, flip: true } })]; // prettier-ignore
    for (const step of [0, 5]) expect(list.batch(step)).toEqual(short.batch(step));
    expect(list.config).toEqual(short.config);
    expect(list.augmentations).toBeUndefined();
  });

  test('the fused and the general path of crop and flip draw the same pictures', async () => {
    const data = withTargets(randomImages(8, 6, 5, 3));
    const fused = await augmented(data, [crop(2), flip()], { mean: 3 });
    const batch = loader(data, { batchSize: 8, shuffle: false, seed: 1, augment: [crop(2), flip()] }).batch(
      0,
    );
    let at = 0;
    const general = geometric({
      config: { kind: 'same' },
      mode: 'nearest',
      map: () => {
        const [dy, dx, flipped] = batch.augmentation!.subarray(3 * at, 3 * ++at);
        at %= 8;
        return flipped === 1 ? [-1, 0, dx, 0, 1, -dy] : [1, 0, -dx, 0, 1, -dy];
      },
    });
    // The loader draws once to count.
    at = 7;
    expect((await augmented(data, [general], { mean: 3 })).x).toEqual(fused.x);
  });
});

describe('draws', () => {
  const images = withTargets(randomImages(40, 4, 6));
  const options = { batchSize: 16, augment: [affine({ rotate: 20 }), brightness(0.3)] } as const;

  test('are a function of seed and step alone', () => {
    const [a, b] = [loader(images, options), loader(images, options)];
    a.batch(9);
    expect(a.batch(4)).toEqual(b.batch(4));
    expect(a.batch(4).draws).not.toEqual(a.batch(5).draws);
    expect(a.withSeed(2).batch(4).draws).not.toEqual(a.batch(4).draws);
  });

  test('are part of the config', () => {
    expect(JSON.parse(JSON.stringify(loader(images, options).config['augment']))).toEqual([
      { kind: 'affine', rotate: 20, translate: 0, scale: [1, 1], shear: 0, mode: 'bilinear', fill: 'zero' },
      { kind: 'brightness', strength: 0.3 },
    ]);
  });

  test('alternating flips mirror each image in exactly one of two epochs, half of them in the first', () => {
    const data = loader(images, { batchSize: 40, augment: [alternatingFlip()] });
    const flips = [0, 1, 2].map((step) => {
      const { indices, draws } = data.batch(step);
      const sign = new Map([...indices].map((index, i) => [index, draws![6 * i]]));
      return Array.from({ length: 40 }, (_, index) => sign.get(index)!);
    });
    expect(flips[1]).toEqual(flips[0].map((sign) => -sign));
    expect(flips[2]).toEqual(flips[0]);
    const mirrored = flips[0].filter((sign) => sign < 0).length;
    expect(Math.abs(mirrored - 20)).toBeLessThan(16); // five standard deviations
  });

  test('threads and resident data change no bit', async () => {
    const data = loader(withTargets(randomImages(8, 6, 5, 3)), {
      batchSize: 8,
      augment: [translate(0.3), trivialAugment(), scale([0.7, 1.4])],
    });
    const results = await Promise.all(
      [1, 2].map(async (threads) => {
        const backend = await wasm({ threads });
        const { x } = await augmentedBatch({ data, backend, mean: 100 });
        await backend.close();
        return x;
      }),
    );
    expect(results[1]).toEqual(results[0]);
    const { x } = await augmentedBatch({ data, backend: reference(), mean: 100 });
    x.data.forEach((value, i) => expect(results[0].data[i]).toBeCloseTo(value, 1));
  });
});

describe('wrong use', () => {
  const x = randomImages(2, 4, 4);
  const images = withTargets(x);
  test.each<[string, () => unknown, string]>([
    ['pixels', () => crop(-1), 'crop: pixels must be an integer >= 0, got -1'],
    [
      'fill',
      () => crop(1, { fill: 'edge' as never }),
      "crop: fill must be 'zero', 'reflect', a number, or a number for each channel, got 'edge'",
    ],
    [
      'direction',
      () => flip({ direction: 'both' as never }),
      "flip: direction must be 'horizontal' or 'vertical', got 'both'",
    ],
    ['degrees', () => rotate(200), 'rotate: rotate must be degrees from 0 to 180, got 200'],
    [
      'factors',
      () => scale([2, 1]),
      'scale: scale must be the smallest and the largest factor, for instance [0.8, 1.25], got [2, 1]',
    ],
    [
      'config',
      () => geometric({ config: {} as never, map: () => [1, 0, 0, 0, 1, 0] }),
      "geometric: config must be plain data with a kind, { kind: 'shake' }, got an object",
    ],
    [
      'no augmentation',
      () => loader(images, { batchSize: 1, augment: [crop as never] }),
      "loader: augment[0] must be an augmentation, for instance crop(4) of 'cyclegrad/augment', got",
    ],
    [
      'a map without inverse',
      () => loader(images, { batchSize: 1, augment: [moved([0, 0, 0, 0, 1, 0])] }).batch(0),
      'loader: augment[0]: moved: draw must return 6 finite numbers as at first',
    ],
    [
      'no images',
      () =>
        loader(arrays({ shape: [2, 3], data: new Float32Array(6) }, [0, 1]), {
          batchSize: 1,
          augment: [rotate(5)],
        }),
      'loader: augment: rotate needs images [height, width, channels], but the inputs of arrays are [3] (omit it)',
    ],
    [
      'undeclared targets',
      () =>
        loader(withTargets(x, { shape: [2, 4, 4], dtype: 'f32', data: new Float32Array(32) }), {
          batchSize: 1,
          augment: [flip()],
        }),
      "loader: augment: the images of pictures would move, and whether its targets must move with them is unknown: x is u8 [4,4,1], y is f32 [4,4] (declare it: arrays(x, y, { targets: 'mask' })",
    ],
    [
      'a mask of another size',
      () => withTargets(x, { shape: [2, 4, 5], dtype: 'f32', data: new Float32Array(40) }, 'mask'),
      'arrays: targets: mask of images [4, 4, 1] must be [4, 4] or [4, 4, channels] for each example, but y is f32 [4,5]',
    ],
    [
      'another kind',
      () => withTargets(x, undefined, 'masks' as never),
      "arrays: targets must be 'labels', 'mask', 'image', 'boxes', 'points', or { kind: 'mask', fill: 255 }, got 'masks'",
    ],
    [
      'targets that cannot move',
      () =>
        loader(withTargets(x, { shape: [2, 1, 4], dtype: 'f32', data: new Float32Array(8) }, 'boxes'), {
          batchSize: 1,
          augment: [{ ...flip(), short: undefined as never, targets: {} }],
        }),
      'loader: augment[0]: flip moves the images of pictures but cannot move its targets (boxes): it supports labels only (omit it, or give it targets.boxes)',
    ],
  ])('%s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
