/** Losses and metrics. */
import type { Lowering, LoweringContext } from '../lowering.ts';
import { int } from '../text.ts';
import { wins } from './reduce.ts';

function checkLabels({ inputs: [, labels], types, check }: LoweringContext): void {
  const [rows, classes] = types[0].shape;
  check({
    failure: { kind: 'label', n: classes },
    count: rows,
    args: { labels: { buffer: labels, dims: [2 * rows] } },
    wrong: `${int('labels', 'i')} < 0 || ${int('labels', 'i')} >= ${classes}`,
    value: ['labels[2 * i]', 'labels[2 * i + 1]'],
  });
}

const softmaxCrossEntropy: Lowering = (context) => {
  const { inputs, outputs, types, emit, scratch } = context;
  const [loss, softmax] = outputs;
  const [rows, classes] = types[0].shape;
  checkLabels(context);
  if (rows === 0) return;
  const logits = { buffer: inputs[0], dims: [classes, rows] } as const;
  const [best, others] = [scratch(rows), scratch(rows)].map((buffer) => ({ buffer, dims: [rows] as const }));
  emit({
    body: `let top = logits[X][0];
      let best = 0;
      for (let c = 1; c < ${classes}; c++) {
        const value = logits[X][c];
        if (${wins('value', 'top')}) { top = value; best = c; }
      }
      return best;`,
    args: { logits },
    output: [rows],
    to: best.buffer,
  });
  // Adding small terms to the 1 of the largest logit would lose their digits. The sum leaves it out; the log of 1 + x adds it.
  emit({
    body: `const position = best[X];
      const top = logits[X][position];
      let others = 0;
      for (let c = 0; c < ${classes}; c++) {
        if (c !== position) { others += exponential(logits[X][c] - top); }
      }
      return others;`,
    args: { logits, best: best },
    output: [rows],
    to: others.buffer,
  });
  emit({
    body: `const label = ${int('labels', 'X')};
      const position = best[X];
      return logarithmOf1Plus(others[X]) + (logits[X][position] - logits[X][label]);`,
    args: { logits, labels: { buffer: inputs[1], dims: [2 * rows] }, best: best, others: others },
    output: [rows],
    to: loss,
  });
  emit({
    body: `const position = best[Y];
      return exponential(logits[Y][X] - logits[Y][position]) / (1 + others[Y]);`,
    args: { logits, best: best, others: others },
    output: [classes, rows],
    to: softmax,
  });
};

const softmaxCrossEntropyGrad: Lowering = ({
  inputs: [g, softmax, labels],
  outputs: [to],
  results,
  emit,
}) => {
  const [rows, classes] = results[0].shape;
  emit({
    body: `const label = ${int('labels', 'Y')};
      const p = softmax[Y][X];
      if (label !== X) { return g[Y] * p; }
      if (p <= 0.5) { return g[Y] * (p - 1); }
      let others = 0;
      for (let c = 0; c < ${classes}; c++) { if (c !== label) { others += softmax[Y][c]; } }
      return g[Y] * (0 - others);`,
    args: {
      g: { buffer: g, dims: [rows] },
      softmax: { buffer: softmax, dims: [classes, rows] },
      labels: { buffer: labels, dims: [2 * rows] },
    },
    output: [classes, rows],
    to,
  });
};

const correct: Lowering = (context) => {
  const { inputs, outputs, types, emit } = context;
  const [rows, classes] = types[0].shape;
  checkLabels(context);
  emit({
    body: `let best = logits[X][0];
      let position = 0;
      for (let c = 1; c < ${classes}; c++) {
        const value = logits[X][c];
        if (${wins('value', 'best')}) { best = value; position = c; }
      }
      if (nan(best) < 1 && ${int('labels', 'X')} === position) { return 1; }
      return 0;`,
    args: {
      logits: { buffer: inputs[0], dims: [classes, rows] },
      labels: { buffer: inputs[1], dims: [2 * rows] },
    },
    output: [rows],
    to: outputs[0],
  });
};

export const lossKernels = {
  softmaxCrossEntropy,
  softmaxCrossEntropyGrad,
  correct,
};
