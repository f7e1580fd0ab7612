/** Operations that move or repeat elements without arithmetic. All of them work on every dtype. */
import { ShapeError } from '../../errors.ts';
import { defineOp, type Vjp } from '../../op.ts';
import { checkShape, formatShape, formatType, sameShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { Shape, TensorType } from '../../types.ts';
import { reshape, split, transpose } from '../layout.ts';
import { sumTo } from './elementwise.ts';

type ShapeAttrs = { readonly shape: Shape };

/** For each axis, the position of the first element and the step between elements, which may be negative. */
type SliceAttrs = ShapeAttrs & { readonly begin: readonly number[]; readonly step: readonly number[] };
type PadAttrs = SliceAttrs & { readonly value: number };

export const layoutOps = {
  reshape: defineOp({
    name: 'reshape',
    infer([x]: readonly TensorType[], { shape }: ShapeAttrs): readonly TensorType[] {
      checkShape('reshape', shape);
      if (sizeOf(shape) !== sizeOf(x.shape)) {
        throw new ShapeError(
          `reshape: ${formatShape(x.shape)} has ${sizeOf(x.shape)} elements but ${formatShape(shape)} ` +
            `has ${sizeOf(shape)}`,
        );
      }
      return [{ shape, dtype: x.dtype }];
    },
    vjp: ({ inputs, grads }: Vjp<ShapeAttrs>) => [reshape(grads[0]!, inputs[0].shape)],
    alias: true,
  }),

  transpose: defineOp({
    name: 'transpose',
    infer: (
      [x]: readonly TensorType[],
      { perm }: { readonly perm: readonly number[] },
    ): readonly TensorType[] => [{ shape: perm.map((axis) => x.shape[axis]), dtype: x.dtype }],
    vjp({ grads, attrs: { perm } }: Vjp<{ readonly perm: readonly number[] }>) {
      return [transpose(grads[0]!, inversePermutation(perm))];
    },
  }),

  broadcastTo: defineOp({
    name: 'broadcastTo',
    infer([x]: readonly TensorType[], { shape }: ShapeAttrs): readonly TensorType[] {
      checkShape('broadcastTo', shape);
      const lead = shape.length - x.shape.length;
      if (lead < 0 || x.shape.some((d, i) => d !== 1 && d !== shape[i + lead])) {
        throw new ShapeError(
          `broadcastTo: ${formatType(x)} does not broadcast to ${formatShape(shape)} ` +
            `(each axis must be equal, or 1 in the tensor)`,
        );
      }
      return [{ shape, dtype: x.dtype }];
    },
    vjp: ({ inputs, grads }: Vjp<ShapeAttrs>) => [sumTo(grads[0]!, inputs[0].shape)],
  }),

  /** Takes the elements begin, begin + step, … of every axis. `shape` is their number. All of them exist. */
  slice: defineOp({
    name: 'slice',
    infer: ([x]: readonly TensorType[], { shape }: SliceAttrs): readonly TensorType[] => [
      { shape, dtype: x.dtype },
    ],
    vjp: ({ inputs: [x], grads, attrs: { begin, step } }: Vjp<SliceAttrs>) => [
      placed(grads[0]!, { shape: x.shape, begin, step, value: 0 }),
    ],
  }),

  /** The adjoint of slice: a tensor of `shape` with the elements of x at begin, begin + step, … and `value` elsewhere. */
  pad: defineOp({
    name: 'pad',
    infer: ([x]: readonly TensorType[], { shape }: PadAttrs): readonly TensorType[] => [
      { shape, dtype: x.dtype },
    ],
    vjp: ({ inputs: [x], grads, attrs: { begin, step } }: Vjp<PadAttrs>) => [
      taken(grads[0]!, { shape: x.shape, begin, step }),
    ],
  }),

  concat: defineOp({
    name: 'concat',
    infer(types: readonly TensorType[], { axis }: { readonly axis: number }): readonly TensorType[] {
      const [{ shape, dtype }] = types;
      for (const type of types) {
        const fits =
          type.shape.length === shape.length && type.shape.every((d, i) => i === axis || d === shape[i]);
        if (fits && type.dtype === dtype) continue;
        throw new ShapeError(
          `concat: ${formatType(types[0])} and ${formatType(type)} differ in more than axis ${axis} ` +
            `(dtypes and all other sizes must be equal)`,
        );
      }
      const total = types.reduce((sum, type) => sum + type.shape[axis], 0);
      return [{ shape: shape.map((d, i) => (i === axis ? total : d)), dtype }];
    },
    vjp: ({ inputs, grads, attrs: { axis } }: Vjp<{ readonly axis: number }>) =>
      split(
        grads[0]!,
        inputs.map(({ shape }) => shape[axis]),
        axis,
      ),
  }),
};

export const taken = (x: Tensor, attrs: SliceAttrs): Tensor => layoutOps.slice([x], attrs)[0];
export const placed = (x: Tensor, attrs: PadAttrs): Tensor => layoutOps.pad([x], attrs)[0];

/** The attributes and the operand of a tensor that `pad` placed contiguously among zeros; null for another. */
function placedOf(x: Tensor): { readonly from: Tensor; readonly begin: readonly number[] } | null {
  if (x.source.kind !== 'node' || x.source.node.op.name !== 'pad') return null;
  const { inputs } = x.source.node;
  const attrs = x.source.node.attrs as PadAttrs;
  const isPlain = attrs.value === 0 && attrs.step.every((step) => step === 1);
  return isPlain ? { from: inputs[0], begin: attrs.begin } : null;
}

/** What `concat` joined along an axis, or the tensor itself. */
function partsAlong(x: Tensor, axis: number): readonly Tensor[] {
  if (x.source.kind !== 'node' || x.source.node.op.name !== 'concat') return [x];
  const { attrs, inputs } = x.source.node;
  return attrs['axis'] === axis ? inputs : [x];
}

/** The sum of two tensors that `pad` placed among zeros, if the second begins where the first ends along one axis; else null. */
export function joinedPads(a: Tensor, b: Tensor): Tensor | null {
  const [first, second] = [placedOf(a), placedOf(b)];
  if (first === null || second === null) return null;
  const axis = first.begin.findIndex((begin, i) => begin !== second.begin[i]);
  if (axis < 0 || first.begin[axis] + first.from.shape[axis] !== second.begin[axis]) return null;
  const isSameElsewhere = first.from.shape.every(
    (size, i) => i === axis || (size === second.from.shape[i] && first.begin[i] === second.begin[i]),
  );
  if (!isSameElsewhere) return null;
  const parts = [first, second].flatMap(({ from }) => partsAlong(from, axis));
  const joined = layoutOps.concat(parts, { axis })[0];
  if (sameShape(joined.shape, a.shape)) return joined;
  return placed(joined, { shape: a.shape, begin: first.begin, step: first.begin.map(() => 1), value: 0 });
}

function inversePermutation(perm: readonly number[]): number[] {
  const inverse = Array.from({ length: perm.length }, () => 0);
  perm.forEach((axis, i) => (inverse[axis] = i));
  return inverse;
}
