/**
 * Values of an imported graph. ONNX has images with the channels first and filters as [O, I, KH, KW]. A value is a tensor whose axes may
 * have another order, so that images and filters stay in ours from one operator to the next.
 */
import { DataError } from '../errors.ts';
import * as ops from '../ops/index.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { DType, Shape } from '../types.ts';
import type { HostArray } from './onnx-read.ts';

/** Axis i of the tensor is axis `perm[i]` of the value. */
export interface Permuted {
  readonly tensor: Tensor;
  readonly perm: readonly number[];
}

/** A value whose elements are known while the graph is built, or a tensor. */
export type Value = HostArray | Permuted;

export const isHost = (value: Value): value is HostArray => 'data' in value;

export const identity = (rank: number): number[] => Array.from({ length: rank }, (_, axis) => axis);

/** [N, C, …] with the channels last: [N, …, C]. */
export const channelsLast = (rank: number): number[] => [0, ...identity(rank).slice(2), 1];

/** [O, I, …] in the layout of our filters: […, I, O]. */
export const filters = (rank: number): number[] => [...identity(rank).slice(2), 1, 0];

export const samePerm = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((axis, i) => axis === b[i]);

export const plain = (tensor: Tensor): Permuted => ({ tensor, perm: identity(tensor.rank) });

/** The shape in ONNX. */
export function shapeOf(value: Value): Shape {
  if (isHost(value)) return value.shape;
  const { tensor, perm } = value;
  return identity(tensor.rank).map((axis) => tensor.shape[perm.indexOf(axis)]);
}

export const rankOf = (value: Value): number => (isHost(value) ? value.shape : value.perm).length;

export const dtypeOfValue = (value: Value): DType => (isHost(value) ? value.dtype : value.tensor.dtype);

/** A constant as a tensor. Throws DataError for an integer beyond `i32`. */
function constant({ shape, dtype, data }: HostArray): Tensor {
  if (dtype === 'f32') return ops.tensor(Float32Array.from(data), { shape });
  if (dtype === 'u8') return ops.tensor(Uint8Array.from(data), { shape });
  const outside = Array.from(data).find((x) => x !== (x | 0));
  if (outside !== undefined)
    throw new DataError(`the integer ${outside} does not fit 32 bits (expected −2³¹ to 2³¹ − 1)`);
  return ops.tensor(Int32Array.from(data), { shape });
}

/** The tensor with its axes in the given order. */
export function inOrder(value: Value, perm: readonly number[]): Tensor {
  const { tensor, perm: current } = isHost(value) ? plain(constant(value)) : value;
  if (samePerm(current, perm)) return tensor;
  return ops.transpose(
    tensor,
    perm.map((axis) => current.indexOf(axis)),
  );
}

/** The tensor with ONNX's axes. */
export const toPlain = (value: Value): Tensor => inOrder(value, identity(rankOf(value)));

/** The value with other axes: an axis of the result is axis `perm` of the value. Moves no data. */
export function permuted(value: Permuted, perm: readonly number[]): Permuted {
  return { tensor: value.tensor, perm: value.perm.map((axis) => perm.indexOf(axis)) };
}

/** Tensors that broadcast together, in the order of axes of the first operand with the most axes. */
export function aligned(values: readonly Value[]): { readonly tensors: Tensor[]; readonly perm: number[] } {
  const rank = Math.max(...values.map(rankOf));
  const leader = values.find(
    (value): value is Permuted =>
      !isHost(value) && value.perm.length === rank && !samePerm(value.perm, identity(rank)),
  );
  const perm = [...(leader?.perm ?? identity(rank))];
  const tensors = values.map((value) => {
    const missing = rank - rankOf(value);
    if (missing === 0) return inOrder(value, perm);
    const tensor = toPlain(value);
    if (leader === undefined || tensor.rank === 0) return tensor;
    const whole = ops.reshape(tensor, [...Array.from({ length: missing }, () => 1), ...tensor.shape]);
    return inOrder(plain(whole), perm);
  });
  return { tensors, perm };
}

/** The elements of a value that must be known while the graph is built, for instance a shape. */
export function known(name: string, value: Value): readonly number[] {
  if (isHost(value)) return Array.from(value.data);
  throw new DataError(
    `${name} must be known before the model runs, but it is computed from the input ${formatShape(shapeOf(value))} (export a constant)`,
  );
}

/** A position of an axis, from the end if it is negative. Throws DataError for one that the value does not have. */
export function axisOf(axis: number, rank: number): number {
  const at = axis < 0 ? axis + rank : axis;
  if (Number.isSafeInteger(at) && at >= 0 && at < rank) return at;
  throw new DataError(`axis ${axis} must be from ${-rank} to ${rank - 1}`);
}
