/** Operations on each element as expressions of gpu.js's language: a new one is a line. */
import { BackendError } from '../../../errors.ts';
import type { DType } from '../../../types.ts';

/** Names of a value in a kernel: one, or the low and the high half of an i32. */
export type Names = readonly [name: string] | readonly [low: string, high: string];

/** Operands are names: they may be used more than once. */
export const expressions = {
  add: (a: string, b: string) => `${a} + ${b}`,
  sub: (a: string, b: string) => `${a} - ${b}`,
  mul: (a: string, b: string) => `${a} * ${b}`,
  div: (a: string, b: string) => `${a} / ${b}`,
  pow: (a: string, b: string) => `power(${a}, ${b})`,
  maximum: (a: string, b: string) => `larger(${a}, ${b})`,
  minimum: (a: string, b: string) => `-larger(-${a}, -${b})`,
  neg: (x: string) => `-${x}`,
  abs: (x: string) => `Math.abs(${x})`,
  sign: (x: string) => `${x} > 0 ? 1 : (${x} < 0 ? -1 : ${x})`,
  floor: (x: string) => `Math.floor(${x})`,
  ceil: (x: string) => `Math.ceil(${x})`,
  round: (x: string) => `rounded(${x})`,
  exp: (x: string) => `exponential(${x})`,
  expm1: (x: string) => `exponentialLess1(${x})`,
  log: (x: string) => `logarithm(${x})`,
  log1p: (x: string) => `logarithmOf1Plus(${x})`,
  sqrt: (x: string) => `Math.sqrt(${x})`,
  sin: (x: string) => `sine(${x}, 0)`,
  cos: (x: string) => `sine(${x}, 1)`,
  tanh: (x: string) => `hyperbolic(${x})`,
  sigmoid: (x: string) => `logistic(${x})`,
  sigmoidSlope: (y: string, x: string) => `logisticSlope(${y}, ${x})`,
  erfc: (x: string) => `errorComplement(${x})`,
  erf: (x: string) => `errorFunction(${x})`,
  atan: (x: string) => `arcTangent(${x})`,
  // Not max(x, 0), which is 0 for NaN.
  relu: (x: string) => `${x} < 0 ? 0 : ${x}`,
  reluGrad: (g: string, y: string) => `${y} > 0 ? ${g} : 0`,
  equal: (a: string, b: string) => `${a} === ${b} ? 1 : 0`,
  less: (a: string, b: string) => `${a} < ${b} ? 1 : 0`,
  lessEqual: (a: string, b: string) => `${a} <= ${b} ? 1 : 0`,
  and: (a: string, b: string) => `${a} !== 0 ? (${b} !== 0 ? 1 : 0) : 0`,
  or: (a: string, b: string) => `${a} !== 0 ? 1 : (${b} !== 0 ? 1 : 0)`,
  xor: (a: string, b: string) => `${a} !== 0 ? (${b} !== 0 ? 0 : 1) : (${b} !== 0 ? 1 : 0)`,
  where: (c: string, a: string, b: string) => `${c} !== 0 ? ${a} : ${b}`,
  cast: (x: string) => x,
} as const;

export type ElementwiseName = keyof typeof expressions;

/** Of i32, exactly: expressions of the two halves of the result, in which `t` begins the names of what they need first. */
const integers: Readonly<Record<string, (t: string, ...x: readonly Names[]) => Halves>> = {
  add: (t, [a0, a1], [b0, b1]) => carried(t, `${a0} + ${b0}`, `${a1} + ${b1}`),
  sub: (t, [a0, a1], [b0, b1]) => carried(t, `${a0} - ${b0}`, `${a1} - ${b1}`),
  mul: (_, [a0, a1], [b0, b1]) => ({
    low: `low16(${a0}, ${b0})`,
    high: `wrapped(high16(${a0}, ${b0}) + low16(nonNegative(${a1}), ${b0}) + low16(${a0}, nonNegative(${b1})))`,
  }),
  maximum: (t, a, b) => chosen(t, isBelow(a, b), b, a),
  minimum: (t, a, b) => chosen(t, isBelow(b, a), b, a),
  where: (t, [c], a, b) => chosen(t, c, a, b),
};

