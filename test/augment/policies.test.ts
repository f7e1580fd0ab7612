// TrivialAugment, RandAugment, and the changes of levels that they draw.
import { describe, expect, test } from 'vitest';
import { augmentedBatch, reference, stream, wasm } from 'cyclegrad';
import {
  autoContrast,
  equalize,
  hue,
  posterize,
  randAugment,
  sharpness,
  solarize,
  trivialAugment,
  type Augmentation,
} from 'cyclegrad/augment';
import { arrays, loader } from 'cyclegrad/datasets';
import { augmented, drawing, pixelsOf, randomImages, withTargets } from './fixture.ts';

const example = { height: 20, width: 10, index: 0, epoch: 0, seed: 0 };

/** The draws of many images, one augmentation each. */
function drawsOf(augmentation: Augmentation): readonly (readonly number[])[] {
  const random = stream(1, 'draws');
  return Array.from({ length: 1000 }, () => augmentation.draw(random, example));
}

const column = (rows: readonly (readonly number[])[], at: number): number[] => rows.map((row) => row[at]);
const most = (values: readonly number[]): number => Math.max(...values.map(Math.abs));
/** The share of values that change something. */
const shareOf = (values: readonly number[], still: number): number =>
  values.filter((value) => value !== still).length / values.length;

describe('draws', () => {
  test('TrivialAugment draws each of 14 changes in its wide range', () => {
    const rows = drawsOf(trivialAugment());
    expect(Math.min(...column(rows, 6))).toBeCloseTo(0.01, 9);
    expect(Math.max(...column(rows, 6))).toBeCloseTo(1.99, 9);
    // Shears are about the upper left corner, so they also shift.
    const shifts = rows.filter((row) => row[1] === 0 && row[0] === 1).map((row) => row[2]);
    expect(most(shifts)).toBe(32);
    expect(Math.min(...column(rows, 10))).toBe(0);
    expect(Math.max(...column(rows, 11))).toBe(64);
    for (const [at, still] of [
      [7, 0],
      [8, 0],
      [9, 0],
      [10, 256],
      [12, 0],
      [13, 0],
    ] as const)
      // prettier-ignore
      expect(Math.abs(shareOf(column(rows, at), still) - 1 / 14)).toBeLessThan(0.041); // five standard deviations
  });

  test('RandAugment draws several changes of one strength', () => {
    const rows = drawsOf(randAugment({ operations: 3, magnitude: 15 }));
    expect(rows[0].length).toBe(42);
    for (const from of [0, 14, 28]) {
      const at = (n: number): number[] => column(rows, from + n);
      expect(new Set(at(6).map((factor) => factor.toFixed(6)))).toEqual(new Set(['1.000000', '0.550000', '1.450000'])); // prettier-ignore
      expect(new Set(at(10))).toEqual(new Set([256, 127.5]));
      expect(new Set(at(11))).toEqual(new Set([0, 4]));
      expect(most(rows.filter((row) => row[from + 1] === 0 && row[from] === 1).map((row) => row[from + 2]))).toBe(2); // prettier-ignore
      expect(Math.abs(shareOf(at(12), 0) - 1 / 14)).toBeLessThan(0.041);
    }
    expect(column(rows, 10)).not.toEqual(column(rows, 24));
  });

  test('magnitude 0 moves no pixel', async () => {
    const data = withTargets(randomImages(30, 4, 4));
    const draws = drawsOf(randAugment({ magnitude: 0 }));
    for (const row of draws) expect([...row.slice(0, 7), row[11]]).toEqual([1, 0, 0, 0, 1, 0, 1, 0].map((v) => expect.closeTo(v, 9))); // prettier-ignore
    expect((await augmented(data, [randAugment({ magnitude: 0 })])).x.shape).toEqual([30, 4, 4, 1]);
  });
});

