import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arrays, loader, type Dataset, type LoaderOptions } from 'cyclegrad/datasets';

/** `n` images of `height` x `width`. */
function images(n: number, height = 3, width = 5): Dataset {
  const data = new Uint8Array(n * height * width);
  return arrays({ shape: [n, height, width, 1], data }, new Int32Array(n), { name: 'pictures' });
}

const numbers = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);

describe('order', () => {
  test('wrap: consecutive steps run through one permutation after another', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 50 }),
        fc.nat(1000),
        (n, batchSize, seed) => {
          const data = loader(images(n), { batchSize, seed });
          const epochs = 3;
          const seen: number[] = [];
          for (let step = 0; seen.length < epochs * n; step++) seen.push(...data.batch(step).indices);
          for (let e = 0; e < epochs; e++) expect(sorted(seen.slice(e * n, (e + 1) * n))).toEqual(numbers(n));
        },
      ),
    );
  });

  test('drop: each epoch has distinct examples and starts a new order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(39), fc.nat(1000), (n, less, seed) => {
        const batchSize = 1 + (less % n);
        const data = loader(images(n), { batchSize, seed, partial: 'drop' });
        expect(data.stepsPerEpoch).toBe(Math.floor(n / batchSize));
        for (let e = 0; e < 2; e++) {
          const epoch = numbers(data.stepsPerEpoch).flatMap((k) => [
            ...data.batch(e * data.stepsPerEpoch + k).indices,
          ]);
          expect(new Set(epoch).size).toBe(epoch.length);
          expect(Math.max(...epoch)).toBeLessThan(n);
        }
      }),
    );
  });

  test('without shuffling the data set runs in its own order', () => {
    const wrap = loader(images(5), { batchSize: 2, shuffle: false });
    expect(numbers(5).map((k) => [...wrap.batch(k).indices])).toEqual([
      [0, 1],
      [2, 3],
      [4, 0],
      [1, 2],
      [3, 4],
    ]);
    const drop = loader(images(5), { batchSize: 2, shuffle: false, partial: 'drop' });
    expect(numbers(3).map((k) => [...drop.batch(k).indices])).toEqual([
      [0, 1],
      [2, 3],
      [0, 1],
    ]);
    const large = loader(images(3), { batchSize: 7, shuffle: false });
    expect([...large.batch(1).indices]).toEqual([1, 2, 0, 1, 2, 0, 1]);
  });

  test('epochs differ, seeds differ, and the default shuffles', () => {
    const data = loader(images(50), { batchSize: 50 });
    expect(data.batch(0)).not.toEqual(data.batch(1));
    expect(data.batch(0)).not.toEqual(data.withSeed(1).batch(0));
    expect([...data.batch(0).indices]).not.toEqual(numbers(50));
  });

  test('batch(step) does not depend on what was asked before', () => {
    const options: LoaderOptions = { batchSize: 7, seed: 3, augment: { crop: 2, flip: true } };
    fc.assert(
      fc.property(fc.array(fc.nat(60), { minLength: 1, maxLength: 20 }), (steps) => {
        const used = loader(images(20), options);
        for (const step of steps) expect(used.batch(step)).toEqual(loader(images(20), options).batch(step));
      }),
      { numRuns: 30 },
    );
  });

  test('a batch belongs to the caller: writing into it changes no other', () => {
    const data = loader(images(10), { batchSize: 10, shuffle: false });
    data.batch(0).indices.fill(9);
    expect([...data.batch(0).indices]).toEqual(numbers(10));
  });

  test('withSeed keeps every other option', () => {
    const options: LoaderOptions = { batchSize: 4, shuffle: true, partial: 'drop', augment: { crop: 1 } };
    const other = loader(images(9), { ...options, seed: 1 }).withSeed(8);
    expect(other.batch(5)).toEqual(loader(images(9), { ...options, seed: 8 }).batch(5));
    expect(other.config).toEqual(loader(images(9), options).config);
  });

  test('stepsPerEpoch is N / B rounded for wrap', () => {
    expect(loader(images(10), { batchSize: 4 }).stepsPerEpoch).toBe(3);
    expect(loader(images(10), { batchSize: 3 }).stepsPerEpoch).toBe(3);
    expect(loader(images(10), { batchSize: 100 }).stepsPerEpoch).toBe(1);
  });

  test('config is plain data that names the order, without the seed', () => {
    const { config } = loader(images(10), { batchSize: 4, seed: 7, augment: { crop: 1 } });
    expect(JSON.parse(JSON.stringify(config))).toEqual({
      dataset: 'pictures',
      examples: 10,
      batchSize: 4,
      shuffle: true,
      partial: 'wrap',
      augment: { crop: 1, flip: false },
    });
  });
});

