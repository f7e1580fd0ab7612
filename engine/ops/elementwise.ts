/** Elementwise functions. Several operands broadcast by NumPy's rules. */
import { withDType } from '../op.ts';
import { show } from '../options.ts';
import { broadcastShapes } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { DType } from '../types.ts';
import { floats, scalarIn, toTensor, type TensorLike } from './convert.ts';
import { scalar } from './create.ts';
import { elementwiseOps, identityOps } from './primitives/elementwise.ts';

type None = Record<never, never>;
const none: None = {};

type Apply = (inputs: readonly Tensor[], attrs: None) => readonly Tensor[];

/** Converts the operands of one operation to tensors. A plain number takes the dtype of the first tensor. */
function operands(where: string, values: readonly TensorLike[]): Tensor[] {
  const dtype = values.find((value) => value instanceof Tensor)?.dtype ?? 'f32';
  return values.map((value) =>
    typeof value === 'number' && dtype !== 'f32' ? scalarIn(where, value, dtype) : toTensor(where, value),
  );
}
const apply = (op: Apply, ...values: readonly TensorLike[]): Tensor => op(operands(op.name, values), none)[0];

/**
 * Adds element by element: a + b. `i32` sums wrap around.
 *
 * Shapes: a and b, both `f32` or both `i32`, broadcast -> the same dtype.
 * Throws ShapeError if the shapes do not broadcast, the dtypes differ, or an operand is `u8`.
 *
 * @example add([1, 2, 3], [[10], [20]]) // [[11, 12, 13], [21, 22, 23]]
 */
export const add = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.add, a, b);

/**
 * Subtracts element by element: a − b. `i32` differences wrap around.
 *
 * Shapes: a and b, both `f32` or both `i32`, broadcast -> the same dtype.
 * Throws ShapeError if the shapes do not broadcast, the dtypes differ, or an operand is `u8`.
 *
 * @example sub([5, 6], 1) // [4, 5]
 */
export const sub = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.sub, a, b);

/**
 * Multiplies element by element: a · b. `i32` products wrap around. See `matmul` for matrix products.
 *
 * Shapes: a and b, both `f32` or both `i32`, broadcast -> the same dtype.
 * Throws ShapeError if the shapes do not broadcast, the dtypes differ, or an operand is `u8`.
 *
 * @example mul([1, 2, 3], [4, 5, 6]) // [4, 10, 18]
 */
export const mul = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.mul, a, b);

/**
 * Divides element by element: a / b.
 *
 * Shapes: a and b `f32`, broadcast -> `f32`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `f32`.
 *
 * @example div([1, 2, 3], 2) // [0.5, 1, 1.5]
 */
export const div = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.div, a, b);

/**
 * Remainder of a division, with the sign of the divisor: a − b · ⌊a / b⌋, element by element. It is exact up to one rounding, and
 * follows Python, NumPy and PyTorch. JavaScript's `%` has the sign of a.
 *
 * NaN where b is 0 or a is infinite, and so is the gradient with respect to b, which is −⌊a / b⌋ elsewhere.
 *
 * Shapes: a and b `f32`, broadcast -> `f32`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `f32`.
 *
 * @example remainder([5, -5, 5], [3, 3, -3]) // [2, 1, -1]
 */
export const remainder = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.remainder, a, b);

/**
 * Raises a to the power b, element by element.
 *
 * Special values follow C's `pow` and IEEE 754: x^0 and 1^x are 1, even where x is NaN. A negative base with a fractional
 * exponent gives NaN. The gradient with respect to a is 0 where b is 0. The gradient with respect to b is 0 where a is 0
 * and b >= 0.
 *
 * Shapes: a and b `f32`, broadcast -> `f32`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `f32`.
 *
 * @example pow([1, 2, 3], 2) // [1, 4, 9]
 */
export const pow = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.pow, a, b);

/**
 * The larger of a and b, element by element. The result is NaN where either operand is. +0 is larger than −0.
 *
 * The gradient goes to b where a < b, and to a elsewhere, ties included.
 *
 * Shapes: a and b, both `f32` or both `i32`, broadcast -> the same dtype.
 * Throws ShapeError if the shapes do not broadcast, the dtypes differ, or an operand is `u8`.
 *
 * @example maximum([1, 5], [3, 2]) // [3, 5]
 */
