/** Sorting, and gathering and scattering by an index. */
import ndops from 'ndarray-ops';
import type { KernelTable } from '../../backend.ts';
import { indexError } from '../../failures.ts';
import { accumulate, type Call, type Nd } from './call.ts';

/** The order of sorting: NaN counts as larger than every number. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
}

function checkedIndex(op: string, path: string, index: number, position: number, n: number): number {
  if (index < 0 || index >= n) throw indexError(path, op, index, position, n);
  return index;
}

/** Visits every element of an index [outer, m, inner] with the position of [outer, n, inner] that it names. */
function forAlong(
  op: string,
  path: string,
  index: Nd,
  n: number,
  visit: (at: number, o: number, position: number, i: number) => void,
): void {
  const [outer, m, inner] = index.shape;
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < inner; i++) {
        visit(at, o, checkedIndex(op, path, index.data[at], at, n), i);
        at++;
      }
    }
  }
}

export const gatherKernels = {
  sort({ inputs: [x], outputs: [values, indices], attrs: { descending } }) {
    const [rows, n] = x.shape;
    for (let row = 0; row < rows; row++) {
      const order = Array.from({ length: n }, (_, i) => i);
      const at = (i: number): number => x.get(row, i);
      order.sort((i, j) => (descending ? compare(at(j), at(i)) : compare(at(i), at(j))));
      order.forEach((from, i) => {
        values.set(row, i, at(from));
        indices.set(row, i, from);
      });
    }
  },

  gatherRows({ inputs: [x, index], outputs: [y], path }) {
    const rows = x.shape[0];
    for (let n = 0; n < index.size; n++) {
      const row = checkedIndex('gatherRows', path, index.data[n], n, rows);
      ndops.assign(y.lo(n).hi(1), x.lo(row).hi(1));
    }
  },

  scatterAddRows({ inputs: [g, index], outputs: [y], path }) {
    const rows = y.shape[0];
    const width = g.size / Math.max(index.size, 1);
    accumulate(y, (add) => {
      for (let n = 0; n < index.size; n++) {
        const row = checkedIndex('scatterAddRows', path, index.data[n], n, rows);
        for (let i = 0; i < width; i++) add(row * width + i, g.data[n * width + i]);
      }
    });
  },

  takeAlongAxis({ inputs: [x, index], outputs: [y], path }) {
    const [, n, inner] = x.shape;
    forAlong('takeAlongAxis', path, index, n, (at, o, position, i) => {
      y.data[at] = x.data[(o * n + position) * inner + i];
    });
  },

  scatterAddAlongAxis({ inputs: [g, index], outputs: [y], path }) {
    const [, n, inner] = y.shape;
    accumulate(y, (add) => {
      forAlong('scatterAddAlongAxis', path, index, n, (at, o, position, i) =>
        add((o * n + position) * inner + i, g.data[at]),
      );
    });
  },
} satisfies Partial<KernelTable<Call>>;
