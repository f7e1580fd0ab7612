/** Error budgets, and how far results are from the truth in units of them. docs/notes/differential.md explains the choice. */
import type { Shape } from 'cyclegrad';
import type { Budget } from './case.ts';

/** One result by PyTorch. */
export interface Truth {
  readonly shape: Shape;
  /** In double precision. */
  readonly exact: Float64Array;
  /** In single precision. */
  readonly single: Float64Array;
  /** How much the result moves when the inputs move by half a unit in the last place. */
  readonly moved: Float64Array;
}

/** An error may be this many times PyTorch's own, and this many times the effect of rounding the inputs. */
const FACTOR = 4;
/** Where a tensor has few elements, all errors of PyTorch may be small by chance: the factor in place of the other. */
const FEW = { elements: 16, factor: 12 };
/** Units in the last place that every result may be off: values, gradients, second derivatives. */
const ULPS = [8, 8, 16] as const;
/** Numbers below the normal ones keep fewer digits, and a formula may scale them afterwards. */
const LEAST = [2 ** -140, 2 ** -140, 2 ** -136] as const;
const LARGEST = (2 - 2 ** -23) * 2 ** 127;
/** Single to double precision, and a factor: double precision is for formulas, so rounding errors do not matter there. */
const DOUBLE = 64 * 2 ** -29;
/** The relative error that a result in double precision may always have. */
const DOUBLE_RELATIVE = 1e-11;
/** The absolute error that a derivative in double precision may always have: a difference of two numbers of about 1. */
const DOUBLE_LEAST = 1e-14;

const ulp = (x: number): number => 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 23);

export interface Comparison {
  /** The largest error, in units of its budget. Above 1 it is a failure. */
  readonly worst: number;
  /** Position of the largest error. */
  readonly at: number;
  /** Elements that PyTorch cannot judge: it overflows or gives NaN itself in single precision. */
  readonly unjudged: number;
}

/**
 * What a result may be off. `level` is 0 for values, 1 for gradients, 2 for second derivatives. `least` is the scale of a tensor
 * whose elements are all smaller.
 */
export function allowances(truth: Truth, budget: Budget, level: 0 | 1 | 2, least: number): Float64Array {
  const { exact, single, moved } = truth;
  const own = exact.map((value, i) => {
    const error = Math.abs(single[i] - value);
    const effect = moved[i];
    return (Number.isFinite(error) ? error : 0) + (Number.isFinite(effect) ? effect : 0);
  });
  if (budget === 'element')
    return own.map((error, i) => FACTOR * error + ULPS[level] * ulpOf(exact[i]) + LEAST[level]);
  const largest = own.reduce((most, error) => Math.max(most, error), 0);
  // The derivative by a single number may be a difference of numbers of the size of the weights.
  const floor = exact.length === 1 && level > 0 ? Math.max(least, 1) : least;
  const scale = exact.reduce(
    (most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most),
    floor,
  );
  const factor = exact.length < FEW.elements ? FEW.factor : FACTOR;
  return own.fill(factor * largest + ULPS[level] * ulpOf(scale) + LEAST[level]);
}

const ulpOf = (x: number): number => (Number.isFinite(x) ? ulp(Math.min(Math.abs(x), LARGEST)) : 0);

export interface Precision {
  readonly isDouble: boolean;
  /** 0 for values, 1 for gradients, 2 for second derivatives. */
  readonly level: 0 | 1 | 2;
  /** On all budgets. */
  readonly factor: number;
}

/** Compares a result with the truth. An `exact` result has no allowance: only its values must be equal. */
export function compare(
  got: ArrayLike<number>,
  truth: Truth,
  allowed: Float64Array | null,
  { isDouble, factor, level }: Precision,
): Comparison {
  let [worst, at, unjudged] = [0, 0, 0];
  for (let i = 0; i < truth.exact.length; i++) {
    const want = isDouble ? truth.exact[i] : Math.fround(truth.exact[i]);
    if (got[i] === want || (Number.isNaN(want) && Number.isNaN(got[i]))) continue;
    const single = allowed === null ? 0 : factor * allowed[i];
    const floor = DOUBLE_RELATIVE * Math.abs(truth.exact[i]) + (level > 0 ? DOUBLE_LEAST : 0);
    const own = isDouble ? single * DOUBLE + floor : single;
    const ratio = ratioAt(got[i], want, { truth, i, level }, own);
    if (ratio === null) unjudged++;
    else if (ratio > worst) [worst, at] = [ratio, i];
  }
  return { worst, at, unjudged };
}

/** The error in units of the allowance. Null where PyTorch cannot judge it. */
function ratioAt(
  got: number,
  want: number,
  { truth, i, level }: { readonly truth: Truth; readonly i: number; readonly level: 0 | 1 | 2 },
  allowed: number,
): number | null {
  const [exact, single] = [truth.exact[i], truth.single[i]];
  if (Number.isFinite(want) && Number.isFinite(got)) return Math.abs(got - exact) / allowed;
  // An overflow is a matter of rounding near the largest number.
  const near = (x: number, y: number): boolean =>
    Math.abs(x) >= LARGEST * (1 - 2 ** -20) && Math.sign(x) === Math.sign(y);
  if (Number.isFinite(exact) && near(got, exact) && near(exact, exact)) return 0;
  // Where a derivative nearly overflows, a step before it may overflow, or give Infinity · 0 or Infinity − Infinity.
  if (level > 0 && Number.isFinite(exact) && Math.abs(exact) > LARGEST / 16) return null;
  // In single precision PyTorch does not get the truth either.
  const sameKind = Number.isNaN(want)
    ? Number.isNaN(single)
    : single === want || (Number.isFinite(want) && Number.isFinite(single));
  return sameKind ? Infinity : null;
}
