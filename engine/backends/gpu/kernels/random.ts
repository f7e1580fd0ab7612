/** Random numbers: Philox (see rng.ts) in halves of 16 bits, whose products are exact in floats. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { NORMAL_MIDDLE, NORMAL_TAIL } from '../../../rng.ts';
import { sizeOf } from '../../../shape.ts';
import type { Lowering } from '../lowering.ts';
import { literal } from '../text.ts';

/** A 32-bit word as literals of its high and low half. */
const halves = (word: number): readonly [high: number, low: number] => [word >>> 16, word & 0xffff];

/**
 * Statements of one Philox4x32-10 block (see rng.ts) for the counter (`block`, 0, step, 0), where the names `block1`, `block0`
 * and `step1`, `step0` are high and low halves. It leaves the words in a1, a0, … d1, d0.
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

/**
 * Statements that leave the word of this thread's element in w1 and w0, high and low half. Its block is cut in halves by shifts:
 * X is an integer as long as no local holds it, and may be beyond what a float counts to.
 */
const word = (key0: number, key1: number): string => `const block1 = X >> 18;
  const block0 = (X >> 2) & 65535;
  const step0 = step[0];
  let step1 = step[1];
  if (step1 < 0) { step1 = step1 + 65536; }
  ${philox(key0, key1)}
  const word = X & 3;
  let w1 = d1; let w0 = d0;
  if (word < 1) { w1 = a1; w0 = a0; } else if (word < 2) { w1 = b1; w0 = b0; } else if (word < 3) { w1 = c1; w0 = c0; }`;

const dropout: Lowering<AttrsOf<'dropout'>> = ({
  inputs: [x, step],
  outputs: [to],
  results: [{ shape }],
  attrs,
  emit,
}) => {
  const { rate, key0, key1 } = attrs;
  const n = sizeOf(shape);
  const [t1, t0] = halves(Math.round(rate * 2 ** 32));
  emit({
    body: `${word(key0, key1)}
      if (w1 > ${t1} || (w1 === ${t1} && w0 >= ${t0})) { return x[X] * ${literal(1 / (1 - rate))}; }
      return 0;`,
    args: { x: { buffer: x, dims: [n] }, step: { buffer: step, dims: [2] } },
    output: [n],
    to,
  });
};

/** Horner's rule, from the highest power down. */
const polynomial = (coefficients: readonly number[], r: string): string =>
  coefficients.map(literal).reduce((sum, c) => `(${sum} * ${r} + ${c})`);

/**
 * `normalOf` of rng.ts. In double precision its very operations; in single precision as near as they allow, because words
 * and their complements are turned to fractions from the side where they are small.
 */
const NORMAL = `const q = ((w1 - 32768) * 65536 + w0 + 0.5) * 2.3283064365386963e-10;
  if (q >= -0.425 && q <= 0.425) {
    const r = 0.180625 - q * q;
    return q * ${polynomial(NORMAL_MIDDLE[0], 'r')} / ${polynomial(NORMAL_MIDDLE[1], 'r')};
  }
  let u = (w1 * 65536 + w0 + 0.5) * 2.3283064365386963e-10;
  if (q >= 0) { u = ((65535 - w1) * 65536 + (65535 - w0) + 0.5) * 2.3283064365386963e-10; }
  let exponent = 0;
  for (let k = 0; k < 33; k++) {
    if (u < 0.7071067811865476) { u = u * 2; exponent = exponent - 1; }
  }
  const s = (u - 1) / (u + 1);
  const z = s * s;
  const p = ${polynomial(
    [21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1].map((k) => 1 / k),
    'z',
  )};
  const root = Math.sqrt(-(exponent * 0.6931471805599453 + 2 * s * p)) - 1.6;
  const x = ${polynomial(NORMAL_TAIL[0], 'root')} / ${polynomial(NORMAL_TAIL[1], 'root')};
  if (q < 0) { return -x; }
  return x;`;

const random: Lowering<AttrsOf<'random'>> = ({ inputs: [step], outputs: [to], attrs, emit }) => {
  const { distribution, shape, key0, key1 } = attrs;
  const n = sizeOf(shape);
  emit({
    body: `${word(key0, key1)}
      ${distribution === 'normal' ? NORMAL : 'return (w1 * 256 + Math.floor(w0 * 0.00390625)) * 5.960464477539063e-8;'}`,
    args: { step: { buffer: step, dims: [2] } },
    output: [n],
    to,
  });
};

export const randomKernels = {
  dropout,
  random,
};
