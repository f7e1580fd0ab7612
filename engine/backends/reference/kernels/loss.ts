/** Classification losses and metrics. */
import type { KernelTable } from '../../backend.ts';
import { labelError } from '../../failures.ts';
import { type Call, wins } from './call.ts';

function checkLabel(op: string, path: string, label: number, row: number, classes: number): void {
  if (label < 0 || label >= classes) throw labelError(path, op, label, row, classes);
}

export const lossKernels = {
  softmaxCrossEntropy({ inputs: [logits, labels], outputs: [loss, softmax], path }) {
    const [rows, classes] = logits.shape;
    for (let n = 0; n < rows; n++) {
      const label = labels.get(n);
      checkLabel('softmaxCrossEntropy', path, label, n, classes);
      let best = 0;
      for (let c = 1; c < classes; c++) if (wins(logits.get(n, c), logits.get(n, best))) best = c;
      const top = logits.get(n, best);
      // Adding small terms to the 1 of the largest logit would lose their digits. The sum leaves it out; log1p adds it.
      let others = 0;
      for (let c = 0; c < classes; c++) if (c !== best) others += Math.exp(logits.get(n, c) - top);
      for (let c = 0; c < classes; c++) softmax.set(n, c, Math.exp(logits.get(n, c) - top) / (1 + others));
      loss.set(n, Math.log1p(others) + (top - logits.get(n, label)));
    }
  },

  softmaxCrossEntropyGrad({ inputs: [g, softmax, labels], outputs: [out] }) {
    const [rows, classes] = out.shape;
    for (let n = 0; n < rows; n++) {
      const label = labels.get(n);
      let others = 0;
      for (let c = 0; c < classes; c++) if (c !== label) others += softmax.get(n, c);
      for (let c = 0; c < classes; c++) {
        const p = softmax.get(n, c);
        out.set(n, c, g.get(n) * (c !== label ? p : p > 0.5 ? 0 - others : p - 1));
      }
    }
  },

  correct({ inputs: [logits, labels], outputs: [out], path }) {
    const [rows, classes] = logits.shape;
    for (let n = 0; n < rows; n++) {
      checkLabel('correct', path, labels.get(n), n, classes);
      let best = 0;
      for (let c = 1; c < classes; c++) if (wins(logits.get(n, c), logits.get(n, best))) best = c;
      out.set(n, best === labels.get(n) && !Number.isNaN(logits.get(n, best)) ? 1 : 0);
    }
  },
} satisfies Partial<KernelTable<Call>>;