test('RandAugment applies its changes in order, also to masks', async () => {
  const x = randomImages(4, 9, 9, 3);
  const mask = {
    shape: [4, 9, 9],
    dtype: 'i32',
    data: Int32Array.from({ length: 324 }, (_, i) => i),
  } as const;
  const data = withTargets(x, mask, 'mask');
  const two = randAugment({ operations: 2, magnitude: 20 });
  const one = randAugment({ operations: 1, magnitude: 20 });
  const rows = Array.from({ length: 4 }, (_, i) =>
    two.draw(stream(i, 'rows'), { ...example, height: 9, width: 9 }),
  );
  const part = (of: Augmentation, from: number, to: number): Augmentation => ({
    ...of,
    draw: (_, { index }) => rows[index].slice(from, to),
  });
  const both = await augmented(data, [part(two, 0, 28)]);
  const each = await augmented(data, [part(one, 0, 14), part(one, 14, 28)]);
  expect(both).toEqual(each);
  expect(both.y.data).not.toEqual(mask.data);
});

test('threads change no bit, and backends agree', async () => {
  const data = loader(withTargets(randomImages(8, 20, 17, 3)), {
    batchSize: 8,
    augment: [hue(0.4), sharpness(1), randAugment({ magnitude: 25 }), equalize(), posterize(3)],
  });
  const results = await Promise.all(
    [1, 3].map(async (threads) => {
      const backend = await wasm({ threads });
      const { x } = await augmentedBatch({ data, backend });
      await backend.close();
      return x;
    }),
  );
  expect(results[1]).toEqual(results[0]);
  const { x } = await augmentedBatch({ data, backend: reference() });
  // A last bit can move a value to another level.
  const off = x.data.filter((value, i) => Math.abs(results[0].data[i] - value) > 0.01).length;
  expect(off / x.data.length).toBeLessThan(0.01);
});

describe('levels', () => {
  const always = { probability: 1 };

  test('channels of one value, and images without enough pixels to equalize, stay as they are', async () => {
    expect(await pixelsOf([[7, 7, 7]], [autoContrast(always)])).toEqual([7, 7, 7]);
    expect(await pixelsOf([[1, 7, 200]], [equalize(always)])).toEqual([1, 7, 200]);
    const row = Array.from({ length: 300 }, () => 9);
    expect(await pixelsOf([row], [equalize(always)])).toEqual(row);
  });

  test('images of up to two pixels a side have no inside to smooth', async () => {
    expect(await pixelsOf([[1, 90, 7], [200, 4, 6]], [drawing(sharpness(1), [0])])).toEqual([1, 90, 7, 200, 4, 6]); // prettier-ignore
    expect(await pixelsOf([[13]], [drawing(sharpness(1), [0])])).toEqual([13]);
  });

  test('half of the images are changed by default', async () => {
    const data = withTargets(randomImages(100, 2, 2));
    const { x } = await augmented(data, [solarize(0)]);
    const before = randomImages(100, 2, 2).data;
    const changed = Array.from({ length: 100 }, (_, n) => x.data[4 * n] !== before[4 * n]).filter(Boolean);
    expect(Math.abs(changed.length - 50)).toBeLessThan(26); // five standard deviations
  });
});

test.each<[string, () => unknown, string]>([
  [
    'operations',
    () => randAugment({ operations: 0 }),
    'randAugment: operations must be an integer from 1 to 14, got 0',
  ],
  [
    'magnitude',
    () => randAugment({ magnitude: 31 }),
    'randAugment: magnitude must be an integer from 0 to 30, got 31',
  ],
  ['hue', () => hue(0.6), 'hue: strength must be turns from 0 to 0.5, got 0.6'],
  ['bits', () => posterize(9), 'posterize: bits must be an integer from 1 to 8, got 9'],
  ['threshold', () => solarize(128), 'solarize: threshold must be a share of white from 0 to 1, got 128'],
  ['probability', () => equalize({ probability: 2 }), 'equalize: probability must be in [0, 1], got 2'],
])('%s out of range', (_, call, message) => {
  expect(call).toThrow(message);
});

test('gray images have no hue', async () => {
  await expect(augmented(arrays(randomImages(1, 2, 2), [0]), [hue(0.1)])).rejects.toThrow(
    'hue: expects images with 3 channels but got f32 [1,2,2,1]',
  );
});
