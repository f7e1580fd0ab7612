/**
 * Operations that act on each element alone, with NumPy broadcasting where there are several operands. Their kernels know
 * them by name and dtypes alone: they have no attributes, but for the dtype that `cast` gives.
 */
import { ShapeError } from '../../errors.ts';
import { defineOp, expectDType, type Grads, type Vjp } from '../../op.ts';
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
  sigmoid,
  sign,
  sin,
  square,
  stopGradient,
  sub,
  tanh,
  where,
} from '../elementwise.ts';
import { reshape } from '../layout.ts';
import { sum } from '../reduce.ts';

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