describe('augmentation', () => {
  test('the augmentation stays in range, reaches both ends and looks uniform', () => {
    const data = loader(images(100), { batchSize: 100, augment: { crop: 2, flip: true } });
    const counts = [new Map<number, number>(), new Map<number, number>(), new Map<number, number>()];
    const total = 100 * 100;
    for (let step = 0; step < 100; step++) {
      data
        .batch(step)
        .augmentation!.forEach((value, i) => counts[i % 3].set(value, (counts[i % 3].get(value) ?? 0) + 1));
    }
    for (const [column, values] of [
      [-2, -1, 0, 1, 2],
      [-2, -1, 0, 1, 2],
      [0, 1],
    ].entries()) {
      expect(sorted(counts[column].keys())).toEqual(values);
      for (const count of counts[column].values()) {
        const expected = total / values.length;
        expect(Math.abs(count - expected)).toBeLessThan(5 * Math.sqrt(expected)); // five standard deviations
      }
    }
  });

  test('what is not asked for is not drawn', () => {
    expect(loader(images(4), { batchSize: 4 }).batch(0).augmentation).toBeNull();
    const none = loader(images(4), { batchSize: 4, augment: { crop: 0, flip: false } });
    expect([none.augments, none.batch(0).augmentation]).toEqual([false, null]);
    const flips = loader(images(40), { batchSize: 40, augment: { flip: true } }).batch(0).augmentation!;
    expect(flips.every((value, i) => i % 3 === 2 || value === 0)).toBe(true);
    expect(flips.some((value) => value === 1)).toBe(true);
    const crops = loader(images(40), { batchSize: 40, augment: { crop: 1 } }).batch(0).augmentation!;
    expect(crops.every((value, i) => i % 3 !== 2 || value === 0)).toBe(true);
  });
});

describe('mixup', () => {
  const weights = (mixup: number): number[] => {
    const data = loader(images(2), { batchSize: 2, augment: { mixup } });
    return numbers(4000).map((step) => data.batch(step).mix!.weight);
  };

  test('partners are an order of the batch, the same for the same step', () => {
    const data = loader(images(20), { batchSize: 7, augment: { mixup: 0.4 } });
    expect([data.mixes, data.augments]).toEqual([true, false]);
    const { mix, augmentation } = data.batch(3);
    expect(augmentation).toBeNull();
    expect(sorted(mix!.partners)).toEqual(numbers(7));
    expect(data.batch(3)).toEqual(loader(images(20), { batchSize: 7, augment: { mixup: 0.4 } }).batch(3));
    expect(data.batch(4).mix).not.toEqual(mix);
    expect(data.withSeed(1).batch(3).mix).not.toEqual(mix);
    expect(data.config['augment']).toEqual({ crop: 0, flip: false, mixup: 0.4 });
    const plain = loader(images(20), { batchSize: 7 });
    expect([plain.mixes, plain.batch(0).mix, plain.config['augment']]).toEqual([false, null, null]);
  });

  test.each([0.1, 0.5, 1, 3])('weights have the moments of Beta(%d, same)', (alpha) => {
    const drawn = weights(alpha);
    const n = drawn.length;
    const mean = drawn.reduce((a, b) => a + b, 0) / n;
    const variance = drawn.reduce((sum, w) => sum + (w - 0.5) ** 2, 0) / n;
    const expected = 1 / (4 * (2 * alpha + 1));
    expect(Math.abs(mean - 0.5)).toBeLessThan(5 * Math.sqrt(expected / n));
    // (w − ½)² lies in [0, ¼], so its own deviation is at most ⅛.
    expect(Math.abs(variance - expected)).toBeLessThan((5 * 0.125) / Math.sqrt(n));
  });

  test('extreme parameters give weights all the same', () => {
    expect(weights(1e-6).every((w) => w === 0 || w === 1)).toBe(true);
    expect(weights(1e6).every((w) => Math.abs(w - 0.5) < 0.01)).toBe(true);
  });

  test.each([-1, 1e-9, NaN, Infinity, '1'])('%s is refused', (mixup) => {
    expect(() => loader(images(4), { batchSize: 2, augment: { mixup: mixup as number } })).toThrow(
      'loader: augment.mixup must be 0 or a finite number >= 1e-6, the parameter of a Beta distribution, got ',
    );
  });
});

