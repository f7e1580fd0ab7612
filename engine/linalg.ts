/** Decompositions of small matrices in double precision, on the host. */
import { ShapeError } from './errors.ts';
import { isRecord, show } from './options.ts';
import { formatShape } from './shape.ts';
import type { HostTensor } from './types.ts';

/** An array [m, n], or rows of numbers. Double precision is kept. */
type MatrixLike = Pick<HostTensor, 'shape' | 'data'> | readonly (readonly number[])[];

/** Columns of a matrix. Rotations and reflections combine columns, which are contiguous here. */
type Columns = Float64Array[];

/** Jacobi rotations stop after this many sweeps over all pairs. They converge in about 10. */
const SWEEPS = 60;

/** The shape and the values of a matrix. Throws ShapeError for rows of different lengths and other shapes, TypeError for other values. */
function readMatrix(
  where: string,
  given: MatrixLike,
): { readonly shape: readonly number[]; readonly data: ArrayLike<number> } {
  const value: unknown = given;
  const isRows = Array.isArray(value) && value.every(Array.isArray);
  if (!isRows && !(isRecord(value) && Array.isArray(value['shape']) && isNumbers(value['data']))) {
    throw new TypeError(
      `${where}: the matrix must be rows of numbers or { shape, data }, got ${show(value)} (write [[1, 2], [3, 4]])`,
    );
  }
  const { shape, data } = isRows
    ? {
        shape: [value.length, (value[0] as unknown[] | undefined)?.length ?? 0],
        data: value.flat() as number[],
      }
    : (given as Pick<HostTensor, 'shape' | 'data'>);
  const isMatrix = shape.length === 2 && shape.every((size) => size >= 1);
  if (!isMatrix || data.length !== shape[0] * shape[1]) {
    throw new ShapeError(
      `${where}: expects a matrix [m, n] with m, n >= 1 but got ${formatShape(shape)} with ${data.length} values`,
    );
  }
  return { shape, data };
}

const isNumbers = (data: unknown): boolean => ArrayBuffer.isView(data) && !(data instanceof DataView);

/** The columns of a matrix, divided by its largest magnitude, so that squares neither overflow nor underflow. */
function columnsOf(where: string, given: MatrixLike): { columns: Columns; rows: number; scale: number } {
  const { shape, data } = readMatrix(where, given);
  const [rows, count] = shape;
  let scale = 0;
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i])) {
      throw new RangeError(
        `${where}: the matrix must have finite values, got ${data[i]} at [${Math.floor(i / count)}, ${i % count}]`,
      );
    }
    scale = Math.max(scale, Math.abs(data[i]));
  }
  if (scale === 0) scale = 1;
  const columns = Array.from({ length: count }, (_, c) =>
    Float64Array.from({ length: rows }, (_, r) => data[r * count + c] / scale),
  );
  return { columns, rows, scale };
}

/** A matrix from its columns. */
const matrixOf = (columns: Columns, rows: number, scale = 1): HostTensor => ({
  shape: [rows, columns.length],
  dtype: 'f32',
  data: Float64Array.from(
    { length: rows * columns.length },
    (_, i) => scale * columns[i % columns.length][Math.floor(i / columns.length)],
  ),
});

const vectorOf = (values: readonly number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'f32',
  data: Float64Array.from(values),
});

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};
const length = (a: Float64Array): number => Math.sqrt(dot(a, a));
const identity = (n: number): Columns =>
  Array.from({ length: n }, (_, c) => Float64Array.from({ length: n }, (_, r) => (r === c ? 1 : 0)));

/** a, b ← cos · a − sin · b, sin · a + cos · b */
function rotate(a: Float64Array, b: Float64Array, cos: number, sin: number): void {
  for (let i = 0; i < a.length; i++) [a[i], b[i]] = [cos * a[i] - sin * b[i], sin * a[i] + cos * b[i]];
}

