/** Diagonals and triangles of matrices, of every dtype. */
import { ShapeError } from '../errors.ts';
import { checkNumber } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { tensor } from './create.ts';
import { where } from './elementwise.ts';
import { reshape, slice } from './layout.ts';
import { placed } from './primitives/layout.ts';

/** Throws RangeError unless the offset of a diagonal is an integer. */
const checkOffset = (name: string, offset: number): void =>
  checkNumber(name, 'offset', offset, 'an integer', Number.isSafeInteger);

/**
 * Puts a vector on a diagonal of a square matrix of zeros, or takes a diagonal of a matrix. A positive offset is above the main
 * diagonal, a negative one below.
 *
 * Shapes: x of any dtype [n] -> [n + |offset|, n + |offset|], or [rows, columns] -> [length of the diagonal].
 * Source: torch.diag; numpy.diag.
 * Throws ShapeError if x is neither a vector nor a matrix.
 * Throws RangeError if the offset is not an integer.
 *
 * @example diag([1, 2]) // [[1, 0], [0, 2]]
 * @example diag([[1, 2], [3, 4]], 1) // [2]
 */
export function diag(x: TensorLike, offset = 0): Tensor {
  checkOffset('diag', offset);
  const t = toTensor('diag', x);
  const [right, down] = [Math.max(offset, 0), Math.max(-offset, 0)];
  if (t.rank === 1) {
    const size = t.shape[0] + right + down;
    if (t.shape[0] === 0) return placed(t, { shape: [size, size], begin: [0], step: [1], value: 0 });
    const flat = placed(t, {
      shape: [size * size],
      begin: [right + down * size],
      step: [size + 1],
      value: 0,
    });
    return reshape(flat, [size, size]);
  }
  if (t.rank !== 2) {
    throw new ShapeError(`diag: expects a vector [n] or a matrix [rows, columns] but got ${formatType(t)}`);
  }
  const [rows, columns] = t.shape as [number, number];
  const count = Math.max(0, Math.min(rows - down, columns - right));
  const begin = right + down * columns;
  const step = columns + 1;
  return slice(reshape(t, [rows * columns]), [
    count === 0 ? { end: 0 } : { begin, end: begin + (count - 1) * step + 1, step },
  ]);
}

/** The elements whose diagonal, counted from the main one upwards, is kept, and 0 elsewhere. */
function part(name: string, x: TensorLike, offset: number, keeps: (above: number) => boolean): Tensor {
  checkOffset(name, offset);
  const t = toTensor(name, x);
  if (t.rank < 2)
    throw new ShapeError(`${name}: expects matrices [..., rows, columns] but got ${formatType(t)}`);
  const [rows, columns] = t.shape.slice(-2) as [number, number];
  const mask = Uint8Array.from({ length: rows * columns }, (_, i) =>
    Number(keeps((i % columns) - Math.floor(i / columns))),
  );
  return where(tensor(mask, { shape: [rows, columns] }), t, 0);
}

/**
 * Upper triangle of matrices: the elements on and above a diagonal, and 0 below. A positive offset moves the diagonal up.
 *
 * Shapes: x of any dtype [..., rows, columns] -> the same.
 * Throws ShapeError if x has fewer than two axes.
 * Throws RangeError if the offset is not an integer.
 *
 * @example triu([[1, 2], [3, 4]]) // [[1, 2], [0, 4]]
 */
export const triu = (x: TensorLike, offset = 0): Tensor =>
  part('triu', x, offset, (above) => above >= offset);

/**
 * Lower triangle of matrices: the elements on and below a diagonal, and 0 above. A positive offset moves the diagonal up.
 *
 * Shapes: x of any dtype [..., rows, columns] -> the same.
 * Throws ShapeError if x has fewer than two axes.
 * Throws RangeError if the offset is not an integer.
 *
 * @example tril([[1, 2], [3, 4]]) // [[1, 0], [3, 4]]
 */
export const tril = (x: TensorLike, offset = 0): Tensor =>
  part('tril', x, offset, (above) => above <= offset);
