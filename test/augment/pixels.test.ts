// Augmentations that change pixels in their places, and combinations of examples.
import { describe, expect, test } from 'vitest';
import { fit, reference, type Tensor } from 'cyclegrad';
import {
  brightness,
  contrast,
  crop,
  cutmix,
  cutout,
  flip,
  mixup,
  randomErasing,
  rotate,
  saturation,
} from 'cyclegrad/augment';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { augmented, drawing, pixelsOf, randomImages, withTargets } from './fixture.ts';

/** One pixel of three channels, as bytes. */
async function colorOf(pixel: readonly number[], augmentation: Parameters<typeof drawing>[0]) {
  const x = { shape: [1, 1, 1, 3], dtype: 'u8', data: Uint8Array.from(pixel) } as const;
  return [...(await augmented(withTargets(x), [augmentation])).x.data];
}

describe('colors', () => {
  const gray = 0.2989 * 100 + 0.587 * 200 + 0.114 * 50;

  test('brightness multiplies and cuts off at white', async () => {
    expect(await colorOf([100, 200, 50], drawing(brightness(1), [1.5]))).toEqual([150, 255, 75]);
    const x = { shape: [1, 1, 2, 1], dtype: 'f32', data: Float32Array.of(0.25, 0.75) } as const;
    const { x: bright } = await augmented(withTargets(x), [drawing(brightness(1), [2])]);
    expect([...bright.data]).toEqual([0.5, 1]);
  });

  test('saturation blends with the gray of the pixel', async () => {
    const expected = [100, 200, 50].map((value) => 0.5 * value + 0.5 * gray);
    const actual = await colorOf([100, 200, 50], drawing(saturation(1), [0.5]));
    actual.forEach((value, i) => expect(value).toBeCloseTo(expected[i], 3));
  });

  test('contrast blends with the mean gray of the image', async () => {
    expect(await pixelsOf([[10, 30, 50]], [drawing(contrast(1), [2])])).toEqual([0, 30, 70]);
  });

  test('factors are uniform from max(0, 1 − strength) to 1 + strength', () => {
    const draw = (strength: number, u: number): number =>
      brightness(strength).draw({ uniform: () => u } as never, {} as never)[0];
    expect([draw(0.4, 0), draw(0.4, 0.5), draw(3, 0), draw(3, 1)]).toEqual([0.6, 1, 0, 4]);
  });

  test('two channels have no gray', async () => {
    const x = { shape: [1, 1, 1, 2], dtype: 'u8', data: Uint8Array.of(1, 2) } as const;
    await expect(augmented(withTargets(x), [contrast(1)])).rejects.toThrow(
      'contrast: expects images with 1 or 3 channels but got f32 [1,1,1,2]',
    );
  });
});

describe('erasing', () => {
  test('cutout erases a square around its center, cut off at the border', async () => {
    const data = withTargets(randomImages(60, 7, 9));
    const { x } = await augmented(data, [cutout(3)]);
    const sizes = new Set<number>();
    for (let n = 0; n < 60; n++) {
      const erased = [...x.data.subarray(63 * n, 63 * (n + 1))].flatMap((value, i) =>
        value === 0 ? [i] : [],
      );
      const [rows, columns] = [erased.map((i) => Math.floor(i / 9)), erased.map((i) => i % 9)];
      const [height, width] = [rows, columns].map((all) => Math.max(...all) - Math.min(...all) + 1);
      expect(erased.length).toBe(height * width);
      expect(Math.max(height, width)).toBeLessThanOrEqual(3);
      sizes.add(erased.length);
    }
    expect([...sizes].sort((a, b) => a - b)).toEqual([4, 6, 9]);
  });

  test('random erasing takes its share of images and areas', async () => {
    const data = withTargets(randomImages(200, 16, 16));
    const { x } = await augmented(data, [randomErasing()]);
    const shares = Array.from({ length: 200 }, (_, n) => {
      const erased = x.data.subarray(256 * n, 256 * (n + 1)).filter((value) => value === 0);
      return erased.length / 256;
    });
    const hit = shares.filter((share) => share > 0);
    expect(Math.abs(hit.length - 100)).toBeLessThan(36); // five standard deviations
    // Sides are rounded to whole pixels.
    expect(Math.min(...hit)).toBeGreaterThan(0.01);
    expect(Math.max(...hit)).toBeLessThan(0.38);
    expect(Math.max(...hit)).toBeGreaterThan(0.25);
  });
});