export const maximum = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.maximum, a, b);

/**
 * The smaller of a and b, element by element. The result is NaN where either operand is. −0 is smaller than +0.
 *
 * The gradient goes to b where b < a, and to a elsewhere, ties included.
 *
 * Shapes: a and b, both `f32` or both `i32`, broadcast -> the same dtype.
 * Throws ShapeError if the shapes do not broadcast, the dtypes differ, or an operand is `u8`.
 *
 * @example minimum([1, 5], [3, 2]) // [1, 2]
 */
export const minimum = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.minimum, a, b);

const comparable = (x: TensorLike): TensorLike =>
  x instanceof Tensor && x.dtype === 'u8' ? cast(x, 'i32') : x;

/** Errors name `where`, which may be a comparison that is made of another one. */
function compare(where: string, op: Apply, a: TensorLike, b: TensorLike): Tensor {
  const [x, y] = operands(where, [comparable(a), comparable(b)]);
  broadcastShapes(where, x.shape, y.shape);
  return op([x, y], none)[0];
}

/**
 * Compares element by element: 1 where a = b, else 0. NaN equals nothing.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example equal([1, 2, 3], [1, 5, 3]) // [1, 0, 1]
 */
export const equal = (a: TensorLike, b: TensorLike): Tensor => compare('equal', elementwiseOps.equal, a, b);

/**
 * Compares element by element: 1 where a ≠ b, else 0. NaN differs from everything, itself included.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example notEqual([1, 2, 3], [1, 5, 3]) // [0, 1, 0]
 */
export const notEqual = (a: TensorLike, b: TensorLike): Tensor =>
  not(compare('notEqual', elementwiseOps.equal, a, b));

/**
 * Compares element by element: 1 where a < b, else 0. The result is 0 where either operand is NaN.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example less([1, 2, 3], 2) // [1, 0, 0]
 */
export const less = (a: TensorLike, b: TensorLike): Tensor => compare('less', elementwiseOps.less, a, b);

/**
 * Compares element by element: 1 where a ≤ b, else 0. The result is 0 where either operand is NaN.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example lessEqual([1, 2, 3], 2) // [1, 1, 0]
 */
export const lessEqual = (a: TensorLike, b: TensorLike): Tensor =>
  compare('lessEqual', elementwiseOps.lessEqual, a, b);

/**
 * Compares element by element: 1 where a > b, else 0. The result is 0 where either operand is NaN.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example greater([1, 2, 3], 2) // [0, 0, 1]
 */
export const greater = (a: TensorLike, b: TensorLike): Tensor =>
  compare('greater', elementwiseOps.less, b, a);

/**
 * Compares element by element: 1 where a ≥ b, else 0. The result is 0 where either operand is NaN.
 *
 * Shapes: a and b, both `f32` or both integers (`i32`, `u8`), broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast, or one operand is `f32` and the other is not.
 *
 * @example greaterEqual([1, 2, 3], 2) // [0, 1, 1]
 */
export const greaterEqual = (a: TensorLike, b: TensorLike): Tensor =>
  compare('greaterEqual', elementwiseOps.lessEqual, b, a);

/**
 * Logical AND: 1 where both operands are nonzero, else 0.
 *
 * Shapes: a and b `u8`, broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `u8`.
 *
 * @example and(greater([1, 2, 3], 1), less([1, 2, 3], 3)) // [0, 1, 0]
 */
export const and = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.and, a, b);

/**
 * Logical OR: 1 where at least one operand is nonzero, else 0.
 *
 * Shapes: a and b `u8`, broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `u8`.
 *
 * @example or(less([1, 2, 3], 2), greater([1, 2, 3], 2)) // [1, 0, 1]
 */
export const or = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.or, a, b);

/**
 * Logical XOR: 1 where exactly one operand is nonzero, else 0.
 *
 * Shapes: a and b `u8`, broadcast -> `u8`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `u8`.
 *
 * @example xor(less([1, 2, 3], 3), greater([1, 2, 3], 1)) // [1, 0, 1]
 */
export const xor = (a: TensorLike, b: TensorLike): Tensor => apply(elementwiseOps.xor, a, b);