/** The rotation that makes the off-diagonal element of [[p, off], [off, q]] zero. */
function rotationOf(p: number, q: number, off: number): readonly [cos: number, sin: number] {
  const zeta = (q - p) / (2 * off);
  const tangent = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const cos = 1 / Math.hypot(1, tangent);
  return [cos, cos * tangent];
}

/**
 * The singular value decomposition a = u · diag(s) · vᵀ of a small matrix in double precision, with k = min(m, n) singular values in
 * falling order. The columns of u and v are orthonormal, also for a singular matrix.
 *
 * Shapes: a [m, n] -> u [m, k], s [k], v [n, k].
 * Throws ShapeError unless a is a matrix, and RangeError for values that are not finite.
 * Source: G. Golub and C. Van Loan, Matrix Computations, 8.6.3: one-sided Jacobi rotations.
 *
 * @example svd([[3, 0], [0, 4]]).s.data[0] // 4
 */
export function svd(a: MatrixLike): {
  readonly u: HostTensor;
  readonly s: HostTensor;
  readonly v: HostTensor;
} {
  const { columns, rows, scale } = columnsOf('svd', a);
  if (rows < columns.length) {
    const flipped = Array.from({ length: rows }, (_, r) => Float64Array.from(columns, (column) => column[r]));
    const { u, s, v } = jacobi(flipped, scale);
    return { u: v, s, v: u };
  }
  return jacobi(columns, scale);
}

/** The decomposition of a matrix with at least as many rows as columns. */
function jacobi(columns: Columns, scale: number): { u: HostTensor; s: HostTensor; v: HostTensor } {
  const [n, rows] = [columns.length, columns[0].length];
  const right = identity(n);
  let turned = true;
  for (let sweep = 0; turned && sweep < SWEEPS; sweep++) {
    turned = false;
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const [p, q, off] = [
          dot(columns[i], columns[i]),
          dot(columns[j], columns[j]),
          dot(columns[i], columns[j]),
        ];
        if (Math.abs(off) <= 1e-15 * Math.sqrt(p * q)) continue;
        turned = true;
        const [cos, sin] = rotationOf(p, q, off);
        rotate(columns[i], columns[j], cos, sin);
        rotate(right[i], right[j], cos, sin);
      }
    }
  }
  const sizes = columns.map(length);
  const order = sizes.map((_, i) => i).sort((x, y) => sizes[y] - sizes[x]);
  const least = Number.EPSILON * Math.max(...sizes) * rows;
  const left: Columns = [];
  for (const i of order) {
    const unit = sizes[i] > least ? columns[i].map((x) => x / sizes[i]) : perpendicular(left, rows);
    left.push(unit);
  }
  return {
    u: matrixOf(left, rows),
    s: vectorOf(order.map((i) => scale * sizes[i])),
    v: matrixOf(
      order.map((i) => right[i]),
      n,
    ),
  };
}

/** A unit vector that is orthogonal to orthonormal vectors, of which there are fewer than `size`. */
function perpendicular(vectors: Columns, size: number): Float64Array {
  let best = new Float64Array(size);
  for (let axis = 0; axis < size && length(best) < 0.5; axis++) {
    const candidate = Float64Array.from({ length: size }, (_, i) => (i === axis ? 1 : 0));
    for (const vector of [...vectors, ...vectors]) {
      const share = dot(vector, candidate);
      for (let i = 0; i < size; i++) candidate[i] -= share * vector[i];
    }
    if (length(candidate) > length(best)) best = candidate;
  }
  const norm = length(best);
  return best.map((x) => x / norm);
}

/**
 * Eigenvalues and eigenvectors of a small symmetric matrix in double precision, with the values in rising order:
 * a = vectors · diag(values) · vectorsᵀ.
 *
 * Shapes: a [n, n] -> values [n], vectors [n, n], whose columns are orthonormal.
 * Throws ShapeError unless a is square, and RangeError for values that are not finite, and for a matrix that is not symmetric (up to
 * 1e-6 of its largest value; the mean of both triangles is used).
 * Source: G. Golub and C. Van Loan, Matrix Computations, 8.5: cyclic Jacobi rotations.
 *
 * @example eigh([[2, 1], [1, 2]]).values.data[1] // 3
 */