describe('mixtures', () => {
  const images = randomImages(6, 5, 4);
  const data = withTargets(images);

  test('cutmix pastes a box of the partner, whose share of the area is 1 − weight', async () => {
    const { mix } = loader(data, { batchSize: 6, shuffle: false, seed: 1, augment: [cutmix()] }).batch(0);
    const { x } = await augmented(data, [cutmix()]);
    const from = (n: number, i: number): number => images.data[20 * n + i];
    let own = 0;
    for (let n = 0; n < 6; n++) {
      for (let i = 0; i < 20; i++) {
        const [top, left, bottom, right] = mix!.box!;
        const [row, column] = [Math.floor(i / 4), i % 4];
        const isInside = row >= top && row < bottom && column >= left && column < right;
        expect(x.data[20 * n + i]).toBe(from(isInside ? mix!.partners[n] : n, i));
        own += isInside ? 0 : 1;
      }
    }
    expect(mix!.weight).toBeCloseTo(own / 120, 12);
  });

  test('boxes of cutmix have the areas of its distribution', () => {
    const data = loader(withTargets(randomImages(2, 40, 40)), { batchSize: 2, augment: [cutmix()] });
    const weights = Array.from({ length: 2000 }, (_, step) => data.batch(step).mix!.weight);
    const mean = weights.reduce((a, b) => a + b, 0) / 2000;
    // λ is uniform. A side is cut off to 1 − side / 4 of its length on average: E[(1 − λ)(1 − √(1 − λ) / 4)²].
    const expected = 1 - (1 / 2 - (2 / 4) * (2 / 5) + (1 / 16) * (1 / 3));
    expect(Math.abs(mean - expected)).toBeLessThan(0.03);
    expect(Math.min(...weights)).toBeGreaterThanOrEqual(0);
  });

  test('masks get the box of their partner', async () => {
    const y = { shape: [6, 5, 4], dtype: 'i32', data: Int32Array.from(images.data) } as const;
    const both = await augmented(withTargets(images, y, 'mask'), [crop(1), flip(), cutmix()]);
    expect([...both.y.data]).toEqual([...both.x.data]);
  });

  test('boxes of a detector cannot be cut', () => {
    const y = { shape: [6, 1, 4], dtype: 'f32', data: new Float32Array(24) } as const;
    expect(() => loader(withTargets(images, y, 'boxes'), { batchSize: 2, augment: [cutmix()] })).toThrow(
      'loader: augment: cutmix cannot combine the targets of pictures (boxes): it supports labels, masks and images (omit it)',
    );
  });

  test('a mixture comes last', () => {
    expect(() => loader(data, { batchSize: 2, augment: [mixup(), rotate(5)] })).toThrow(
      'loader: augment[0]: mixup must be the last augmentation, because it combines finished images, but rotate follows',
    );
  });

  test.each([
    ['mixup', mixup(1)],
    ['cutmix', cutmix(1)],
  ] as const)('%s after other augmentations mixes the losses for both labels', async (_, mixing) => {
    const labels = Int32Array.of(0, 1, 2, 3, 4, 5);
    const own = loader(arrays(images, labels), {
      batchSize: 6,
      shuffle: false,
      augment: [rotate(10), mixing],
    });
    // The loss of a label is the label.
    const loss = (_output: Tensor, y: Tensor): Tensor => y.cast('f32');
    const model = nn.sequential({ input: nn.normalize(0), flat: nn.flatten(), fc: nn.dense(20, 6) });
    const ran = await fit({
      model,
      backend: reference(),
      steps: 1,
      seed: 4,
      data: own,
      loss,
      optimizer: sgd({ lr: 0 }),
    });
    const { partners, weight } = own.withSeed(4).batch(0).mix!;
    const expected = [...partners].reduce((sum, j, i) => sum + weight * i + (1 - weight) * j, 0) / 6;
    expect(ran.loss).toBeCloseTo(expected, 5);
  });
});
