/** Scaled dot-product attention of heads, and its gradient. */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, expectRank, type Grads, type Vjp } from '../../op.ts';
import { formatType } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { TensorType } from '../../types.ts';
import { byHead, composedAttention, joined } from '../composed-attention.ts';
import { mul, sub } from '../elementwise.ts';
import { matmul } from '../matmul.ts';
import { sum } from '../reduce.ts';
import { composed } from './composed.ts';

export type AttentionAttrs = {
  readonly heads: number;
  /** Query i sees keys 0 … i only. */
  readonly causal: boolean;
  /** Factor on the scores. */
  readonly scale: number;
};

/** Sizes of an attention: T queries and S keys, with D values in each head of q and k, and E in each head of v. */
export interface AttentionSizes {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly valueWidth: number;
}

/** The sizes by the types of q, k and v. */
export function attentionSizes(
  [q, k, v]: readonly TensorType[],
  { heads }: Pick<AttentionAttrs, 'heads'>,
): AttentionSizes {
  const [batch, queries, channels] = q.shape as [number, number, number];
  const [keys, values] = [k.shape[1], v.shape[2]];
  return { batch, heads, queries, keys, width: channels / heads, valueWidth: values / heads };
}

function checkTypes(where: string, [q, k, v]: readonly TensorType[], { heads }: AttentionAttrs): void {
  expectDType(where, 'f32', q, k, v);
  for (const t of [q, k, v]) expectRank(where, t, 3, '[N, tokens, channels]');
  const fits =
    k.shape[0] === q.shape[0] &&
    v.shape[0] === q.shape[0] &&
    k.shape[2] === q.shape[2] &&
    v.shape[1] === k.shape[1] &&
    q.shape[2] % heads === 0 &&
    v.shape[2] % heads === 0;
  if (fits) return;
  throw new ShapeError(
    `${where}: expects q [N, T, heads · D], k [N, S, heads · D] and v [N, S, heads · E] but got q ${formatType(q)}, ` +
      `k ${formatType(k)}, v ${formatType(v)} for ${heads} heads`,
  );
}

/**
 * q [N, T, heads · D], k [N, S, heads · D], v [N, S, heads · E] -> y [N, T, heads · E]; and for each query of each head
 * [N, heads, T], its largest score and 1 / the sum of exp(score − largest). The gradient computes the weights from them again.
 */
export const attentionOp = defineOp({
  name: 'attention',
  infer([q, k, v]: readonly TensorType[], attrs: AttentionAttrs) {
    checkTypes('attention', [q, k, v], attrs);
    const { batch, heads, queries } = attentionSizes([q, k, v], attrs);
    const perQuery: TensorType = { shape: [batch, heads, queries], dtype: 'f32' };
    return [{ shape: [batch, queries, v.shape[2]], dtype: 'f32' }, perQuery, perQuery];
  },
  vjp(at: Vjp<AttentionAttrs>): Grads {
    const { inputs, outputs, grads, attrs } = at;
    const [g, ofLargest, ofInverse] = grads;
    if (g === null || ofLargest !== null || ofInverse !== null) return byComposition(at);
    return attentionGradOp([g, ...inputs, ...outputs], attrs);
  },
  flops(inputs, _, attrs) {
    const { batch, heads, queries, keys, width, valueWidth } = attentionSizes(inputs, attrs);
    return 2 * batch * heads * queries * keys * (width + valueWidth);
  },
});

const byComposition = composed(([q, k, v]: readonly Tensor[], attrs: AttentionAttrs) => {
  const { y, largest, inverse } = composedAttention(q, k, v, attrs);
  return [y, largest, inverse];
});

/** Inputs g, q, k, v and the three results of the attention. Results: the gradients of q, k and v. */
export const attentionGradOp = defineOp({
  name: 'attentionGrad',
  infer([g, q, k, v, y]: readonly TensorType[], attrs: AttentionAttrs) {
    expectDType('attentionGrad', 'f32', g, y);
    checkTypes('attentionGrad', [q, k, v], attrs);
    return [q, k, v];
  },
  // The results of the attention are functions of q, k and v, by which the composition is differentiated.
  vjp: composed(([g, q, k, v]: readonly Tensor[], attrs: AttentionAttrs) => {
    const { heads, scale } = attrs;
    const { weights } = composedAttention(q, k, v, attrs);
    const [ofY, queries, keys, values] = [g, q, k, v].map((x) => byHead(x, heads)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const ofWeights = matmul(ofY, values, { transB: true });
    const centered = sub(ofWeights, sum(mul(ofWeights, weights), -1, { keepDims: true }));
    const ofScores = mul(mul(weights, centered), scale);
    return [
      joined(matmul(ofScores, keys)),
      joined(matmul(ofScores, queries, { transA: true })),
      joined(matmul(weights, ofY, { transA: true })),
    ];
  }),
  flops([, ...inputs], _, attrs) {
    const { batch, heads, queries, keys, width, valueWidth } = attentionSizes(inputs, attrs);
    return 2 * batch * heads * queries * keys * (3 * width + 2 * valueWidth);
  },
});

export const attentionOps = {
  attention: attentionOp,
  attentionGrad: attentionGradOp,
};
