/** Decompositions of random matrices against LAPACK by NumPy. CYCLEGRAD_PYTHON names a Python that has it. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { stream, type HostTensor } from 'cyclegrad';
import { eigh, qr, svd } from 'cyclegrad/tools';
import { describe, expect, test } from 'vitest';
import { pythonWith } from '../interop/python.ts';

type Rows = readonly (readonly number[])[];

interface Answer {
  readonly s: readonly number[];
  readonly q: Rows;
  readonly r: Rows;
  readonly symmetric: Rows;
  readonly values: readonly number[];
  readonly vectors: Rows;
}

const python = pythonWith('numpy');
const SIZES = [[1, 1], [2, 2], [3, 5], [5, 3], [8, 8], [16, 7], [12, 27], [27, 12], [48, 48]] as const; // prettier-ignore

function matrix(m: number, n: number, seed: number): Rows {
  const draws = stream(seed, 'numpy');
  const scale = 10 ** (4 * draws.normal());
  return Array.from({ length: m }, () => Array.from({ length: n }, () => scale * draws.normal()));
}

const matrices = SIZES.flatMap(([m, n], i) => [0, 1, 2].map((k) => matrix(m, n, 10 * i + k)));

const rowsOf = ({ shape: [m, n = 1], data }: HostTensor): Rows =>
  Array.from({ length: m }, (_, r) => Array.from(data.slice(r * n, (r + 1) * n)));
const largest = (a: Rows): number => Math.max(...a.flat().map(Math.abs));
const difference = (a: Rows, b: Rows): number => {
  expect([a.length, a[0].length]).toEqual([b.length, b[0].length]);
  return largest(a.map((row, r) => row.map((x, c) => x - b[r][c])));
};
/** Each column with the sign of NumPy's. */
const aligned = (a: Rows, to: Rows): Rows => {
  const signs = a[0].map((_, c) => Math.sign(a.reduce((sum, row, r) => sum + row[c] * to[r][c], 0)));
  return a.map((row) => row.map((x, c) => signs[c] * x));
};

describe.skipIf(python === undefined)('NumPy (CYCLEGRAD_PYTHON)', () => {
  const script = fileURLToPath(new URL('linalg_numpy.py', import.meta.url));
  const answers: Answer[] = [];
  if (python !== undefined) {
    const lines = matrices.map((each) => JSON.stringify(each)).join('\n');
    const output = execFileSync(python, [script], { input: lines, maxBuffer: 2 ** 26 }).toString();
    answers.push(
      ...output
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Answer),
    );
  }

  test.each(matrices.map((a, i) => [`${a.length} × ${a[0].length}, ${i % 3}`, a, i] as const))(
    '%s',
    (_, a, i) => {
      const theirs = answers[i];
      const scale = largest(a);
      const { s } = svd(a);
      s.data.forEach((x, k) => expect(Math.abs(x - theirs.s[k]) / theirs.s[0]).toBeLessThan(1e-14));

      const { q, r } = qr(a);
      expect(difference(rowsOf(r), theirs.r) / scale).toBeLessThan(1e-12);
      expect(difference(rowsOf(q), theirs.q)).toBeLessThan(1e-11);

      const { values, vectors } = eigh(theirs.symmetric);
      const top = theirs.values.at(-1)!;
      values.data.forEach((x, k) => expect(Math.abs(x - theirs.values[k]) / top).toBeLessThan(1e-14));
      // Vectors of equal values are any basis of their space: those of a wide matrix have different values.
      const compared =
        a[0].length >= a.length ? difference(aligned(rowsOf(vectors), theirs.vectors), theirs.vectors) : 0;
      expect(compared).toBeLessThan(1e-9);
    },
  );
});