export function eigh(a: MatrixLike): { readonly values: HostTensor; readonly vectors: HostTensor } {
  const { columns, rows: n, scale } = columnsOf('eigh', a);
  if (columns.length !== n) {
    throw new ShapeError(`eigh: expects a square matrix but got ${formatShape([n, columns.length])}`);
  }
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) {
      const [x, y] = [columns[j][i], columns[i][j]];
      if (Math.abs(x - y) > 1e-6) {
        throw new RangeError(
          `eigh: the matrix must be symmetric, got ${x * scale} at [${i}, ${j}] and ${y * scale} at [${j}, ${i}] (svd takes any matrix)`,
        );
      }
      columns[j][i] = columns[i][j] = (x + y) / 2;
    }
  }
  const vectors = identity(n);
  let turned = true;
  for (let sweep = 0; turned && sweep < SWEEPS; sweep++) {
    turned = false;
    for (let i = 0; i < n; i++) {
      for (let j = i + 1; j < n; j++) {
        const off = columns[i][j];
        if (Math.abs(off) <= Number.EPSILON * 1e-3) continue;
        turned = true;
        const [cos, sin] = rotationOf(columns[i][i], columns[j][j], off);
        rotate(columns[i], columns[j], cos, sin);
        for (const column of columns) {
          [column[i], column[j]] = [cos * column[i] - sin * column[j], sin * column[i] + cos * column[j]];
        }
        columns[i][j] = columns[j][i] = 0;
        rotate(vectors[i], vectors[j], cos, sin);
      }
    }
  }
  const order = columns.map((_, i) => i).sort((x, y) => columns[x][x] - columns[y][y]);
  return {
    values: vectorOf(order.map((i) => scale * columns[i][i])),
    vectors: matrixOf(
      order.map((i) => vectors[i]),
      n,
    ),
  };
}

/**
 * The decomposition a = q · r of a small matrix in double precision, with k = min(m, n): orthonormal columns of q, also for a singular
 * matrix, and an upper triangular r whose diagonal is not negative.
 *
 * Shapes: a [m, n] -> q [m, k], r [k, n].
 * Throws ShapeError unless a is a matrix, and RangeError for values that are not finite.
 * Source: G. Golub and C. Van Loan, Matrix Computations, 5.2: Householder reflections.
 *
 * @example qr([[0, 2], [3, 0]]).r.data[0] // 3
 */
export function qr(a: MatrixLike): { readonly q: HostTensor; readonly r: HostTensor } {
  const { columns, rows, scale } = columnsOf('qr', a);
  const k = Math.min(rows, columns.length);
  const reflections: Columns = [];
  for (let i = 0; i < k; i++) {
    const v = columns[i].map((x, r) => (r < i ? 0 : x));
    const size = length(v);
    v[i] += v[i] < 0 ? -size : size;
    const whole = length(v);
    reflections.push(whole === 0 ? v : v.map((x) => x / whole));
    for (const column of columns.slice(i)) reflect(reflections[i], column);
  }
  const left = identity(rows).slice(0, k);
  for (const column of left) for (const v of reflections.toReversed()) reflect(v, column);
  const signs = left.map((_, i) => (columns[i][i] < 0 ? -1 : 1));
  const upper = columns.map((column) => Float64Array.from({ length: k }, (_, r) => signs[r] * column[r]));
  upper.forEach((column, c) => column.fill(0, Math.min(c + 1, k)));
  return {
    q: matrixOf(
      left.map((column, i) => column.map((x) => signs[i] * x)),
      rows,
    ),
    r: matrixOf(upper, k, scale),
  };
}

/** x ← x − 2 v (v · x) */
function reflect(v: Float64Array, x: Float64Array): void {
  const share = 2 * dot(v, x);
  for (let i = 0; i < x.length; i++) x[i] -= share * v[i];
}
