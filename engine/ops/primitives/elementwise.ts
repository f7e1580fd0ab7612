/**
 * Operations that act on each element alone, with NumPy broadcasting where there are several operands. Their kernels know
 * them by name and dtypes alone: they have no attributes, but for the dtype that `cast` gives.
 */
import { ShapeError } from '../../errors.ts';
import {
  defineOp,
  expectDType,
  type Attrs,
  type ElementwiseDef,
  type Grads,
  type Op,
  type Vjp,
} from '../../op.ts';
import { broadcastShapes, formatShape, formatType, sameShape, sizeOf } from '../../shape.ts';
import type { Tensor } from '../../tensor.ts';
import type { DType, Shape, TensorType } from '../../types.ts';
import { toTensor } from '../convert.ts';
import { customGradient } from '../custom.ts';
import {
  abs,
  add,
  and,
  clamp,
  cos,
  cosh,
  div,
  equal,
  exp,
  greater,
  greaterEqual,
  less,
  log,
  maximum,
  mul,
  neg,
  pow,
  round,
  sigmoid,
  sign,
  sin,
  sinh,
  square,
  stopGradient,
  sub,
  tanh,
  where,
} from '../elementwise.ts';
import { reshape } from '../layout.ts';
import { sum } from '../reduce.ts';
import {
  CASTS,
  erf as erfOf,
  erfc as erfcOf,
  power,
  remainder,
  roundToEven,
  sigmoid as sigmoidOf,
} from './values.ts';

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

/** As `defineOp`, with a type that shows that `elementwise` is present. */
const defineElementwise = <const N extends string, A extends Attrs>(
  def: ElementwiseDef<N, A>,
): ElementwiseDef<N, A> & Op<N, A> => defineOp(def) as ElementwiseDef<N, A> & Op<N, A>;

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

/** The gradient of one operand, before it is summed back to the operand's shape. */
type Gradient = (g: Tensor, a: Tensor, b: Tensor, out: Tensor) => Tensor;

interface Binary {
  /** The dtypes of the operands, which are the same for both. */
  readonly of: readonly DType[];
  readonly value: (a: number, b: number) => number;
  /** The value for an `i32` result, where another formula is needed. */
  readonly i32?: (a: number, b: number) => number;
  /** Without a gradient the operation is constant in the operand. */
  readonly gradA?: Gradient;
  readonly gradB?: Gradient;
  /** Default: the dtype of the operands. */
  readonly result?: DType;
}

function binary<const N extends string>(name: N, { of, value, i32, gradA, gradB, result }: Binary) {
  return defineElementwise({
    name,
    infer([a, b]: readonly TensorType[]): readonly TensorType[] {
      expectSame(name, of, [a, b]);
      return [{ shape: broadcastShapes(name, a.shape, b.shape), dtype: result ?? a.dtype }];
    },
    vjp: ({ inputs, outputs, grads, needs }: Vjp<None>): Grads => {
      const [a, b] = inputs as [Tensor, Tensor];
      const g = grads[0]!;
      return [
        gradA !== undefined && needs(0) ? sumTo(gradA(g, a, b, outputs[0]), a.shape) : null,
        gradB !== undefined && needs(1) ? sumTo(gradB(g, a, b, outputs[0]), b.shape) : null,
      ];
    },
    mayReuse: [0, 1],
    elementwise: (dtype) => (dtype === 'i32' && i32 !== undefined ? i32 : value),
    flops: elementsOut,
  });
}

interface Unary {
  readonly value: (x: number) => number;
  /** Without it the operation is piecewise constant: its derivative is 0. */
  readonly gradX?: (g: Tensor, x: Tensor, y: Tensor) => Tensor;
}

function unary<const N extends string>(name: N, { value, gradX }: Unary) {
  return defineElementwise({
    name,
    infer([x]: readonly TensorType[]): readonly TensorType[] {
      expectDType(name, 'f32', x);
      return [x];
    },
    vjp: ({ inputs, outputs, grads }: Vjp<None>): Grads => [
      gradX === undefined ? null : gradX(grads[0]!, inputs[0], outputs[0]),
    ],
    mayReuse: [0],
    elementwise: () => value,
    flops: elementsOut,
  });
}

type Test = (a: number, b: number) => boolean;
const flag =
  (test: Test) =>
  (a: number, b: number): number =>
    Number(test(a, b));

/** A comparison: `u8`, 1 for true and 0 for false, and no gradient. */
const comparison = <const N extends string>(name: N, test: Test) =>
  binary(name, { of: ['f32', 'i32'], value: flag(test), result: 'u8' });
