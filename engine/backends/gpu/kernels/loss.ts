/** Losses and what is measured beside them. */
import { int, type Lower, type Site } from '../kernel.ts';
import { wins } from './reduce.ts';

function checkLabels({ inputs: [, labels], types, check }: Site): void {
  const [rows, classes] = types[0].shape;
  check({
    kind: 'label',
    count: rows,
    n: classes,
    args: { labels: { place: labels, dims: [2 * rows] } },
    wrong: `${int('labels', 'i')} < 0 || ${int('labels', 'i')} >= ${classes}`,
    value: ['labels[2 * i]', 'labels[2 * i + 1]'],
  });
}

export const softmaxCrossEntropy: Lower = (site) => {
  const { inputs, outputs, types, emit, scratch } = site;
  const [loss, softmax] = outputs;
  const [rows, classes] = types[0].shape;
  checkLabels(site);
  if (rows === 0) return;
  const logits = { place: inputs[0], dims: [classes, rows] } as const;
  const [top, total] = [scratch(rows), scratch(rows)].map((place) => ({ place, dims: [rows] as const }));
  emit({
    body: `let top = logits[X][0];
      for (let c = 1; c < ${classes}; c++) { const value = logits[X][c]; if (${wins('value', 'top')}) { top = value; } }
      return top;`,
    args: { logits },
    output: [rows],
    to: top!.place,
  });
  emit({
    body: `let total = 0;
      for (let c = 0; c < ${classes}; c++) { total += exponential(logits[X][c] - top[X]); }
      return total;`,
    args: { logits, top: top! },
    output: [rows],
    to: total!.place,
  });
  emit({
    body: `const label = ${int('labels', 'X')};\nreturn logarithm(total[X]) + (top[X] - logits[X][label]);`,
    args: { logits, labels: { place: inputs[1], dims: [2 * rows] }, top: top!, total: total! },
    output: [rows],
    to: loss,
  });
  emit({
    body: 'return exponential(logits[Y][X] - top[Y]) / total[Y];',
    args: { logits, top: top!, total: total! },
    output: [classes, rows],
    to: softmax,
  });
};

export const softmaxCrossEntropyGrad: Lower = ({
  inputs: [g, softmax, labels],
  outputs: [to],
  results,
  emit,
}) => {
  const [rows, classes] = results[0].shape;
  emit({
    body: `let target = 0;
      if (${int('labels', 'Y')} === X) { target = 1; }
      return g[Y] * (softmax[Y][X] - target);`,
    args: {
      g: { place: g, dims: [rows] },
      softmax: { place: softmax, dims: [classes, rows] },
      labels: { place: labels, dims: [2 * rows] },
    },
    output: [classes, rows],
    to,
  });
};

export const correct: Lower = (site) => {
  const { inputs, outputs, types, emit } = site;
  const [rows, classes] = types[0].shape;
  checkLabels(site);
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
      logits: { place: inputs[0], dims: [classes, rows] },
      labels: { place: inputs[1], dims: [2 * rows] },
    },
    output: [rows],
    to: outputs[0],
  });
};
