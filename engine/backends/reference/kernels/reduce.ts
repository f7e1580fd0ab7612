/** Reductions of [outer, n, inner] over n, and running sums. */
import type { KernelTable } from '../../backend.ts';
import { accumulate, type Call, wins } from './call.ts';

export const reduceKernels = {
  sum({ inputs: [x], outputs: [y] }) {
    const [outer, n, inner] = x.shape;
    accumulate(y, (add) => {
      for (let o = 0; o < outer; o++) {
        for (let r = 0; r < n; r++) {
          for (let i = 0; i < inner; i++) add(o * inner + i, x.get(o, r, i));
        }
      }
    });
  },

  max({ inputs: [x], outputs: [y, at] }) {
    const [outer, n, inner] = x.shape;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let best = 0;
        for (let r = 1; r < n; r++) if (wins(x.get(o, r, i), x.get(o, best, i))) best = r;
        y.set(o, i, x.get(o, best, i));
        at.set(o, i, best);
      }
    }
  },

  cumsum({ inputs: [x], outputs: [y], attrs: { exclusive, reverse } }) {
    const [outer, n, inner] = x.shape;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let k = 0; k < n; k++) {
          const r = reverse ? n - 1 - k : k;
          const value = x.get(o, r, i);
          y.set(o, r, i, exclusive ? sum : sum + value);
          sum += value;
        }
      }
    }
  },
} satisfies Partial<KernelTable<Call>>;