const logic = <const N extends string>(name: N, test: Test) =>
  binary(name, { of: ['u8'], value: flag(test) });

/** All elementwise operations. Each has its value in double precision. */
export const elementwiseOps = {
  add: binary('add', {
    of: ['f32', 'i32'],
    value: (a, b) => a + b,
    gradA: (g) => g,
    gradB: (g) => g,
  }),
  sub: binary('sub', {
    of: ['f32', 'i32'],
    value: (a, b) => a - b,
    gradA: (g) => g,
    gradB: (g) => neg(g),
  }),
  mul: binary('mul', {
    of: ['f32', 'i32'],
    value: (a, b) => a * b,
    i32: Math.imul, // a double would round large products before they wrap around
    gradA: (g, _, b) => mul(g, b),
    gradB: (g, a) => mul(g, a),
  }),
  div: binary('div', {
    of: ['f32'],
    value: (a, b) => a / b,
    gradA: (g, _, b) => div(g, b),
    gradB: (g, _, b, out) => neg(mul(g, div(out, b))),
  }),
  // Where a is 0 the power is constant in b >= 0, and where b is 0 as well it is constant in a: the factors that would be
  // infinite there are replaced before they meet a 0, so that derivatives of any order are finite.
  pow: binary('pow', {
    of: ['f32'],
    value: power,
    gradA: (g, a, b) => mul(g, mul(b, lowered(a, b))),
    gradB: (g, a, b, out) => {
      const constant = and(equal(a, 0), greaterEqual(b, 0));
      return mul(g, mul(out, log(where(constant, 1, a))));
    },
  }),
  maximum: binary('maximum', {
    of: ['f32', 'i32'],
    value: Math.max,
    gradA: (g, a, b) => where(less(a, b), 0, g),
    gradB: (g, a, b) => where(less(a, b), g, 0),
  }),
  minimum: binary('minimum', {
    of: ['f32', 'i32'],
    value: Math.min,
    gradA: (g, a, b) => where(less(b, a), 0, g),
    gradB: (g, a, b) => where(less(b, a), g, 0),
  }),
  remainder: binary('remainder', {
    of: ['f32'],
    value: remainder,
    gradA: (g) => g,
    // The number of times that b was subtracted: rounding makes it a whole number, whose own derivative is 0.
    gradB: (g, a, b, out) => mul(g, round(div(sub(out, a), b))),
  }),
  // With both operands divided by the larger one, whose square could overflow. The scale cancels, as in atan.
  atan2: binary('atan2', {
    of: ['f32'],
    value: Math.atan2,
    gradA: (g, y, x) => mul(g, angleSlope(x, y)),
    gradB: (g, y, x) => neg(mul(g, angleSlope(y, x))),
  }),
  equal: comparison('equal', (a, b) => a === b),
  less: comparison('less', (a, b) => a < b),
  lessEqual: comparison('lessEqual', (a, b) => a <= b),
  and: logic('and', (a, b) => a !== 0 && b !== 0),
  or: logic('or', (a, b) => a !== 0 || b !== 0),
  xor: logic('xor', (a, b) => (a !== 0) !== (b !== 0)),

  neg: unary('neg', { value: (x) => -x, gradX: (g) => neg(g) }),
  abs: unary('abs', { value: Math.abs, gradX: (g, x) => mul(g, sign(x)) }),
  sign: unary('sign', { value: Math.sign }),
  floor: unary('floor', { value: Math.floor }),
  ceil: unary('ceil', { value: Math.ceil }),
  trunc: unary('trunc', { value: Math.trunc }),
  round: unary('round', { value: roundToEven }),
  exp: unary('exp', { value: Math.exp, gradX: (g, _, y) => mul(g, y) }),
  expm1: unary('expm1', { value: Math.expm1, gradX: (g, x) => mul(g, exp(x)) }), // y + 1 loses its digits where y is near −1
  exp2: unary('exp2', { value: (x) => 2 ** x, gradX: (g, _, y) => mul(g, mul(y, Math.LN2)) }),
  log: unary('log', { value: Math.log, gradX: (g, x) => div(g, x) }),
  log2: unary('log2', { value: Math.log2, gradX: (g, x) => div(mul(g, Math.LOG2E), x) }),
  log10: unary('log10', { value: Math.log10, gradX: (g, x) => div(mul(g, Math.LOG10E), x) }),
  log1p: unary('log1p', { value: Math.log1p, gradX: (g, x) => div(g, add(x, 1)) }),
  sqrt: unary('sqrt', { value: Math.sqrt, gradX: (g, _, y) => div(mul(g, 0.5), y) }),
  sin: unary('sin', { value: Math.sin, gradX: (g, x) => mul(g, cos(x)) }),
  cos: unary('cos', { value: Math.cos, gradX: (g, x) => neg(mul(g, sin(x))) }),
  sinh: unary('sinh', { value: Math.sinh, gradX: (g, x) => mul(g, cosh(x)) }),
  cosh: unary('cosh', { value: Math.cosh, gradX: (g, x) => mul(g, sinh(x)) }),
  // g / (x² + 1) without overflow of the square. The scale cancels, so a second derivative may treat it as a constant.
  atan: unary('atan', {
    value: Math.atan,
    gradX(g, x) {
      const scale = stopGradient(maximum(abs(x), 1));
      return div(div(g, scale), add(mul(x, div(x, scale)), div(1, scale)));
    },
  }),
  tanh: unary('tanh', { value: Math.tanh, gradX: (g, x) => mul(g, tanhSlope(x)) }),
  sigmoid: unary('sigmoid', { value: sigmoidOf, gradX: (g, x, y) => mul(g, derivativeOfSigmoid(x, y)) }),
  erf: unary('erf', { value: erfOf, gradX: (g, x) => mul(g, erfSlope(x)) }),
  erfc: unary('erfc', { value: erfcOf, gradX: (g, x) => neg(mul(g, erfSlope(x))) }),
  relu: unary('relu', { value: (x) => (x < 0 ? 0 : x), gradX: (g, _, y) => reluGrad(g, y) }),

  /** The derivative of y, the sigmoid of x: y (1 − y), but y sigmoid(−x) for x > 2, where 1 − y loses its digits. */
  sigmoidSlope: binary('sigmoidSlope', {
    of: ['f32'],
    value: (y, x) => y * (x > 2 ? sigmoidOf(-x) : 1 - y),
    gradA: (g, y, x) => mul(g, where(greater(x, 2), sigmoid(neg(x)), sub(1, mul(y, 2)))),
    gradB: (g, y, x) => mul(g, where(greater(x, 2), neg(mul(y, sigmoidSlope(sigmoid(x), x))), 0)),
  }),

  /** The gradient of relu: g where the result is positive, else 0, also for NaN. Piecewise linear: no derivative in y. */
  reluGrad: defineElementwise({
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
    elementwise: () => (g, y) => (y > 0 ? g : 0),
  }),

  where: defineElementwise({
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
    elementwise: () => (condition, a, b) => (condition !== 0 ? a : b),
    flops: elementsOut,
  }),

  cast: defineElementwise({
    name: 'cast',
    infer: ([x]: readonly TensorType[], { dtype }: { readonly dtype: DType }): readonly TensorType[] => [
      { shape: x.shape, dtype },
    ],
    vjp: () => [null],
    elementwise: (dtype) => CASTS[dtype],
  }),
};