/**
 * Logical NOT: 1 where x is 0, else 0.
 *
 * Shapes: x `u8` [...] -> `u8` [...].
 * Throws ShapeError if x is not `u8`.
 *
 * @example not(greater([1, 2, 3], 2)) // [1, 1, 0]
 */
export const not = (x: TensorLike): Tensor =>
  apply(elementwiseOps.xor, withDType('not', 'u8', toTensor('not', x)), scalar(1, 'u8'));

/**
 * 1 where x is NaN, else 0.
 *
 * Shapes: x of any dtype [...] -> `u8` [...].
 *
 * @example isNaN([1, NaN, Infinity]) // [0, 1, 0]
 */
export function isNaN(x: TensorLike): Tensor {
  const t = toTensor('isNaN', x);
  return notEqual(t, t);
}

/**
 * 1 where x is ±Infinity, else 0.
 *
 * Shapes: x `f32` [...] -> `u8` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example isInfinite([1, NaN, -Infinity]) // [0, 0, 1]
 */
export const isInfinite = (x: TensorLike): Tensor => equal(abs(floats('isInfinite', x)), Infinity);

/**
 * 1 where x is neither NaN nor infinite, else 0.
 *
 * Shapes: x `f32` [...] -> `u8` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example isFinite([1, NaN, Infinity]) // [1, 0, 0]
 */
export const isFinite = (x: TensorLike): Tensor =>
  less(abs(withDType('isFinite', 'f32', toTensor('isFinite', x))), Infinity);

/**
 * Selects element by element: a where the condition is nonzero, else b.
 *
 * The gradient goes to the selected operand only. An unselected operand still contributes 0 times its own derivative, which
 * is NaN if that derivative is infinite. Replace such inputs first: `where(c, log(where(c, x, 1)), 0)`.
 *
 * Shapes: condition `u8`, a and b of one dtype; all three broadcast. The result has the dtype of a and b.
 * Throws ShapeError if the shapes do not broadcast, the condition is not `u8`, or the dtypes of a and b differ.
 *
 * @example where(greater([-1, 2], 0), [1, 2], 0) // [0, 2]
 */
export const where = (condition: TensorLike, a: TensorLike, b: TensorLike): Tensor =>
  elementwiseOps.where([toTensor('where', condition), ...operands('where', [a, b])], none)[0];

/**
 * Negation: −x.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example neg([1, -2]) // [-1, 2]
 */
export const neg = (x: TensorLike): Tensor => apply(elementwiseOps.neg, x);

/**
 * Absolute value: |x|. The gradient at 0 is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example abs([-3, 0, 2]) // [3, 0, 2]
 */
export const abs = (x: TensorLike): Tensor => apply(elementwiseOps.abs, x);

/**
 * Sign of x: −1, 0 or 1. Zeros keep their sign and NaN stays NaN. The gradient is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example sign([-3, 0, 2]) // [-1, 0, 1]
 */
export const sign = (x: TensorLike): Tensor => apply(elementwiseOps.sign, x);

/**
 * Rounds down to an integer. The gradient is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example floor([1.7, -1.2]) // [1, -2]
 */
export const floor = (x: TensorLike): Tensor => apply(elementwiseOps.floor, x);

/**
 * Rounds up to an integer. The gradient is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example ceil([1.2, -1.7]) // [2, -1]
 */
export const ceil = (x: TensorLike): Tensor => apply(elementwiseOps.ceil, x);

/**
 * Rounds towards 0 to an integer: drops the fraction. The gradient is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example trunc([1.7, -1.7]) // [1, -1]
 */
export const trunc = (x: TensorLike): Tensor => apply(elementwiseOps.trunc, x);

/**
 * Rounds to the nearest integer. Ties go to the even one, as in IEEE 754, NumPy and PyTorch. The gradient is 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example round([0.5, 1.5, 2.4]) // [0, 2, 2]
 */
export const round = (x: TensorLike): Tensor => apply(elementwiseOps.round, x);

/**
 * Exponential: e^x.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example exp([0, 1]) // [1, 2.718]
 */
export const exp = (x: TensorLike): Tensor => apply(elementwiseOps.exp, x);

/**
 * Power of two: 2^x. Exact where x is an integer.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example exp2([-1, 0, 10]) // [0.5, 1, 1024]
 */
export const exp2 = (x: TensorLike): Tensor => apply(elementwiseOps.exp2, x);

