/** Functions of each element alone, with NumPy broadcasting where there are several operands. */
import { withDType } from '../op.ts';
import { Tensor } from '../tensor.ts';
import type { DType } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { scalar } from './create.ts';
import { elementwiseOps, identityOps } from './primitives/elementwise.ts';

type None = Record<never, never>;
const none: None = {};

type Apply = (inputs: readonly Tensor[], attrs: None) => readonly Tensor[];

/** Operands of one operation: a plain number takes the dtype of the tensors beside it. */
function operands(values: readonly TensorLike[]): Tensor[] {
  const dtype = values.find((value) => value instanceof Tensor)?.dtype ?? 'f32';
  return values.map((value) =>
    typeof value === 'number' && dtype !== 'f32' ? scalar(value, dtype) : toTensor(value),
  );
}
const apply = (op: Apply, ...values: readonly TensorLike[]): Tensor => op(operands(values), none)[0];

/** a + b. Shapes broadcast by NumPy's rules. `f32`, or `i32`, which wraps around. */
export const add = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.add, a, b);
/** a − b; dtypes as in `add`. */
export const sub = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.sub, a, b);
/** a · b, element by element; dtypes as in `add`. */
export const mul = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.mul, a, b);
/** a / b, `f32`. */
export const div = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.div, a, b);
/**
 * a to the power b, `f32`; NaN for a negative a and a fractional b. Special values are those of C and IEEE 754: x to the 0 and 1
 * to the x are 1 for every x, NaN included. The derivative by a where b is 0, and by b where a is 0 and b >= 0, is 0.
 */
export const pow = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.pow, a, b);
/** The larger of a and b, where 0 is larger than −0; NaN where one is NaN. The gradient goes to a, but to b where a < b: at a tie, to a. */
export const maximum = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.maximum, a, b);
/** The smaller of a and b, where −0 is smaller than 0; NaN where one is NaN. The gradient goes to a, but to b where b < a: at a tie, to a. */
export const minimum = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.minimum, a, b);

const comparable = (x: TensorLike): TensorLike =>
  x instanceof Tensor && x.dtype === 'u8' ? cast(x, 'i32') : x;
const compare = (op: Apply, a: TensorLike, b: TensorLike): Tensor => apply(op, comparable(a), comparable(b));

/** Whether a = b: `u8`, 1 or 0. All comparisons are of two `f32`, `i32` or `u8`; with NaN each but notEqual is false. */
export const equal = (a: TensorLike, b: TensorLike): Tensor => compare(elementwiseOps.equal, a, b);
/** Whether a ≠ b, true for NaN. */
export const notEqual = (a: TensorLike, b: TensorLike): Tensor => not(equal(a, b));
/** Whether a < b */
export const less = (a: TensorLike, b: TensorLike): Tensor => compare(elementwiseOps.less, a, b);
/** Whether a ≤ b */
export const lessEqual = (a: TensorLike, b: TensorLike): Tensor => compare(elementwiseOps.lessEqual, a, b);
/** Whether a > b */
export const greater = (a: TensorLike, b: TensorLike): Tensor => less(b, a);
/** Whether a ≥ b */
export const greaterEqual = (a: TensorLike, b: TensorLike): Tensor => lessEqual(b, a);

/** Whether both are true. Boolean logic is on `u8`: 0 is false, everything else true; results are 0 or 1. */
export const and = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.and, a, b);
/** Whether one of them, or both, are true. */
export const or = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.or, a, b);
/** Whether exactly one is true. */
export const xor = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.xor, a, b);
/** Whether x is false. */
export const not = (x: TensorLike): Tensor =>
  apply(elementwiseOps.xor, withDType('not', 'u8', toTensor(x)), scalar(1, 'u8'));
/** Whether x is NaN. */
export const isNaN = (x: TensorLike): Tensor => notEqual(x, x);
/** Whether x is neither NaN nor infinite. */
export const isFinite = (x: TensorLike): Tensor =>
  less(abs(withDType('isFinite', 'f32', toTensor(x))), Infinity);

/**
 * a where the condition (`u8`) is not 0, else b. All three broadcast; a and b have one dtype. The gradient reaches only
 * what was chosen; what was not still counts with 0 · its derivative, so keep infinite derivatives out of both.
 */
export const where = (condition: TensorLike, a: TensorLike, b: TensorLike): Tensor =>
  elementwiseOps.where([toTensor(condition), ...operands([a, b])], none)[0];

