/** Operations that move or repeat elements without computing. */
import { ShapeError } from '../errors.ts';
import { defineOp, type Vjp } from '../op.ts';
import { checkShape, formatShape, formatType, resolveAxis, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { sumTo } from './elementwise.ts';

export const reshapeOp = defineOp({
  name: 'reshape',
  alias: true,
  infer([x]: readonly TensorType[], { shape }: { readonly shape: Shape }) {
    checkShape('reshape', shape);
    if (sizeOf(shape) !== sizeOf(x!.shape)) {
      throw new ShapeError(
        `reshape: ${formatShape(x!.shape)} holds ${sizeOf(x!.shape)} elements but ${formatShape(shape)} ` +
          `holds ${sizeOf(shape)}`,
      );
    }
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: ({ inputs, grads }: Vjp<{ readonly shape: Shape }>) => [reshape(grads[0]!, inputs[0].shape)],
});

export const transposeOp = defineOp({
  name: 'transpose',
  infer: ([x]: readonly TensorType[], { perm }: { readonly perm: readonly number[] }) => [
    { shape: perm.map((axis) => x!.shape[axis]), dtype: x!.dtype },
  ],
  vjp({ grads, attrs: { perm } }: Vjp<{ readonly perm: readonly number[] }>) {
    const inverse = Array.from({ length: perm.length }, () => 0);
    perm.forEach((axis, i) => (inverse[axis] = i));
    return [transpose(grads[0]!, inverse)];
  },
});

export const broadcastToOp = defineOp({
  name: 'broadcastTo',
  infer([x]: readonly TensorType[], { shape }: { readonly shape: Shape }) {
    checkShape('broadcastTo', shape);
    const lead = shape.length - x!.shape.length;
    if (lead < 0 || x!.shape.some((d, i) => d !== 1 && d !== shape[i + lead])) {
      throw new ShapeError(
        `broadcastTo: ${formatType(x!)} does not broadcast to ${formatShape(shape)} ` +
          `(each axis must be equal, or 1 in the tensor)`,
      );
    }
    return [{ shape, dtype: x!.dtype }];
  },
  vjp: ({ inputs, grads }: Vjp<{ readonly shape: Shape }>) => [sumTo(grads[0]!, inputs[0].shape)],
});

/**
 * The same elements in another shape, free of cost. One size may be −1: it takes what is left.
 * Throws ShapeError when the element counts differ.
 */
export function reshape(x: TensorLike, shape: Shape): Tensor {
  const t = toTensor(x);
  const holes = shape.filter((d) => d === -1).length;
  if (holes > 1) throw new ShapeError(`reshape: only one size may be -1, got ${formatShape(shape)}`);
  let resolved = shape;
  if (holes === 1) {
    const known = shape.reduce((n, d) => (d === -1 ? n : n * d), 1);
    if (known === 0 || sizeOf(t.shape) % known !== 0) {
      throw new ShapeError(
        `reshape: ${formatShape(t.shape)} holds ${sizeOf(t.shape)} elements, not a multiple of the ${known} ` +
          `that ${formatShape(shape)} fixes`,
      );
    }
    resolved = shape.map((d) => (d === -1 ? sizeOf(t.shape) / known : d));
  }
  return sameShape(t.shape, resolved) ? t : reshapeOp([t], { shape: resolved })[0];
}

/** Reorders axes; without `perm`, reverses them. Throws ShapeError unless `perm` names every axis once. */
export function transpose(x: TensorLike, perm?: readonly number[]): Tensor {
  const t = toTensor(x);
  const order = (perm ?? t.shape.map((_, i) => t.rank - 1 - i)).map((a) =>
    resolveAxis('transpose', a, t.rank),
  );
  if (order.length !== t.rank || new Set(order).size !== t.rank) {
    throw new ShapeError(
      `transpose: ${formatShape(perm ?? [])} must name each of the ${t.rank} axes of ${formatShape(t.shape)} once`,
    );
  }
  return order.every((axis, i) => axis === i) ? t : transposeOp([t], { perm: order })[0];
}

/** Repeats a value along new leading axes and axes of size 1, by NumPy's rules. */
export function broadcastTo(x: TensorLike, shape: Shape): Tensor {
  const t = toTensor(x);
  return sameShape(t.shape, shape) ? t : broadcastToOp([t], { shape })[0];
}
