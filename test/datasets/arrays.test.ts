import ndarray from 'ndarray';
import { describe, expect, test } from 'vitest';
import { DataError } from 'cyclegrad';
import {
  arrays,
  split,
  subset,
  take,
  targets,
  type ArraysOptions,
  type Dataset,
  type HostArray,
} from 'cyclegrad/datasets';

/** All of a data set, or the examples at `indices`. */
function readAll(
  dataset: Dataset,
  indices = Uint32Array.from({ length: dataset.length }, (_, i) => i),
): { x: number[]; y: number[] } {
  const per = dataset.x.shape.reduce((a, b) => a * b, 1) * indices.length;
  const perY = dataset.y.shape.reduce((a, b) => a * b, 1) * indices.length;
  const x = dataset.x.dtype === 'u8' ? new Uint8Array(per) : new Float32Array(per);
  const y = dataset.y.dtype === 'f32' ? new Float32Array(perY) : new Int32Array(perY);
  dataset.read(indices, x, y);
  return { x: [...x], y: [...y] };
}

describe('arrays', () => {
  test('keeps shapes, dtypes and values', () => {
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12);
    const dataset = arrays({ shape: [2, 2, 3], data }, Int32Array.of(1, 0), {
      classes: ['a', 'b', 'c'],
      name: 'mine',
    });
    expect(dataset.x).toEqual({ shape: [2, 3], dtype: 'u8' });
    expect(dataset.y).toEqual({ shape: [], dtype: 'i32' });
    expect([dataset.name, dataset.length, dataset.classes]).toEqual(['mine', 2, ['a', 'b', 'c']]);
    expect(readAll(dataset, Uint32Array.of(1, 0, 1))).toEqual({
      x: [7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
      y: [0, 1, 0],
    });
  });

  test('numbers count as labels when all are integers, as floats otherwise', () => {
    const x: HostArray = { shape: [2, 1], data: [0.5, 1] };
    expect(arrays(x, [2, 0]).y).toEqual({ shape: [], dtype: 'i32' });
    expect(arrays(x, [2, 0]).classes).toEqual(['0', '1', '2']);
    expect(arrays(x, [2, 0.5]).y).toEqual({ shape: [], dtype: 'f32' });
    expect(arrays(x, [2, 0.5]).classes).toEqual([]);
    expect(arrays(x, new Float64Array([2, 0])).y.dtype).toBe('f32');
  });

  test('targets may have a shape', () => {
    const dataset = arrays(
      { shape: [2, 1], data: [1, 2] },
      { shape: [2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
    );
    expect(dataset.y).toEqual({ shape: [3], dtype: 'f32' });
    expect(readAll(dataset, Uint32Array.of(1)).y).toEqual([4, 5, 6]);
  });

  test('takes an ndarray as it is strided', () => {
    const whole = ndarray(
      Float64Array.from({ length: 24 }, (_, i) => i),
      [2, 3, 4],
    );
    const view = whole.transpose(0, 2, 1).hi(2, 4, 2).lo(0, 1, 0); // [2, 3, 2]
    const expected: number[] = [];
    for (let n = 0; n < 2; n++) {
      for (let i = 0; i < 3; i++) {
        for (let j = 0; j < 2; j++) expected.push(view.get(n, i, j));
      }
    }
    const dataset = arrays(view, [0, 1]);
    expect(dataset.x).toEqual({ shape: [3, 2], dtype: 'f32' });
    expect(readAll(dataset).x).toEqual(expected);
  });

  const x: HostArray = { shape: [2, 2], data: new Float32Array(4) };
  test.each<[string, HostArray, HostArray | readonly number[] | Float32Array, ArraysOptions, string]>([
    [
      'lengths',
      x,
      [1],
      {},
      'arrays: x and y differ in length: x [2, 2], y [1] (both need one row per example)',
    ],
    [
      'data of x',
      { shape: [2, 3], data: new Float32Array(4) },
      [0, 1],
      {},
      'arrays: x: data and shape disagree: 4 elements, but [2, 3] has 6',
    ],
    [
      'label too large',
      x,
      [0, 3],
      { classes: 3 },
      'arrays: y: a label is out of range: example 1 has 3, expected 0 to 2',
    ],
    [
      'negative label',
      x,
      [-1, 0],
      {},
      'arrays: y: a label is out of range: example 0 has -1, expected 0 to 0',
    ],
    [
      'not finite',
      { shape: [2, 2], data: Float32Array.of(0, 1, 2, NaN) },
      [0, 1],
      {},
      'arrays: x: a number is not finite: NaN in example 1, element 1',
    ],
    [
      'labels with a shape',
      x,
      { shape: [2, 2], data: Int32Array.of(0, 1, 1, 0) },
      {},
      "arrays: y: labels need the shape [2], got [2, 2] (pass one-hot targets as floats, and for classes of pixels targets: 'mask')",
    ],
    [
      'stride',
      { shape: [2, 2], data: new Float32Array(4), stride: [2, 2], offset: 1 },
      [0, 1],
      {},
      'arrays: x: stride and offset leave the data: element 5 of 4',
    ],
  ])('refuses: %s', (_name, inputs, targets, options, message) => {
    expect(() => arrays(inputs, targets, options)).toThrow(DataError);
    expect(() => arrays(inputs, targets, options)).toThrow(message);
  });

  test('takes the bytes of a canvas as bytes', () => {
    const { x, whole } = arrays({ shape: [1, 2], data: Uint8ClampedArray.of(3, 255) }, [0]);
    expect([x.dtype, whole!.x]).toEqual(['u8', Uint8Array.of(3, 255)]);
  });

  test('gives all targets in order, of a whole data set and of one that is read', () => {
    const all = arrays(
      { shape: [250, 1], data: new Float32Array(250) },
      Array.from({ length: 250 }, (_, i) => i % 7),
    );
    expect(targets(all)).toBe(all.whole!.y);
    const reversed = subset(
      all,
      Array.from({ length: 250 }, (_, i) => 249 - i),
    );
    expect(targets(reversed)).toEqual(Int32Array.from({ length: 250 }, (_, i) => (249 - i) % 7));
    const pairs = arrays(
      { shape: [2, 1], data: new Uint8Array(2) },
      { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
    );
    expect(targets(take(pairs, 1))).toEqual(Float32Array.of(1, 2));
  });

  test('refuses wrong types and options', () => {
    const tokens = arrays({ shape: [2, 2], data: Int32Array.of(1, 300, 5, 7) }, [0, 1]);
    expect(() => tokens.read(Uint32Array.of(0), new Uint8Array(2), new Int32Array(1))).toThrow(
      'arrays: read: x would lose integers above 255: the data is i32, got Uint8Array (pass an Int32Array)',
    );
    expect(() => arrays(x, new Float32Array(2), { classes: 2 })).toThrow(
      'arrays: classes: given for targets that are floats (pass labels as an Int32Array, or omit classes)',
    );
    expect(() => arrays(x, [0, 1], { labels: 2 } as object)).toThrow(
      "arrays: unknown option 'labels' (known: classes, targets, name)",
    );
    expect(() => arrays([[1, 2]] as never, [0])).toThrow(
      'arrays: x: needs numbers with their shape, { shape: [2, 3], data: Float32Array }, got an array',
    );
    expect(() => arrays(x, [0, 1], { classes: 0 })).toThrow(
      'arrays: classes must be an integer from 1 to 2147483647, got 0',
    );
    expect(() => arrays(x, [0, 1]).read(Uint32Array.of(0), new Uint8Array(2), new Int32Array(1))).toThrow(
      'arrays: read: x would lose fractions: the data is f32, got Uint8Array (pass a Float32Array)',
    );
  });
});

describe('parts', () => {
  const all = arrays(
    { shape: [10, 1], data: Uint8Array.from({ length: 10 }, (_, i) => 10 * i) },
    Int32Array.from({ length: 10 }, (_, i) => i),
    { name: 'all' },
  );

  test('subset keeps the order given, nested too', () => {
    const part = subset(subset(all, [9, 3, 5, 3]), [2, 0, 1]);
    expect(readAll(part)).toEqual({ x: [50, 90, 30], y: [5, 9, 3] });
    expect(readAll(part, Uint32Array.of(1))).toEqual({ x: [90], y: [9] });
    expect(part.classes).toBe(all.classes);
  });

  test('take gives the first', () => {
    expect(readAll(take(all, 3)).y).toEqual([0, 1, 2]);
    expect(take(all, 3).name).toBe('all/first 3');
  });

  test('split gives two parts without overlap, by seed', () => {
    const [a, b] = split(all, 7, { seed: 1 });
    const [ys, rest] = [readAll(a).y, readAll(b).y];
    expect([a.length, b.length]).toEqual([7, 3]);
    expect([...ys, ...rest].sort((p, q) => p - q)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect([...ys].sort((p, q) => p - q)).toEqual(ys);
    expect(readAll(split(all, 7, { seed: 1 })[0]).y).toEqual(ys);
    expect(readAll(split(all, 7, { seed: 2 })[0]).y).not.toEqual(ys);
  });

  test('wrong sizes and indices throw', () => {
    expect(() => take(all, 0)).toThrow('take: n must be an integer from 1 to 10, got 0');
    expect(() => take(all, 11)).toThrow('take: n must be an integer from 1 to 10, got 11');
    expect(() => split(all, 10)).toThrow('split: n must be an integer from 1 to 9, got 10');
    expect(() => split(all, 5, { sed: 1 } as object)).toThrow(
      "split: unknown option 'sed' (did you mean 'seed'? known: seed)",
    );
    expect(() => subset(all, [0, 10])).toThrow('subset: index must be an integer from 0 to 9, got 10');
    expect(() => take(all, 3).read(Uint32Array.of(3), new Uint8Array(1), new Int32Array(1))).toThrow(
      'all/first 3: read: index out of range: 3 at position 0, but there are 3 examples (0 to 2)',
    );
  });
});

test('integers of an Int32Array stay integers', () => {
  const tokens = arrays({ shape: [2, 3], data: Int32Array.of(1, 70_000, 3, 4, 5, 6) }, [0, 1]);
  expect(tokens.x).toEqual({ shape: [3], dtype: 'i32' });
  const read = new Int32Array(3);
  subset(tokens, [1, 0]).read(Uint32Array.of(1), read, new Int32Array(1));
  expect(read).toEqual(Int32Array.of(1, 70_000, 3));
});