/** Comparisons of two i32. */
const tests: Readonly<Record<string, (a: Names, b: Names) => string>> = {
  equal: ([a0, a1], [b0, b1]) => `${a0} === ${b0} ? (${a1} === ${b1} ? 1 : 0) : 0`,
  less: isBelow,
  lessEqual: (a, b) => `1 - ${isBelow(b, a)}`,
};

interface Halves {
  /** Statements. */
  readonly before?: string;
  readonly low: string;
  readonly high: string;
}

function isBelow([a0, a1]: Names, [b0, b1]: Names): string {
  return `below(${a1}, ${a0}, ${b1}, ${b0})`;
}

const carried = (t: string, low: string, high: string): Halves => ({
  before: `const ${t}s = ${low};\nconst ${t}c = Math.floor(${t}s * 0.0000152587890625);`,
  low: `${t}s - ${t}c * 65536`,
  high: `wrapped(${high} + ${t}c)`,
});

const chosen = (t: string, condition: string, [a0, a1]: Names, [b0, b1]: Names): Halves => ({
  before: `const ${t}c = ${condition};`,
  low: `${t}c !== 0 ? ${a0} : ${b0}`,
  high: `${t}c !== 0 ? ${a1} : ${b1}`,
});

/** What a number becomes as another dtype: towards 0, the nearest in range, and 0 for NaN. */
function castTo(t: string, to: DType, from: DType, [x, high]: Names): Halves | string {
  switch (to) {
    case 'f32':
      return from === 'i32' ? `${x} + ${high} * 65536` : x;
    case 'u8':
      if (from === 'i32') return `${high} < 0 ? 0 : (${high} > 0 ? 255 : Math.min(${x}, 255))`;
      return from === 'u8' ? x : `Math.min(Math.max(truncated(${x}), 0), 255)`;
    case 'i32':
      if (from === 'i32') return { low: x, high: high! };
      if (from === 'u8') return { low: x, high: '0' };
      return {
        before: `const ${t}t = truncated(${x});\nconst ${t}c = Math.floor(${t}t * 0.0000152587890625);`,
        low: `${t}c > 32767 ? 65535 : ${t}t - ${t}c * 65536`,
        high: `Math.min(${t}c, 32767)`,
      };
    default:
      throw new BackendError(`gpu: unknown dtype ${JSON.stringify(to satisfies never)}`);
  }
}

/** Statements that leave the result of an operation in names that begin with `t`, and these names. */
export function compute(
  op: string,
  t: string,
  dtype: DType,
  operands: readonly Names[],
  from: readonly DType[],
): { readonly lines: string; readonly names: Names } {
  const one = (expression: string) => ({ lines: `const ${t} = ${expression};`, names: [t] as const });
  const two = ({ before = '', low, high }: Halves) => ({
    lines: `${before}\nconst ${t}l = ${low};\nconst ${t}h = ${high};`,
    names: [`${t}l`, `${t}h`] as const,
  });
  if (op === 'cast') {
    const result = castTo(t, dtype, from[0], operands[0]);
    return typeof result === 'string' ? one(result) : two(result);
  }
  if (dtype === 'i32' && Object.hasOwn(integers, op)) return two(integers[op](t, ...operands));
  const [a, b] = operands;
  if (dtype !== 'i32' && from[0] === 'i32' && Object.hasOwn(tests, op)) return one(tests[op](a, b));
  if (dtype === 'i32' || from.includes('i32') || !Object.hasOwn(expressions, op)) {
    throw new BackendError(`gpu: there is no kernel for '${op}' of ${from.join(', ')}`);
  }
  const expression = expressions[op as ElementwiseName] as (...names: readonly string[]) => string;
  return one(expression(...operands.map(([name]) => name)));
}
