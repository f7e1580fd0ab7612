/** Operations that act on each element alone, with NumPy broadcasting where there are two operands. */
import { ShapeError } from '../errors.ts';
import { defineOp, expectDType, type Grads, type Vjp } from '../op.ts';
import { broadcastShapes, formatShape, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './create.ts';
import { reshape } from './layout.ts';
import { sum } from './reduce.ts';

type None = Record<never, never>;
const none: None = {};

function inferBinary(name: string) {
  return ([a, b]: readonly TensorType[]): readonly TensorType[] => {
    expectDType(name, 'f32', a!, b!);
    return [{ shape: broadcastShapes(name, a!.shape, b!.shape), dtype: 'f32' }];
  };
}

function inferUnary(name: string) {
  return ([x]: readonly TensorType[]): readonly TensorType[] => {
    expectDType(name, 'f32', x!);
    return [{ shape: x!.shape, dtype: 'f32' }];
  };
}

/** Sums a gradient over the axes along which a value of `shape` was broadcast: the adjoint of broadcasting. */
export function sumTo(g: Tensor, shape: Shape): Tensor {
  if (sameShape(g.shape, shape)) return g;
  const lead = g.rank - shape.length;
  const axes = g.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  return reshape(sum(g, axes), shape);
}

const elementsOut = (_: readonly TensorType[], [out]: readonly TensorType[]): number => sizeOf(out!.shape);

/** A binary operation with the gradients of its two operands, before they are summed back to the operands' shapes. */
function binary<const N extends string>(
  name: N,
  gradA: (g: Tensor, a: Tensor, b: Tensor, out: Tensor) => Tensor,
  gradB: (g: Tensor, a: Tensor, b: Tensor, out: Tensor) => Tensor,
) {
  return defineOp({
    name,
    infer: inferBinary(name),
    vjp: ({ inputs, outputs, grads, needs }: Vjp<None>): Grads => {
      const [a, b] = inputs as [Tensor, Tensor];
      const g = grads[0]!;
      return [
        needs(0) ? sumTo(gradA(g, a, b, outputs[0]), a.shape) : null,
        needs(1) ? sumTo(gradB(g, a, b, outputs[0]), b.shape) : null,
      ];
    },
    mayReuse: [0, 1],
    elementwise: true,
    flops: elementsOut,
  });
}

function unary<const N extends string>(name: N, gradX: (g: Tensor, x: Tensor, y: Tensor) => Tensor) {
  return defineOp({
    name,
    infer: inferUnary(name),
    vjp: ({ inputs, outputs, grads }: Vjp<None>): Grads => [gradX(grads[0]!, inputs[0], outputs[0])],
    mayReuse: [0],
    elementwise: true,
    flops: elementsOut,
  });
}

export const addOp = binary(
  'add',
  (g) => g,
  (g) => g,
);
export const subOp = binary(
  'sub',
  (g) => g,
  (g) => neg(g),
);
export const mulOp = binary(
  'mul',
  (g, _, b) => mul(g, b),
  (g, a) => mul(g, a),
);
export const divOp = binary(
  'div',
  (g, _, b) => div(g, b),
  (g, _, b, out) => neg(div(mul(g, out), b)),
);
export const powOp = binary(
  'pow',
  (g, a, b) => mul(g, mul(b, pow(a, sub(b, 1)))),
  (g, a, _, out) => mul(g, mul(out, log(a))),
);
export const negOp = unary('neg', (g) => neg(g));
export const expOp = unary('exp', (g, _, y) => mul(g, y));
export const logOp = unary('log', (g, x) => div(g, x));
export const sqrtOp = unary('sqrt', (g, _, y) => div(mul(g, 0.5), y));
export const tanhOp = unary('tanh', (g, _, y) => mul(g, sub(1, mul(y, y))));
export const sigmoidOp = unary('sigmoid', (g, _, y) => mul(g, mul(y, sub(1, y))));
export const reluOp = unary('relu', (g, _, y) => reluGradOp([g, y], none)[0]);

/** The gradient of relu: g where the result is positive, else 0. Piecewise linear: no derivative in y. */
export const reluGradOp = defineOp({
  name: 'reluGrad',
  infer([g, y]: readonly TensorType[]) {
    expectDType('reluGrad', 'f32', g!, y!);
    if (!sameShape(g!.shape, y!.shape)) {
      throw new ShapeError(
        `reluGrad: gradient ${formatShape(g!.shape)} and result ${formatShape(y!.shape)} differ`,
      );
    }
    return [{ shape: g!.shape, dtype: 'f32' }];
  },
  vjp: ({ inputs, grads }: Vjp<None>): Grads => [reluGradOp([grads[0]!, inputs[1]], none)[0], null],
  mayReuse: [0, 1],
  elementwise: true,
});

/** Converts `u8` or `i32` to `f32`, exactly up to 2^24. The gradient stops here: integers have none. */
export const castOp = defineOp({
  name: 'cast',
  infer: ([x]: readonly TensorType[]) => [{ shape: x!.shape, dtype: 'f32' }],
  vjp: () => [null],
});

/**
 * The identity, which stops the run before any state is written when the value has an element that is not finite.
 * The error names `label`.
 */
export const checkFiniteOp = defineOp({
  name: 'checkFinite',
  mayFail: true,
  infer: ([x]: readonly TensorType[], _attrs: { readonly label: string }) => {
    expectDType('checkFinite', 'f32', x!);
    return [x!];
  },
  vjp: ({ grads }) => [grads[0]!],
  mayReuse: [0],
});

type Apply = (inputs: readonly Tensor[], attrs: None) => readonly Tensor[];

const apply2 = (op: Apply, a: TensorLike, b: TensorLike): Tensor => {
  return op([toTensor(a), toTensor(b)], none)[0];
};
const apply1 = (op: Apply, x: TensorLike): Tensor => op([toTensor(x)], none)[0];

/** a + b. Shapes broadcast by NumPy's rules; `f32` only, as in all of this file. */
export const add = (a: TensorLike, b: TensorLike): Tensor => apply2(addOp, a, b);
/** a − b */
export const sub = (a: TensorLike, b: TensorLike): Tensor => apply2(subOp, a, b);
/** a · b, element by element */
export const mul = (a: TensorLike, b: TensorLike): Tensor => apply2(mulOp, a, b);
/** a / b */
export const div = (a: TensorLike, b: TensorLike): Tensor => apply2(divOp, a, b);
/** a to the power b; NaN for a negative a and a fractional b, as in IEEE 754. */
export const pow = (a: TensorLike, b: TensorLike): Tensor => apply2(powOp, a, b);
/** −x */
export const neg = (x: TensorLike): Tensor => apply1(negOp, x);
/** e to the power x */
export const exp = (x: TensorLike): Tensor => apply1(expOp, x);
/** The natural logarithm: −Infinity at 0, NaN below. */
export const log = (x: TensorLike): Tensor => apply1(logOp, x);
/** The square root: NaN below 0. */
export const sqrt = (x: TensorLike): Tensor => apply1(sqrtOp, x);
/** The hyperbolic tangent. */
export const tanh = (x: TensorLike): Tensor => apply1(tanhOp, x);
/** 1 / (1 + e^−x) */
export const sigmoid = (x: TensorLike): Tensor => apply1(sigmoidOp, x);
/** max(x, 0). The derivative at 0 is 0; NaN stays NaN. */
export const relu = (x: TensorLike): Tensor => apply1(reluOp, x);
/** `u8` or `i32` to `f32`; an `f32` value is returned as it is. */
export const cast = (x: TensorLike): Tensor => {
  const t = toTensor(x);
  return t.dtype === 'f32' ? t : castOp([t], none)[0];
};
/** The identity; a run in which the value is not finite throws, naming `label`, and leaves all state as it was. */
export const checkFinite = (x: Tensor, label: string): Tensor => checkFiniteOp([x], { label })[0];