/**
 * e^x − 1, accurate near 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example expm1([0, 1]) // [0, 1.718]
 */
export const expm1 = (x: TensorLike): Tensor => apply(elementwiseOps.expm1, x);

/**
 * Natural logarithm. −Infinity at 0, NaN below 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example log([1, Math.E, 10]) // [0, 1, 2.303]
 */
export const log = (x: TensorLike): Tensor => apply(elementwiseOps.log, x);

/**
 * Logarithm to the base 2. Exact where x is a power of two. −Infinity at 0, NaN below 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example log2([0.25, 1, 10]) // [-2, 0, 3.322]
 */
export const log2 = (x: TensorLike): Tensor => apply(elementwiseOps.log2, x);

/**
 * Logarithm to the base 10. −Infinity at 0, NaN below 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example log10([0.1, 1, 1000]) // [-1, 0, 3]
 */
export const log10 = (x: TensorLike): Tensor => apply(elementwiseOps.log10, x);

/**
 * Natural logarithm of 1 + x, accurate near 0. −Infinity at −1, NaN below −1.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example log1p([0, 1]) // [0, 0.6931]
 */
export const log1p = (x: TensorLike): Tensor => apply(elementwiseOps.log1p, x);

/**
 * Square root. NaN below 0. The gradient at 0 is infinite.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example sqrt([4, 9]) // [2, 3]
 */
export const sqrt = (x: TensorLike): Tensor => apply(elementwiseOps.sqrt, x);

/**
 * Reciprocal of the square root: 1 / √x.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example rsqrt([4, 16]) // [0.5, 0.25]
 */
export const rsqrt = (x: TensorLike): Tensor => div(1, sqrt(floats('rsqrt', x)));

/**
 * Reciprocal: 1 / x.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example reciprocal([2, 4]) // [0.5, 0.25]
 */
export const reciprocal = (x: TensorLike): Tensor => div(1, floats('reciprocal', x));

/**
 * Square: x². `i32` squares wrap around.
 *
 * Shapes: x `f32` or `i32` [...] -> the same.
 * Throws ShapeError if x is `u8`.
 *
 * @example square([1, -2, 3]) // [1, 4, 9]
 */
export const square = (x: TensorLike): Tensor => {
  const t = toTensor('square', x);
  return mul(t, t);
};

/**
 * Sine of x in radians. NaN at ±Infinity.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example sin([0, Math.PI / 2]) // [0, 1]
 */
export const sin = (x: TensorLike): Tensor => apply(elementwiseOps.sin, x);

/**
 * Cosine of x in radians. NaN at ±Infinity.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example cos([0, Math.PI]) // [1, -1]
 */
export const cos = (x: TensorLike): Tensor => apply(elementwiseOps.cos, x);

/**
 * Arctangent in radians, between −π/2 and π/2.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example atan([0, 1]) // [0, 0.7854]
 */
export const atan = (x: TensorLike): Tensor => apply(elementwiseOps.atan, x);

/**
 * Angle of the point (x, y) in radians, between −π and π: the arctangent of y / x in the right quadrant. The first argument is y, as
 * in every library. Zeros and infinities follow C.
 *
 * The gradient is NaN where both are 0, as in PyTorch.
 *
 * Shapes: y and x `f32`, broadcast -> `f32`.
 * Throws ShapeError if the shapes do not broadcast or an operand is not `f32`.
 *
 * @example atan2([1, 1, -1], [1, -1, -1]) // [0.7854, 2.356, -2.356]
 */
export const atan2 = (y: TensorLike, x: TensorLike): Tensor => apply(elementwiseOps.atan2, y, x);

/**
 * Hyperbolic sine: (e^x − e^−x) / 2, accurate near 0.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example sinh([0, 1]) // [0, 1.175]
 */
export const sinh = (x: TensorLike): Tensor => apply(elementwiseOps.sinh, x);

/**
 * Hyperbolic cosine: (e^x + e^−x) / 2.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example cosh([0, 1]) // [1, 1.543]
 */
export const cosh = (x: TensorLike): Tensor => apply(elementwiseOps.cosh, x);

/**
 * Hyperbolic tangent.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example tanh([0, 1]) // [0, 0.7616]
 */
export const tanh = (x: TensorLike): Tensor => apply(elementwiseOps.tanh, x);

