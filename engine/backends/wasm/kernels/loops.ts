// Loops of one operation over many elements, four at a time. An operation is a class whose method `apply` computes four elements. X and
// Y are the types of the elements that a loop reads and writes: f32, i32 or u8. `apply` sees bytes as integers of 32 bits.
import { splat, storeLanes } from "./simd";
import {
  binaryVectors, numberByVectors, ternaryVectors, unaryVectors, vectorsByNumber, vectorsNumberVectors, vectorsVectorsNumber,
} from "./vectors/loops";
import { LANES } from "./width";

/**
 * One operation on n elements of up to three operands. A stride is 1, or 0 for one element that is repeated. An operand that the
 * operation does not have has stride 0. Loops are called by address, so that they are not inlined: the optimizer takes minutes for one
 * function of fifty loops.
 */
export type Loop = (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32) => void;

/** Elements i … i + 3. */
// @ts-ignore: decorator
@inline function load4<X>(x: usize, i: i32): v128 {
  if (sizeof<X>() == 1) return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(x + <usize>i)));
  return v128.load(x + (<usize>i << 2));
}

/** One element, four times. */
// @ts-ignore: decorator
@inline function repeat4<X>(x: usize): v128 {
  return sizeof<X>() == 1 ? i32x4.splat(<i32>load<u8>(x)) : v128.load32_splat(x);
}

/** The first n (1 … 4) lanes as elements from i on. Bytes are clamped to 0 … 255. */
// @ts-ignore: decorator
@inline function store4<Y>(out: usize, i: i32, y: v128, n: i32): void {
  if (sizeof<Y>() == 1) {
    const value = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(y, y), i16x8.splat(0));
    const at = out + <usize>i;
    if (n >= 4) {
      v128.store_lane<u32>(at, value, 0);
    } else {
      v128.store_lane<u8>(at, value, 0);
      if (n > 1) v128.store_lane<u8>(at, value, 1, 1);
      if (n > 2) v128.store_lane<u8>(at, value, 2, 2);
    }
  } else {
    storeLanes(out + (<usize>i << 2), y, n);
  }
}

/** An operation needs no instance: `apply` does not use `this`. */
// @ts-ignore: decorator
@inline function operation<Op>(): Op {
  return changetype<Op>(0);
}

/** The loop of an operation on one operand. */
// @ts-ignore: decorator
@inline export function unary<Op, X = f32, Y = f32>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    let i = 0;
    for (; i + 4 <= n; i += 4) store4<Y>(out, i, op.apply(load4<X>(x, i)), 4);
    if (i < n) store4<Y>(out, i, op.apply(load4<X>(x, i)), n - i);
  };
}

/** The same for floats, with vectors of 256 bits in the wide binary: for operations without calls and branches. */
// @ts-ignore: decorator
@inline export function wideUnary<Op>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    let i = n - n % LANES;
    if (i > 0) unaryVectors<Op>(out, x, <usize>i << 2);
    for (; i < n; i += 4) store4<f32>(out, i, op.apply(load4<f32>(x, i)), n - i);
  };
}

/** The same on two operands. */
// @ts-ignore: decorator
@inline export function wideBinary<Op>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    let i = 0;
    if (sx == 1 && sy == 1) {
      i = n - n % LANES;
      if (i > 0) binaryVectors<Op>(out, x, y, <usize>i << 2);
      for (; i < n; i += 4) store4<f32>(out, i, op.apply(load4<f32>(x, i), load4<f32>(y, i)), n - i);
    } else if (sx == 1) {
      const one = repeat4<f32>(y);
      i = n - n % LANES;
      if (i > 0) vectorsByNumber<Op>(out, x, y, <usize>i << 2);
      for (; i < n; i += 4) store4<f32>(out, i, op.apply(load4<f32>(x, i), one), n - i);
    } else {
      const one = repeat4<f32>(x);
      if (sy == 1) {
        i = n - n % LANES;
        if (i > 0) numberByVectors<Op>(out, x, y, <usize>i << 2);
      }
      for (; i < n; i += 4) {
        const b = sy == 1 ? load4<f32>(y, i) : repeat4<f32>(y);
        store4<f32>(out, i, op.apply(one, b), n - i);
      }
    }
  };
}

/** The loop of an operation on two operands of the same type. */
// @ts-ignore: decorator
@inline export function binary<Op, X = f32, Y = f32>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    let i = 0;
    if (sx == 1 && sy == 1) {
      for (; i + 4 <= n; i += 4) store4<Y>(out, i, op.apply(load4<X>(x, i), load4<X>(y, i)), 4);
      if (i < n) store4<Y>(out, i, op.apply(load4<X>(x, i), load4<X>(y, i)), n - i);
    } else if (sx == 1) {
      const one = repeat4<X>(y);
      for (; i + 4 <= n; i += 4) store4<Y>(out, i, op.apply(load4<X>(x, i), one), 4);
      if (i < n) store4<Y>(out, i, op.apply(load4<X>(x, i), one), n - i);
    } else if (sy == 1) {
      const one = repeat4<X>(x);
      for (; i + 4 <= n; i += 4) store4<Y>(out, i, op.apply(one, load4<X>(y, i)), 4);
      if (i < n) store4<Y>(out, i, op.apply(one, load4<X>(y, i)), n - i);
    } else {
      const value = op.apply(repeat4<X>(x), repeat4<X>(y));
      for (; i + 4 <= n; i += 4) store4<Y>(out, i, value, 4);
      if (i < n) store4<Y>(out, i, value, n - i);
    }
  };
}

/** The loop of an operation on three operands: bytes, and two whose elements have the type of the result. */
// @ts-ignore: decorator
@inline export function ternary<Op, T>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    for (let i = 0; i < n; i += 4) {
      const a = sx == 1 ? load4<u8>(x, i) : repeat4<u8>(x);
      const b = sy == 1 ? load4<T>(y, i) : repeat4<T>(y);
      const c = sz == 1 ? load4<T>(z, i) : repeat4<T>(z);
      store4<T>(out, i, op.apply(a, b, c), n - i);
    }
  };
}

/** The loop of an operation on a mask and two operands, each with elements of 32 bits, of which the mask has stride 1. */
// @ts-ignore: decorator
@inline export function wideTernary<Op>(): Loop {
  return (out: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void => {
    const op = operation<Op>();
    let i = 0;
    if (sy + sz > 0 && n >= LANES) {
      i = n - n % LANES;
      const bytes = <usize>i << 2;
      if (sy == 0) vectorsNumberVectors<Op>(out, x, y, z, bytes);
      else if (sz == 0) vectorsVectorsNumber<Op>(out, x, y, z, bytes);
      else ternaryVectors<Op>(out, x, y, z, bytes);
    }
    for (; i < n; i += 4) {
      const b = sy == 1 ? load4<f32>(y, i) : repeat4<f32>(y);
      const c = sz == 1 ? load4<f32>(z, i) : repeat4<f32>(z);
      store4<f32>(out, i, op.apply(load4<f32>(x, i), b, c), n - i);
    }
  };
}
