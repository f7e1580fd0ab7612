/** Attention as a composition of other operations: with masks and dropout of the weights, and for higher derivatives. */
import type { Tensor } from '../tensor.ts';
import { ones } from './create.ts';
import { add, and, cast, mul, notEqual, where } from './elementwise.ts';
import { reshape, transpose } from './layout.ts';
import { matmul } from './matmul.ts';
import { tril } from './matrix.ts';
import { max, softmax } from './reduce.ts';

/** An attention made of other operations, with its weights, and what the operation of the same name keeps of them. */
interface Composed {
  readonly y: Tensor;
  readonly weights: Tensor;
  /** The largest score of each query [..., heads, T]. */
  readonly largest: Tensor;
  /** 1 / the sum of exp(score − largest) over the keys that the query sees [..., heads, T]. */
  readonly inverse: Tensor;
}

/** The attention as a composition: for masks and dropout, and for higher derivatives. */
export function composedAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: {
    readonly heads: number;
    readonly causal: boolean;
    readonly scale: number;
    readonly mask?: Tensor | null;
    /** Dropout of the weights. Default: none. */
    readonly dropped?: (weights: Tensor) => Tensor;
  },
): Composed {
  const { heads, causal, scale, mask = null, dropped = (x) => x } = options;
  const scores = mul(matmul(byHead(q, heads), byHead(k, heads), { transB: true }), scale);
  const weights = softmaxOf(scores, mask, causal);
  return {
    y: joined(matmul(dropped(weights), byHead(v, heads))),
    weights,
    // The weight of the largest score is 1 / the sum.
    get largest() {
      return max(seenOnly(scores, mask, causal), -1);
    },
    get inverse() {
      return max(weights, -1);
    },
  };
}

/** [..., T, heads · D] -> [..., heads, T, D] */
export function byHead(x: Tensor, heads: number): Tensor {
  const [tokens, channels] = x.shape.slice(-2) as [number, number];
  return swapped(reshape(x, [...x.shape.slice(0, -1), heads, channels / heads]), tokens);
}

/** [..., heads, T, E] -> [..., T, heads · E] */
export function joined(x: Tensor): Tensor {
  const [heads, tokens, width] = x.shape.slice(-3) as [number, number, number];
  return reshape(swapped(x, heads), [...x.shape.slice(0, -3), tokens, heads * width]);
}

/** Swaps the third last axis, of a given size, with the second last one. */
function swapped(x: Tensor, size: number): Tensor {
  const { rank, shape } = x;
  const [last, batch] = [shape.at(-1)!, shape.slice(0, -3)];
  if (size === 1 || shape.at(-2) === 1) return reshape(x, [...batch, shape.at(-2)!, size, last]);
  const outer = batch.map((_, axis) => axis);
  return transpose(x, [...outer, rank - 2, rank - 3, rank - 1]);
}

/** The score of a key that a query does not see. Its difference from every other score has an exponential of 0. */
const UNSEEN = -1e30;

/** Which keys each query sees; null for all. */
function seenBy(scores: Tensor, mask: Tensor | null, causal: boolean): Tensor | null {
  const seen = [
    ...(mask?.dtype === 'u8' ? [notEqual(mask, 0)] : []),
    ...(causal ? [tril(ones(scores.shape.slice(-2), 'u8'))] : []),
  ];
  return seen.length === 0 ? null : seen.reduce((a, b) => and(a, b));
}

/** The scores with the bias, and UNSEEN for keys that a query does not see. */
function seenOnly(scores: Tensor, mask: Tensor | null, causal: boolean): Tensor {
  const biased = mask?.dtype === 'f32' ? add(scores, mask) : scores;
  const isSeen = seenBy(scores, mask, causal);
  return isSeen === null ? biased : where(isSeen, biased, UNSEEN);
}

function softmaxOf(scores: Tensor, mask: Tensor | null, causal: boolean): Tensor {
  const weights = softmax(seenOnly(scores, mask, causal));
  const isSeen = seenBy(scores, mask, causal);
  // The product with the mask gives zeros to a query that sees no key.
  return isSeen === null ? weights : mul(weights, cast(isSeen));
}
