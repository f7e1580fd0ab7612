/** Matrix products. */
import { ShapeError } from '../errors.ts';
import { checkOptions } from '../options.ts';
import { broadcastShapes, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { mul } from './elementwise.ts';
import { broadcastTo, expandDims, reshape } from './layout.ts';
import { matmulOp } from './primitives/matmul.ts';

export interface MatmulOptions {
  /** Transpose the last two axes of a. Default false. */
  readonly transA?: boolean;
  /** Transpose the last two axes of b. Default false. */
  readonly transB?: boolean;
}

/**
 * Matrix product. Transposed operands are not copied.
 *
 * Shapes: a `f32` [..., m, k], b `f32` [..., k, n] -> [..., m, n]. With `transA`, a is [..., k, m]. With `transB`, b is
 * [..., n, k]. Leading axes are batches of matrices and broadcast by NumPy's rules.
 * Throws ShapeError if the inner sizes differ, the batches do not broadcast, an operand has fewer than two axes, or is not
 * `f32`.
 * Throws TypeError for an unknown option.
 *
 * @example matmul([[1, 2], [3, 4]], [[5], [6]]) // [[17], [39]]
 */
export function matmul(a: TensorLike, b: TensorLike, options: MatmulOptions = {}): Tensor {
  checkOptions('matmul', options, ['transA', 'transB']);
  const { transA = false, transB = false } = options;
  const attrs = { transA, transB };
  const [x, y] = [toTensor('matmul', a), toTensor('matmul', b)];
  const [batchX, batchY] = [x.shape.slice(0, -2), y.shape.slice(0, -2)];
  const plain = x.rank === y.rank && x.rank <= 3 && sameShape(batchX, batchY);
  if (plain || x.rank < 2 || y.rank < 2) return matmulOp([x, y], attrs)[0];
  if (y.rank === 2 && !transA) {
    // All products of the batch share the matrix y, so they become one product of a tall matrix.
    const [m, k] = x.shape.slice(-2) as [number, number];
    const [tall] = matmulOp([reshape(x, [sizeOf(batchX) * m, k]), y], attrs);
    return reshape(tall, [...batchX, m, tall.shape[1]]);
  }
  const batch = broadcastShapes(`matmul of ${formatType(x)} and ${formatType(y)}: batch`, batchX, batchY);
  const whole = (t: Tensor): Tensor => {
    const matrix = t.shape.slice(-2);
    return reshape(broadcastTo(t, [...batch, ...matrix]), [sizeOf(batch), ...matrix]);
  };
  const [products] = matmulOp([whole(x), whole(y)], attrs);
  return reshape(products, [...batch, ...products.shape.slice(-2)]);
}

/**
 * Outer product of two vectors: all products of an element of a and an element of b.
 *
 * Shapes: a [m], b [n], both `f32` or both `i32` -> [m, n].
 * Throws ShapeError if an operand is not a vector, or the dtypes differ.
 *
 * @example outer([1, 2], [3, 4, 5]) // [[3, 4, 5], [6, 8, 10]]
 */
export function outer(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [toTensor('outer', a), toTensor('outer', b)];
  if (x.rank !== 1 || y.rank !== 1) {
    throw new ShapeError(`outer: expects two vectors, got ${formatType(x)} and ${formatType(y)}`);
  }
  return mul(expandDims(x, 1), y);
}
