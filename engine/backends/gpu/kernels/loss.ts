/** Losses, what is measured beside them, dropout, and images as a model wants them. */
import type { AttrsOf } from '../../../ops/index.ts';
import { broadcastStrides, sizeOf } from '../../../shape.ts';
import { expectExact, int, literal, type Lower, type Site } from '../kernel.ts';
import { wins } from './reduce.ts';
import { rowAndColumn } from './windows.ts';

function checkLabels({ inputs: [, labels], types, check }: Site): void {
  const [rows, classes] = types[0].shape;
  check({
    kind: 'label',
    count: rows,
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

/** A 32-bit word as literals of its high and low half. */
const halves = (word: number): readonly [high: number, low: number] => [word >>> 16, word & 0xffff];

/**
 * Statements of one Philox4x32-10 block (see rng.ts) for the counter (`block`, 0, step, 0), where the names `block1`, `block0`
 * and `step1`, `step0` are high and low halves. It leaves the words in a1, a0, … d1, d0. Everything is 16-bit halves, in
 * which products are exact though all numbers are floats.
 */
function philox(key0: number, key1: number): string {
  const [k1, k0] = halves(key0);
  const [l1, l0] = halves(key1);
  // name · multiplier, as four halves p3 … p0.
  const product = (p: string, multiplier: number, name: string): string => {
    const [m1, m0] = halves(multiplier);
    return `const ${p}0 = low16(${name}0, ${m0});
      const ${p}s = high16(${name}0, ${m0}) + low16(${name}1, ${m0}) + low16(${name}0, ${m1});
      const ${p}c = Math.floor(${p}s * 0.0000152587890625);
      const ${p}1 = ${p}s - ${p}c * 65536;
      const ${p}t = high16(${name}1, ${m0}) + high16(${name}0, ${m1}) + low16(${name}1, ${m1}) + ${p}c;
      const ${p}d = Math.floor(${p}t * 0.0000152587890625);
      const ${p}2 = ${p}t - ${p}d * 65536;
      const ${p}3 = high16(${name}1, ${m1}) + ${p}d;`;
  };
  const bump = (name: string, by: number): string => {
    const [high, low] = halves(by);
    return `${name}0 = ${name}0 + ${low};
      ${name}1 = ${name}1 + ${high};
      if (${name}0 >= 65536) { ${name}0 = ${name}0 - 65536; ${name}1 = ${name}1 + 1; }
      if (${name}1 >= 65536) { ${name}1 = ${name}1 - 65536; }`;
  };
  return `let a1 = block1; let a0 = block0; let b1 = 0; let b0 = 0;
    let c1 = step1; let c0 = step0; let d1 = 0; let d0 = 0;
    let k1 = ${k1}; let k0 = ${k0}; let l1 = ${l1}; let l0 = ${l0};
    for (let round = 0; round < 10; round++) {
      ${product('p', 0xd2511f53, 'a')}
      ${product('q', 0xcd9e8d57, 'c')}
      a1 = (q3 ^ b1) ^ k1; a0 = (q2 ^ b0) ^ k0;
      b1 = q1; b0 = q0;
      c1 = (p3 ^ d1) ^ l1; c0 = (p2 ^ d0) ^ l0;
      d1 = p1; d0 = p0;
      ${bump('k', 0x9e3779b9)}
      ${bump('l', 0xbb67ae85)}
    }`;
}

export const dropout: Lower = ({ inputs: [x, step], outputs: [to], results: [{ shape }], attrs, emit }) => {
  const { rate, key0, key1 } = attrs as AttrsOf<'dropout'>;
  const n = sizeOf(shape);
  expectExact('dropout', n);
  const [t1, t0] = halves(Math.round(rate * 2 ** 32));
  emit({
    body: `const block = quotient(X, 4);
      const block1 = quotient(block, 65536);
      const block0 = block - block1 * 65536;
      const step0 = step[0];
      let step1 = step[1];
      if (step1 < 0) { step1 = step1 + 65536; }
      ${philox(key0, key1)}
      const word = X - block * 4;
      let w1 = d1; let w0 = d0;
      if (word < 1) { w1 = a1; w0 = a0; } else if (word < 2) { w1 = b1; w0 = b0; } else if (word < 3) { w1 = c1; w0 = c0; }
      if (w1 > ${t1} || (w1 === ${t1} && w0 >= ${t0})) { return x[X] * ${literal(1 / (1 - rate))}; }
      return 0;`,
    args: { x: { place: x, dims: [n] }, step: { place: step, dims: [2] } },
    output: [n],
    to,
  });
};

export const normalizeImages: Lower = ({ inputs: [x, mean, scale, draws], outputs: [to], types, emit }) => {
  const [images, height, width, channels] = types[0].shape;
  const item = types[0].shape.slice(1);
  expectExact('an image', sizeOf(item));
  const at = (operand: 1 | 2): string =>
    broadcastStrides(types[operand].shape, item)
      .map((stride, axis) => (stride === 0 ? '' : `${['sy', 'sx', 'X'][axis]} * ${stride}`))
      .filter((term) => term !== '')
      .join(' + ') || '0';
  const place =
    draws === undefined
      ? 'const sy = row;\nconst sx = column;'
      : `const sy = row + ${int('draws[Z]', '0')};
        let mirrored = column;
        if (${int('draws[Z]', '2')} !== 0) { mirrored = ${width - 1} - column; }
        const sx = mirrored + ${int('draws[Z]', '1')};
        if (sy < 0 || sy >= ${height} || sx < 0 || sx >= ${width}) { return 0; }`;
  emit({
    body: `${rowAndColumn(width)}
      ${place}
      return (x[Z][sy * ${width} + sx][X] - mean[${at(1)}]) * scale[${at(2)}];`,
    args: {
      x: { place: x, dims: [channels, height * width, images] },
      mean: { place: mean, dims: [sizeOf(types[1].shape)] },
      scale: { place: scale, dims: [sizeOf(types[2].shape)] },
      ...(draws === undefined ? {} : { draws: { place: draws, dims: [6, images] as const } }),
    },
    output: [channels, height * width, images],
    to,
  });
};
