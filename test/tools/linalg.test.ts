/** Decompositions of small matrices: residuals, orthogonality, and whitening. */
import { describe, expect, test } from 'vitest';
import { conv2d, reference, stream, compile, type HostTensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { eigh, qr, svd, whitening } from 'cyclegrad/tools';

type Rows = readonly (readonly number[])[];

const rowsOf = ({ shape: [m, n = 1], data }: HostTensor): Rows =>
  Array.from({ length: m }, (_, r) => Array.from(data.slice(r * n, (r + 1) * n)));
const transposed = (a: Rows): Rows => a[0].map((_, c) => a.map((row) => row[c]));
const times = (a: Rows, b: Rows): Rows => {
  const columns = transposed(b);
  return a.map((row) => columns.map((column) => row.reduce((sum, x, k) => sum + x * column[k], 0)));
};
const scaledColumns = (a: Rows, by: readonly number[]): Rows => a.map((row) => row.map((x, c) => x * by[c]));
const largest = (a: Rows): number => Math.max(...a.flat().map(Math.abs));
const difference = (a: Rows, b: Rows): number => largest(a.map((row, r) => row.map((x, c) => x - b[r][c])));
const identity = (n: number): Rows =>
  Array.from({ length: n }, (_, r) => Array.from({ length: n }, (_, c) => (r === c ? 1 : 0)));
/** The largest deviation of the columns from orthonormal ones. */
const skew = (q: Rows): number => difference(times(transposed(q), q), identity(q[0].length));

const random = (m: number, n: number, seed: number): Rows => {
  const draws = stream(seed, 'matrix');
  return Array.from({ length: m }, () => Array.from({ length: n }, () => draws.normal()));
};
const symmetric = (values: readonly number[], seed: number): Rows => {
  const n = values.length;
  const { q } = qr(random(n, n, seed));
  const vectors = rowsOf(q);
  const product = times(scaledColumns(vectors, values), transposed(vectors));
  return product.map((row, r) => row.map((x, c) => (x + product[c][r]) / 2));
};
const lowRank = times(random(7, 2, 5), random(2, 5, 6));

const matrices: readonly (readonly [string, Rows])[] = [
  ['one value', [[-3]]],
  ['square', random(6, 6, 1)],
  ['tall', random(9, 4, 2)],
  ['wide', random(3, 8, 3)],
  ['a row', random(1, 5, 4)],
  ['a column', random(5, 1, 4)],
  ['singular', lowRank],
  ['singular, wide', transposed(lowRank)],
  [
    'zero',
    [
      [0, 0],
      [0, 0],
      [0, 0],
    ],
  ],
  ['large', random(4, 4, 7).map((row) => row.map((x) => x * 1e300))],
  ['tiny', random(4, 4, 8).map((row) => row.map((x) => x * 1e-300))],
  ['graded', random(4, 4, 9).map((row, r) => row.map((x) => x * 10 ** (-4 * r)))],
  ['equal singular values', identity(4)],
];
const eps = 1e-13;

describe.each(matrices)('%s', (_, a) => {
  const scale = largest(a) || 1;

  test('svd', () => {
    const { u, s, v } = svd(a);
    const singular = [...s.data];
    expect(u.shape).toEqual([a.length, Math.min(a.length, a[0].length)]);
    const product = times(
      scaledColumns(
        rowsOf(u),
        singular.map((x) => x / scale),
      ),
      transposed(rowsOf(v)),
    );
    expect(
      difference(
        product,
        a.map((row) => row.map((x) => x / scale)),
      ),
    ).toBeLessThan(eps);
    expect(skew(rowsOf(u))).toBeLessThan(eps);
    expect(skew(rowsOf(v))).toBeLessThan(eps);
    expect(singular).toEqual(singular.toSorted((x, y) => y - x));
    expect(singular.at(-1)).toBeGreaterThanOrEqual(0);
  });

  test('qr', () => {
    const { q, r } = qr(a);
    const upper = rowsOf(r);
    const product = times(
      rowsOf(q),
      upper.map((row) => row.map((x) => x / scale)),
    );
    expect(
      difference(
        product,
        a.map((row) => row.map((x) => x / scale)),
      ),
    ).toBeLessThan(eps);
    expect(skew(rowsOf(q))).toBeLessThan(eps);
    expect(upper.every((row, i) => row.every((x, c) => (c < i ? x === 0 : c > i || x >= 0)))).toBe(true);
  });
});

describe('eigh', () => {
  test.each([
    ['different values', [-2, 0.5, 3, 7]],
    ['equal values', [2, 2, 2, -1, -1]],
    ['zero', [0, 0, 0]],
    ['singular', [0, 0, 5, 6]],
    ['graded', [1e-9, 1e-3, 1, 1e3]],
    ['large', [1e300, -2e300, 3e299]],
    ['tiny', [1e-300, 2e-300, 3e-300]],
  ])('%s', (_, values) => {
    const scale = Math.max(...values.map(Math.abs)) || 1;
    const a = symmetric(
      values.map((x) => x / scale),
      3,
    ).map((row) => row.map((x) => x * scale));
    const found = eigh(a);
    const vectors = rowsOf(found.vectors);
    expect(skew(vectors)).toBeLessThan(eps);
    const expected = values.toSorted((x, y) => x - y);
    found.values.data.forEach((x, i) => expect(Math.abs(x - expected[i]) / scale).toBeLessThan(eps));
    const product = times(
      scaledColumns(
        vectors,
        [...found.values.data].map((x) => x / scale),
      ),
      transposed(vectors),
    );
    expect(
      difference(
        product,
        a.map((row) => row.map((x) => x / scale)),
      ),
    ).toBeLessThan(eps);
  });

  test('agrees with values that are known', () => {
    // The second difference matrix: 2 − 2 cos(π k / (n + 1)).
    const a = identity(12).map((row, r) => row.map((_, c) => (r === c ? 2 : Math.abs(r - c) === 1 ? -1 : 0)));
    const known = Array.from({ length: 12 }, (_, k) => 2 - 2 * Math.cos((Math.PI * (k + 1)) / 13));
    eigh(a).values.data.forEach((x, i) => expect(x).toBeCloseTo(known[i], 13));
    svd(a).s.data.forEach((x, i) => expect(x).toBeCloseTo(known[11 - i], 13));
  });
});

describe('wrong matrices', () => {
  test.each([
    [
      () =>
        eigh([
          [1, 2],
          [3, 4],
        ]),
      'eigh: the matrix must be symmetric, got 3 at [1, 0] and 2 at [0, 1] (svd takes any matrix)',
    ],
    [
      () =>
        eigh([
          [1, 2, 3],
          [4, 5, 6],
        ]),
      'eigh: expects a square matrix but got [2,3]',
    ],
    [() => svd([[1, 2], [3]]), 'svd: expects a matrix [m, n] with m, n >= 1 but got [2,2] with 3 values'],
    [() => svd([1, 2] as never), 'svd: the matrix must be rows of numbers or { shape, data }, got an array'],
    [() => qr([[1, NaN]]), 'qr: the matrix must have finite values, got NaN at [0, 1]'],
  ])('%s', (call, message) => {
    expect(call).toThrow(message);
  });
});

describe('whitening', () => {
  const draws = stream(2, 'images');
  const mixed = Float32Array.from({ length: 40 * 6 * 6 * 2 }, () => draws.normal());
  // Neighbors and channels are correlated.
  for (let i = 3; i < mixed.length; i++) mixed[i] = 0.8 * mixed[i - 1] - 0.4 * mixed[i - 3] + mixed[i];
  const images: HostTensor = { shape: [40, 6, 6, 2], dtype: 'f32', data: mixed };

  test('outputs of the convolution are uncorrelated and have mean square 1', async () => {
    const filters = whitening(images, { epsilon: 1e-9 });
    expect(filters.shape).toEqual([2, 2, 2, 8]);
    const run = await compile(reference(), {
      state: { x: images, w: filters },
      build: (_, state) => ({ outputs: { y: conv2d(state['x'], state['w']) } }),
    });
    const { y } = await run.run({});
    await run.close();
    const rows = rowsOf({ ...y, shape: [40 * 25, 8] });
    const moments = times(transposed(rows), rows).map((row) => row.map((x) => x / rows.length));
    expect(difference(moments, identity(8))).toBeLessThan(1e-4);
  });

  test('negatives follow the filters', () => {
    const [plain, both] = [whitening(images), whitening(images, { negatives: true })];
    expect(both.shape).toEqual([2, 2, 2, 16]);
    const rows = rowsOf({ ...both, shape: [8, 16] });
    expect(rows.map((row) => row.slice(0, 8))).toEqual(rowsOf({ ...plain, shape: [8, 8] }));
    expect(rows.map((row) => row.slice(8))).toEqual(rows.map((row) => row.slice(0, 8).map((x) => -x)));
  });

  test('refuses images smaller than a patch', () => {
    expect(() => whitening(images, { kernel: 7 })).toThrow(
      'whitening: images must be [N, H, W, C] with H, W >= 7 but got [40,6,6,2]',
    );
  });
});

describe('initializers', () => {
  const draw = (init: nn.Initializer, shape: readonly number[]): HostTensor => ({
    shape,
    dtype: 'f32',
    data: init(shape, stream(1, 'test')),
  });

  test.each([
    ['tall', [3, 3, 4, 6], 36, 6],
    ['wide', [4, 10], 4, 10],
    ['square', [5, 5], 5, 5],
  ] as const)('orthogonal: %s', (_, shape, inputs, outputs) => {
    const rows = rowsOf({ ...draw(nn.init.orthogonal(3), shape), shape: [inputs, outputs] });
    const unit = rows.map((row) => row.map((x) => x / 3));
    expect(skew(inputs >= outputs ? unit : transposed(unit))).toBeLessThan(1e-6);
  });

  test.each([
    ['as many outputs', 3, 3],
    ['more outputs', 3, 5],
    ['fewer outputs', 3, 2],
  ])('dirac passes images on: %s', async (_, inputs, outputs) => {
    const w = draw(nn.init.dirac(), [3, 3, inputs, outputs]);
    const x: HostTensor = {
      shape: [1, 4, 4, inputs],
      dtype: 'f32',
      data: Float32Array.from({ length: 16 * inputs }, (_, i) => i + 1),
    };
    const run = await compile(reference(), {
      state: { x, w },
      build: (_, state) => ({ outputs: { y: conv2d(state['x'], state['w'], { padding: 1 }) } }),
    });
    const { y } = await run.run({});
    await run.close();
    const [got, given] = [rowsOf({ ...y, shape: [16, outputs] }), rowsOf({ ...x, shape: [16, inputs] })];
    expect(got).toEqual(given.map((row) => Array.from({ length: outputs }, (_, o) => row[o] ?? 0)));
  });

  test('dirac leaves the outputs beyond the identity to another initializer', () => {
    const [mixed, rest] = [nn.init.dirac({ rest: nn.init.he() }), nn.init.he()].map((init) =>
      rowsOf({ ...draw(init, [3, 3, 2, 5]), shape: [18, 5] }),
    );
    expect(mixed.map((row) => row.slice(2))).toEqual(rest.map((row) => row.slice(2)));
    expect(mixed.flatMap((row) => row.slice(0, 2)).filter((x) => x !== 0)).toEqual([1, 1]);
    expect(() => draw(nn.init.dirac(), [4])).toThrow(
      'dirac: expects a weight [..., in, out] but the parameter is [4]',
    );
  });
});