/**
 * Logistic sigmoid: 1 / (1 + e^−x).
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example sigmoid([0, 1]) // [0.5, 0.7311]
 */
export const sigmoid = (x: TensorLike): Tensor => apply(elementwiseOps.sigmoid, x);

/**
 * Error function: 2/√π ∫ e^(−t²) dt from 0 to x.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example erf([0, 1]) // [0, 0.8427]
 */
export const erf = (x: TensorLike): Tensor => apply(elementwiseOps.erf, x);

/**
 * Complementary error function: 1 − erf(x), accurate where erf(x) is near 1.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example erfc([0, 1]) // [1, 0.1573]
 */
export const erfc = (x: TensorLike): Tensor => apply(elementwiseOps.erfc, x);

/**
 * Rectified linear unit: max(x, 0). NaN stays NaN.
 *
 * The gradient is 0 at 0 and at NaN, as in TensorFlow and JAX. PyTorch's gradient at NaN is 1.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example relu([-1, 0, 2]) // [0, 0, 2]
 */
export const relu = (x: TensorLike): Tensor => apply(elementwiseOps.relu, x);

/**
 * Limits each element to the range from low to high. Omit a bound to leave that side open. NaN stays NaN.
 *
 * The gradient at a bound is 1, as in PyTorch.
 *
 * Shapes: x, low and high broadcast. All are `f32`, or all are `i32`.
 * Throws RangeError if low and high are plain numbers and low > high.
 * Throws ShapeError if the shapes do not broadcast or the dtypes differ.
 *
 * @example clamp([-2, 0.5, 9], 0, 1) // [0, 0.5, 1]
 */
export function clamp(x: TensorLike, low: TensorLike = -Infinity, high: TensorLike = Infinity): Tensor {
  if (typeof low === 'number' && typeof high === 'number' && !(low <= high)) {
    throw new RangeError(`clamp: low must not be above high, got ${low} and ${high}`);
  }
  const [t, from, to] = operands('clamp', [x, low, high]);
  for (const bound of [from, to]) broadcastShapes('clamp', t.shape, bound.shape);
  const above = low === -Infinity ? t : maximum(t, from);
  return high === Infinity ? above : minimum(above, to);
}

/**
 * Converts to another dtype. A tensor that already has the dtype is returned as it is.
 *
 * Conversion to `f32` rounds integers beyond 2^24 to the nearest value, ties to even. Conversion from `f32` to an integer
 * dtype drops the fraction and turns NaN into 0. Values out of range become the nearest value in range.
 *
 * No gradient passes through a conversion.
 *
 * Shapes: x of any dtype [...] -> `dtype` [...].
 * Throws TypeError if the dtype is not 'f32', 'i32' or 'u8'.
 *
 * @example cast([-1.5, 2.7, 300], 'u8') // [0, 2, 255]
 */
export function cast(x: TensorLike, dtype: DType = 'f32'): Tensor {
  const t = toTensor('cast', x);
  if (dtype !== 'f32' && dtype !== 'i32' && dtype !== 'u8') {
    throw new TypeError(`cast: dtype must be 'f32', 'i32' or 'u8', got ${show(dtype)}`);
  }
  return t.dtype === dtype ? t : elementwiseOps.cast([t], { dtype })[0];
}

/**
 * Returns x, and checks its values in every run.
 *
 * A run in which an element is NaN or infinite throws NonFiniteError, which names `label`, and writes no state.
 *
 * Shapes: x `f32` [...] -> `f32` [...].
 * Throws ShapeError if x is not `f32`.
 *
 * @example checkFinite(mean(tensor([1, 2])), 'loss') // 1.5
 */
export const checkFinite = (x: Tensor, label: string): Tensor => {
  if (typeof label !== 'string') throw new TypeError(`checkFinite: label must be a text, got ${show(label)}`);
  return identityOps.checkFinite([toTensor('checkFinite', x)], { label })[0];
};

/**
 * Returns x as a constant for differentiation: its gradient is 0. It costs nothing at run time.
 *
 * Shapes: x of any dtype [...] -> the same.
 *
 * @example
 * const x = tensor([2, 3]);
 * grad(sum(mul(stopGradient(x), x)), [x])[0] // [2, 3]
 */
export const stopGradient = (x: TensorLike): Tensor => apply(identityOps.stopGradient, x);
