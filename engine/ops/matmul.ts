/** Matrix products. */
import { ShapeError } from '../errors.ts';
import { broadcastShapes, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { mul } from './elementwise.ts';
import { broadcastTo, expandDims, reshape } from './layout.ts';
import { matmulOp } from './primitives/matmul.ts';

export interface MatmulOptions {
  /** Use the transpose of the last two axes of the first operand. */
  readonly transA?: boolean;
  /** The same for the second. */
  readonly transB?: boolean;
}

/**
 * Matrix product, without copies for transposed operands.
 *
 * Shapes: a [m, k], b [k, n] -> [m, n]; with transA a is [k, m], with transB b is [n, k]. Axes before these are batches of
 * products, which broadcast by NumPy's rules.
 */
export function matmul(a: TensorLike, b: TensorLike, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false } = options;
  const attrs = { transA, transB };
  const [x, y] = [toTensor(a), toTensor(b)];
  const [batchX, batchY] = [x.shape.slice(0, -2), y.shape.slice(0, -2)];
  const plain = x.rank === y.rank && x.rank <= 3 && sameShape(batchX, batchY);
  if (plain || x.rank < 2 || y.rank < 2) return matmulOp([x, y], attrs)[0];
  if (y.rank === 2 && !transA) {
    // One matrix for every product of the batch: one tall product.
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

/** All products of an element of one vector and one of the other: a [m], b [n] -> [m, n]. */
export function outer(a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = [toTensor(a), toTensor(b)];
  if (x.rank !== 1 || y.rank !== 1) {
    throw new ShapeError(`outer: expects two vectors, got ${formatType(x)} and ${formatType(y)}`);
  }
  return mul(expandDims(x, 1), y);
}
