/** Scaled dot-product attention. */
import { ShapeError } from '../errors.ts';
import { expectDType } from '../op.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import type { Key } from '../rng.ts';
import { broadcastShapes, formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape } from '../types.ts';
import { composedAttention } from './composed-attention.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { reshape } from './layout.ts';
import { dropout } from './random.ts';
import { attentionOp } from './primitives/attention.ts';

export interface AttentionOptions {
  /** Number of heads into which the last axis of q, k and v is divided. Default 1. */
  readonly heads?: number;
  /** Query i sees keys 0 … i only, as PyTorch's `is_causal`. Default false. */
  readonly causal?: boolean;
  /**
   * Which keys each query sees, or what is added to their scores. It broadcasts to [..., heads, T, S].
   * - `u8`: a query sees the keys where it is not 0. A query that sees no key gets zeros.
   * - `f32`: added to the scores, for instance a bias by relative position.
   */
  readonly mask?: TensorLike;
  /** Factor on the scores. Default 1 / √(size of a head). */
  readonly scale?: number;
  /** Dropout of the weights, with the arguments of `dropout`. */
  readonly dropout?: { readonly rate: number; readonly key: Key; readonly step: TensorLike };
}

/** The sizes of an attention: T queries, S keys, heads of D values, and of E values in v. */
interface Sizes {
  readonly batch: Shape;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
}

/**
 * Scaled dot-product attention: each query gets the mean of the values, weighted by the softmax of its scores.
 *
 *   y = softmax(scale · q kᵀ + mask) v for each head
 *
 * A head is a block of adjacent channels. So the results of `dense` layers need no transpose, and the heads of the result are
 * concatenated. For tensors [N, heads, T, D], as in PyTorch, leave `heads` at 1.
 *
 * Without a mask and dropout, one operation computes it, which never stores the scores of all keys on the CPU. With them, it is
 * composed of products and a softmax.
 *
 * Shapes: q `f32` [..., T, heads · D], k `f32` [..., S, heads · D], v `f32` [..., S, heads · E] -> [..., T, heads · E].
 * Source: Vaswani et al., Attention Is All You Need, 2017; torch.nn.functional.scaled_dot_product_attention.
 * Throws ShapeError if q, k and v are not `f32` of such shapes, there is no key, or the mask does not broadcast.
 * Throws RangeError if `heads` is not a positive integer that divides the last axes, or `scale` is not finite.
 * Throws TypeError for an unknown option.
 *
 * @example attention([[1, 0]], [[1, 0], [0, 1]], [[10], [20]]) // [[13.3]]
 * @example attention([[1], [1]], [[0], [1]], [[10], [20]], { causal: true }) // [[10], [17.31]]
 */
export function attention(
  q: TensorLike,
  k: TensorLike,
  v: TensorLike,
  options: AttentionOptions = {},
): Tensor {
  checkOptions('attention', options, ['heads', 'causal', 'mask', 'scale', 'dropout']);
  const { heads = 1, causal = false } = options;
  checkInteger('attention', 'heads', heads, 1);
  const [queries, keys, values] = [q, k, v].map((x) => floats('attention', x)) as [Tensor, Tensor, Tensor];
  const sizes = sizesOf(queries, keys, values, heads);
  const { scale = 1 / Math.sqrt(sizes.width) } = options;
  checkNumber('attention', 'scale', scale);
  const mask = maskOf(sizes, options.mask);
  const isEmpty = sizeOf(queries.shape) * sizeOf(values.shape) === 0;
  if (mask === null && options.dropout === undefined && !isEmpty) {
    const merged = [queries, keys, values].map((x) =>
      reshape(x, [sizeOf(sizes.batch), ...x.shape.slice(-2)]),
    );
    const [y] = attentionOp(merged, { heads, causal, scale });
    return reshape(y, [...sizes.batch, ...y.shape.slice(1)]);
  }
  const drop = (weights: Tensor): Tensor => dropped(weights, options.dropout);
  return composedAttention(queries, keys, values, { heads, causal, scale, mask, dropped: drop }).y;
}

/** Throws ShapeError unless the operands fit, and RangeError unless `heads` divides their last axes. */
function sizesOf(q: Tensor, k: Tensor, v: Tensor, heads: number): Sizes {
  const shapes = `q ${formatType(q)}, k ${formatType(k)}, v ${formatType(v)}`;
  const fail = (why: string): never => {
    throw new ShapeError(`attention: ${why}: ${shapes}`);
  };
  if (Math.min(q.rank, k.rank, v.rank) < 2) fail('expects q, k and v [..., tokens, channels]');
  const batch = q.shape.slice(0, -2);
  const isBatch = (x: Tensor): boolean => sameShape(x.shape.slice(0, -2), batch);
  if (!isBatch(k) || !isBatch(v)) fail('the leading axes of q, k and v differ');
  const [queries, channels] = q.shape.slice(-2) as [number, number];
  const [keys, keyChannels] = k.shape.slice(-2) as [number, number];
  const [values, valueChannels] = v.shape.slice(-2) as [number, number];
  if (channels !== keyChannels) fail(`q has ${channels} channels but k has ${keyChannels}`);
  if (keys !== values) fail(`k has ${keys} tokens but v has ${values}`);
  if (keys === 0 || channels === 0) fail('expects at least one key and one channel');
  if (channels % heads !== 0 || valueChannels % heads !== 0) {
    throw new RangeError(
      `attention: heads must divide the channels, got ${heads} for ${channels} channels of q and k and ${valueChannels} of v`,
    );
  }
  return { batch, heads, queries, keys, width: channels / heads };
}

function maskOf({ batch, heads, queries, keys }: Sizes, given: TensorLike | undefined): Tensor | null {
  if (given === undefined) return null;
  const mask = toTensor('attention: mask', given);
  if (mask.dtype !== 'u8') expectDType('attention: mask', 'f32', mask);
  const full = [...batch, heads, queries, keys];
  const where = `attention: mask ${formatType(mask)} for scores ${formatShape(full)}`;
  if (!sameShape(broadcastShapes(where, mask.shape, full), full)) {
    throw new ShapeError(`attention: mask ${formatType(mask)} does not broadcast to ${formatShape(full)}`);
  }
  return mask;
}

const dropped = (weights: Tensor, options: AttentionOptions['dropout']): Tensor => {
  if (options === undefined) return weights;
  checkOptions('attention: dropout', options, ['rate', 'key', 'step']);
  checkNumber('attention: dropout', 'rate', options.rate, 'a number >= 0 and < 1', (r) => r >= 0 && r < 1);
  return dropout(weights, options.rate, options.key, options.step);
};