/** −x */
export const neg = (x: TensorLike): Tensor => apply(elementwiseOps.neg, x);
/** |x|; the derivative at 0 is 0. */
export const abs = (x: TensorLike): Tensor => apply(elementwiseOps.abs, x);
/** −1, 1, or x itself where it is ±0 or NaN. The derivative is 0. */
export const sign = (x: TensorLike): Tensor => apply(elementwiseOps.sign, x);
/** The largest integer not above x. The derivative is 0, as of `ceil` and `round`. */
export const floor = (x: TensorLike): Tensor => apply(elementwiseOps.floor, x);
/** The smallest integer not below x. */
export const ceil = (x: TensorLike): Tensor => apply(elementwiseOps.ceil, x);
/** The nearest integer, of two the even one: 0.5 → 0, 1.5 → 2, as in IEEE 754, NumPy and PyTorch. */
export const round = (x: TensorLike): Tensor => apply(elementwiseOps.round, x);
/** e to the power x */
export const exp = (x: TensorLike): Tensor => apply(elementwiseOps.exp, x);
/** e to the power x, minus 1: exact to the last digits near 0. */
export const expm1 = (x: TensorLike): Tensor => apply(elementwiseOps.expm1, x);
/** The natural logarithm: −Infinity at 0, NaN below. */
export const log = (x: TensorLike): Tensor => apply(elementwiseOps.log, x);
/** The natural logarithm of 1 + x: exact to the last digits near 0; −Infinity at −1, NaN below. */
export const log1p = (x: TensorLike): Tensor => apply(elementwiseOps.log1p, x);
/** The square root: NaN below 0. */
export const sqrt = (x: TensorLike): Tensor => apply(elementwiseOps.sqrt, x);
/** 1 / √x */
export const rsqrt = (x: TensorLike): Tensor => div(1, sqrt(x));
/** 1 / x */
export const reciprocal = (x: TensorLike): Tensor => div(1, x);
/** x · x */
export const square = (x: TensorLike): Tensor => {
  const t = toTensor(x);
  return mul(t, t);
};
/** The sine of x in radians; NaN for ±Infinity. */
export const sin = (x: TensorLike): Tensor => apply(elementwiseOps.sin, x);
/** The cosine of x in radians; NaN for ±Infinity. */
export const cos = (x: TensorLike): Tensor => apply(elementwiseOps.cos, x);
/** The angle in radians whose tangent is x, from −π/2 to π/2. */
export const atan = (x: TensorLike): Tensor => apply(elementwiseOps.atan, x);
/** The hyperbolic tangent. */
export const tanh = (x: TensorLike): Tensor => apply(elementwiseOps.tanh, x);
/** 1 / (1 + e^−x) */
export const sigmoid = (x: TensorLike): Tensor => apply(elementwiseOps.sigmoid, x);
/** The error function, 2/√π ∫ e^−t² dt from 0 to x. */
export const erf = (x: TensorLike): Tensor => apply(elementwiseOps.erf, x);
/** 1 − erf x, without the loss of digits where erf is near 1. */
export const erfc = (x: TensorLike): Tensor => apply(elementwiseOps.erfc, x);
/** max(x, 0); NaN stays NaN. The derivative is 0 at 0 and at NaN, as in TensorFlow and JAX; PyTorch has 1 at NaN. */
export const relu = (x: TensorLike): Tensor => apply(elementwiseOps.relu, x);
/**
 * x, at least `low` and at most `high`; either may be left out as ∓Infinity. NaN stays NaN. The derivative at a bound is
 * 1, as in PyTorch. Throws RangeError when two plain numbers are out of order.
 */
export function clamp(x: TensorLike, low: TensorLike = -Infinity, high: TensorLike = Infinity): Tensor {
  if (typeof low === 'number' && typeof high === 'number' && !(low <= high)) {
    throw new RangeError(`clamp: low must not be above high, got ${low} and ${high}`);
  }
  let t = toTensor(x);
  if (low !== -Infinity) t = maximum(t, low);
  if (high !== Infinity) t = minimum(t, high);
  return t;
}

/**
 * Another dtype, `f32` when left out; a value of that dtype is returned as it is. To `f32` integers are exact up to 2^24, and
 * rounded to even beyond. From `f32` to an integer the fraction is dropped, towards 0. What is out of range becomes the
 * nearest value in range (300 → 255 in `u8`, −1 → 0), and NaN becomes 0. The gradient stops here: integers have none.
 */
export function cast(x: TensorLike, dtype: DType = 'f32'): Tensor {
  const t = toTensor(x);
  if (dtype !== 'f32' && dtype !== 'i32' && dtype !== 'u8') {
    throw new TypeError(`cast: dtype must be 'f32', 'i32' or 'u8', got ${JSON.stringify(dtype)}`);
  }
  return t.dtype === dtype ? t : elementwiseOps.cast([t], { dtype })[0];
}
/** The identity; a run in which the value is not finite throws, naming `label`, and leaves all state as it was. */
export const checkFinite = (x: Tensor, label: string): Tensor => identityOps.checkFinite([x], { label })[0];
/** The identity, through which no gradient flows: its derivative is 0. Free of cost. */
export const stopGradient = (x: TensorLike): Tensor => apply(identityOps.stopGradient, x);
