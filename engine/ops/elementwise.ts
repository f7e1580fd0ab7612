/**
 * Operations that act on each element alone, with NumPy broadcasting where there are several operands. Their kernels know
 * them by name and dtypes alone: they have no attributes, but for the dtype that `cast` gives.
 */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, withDType, type Grads, type Vjp } from '../op.ts';
import { broadcastShapes, formatShape, formatType, sameShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { DType, Shape, TensorType } from '../types.ts';
import { scalar, toTensor, type TensorLike } from './create.ts';
import { customGradient } from './custom.ts';
import { reshape } from './layout.ts';
import { sum } from './reduce.ts';

type None = Record<never, never>;
const none: None = {};

const elementsOut = (_: readonly TensorType[], [out]: readonly TensorType[]): number => sizeOf(out.shape);

/** Sums a gradient over the axes along which a value of `shape` was broadcast: the adjoint of broadcasting. */
export function sumTo(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.rank - shape.length;
  const axes = g.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  return reshape(sum(g, axes), shape);
}

/** Throws ShapeError unless all have one dtype, of those allowed. */
function expectSame(where: string, allowed: readonly DType[], types: readonly TensorType[]): void {
  const [{ dtype }] = types;
  if (types.every((type) => type.dtype === dtype) && allowed.includes(dtype)) return;
  if (allowed.length === 1) expectDType(where, allowed[0], ...types);
  throw new ShapeError(
    `${where}: expects operands of one dtype, ${allowed.join(' or ')}, but got ${types.map(formatType).join(' and ')} ` +
      `(convert with cast(x, dtype))`,
  );
}

/**
 * A binary operation with the gradients of its two operands, before they are summed back to the operands' shapes; null
 * where it has none.
 */
function binary<const N extends string>(
  name: N,
  allowed: readonly DType[],
  gradA: ((g: Tensor, a: Tensor, b: Tensor, out: Tensor) => Tensor) | null,
  gradB: ((g: Tensor, a: Tensor, b: Tensor, out: Tensor) => Tensor) | null,
  result?: DType,
) {
  return defineOp({
    name,
    infer([a, b]: readonly TensorType[]): readonly TensorType[] {
      expectSame(name, allowed, [a, b]);
      return [{ shape: broadcastShapes(name, a.shape, b.shape), dtype: result ?? a.dtype }];
    },
    vjp: ({ inputs, outputs, grads, needs }: Vjp<None>): Grads => {
      const [a, b] = inputs as [Tensor, Tensor];
      const g = grads[0]!;
      return [
        gradA !== null && needs(0) ? sumTo(gradA(g, a, b, outputs[0]), a.shape) : null,
        gradB !== null && needs(1) ? sumTo(gradB(g, a, b, outputs[0]), b.shape) : null,
      ];
    },
    mayReuse: [0, 1],
    elementwise: true,
    flops: elementsOut,
  });
}

/** As `binary`, for one operand. Without a gradient it is piecewise constant: its derivative is 0. */
function unary<const N extends string>(name: N, gradX: ((g: Tensor, x: Tensor, y: Tensor) => Tensor) | null) {
  return defineOp({
    name,
    infer([x]: readonly TensorType[]): readonly TensorType[] {
      expectDType(name, 'f32', x);
      return [x];
    },
    vjp: ({ inputs, outputs, grads }: Vjp<None>): Grads => [
      gradX === null ? null : gradX(grads[0]!, inputs[0], outputs[0]),
    ],
    mayReuse: [0],
    elementwise: true,
    flops: elementsOut,
  });
}

/** A comparison: `u8`, 1 for true and 0 for false, and no gradient. */
const comparison = <const N extends string>(name: N) => binary(name, ['f32', 'i32'], null, null, 'u8');
const logic = <const N extends string>(name: N) => binary(name, ['u8'], null, null);

export const elementwiseOps = {
  add: binary(
    'add',
    ['f32', 'i32'],
    (g) => g,
    (g) => g,
  ),
  sub: binary(
    'sub',
    ['f32', 'i32'],
    (g) => g,
    (g) => neg(g),
  ),
  mul: binary(
    'mul',
    ['f32', 'i32'],
    (g, _, b) => mul(g, b),
    (g, a) => mul(g, a),
  ),
  div: binary(
    'div',
    ['f32'],
    (g, _, b) => div(g, b),
    (g, _, b, out) => neg(mul(g, div(out, b))),
  ),
  // Where a is 0 the power is constant in b >= 0, and where b is 0 as well it is constant in a: the factors that would be
  // infinite there are replaced before they meet a 0, so that derivatives of any order are finite.
  pow: binary(
    'pow',
    ['f32'],
    (g, a, b) => mul(g, mul(b, lowered(a, b))),
    (g, a, b, out) => {
      const constant = and(equal(a, 0), greaterEqual(b, 0));
      return mul(g, mul(out, log(where(constant, 1, a))));
    },
  ),
  maximum: binary(
    'maximum',
    ['f32', 'i32'],
    (g, a, b) => where(less(a, b), 0, g),
    (g, a, b) => where(less(a, b), g, 0),
  ),
  minimum: binary(
    'minimum',
    ['f32', 'i32'],
    (g, a, b) => where(less(b, a), 0, g),
    (g, a, b) => where(less(b, a), g, 0),
  ),
  equal: comparison('equal'),
  less: comparison('less'),
  lessEqual: comparison('lessEqual'),
  and: logic('and'),
  or: logic('or'),
  xor: logic('xor'),

  neg: unary('neg', (g) => neg(g)),
  abs: unary('abs', (g, x) => mul(g, sign(x))),
  sign: unary('sign', null),
  floor: unary('floor', null),
  ceil: unary('ceil', null),
  round: unary('round', null),
  exp: unary('exp', (g, _, y) => mul(g, y)),
  expm1: unary('expm1', (g, x) => mul(g, exp(x))), // y + 1 loses its digits where y is near −1
  log: unary('log', (g, x) => div(g, x)),
  log1p: unary('log1p', (g, x) => div(g, add(x, 1))),
  sqrt: unary('sqrt', (g, _, y) => div(mul(g, 0.5), y)),
  sin: unary('sin', (g, x) => mul(g, cos(x))),
  cos: unary('cos', (g, x) => neg(mul(g, sin(x)))),
  // g / (x² + 1) without overflow of the square. The scale cancels, so a second derivative may treat it as a constant.
  atan: unary('atan', (g, x) => {
    const scale = stopGradient(maximum(abs(x), 1));
    return div(div(g, scale), add(mul(x, div(x, scale)), div(1, scale)));
  }),
  tanh: unary('tanh', (g, x) => mul(g, tanhSlope(x))),
  sigmoid: unary('sigmoid', (g, x, y) => mul(g, derivativeOfSigmoid(x, y))),
  erf: unary('erf', (g, x) => mul(g, erfSlope(x))),
  erfc: unary('erfc', (g, x) => neg(mul(g, erfSlope(x)))),
  relu: unary('relu', (g, _, y) => reluGrad(g, y)),

  /** The derivative of y, the sigmoid of x: y (1 − y), but y sigmoid(−x) for x > 2, where 1 − y loses its digits. */
  sigmoidSlope: binary(
    'sigmoidSlope',
    ['f32'],
    (g, y, x) => mul(g, where(greater(x, 2), sigmoid(neg(x)), sub(1, mul(y, 2)))),
    (g, y, x) => mul(g, where(greater(x, 2), neg(mul(y, sigmoidSlope(sigmoid(x), x))), 0)),
  ),

  /** The gradient of relu: g where the result is positive, else 0, also for NaN. Piecewise linear: no derivative in y. */
  reluGrad: defineOp({
    name: 'reluGrad',
    infer([g, y]: readonly TensorType[]): readonly TensorType[] {
      expectDType('reluGrad', 'f32', g, y);
      if (!sameShape(g.shape, y.shape)) {
        throw new ShapeError(
          `reluGrad: gradient ${formatShape(g.shape)} and result ${formatShape(y.shape)} differ`,
        );
      }
      return [{ shape: g.shape, dtype: 'f32' }];
    },
    vjp: ({ inputs, grads }: Vjp<None>): Grads => [reluGrad(grads[0]!, inputs[1]), null],
    mayReuse: [0, 1],
    elementwise: true,
  }),

  where: defineOp({
    name: 'where',
    infer([condition, a, b]: readonly TensorType[]): readonly TensorType[] {
      expectDType('where', 'u8', condition);
      expectSame('where', ['f32', 'i32', 'u8'], [a, b]);
      const values = broadcastShapes('where', a.shape, b.shape);
      return [{ shape: broadcastShapes('where', condition.shape, values), dtype: a.dtype }];
    },
    vjp: ({ inputs: [condition, a, b], grads, needs }: Vjp<None>): Grads => [
      null,
      needs(1) ? sumTo(where(condition, grads[0]!, 0), a.shape) : null,
      needs(2) ? sumTo(where(condition, 0, grads[0]!), b.shape) : null,
    ],
    mayReuse: [0, 1, 2],
    elementwise: true,
    flops: elementsOut,
  }),

  cast: defineOp({
    name: 'cast',
    infer: ([x]: readonly TensorType[], { dtype }: { readonly dtype: DType }): readonly TensorType[] => [
      { shape: x.shape, dtype },
    ],
    vjp: () => [null],
    elementwise: true,
  }),

  /**
   * The identity, which stops the run before any state is written when the value has an element that is not finite.
   * The error names `label`.
   */
  checkFinite: defineOp({
    name: 'checkFinite',
    mayFail: true,
    infer: ([x]: readonly TensorType[], _attrs: { readonly label: string }): readonly TensorType[] => {
      expectDType('checkFinite', 'f32', x);
      return [x];
    },
    vjp: ({ grads }) => [grads[0]!],
    mayReuse: [0],
  }),

  stopGradient: defineOp({
    name: 'stopGradient',
    infer: ([x]: readonly TensorType[]): readonly TensorType[] => [x],
    vjp: () => [null],
    alias: true,
  }),
};

type Apply = (inputs: readonly Tensor[], attrs: None) => readonly Tensor[];

/** Operands of one operation: a plain number takes the dtype of the tensors beside it. */
function operands(values: readonly TensorLike[]): Tensor[] {
  const dtype = values.find((value) => value instanceof Tensor)?.dtype ?? 'f32';
  return values.map((value) =>
    typeof value === 'number' && dtype !== 'f32' ? scalar(value, dtype) : toTensor(value),
  );
}
const apply = (op: Apply, ...values: readonly TensorLike[]): Tensor => op(operands(values), none)[0];
const sigmoidSlope = (y: Tensor, x: Tensor): Tensor => apply(elementwiseOps.sigmoidSlope, y, x);
const reluGrad = (g: Tensor, y: Tensor): Tensor => apply(elementwiseOps.reluGrad, g, y);

/** The derivative of erf. It is 0 in double precision beyond ±30, so the clamp prevents overflow of the square. */
const erfSlope = (x: Tensor): Tensor => mul(2 / Math.sqrt(Math.PI), exp(neg(square(clamp(x, -30, 30)))));

/** The derivative of y, the sigmoid of x. Its own derivative is −tanh(x / 2) times it, which keeps the digits of small x. */
const derivativeOfSigmoid = (x: Tensor, y: Tensor): Tensor =>
  customGradient({
    name: 'derivativeOfSigmoid',
    forward: (t) => sigmoidSlope(y, t),
    gradient: ({ inputs: [t], output, grad }) => [mul(grad, mul(output, neg(tanh(mul(t, 0.5)))))],
  })(x);

/** The derivative of tanh, 4 e^−2|x| / (1 + e^−2|x|)². 1 − y² would lose its digits where y is near 1. */
const tanhSlope = customGradient({
  name: 'tanhSlope',
  forward(x) {
    const e = exp(mul(abs(x), -2));
    return div(mul(e, 4), square(add(e, 1)));
  },
  gradient: ({ inputs: [x], output, grad }) => [mul(grad, mul(output, mul(tanh(x), -2)))],
});

/** An |a| below this is treated as 0 where b is 0, because 1 / a² would overflow in a second derivative. */
const NEAR_ZERO = 2 ** -60;

/** a to the power b − 1; 1 where b is 0 and a is near 0. */
function lowered(a: Tensor, b: Tensor): Tensor {
  const exponent = literalOf(b);
  if (exponent === null || exponent === 0) {
    return pow(a, where(and(equal(b, 0), less(abs(a), NEAR_ZERO)), 0, sub(b, 1)));
  }
  // The subtraction costs nothing at run time, but stays in the graph for second derivatives by b.
  const lessOne = customGradient({
    name: 'exponent - 1',
    forward: () => toTensor(exponent - 1),
    gradient: ({ grad }) => [grad],
  });
  return pow(a, lessOne(b));
}

/** The value of a scalar constant or an alias of one; null for any other tensor. */
function literalOf({ rank, source: own }: Tensor): number | null {
  let source = own;
  while (source.kind === 'node' && source.node.op.alias === true) ({ source } = source.node.inputs[0]);
  return source.kind === 'constant' && rank === 0 ? source.value.data[0] : null;
}

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
export const checkFinite = (x: Tensor, label: string): Tensor =>
  elementwiseOps.checkFinite([x], { label })[0];
/** The identity, through which no gradient flows: its derivative is 0. Free of cost. */
export const stopGradient = (x: TensorLike): Tensor => apply(elementwiseOps.stopGradient, x);