/** Operations whose result is their operand. */
export const identityOps = {
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

const sigmoidSlope = (y: Tensor, x: Tensor): Tensor => elementwiseOps.sigmoidSlope([y, x], none)[0];
const reluGrad = (g: Tensor, y: Tensor): Tensor => elementwiseOps.reluGrad([g, y], none)[0];

/** The derivative of erf. It is 0 in double precision beyond ±30, so the clamp prevents overflow of the square. */
const erfSlope = (x: Tensor): Tensor => mul(2 / Math.sqrt(Math.PI), exp(neg(square(clamp(x, -30, 30)))));

/** The derivative of y, the sigmoid of x. Its own derivative is −tanh(x / 2) times it, which keeps the digits of small x. */
const derivativeOfSigmoid = (x: Tensor, y: Tensor): Tensor =>
  customGradient({
    name: 'derivativeOfSigmoid',
    forward: (t) => sigmoidSlope(y, t),
    gradient: ({ inputs: [t], output, grad }) => [mul(grad, mul(output, neg(tanh(mul(t, 0.5)))))],
  })(x);

/** a / (a² + b²) without overflow of the squares. */
function angleSlope(a: Tensor, b: Tensor): Tensor {
  const scale = stopGradient(maximum(abs(a), abs(b)));
  const [p, q] = [div(a, scale), div(b, scale)];
  return div(div(p, scale), add(square(p), square(q)));
}

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
    forward: () => toTensor('pow', exponent - 1),
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