describe('wrong options', () => {
  const points = arrays({ shape: [4, 2], data: new Float32Array(8) }, [0, 1, 0, 1], { name: 'points' });
  test.each<[string, Dataset, object, string]>([
    [
      'batchSize 0',
      points,
      { batchSize: 0 },
      'loader: batchSize must be an integer from 1 to 2147483647, got 0',
    ],
    ['no batchSize', points, {}, 'loader: batchSize must be an integer from 1 to 2147483647, got undefined'],
    ['seed', points, { batchSize: 1, seed: -1 }, 'loader: seed must be an integer >= 0, got -1'],
    ['shuffle', points, { batchSize: 1, shuffle: 'yes' }, "loader: shuffle must be true or false, got 'yes'"],
    [
      'partial',
      points,
      { batchSize: 1, partial: 'pad' },
      "loader: partial must be 'wrap' or 'drop', got 'pad'",
    ],
    [
      'drop leaves nothing',
      points,
      { batchSize: 5, partial: 'drop' },
      "loader: batchSize: partial 'drop' leaves no batch: 5 examples per batch, 4 in points (use at most 4, or partial 'wrap')",
    ],
    [
      'unknown',
      points,
      { batchSize: 1, suffle: true },
      "loader: unknown option 'suffle' (did you mean 'shuffle'? known: batchSize, shuffle, seed, augment, partial)",
    ],
    [
      'unknown augmentation',
      images(4),
      { batchSize: 1, augment: { pad: 4 } },
      "loader: augment: unknown option 'pad' (known: crop, flip, mixup)",
    ],
    [
      'augmenting points',
      points,
      { batchSize: 1, augment: { flip: true } },
      'loader: augment: crop and flip need images [height, width, channels], but the inputs of points are [2] (omit them)',
    ],
    [
      'crop beyond the image',
      images(4),
      { batchSize: 1, augment: { crop: 3 } },
      'loader: augment.crop must be an integer from 0 to 2, got 3',
    ],
    [
      'flip',
      images(4),
      { batchSize: 1, augment: { flip: 1 } },
      'loader: augment.flip must be true or false, got 1',
    ],
    [
      'no data set',
      [[1, 2]] as never,
      { batchSize: 1 },
      'loader: the first argument must be a data set, got an array (for arrays in memory',
    ],
    ['no options', points, undefined as never, 'loader: options must be an object (batchSize, shuffle,'],
    [
      'empty data set',
      { ...points, length: 0 },
      { batchSize: 1 },
      'loader: the data set is empty: points (pass one with at least 1 example)',
    ],
  ])('%s', (_name, dataset, options, message) => {
    expect(() => loader(dataset, options as LoaderOptions)).toThrow(message);
  });

  test('images are not moved away from targets that nobody declared', () => {
    const withTargets = (...item: number[]): Dataset => {
      const size = item.reduce((a, b) => a * b, 4);
      const x = { shape: [4, 6, 8, 3], data: new Uint8Array(4 * 6 * 8 * 3) };
      return arrays(x, { shape: [4, ...item], data: new Float32Array(size) }, { name: 'scenes' });
    };
    for (const item of [
      [6, 8],
      [6, 8, 1],
      [2, 6, 8],
      [3, 4],
    ]) {
      for (const augment of [{ crop: 1 }, { flip: true }, { flip: true, mixup: 1 }]) {
        expect(() => loader(withTargets(...item), { batchSize: 2, augment })).toThrow(
          'loader: augment: the images of scenes would move, and whether its targets must move with them is unknown: ' +
            `x is u8 [6,8,3], y is f32 [${item.join(',')}] (declare it: arrays(x, y, { targets: 'mask' }), ` +
            "or 'labels', 'image', 'boxes', 'points'; 'labels' stay as they are)",
        );
        const declared: Dataset = { ...withTargets(...item), targets: 'labels' };
        expect(loader(declared, { batchSize: 2, augment }).augments).toBe(true);
      }
      for (const augment of [{}, { crop: 0, flip: false }, { mixup: 1 }])
        expect(loader(withTargets(...item), { batchSize: 2, augment }).augments).toBe(false);
    }
    for (const item of [[], [6], [8], [4]])
      expect(loader(withTargets(...item), { batchSize: 2, augment: { flip: true } }).augments).toBe(true);
  });

  test('a step that is not one', () => {
    const data = loader(points, { batchSize: 2 });
    for (const step of [-1, 0.5, NaN])
      expect(() => data.batch(step)).toThrow(/^loader: batch: step must be an integer from 0/);
  });
});
