/** Scaled dot-product attention. */
import { attentionSizes, type AttentionAttrs } from '../../../ops/primitives/attention.ts';
import type { KernelTable } from '../../backend.ts';
import { accumulate, type Call, type Nd } from './call.ts';

const type = ({ shape }: Nd) => ({ shape, dtype: 'f32' }) as const;

/** The sum of products of a row of a head in a with one in b. */
function dot(a: Nd, b: Nd, n: number, row: number, other: number, head: number, width: number): number {
  let sum = 0;
  for (let i = head * width; i < (head + 1) * width; i++) sum += a.get(n, row, i) * b.get(n, other, i);
  return sum;
}

/** Visits every query of every head. */
function forQueries(
  [q, k, v]: readonly Nd[],
  attrs: AttentionAttrs,
  visit: (n: number, head: number, query: number, seen: number) => void,
): void {
  const { batch, heads, queries, keys } = attentionSizes([type(q), type(k), type(v)], attrs);
  for (let n = 0; n < batch; n++) {
    for (let head = 0; head < heads; head++) {
      for (let query = 0; query < queries; query++) {
        visit(n, head, query, attrs.causal ? Math.min(keys, query + 1) : keys);
      }
    }
  }
}

export const attentionKernels = {
  attention({ inputs: [q, k, v], outputs: [y, largest, inverse], attrs }) {
    const { width, valueWidth } = attentionSizes([type(q), type(k), type(v)], attrs);
    forQueries([q, k, v], attrs, (n, head, query, seen) => {
      const scores = Array.from(
        { length: seen },
        (_, key) => attrs.scale * dot(q, k, n, query, key, head, width),
      );
      const most = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - most));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      largest.set(n, head, query, most);
      inverse.set(n, head, query, 1 / total);
      for (let e = head * valueWidth; e < (head + 1) * valueWidth; e++) {
        y.set(n, query, e, weights.reduce((sum, weight, key) => sum + weight * v.get(n, key, e), 0) / total);
      }
    });
  },

  attentionGrad({ inputs: [g, q, k, v, y, largest, inverse], outputs: [dq, dk, dv], attrs }) {
    const { width, valueWidth } = attentionSizes([type(q), type(k), type(v)], attrs);
    accumulate(dq, (addQ) =>
      accumulate(dk, (addK) =>
        accumulate(dv, (addV) =>
          forQueries([q, k, v], attrs, (n, head, query, seen) => {
            const mean = dot(g, y, n, query, query, head, valueWidth);
            for (let key = 0; key < seen; key++) {
              const score = attrs.scale * dot(q, k, n, query, key, head, width);
              const weight = Math.exp(score - largest.get(n, head, query)) * inverse.get(n, head, query);
              const ofScore = attrs.scale * weight * (dot(g, v, n, query, key, head, valueWidth) - mean);
              for (let d = head * width; d < (head + 1) * width; d++) {
                addQ(q.index(n, query, d) - q.offset, ofScore * k.get(n, key, d));
                addK(k.index(n, key, d) - k.offset, ofScore * q.get(n, query, d));
              }
              for (let e = head * valueWidth; e < (head + 1) * valueWidth; e++) {
                addV(v.index(n, key, e) - v.offset, weight * g.get(n, query, e));
              }
            }
          }),
        ),
      ),
    );
  },
} satisfies Partial<KernelTable<Call>>;
