// Kernels that act on each element alone.
import { Chain, ChainOperand, CheckFinite, Elementwise } from "./calls.generated";
import * as code from "./codes";
import {
  atan4,
  cos4,
  erf4,
  erfc4,
  exp4,
  expm14,
  log1p4,
  log4,
  relu4,
  sigmoid4,
  sigmoidSlope4,
  sign4,
  sin4,
  splat,
  storeLanes,
  tanh4,
} from "./simd";
import { fail, ownScratch, share, ERROR_NOT_FINITE } from "./team";

/** Whether the first operand is bytes; of two operands both are. Bytes are widened to 32 bits on their way in. */
// @ts-ignore: decorator
@inline function takesBytes(op: i32): bool {
  if (op == code.OP_cast_u8_f32 || op == code.OP_cast_u8_i32) return true;
  return op >= code.LOGIC;
}

// @ts-ignore: decorator
@inline function givesBytes(op: i32): bool {
  if (op == code.OP_cast_i32_u8 || op == code.OP_cast_f32_u8) return true;
  return (op >= code.COMPARISONS && op < code.SELECTION) || op == code.OP_where_u8;
}

/** One operation on four elements. Comparisons give −1 for true, which is stored as 1. */
// @ts-ignore: decorator
@inline function apply(op: i32, x: v128, y: v128, z: v128): v128 {
  if (op == code.OP_neg) return f32x4.neg(x);
  if (op == code.OP_exp) return exp4(x);
  if (op == code.OP_log) return log4(x);
  if (op == code.OP_sqrt) return f32x4.sqrt(x);
  if (op == code.OP_tanh) return tanh4(x);
  if (op == code.OP_sigmoid) return sigmoid4(x);
  if (op == code.OP_relu) return relu4(x);
  if (op == code.OP_abs) return f32x4.abs(x);
  if (op == code.OP_sign) return sign4(x);
  if (op == code.OP_floor) return f32x4.floor(x);
  if (op == code.OP_ceil) return f32x4.ceil(x);
  if (op == code.OP_round) return f32x4.nearest(x);
  if (op == code.OP_expm1) return expm14(x);
  if (op == code.OP_log1p) return log1p4(x);
  if (op == code.OP_sin) return sin4(x);
  if (op == code.OP_cos) return cos4(x);
  if (op == code.OP_erf) return erf4(x);
  if (op == code.OP_erfc) return erfc4(x);
  if (op == code.OP_atan) return atan4(x);
  if (op == code.OP_cast_u8_f32 || op == code.OP_cast_i32_f32) return f32x4.convert_i32x4_s(x);
  if (op == code.OP_cast_f32_i32 || op == code.OP_cast_f32_u8) return i32x4.trunc_sat_f32x4_s(x);
  if (op == code.OP_cast_u8_i32 || op == code.OP_cast_i32_u8) return x;
  if (op == code.OP_add) return f32x4.add(x, y);
  if (op == code.OP_sub) return f32x4.sub(x, y);
  if (op == code.OP_mul) return f32x4.mul(x, y);
  if (op == code.OP_div) return f32x4.div(x, y);
  if (op == code.OP_pow) return powLanes(x, y);
  if (op == code.OP_reluGrad) return v128.and(x, f32x4.gt(y, splat(0))); // x where the result y is positive
  if (op == code.OP_sigmoidSlope) return sigmoidSlope4(x, y);
  if (op == code.OP_maximum) return f32x4.max(x, y);
  if (op == code.OP_minimum) return f32x4.min(x, y);
  if (op == code.OP_add_i32) return i32x4.add(x, y);
  if (op == code.OP_sub_i32) return i32x4.sub(x, y);
  if (op == code.OP_mul_i32) return i32x4.mul(x, y);
  if (op == code.OP_maximum_i32) return i32x4.max_s(x, y);
  if (op == code.OP_minimum_i32) return i32x4.min_s(x, y);
  if (op == code.OP_equal) return f32x4.eq(x, y);
  if (op == code.OP_less) return f32x4.lt(x, y);
  if (op == code.OP_lessEqual) return f32x4.le(x, y);
  if (op == code.OP_equal_i32) return i32x4.eq(x, y);
  if (op == code.OP_less_i32) return i32x4.lt_s(x, y);
  if (op == code.OP_lessEqual_i32) return i32x4.le_s(x, y);
  if (op == code.OP_and) return v128.and(isTrue(x), isTrue(y));
  if (op == code.OP_or) return isTrue(v128.or(x, y));
  if (op == code.OP_xor) return v128.xor(isTrue(x), isTrue(y));
  return v128.bitselect(y, z, isTrue(x)); // where
}

// @ts-ignore: decorator
@inline function isTrue(x: v128): v128 {
  return i32x4.ne(x, i32x4.splat(0));
}

/** x to the power y as in C. AssemblyScript follows JavaScript, which gives NaN for 1 ** NaN and (±1) ** ±Infinity. */
function powLanes(x: v128, y: v128): v128 {
  let r = f32x4.splat(NativeMathf.pow(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
  r = f32x4.replace_lane(r, 1, NativeMathf.pow(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
  r = f32x4.replace_lane(r, 2, NativeMathf.pow(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
  r = f32x4.replace_lane(r, 3, NativeMathf.pow(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
  const infinite = f32x4.eq(f32x4.abs(y), splat(f32.MAX_VALUE * 2));
  const one = v128.or(f32x4.eq(x, splat(1)), v128.and(f32x4.eq(x, splat(-1)), infinite));
  return v128.bitselect(splat(1), r, one);
}

/** Elements i … i + 3. */
// @ts-ignore: decorator
@inline function load4(bytes: bool, x: usize, i: i32): v128 {
  if (bytes) return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(x + <usize>i)));
  return v128.load(x + (<usize>i << 2));
}

/** One element, four times. */
// @ts-ignore: decorator
@inline function repeat4(bytes: bool, x: usize): v128 {
  return bytes ? i32x4.splat(<i32>load<u8>(x)) : v128.load32_splat(x);
}

/** The first n (1 … 4) lanes as elements from i on. */
// @ts-ignore: decorator
@inline function store4(op: i32, to: usize, i: i32, x: v128, n: i32): void {
  if (givesBytes(op)) {
    let value = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(x, x), i16x8.splat(0));
    if (op >= code.COMPARISONS && op < code.SELECTION) {
      // Masks: −1 is true.
      const mask = i16x8.narrow_i32x4_s(x, x);
      value = v128.and(i8x16.narrow_i16x8_s(mask, mask), i8x16.splat(1));
    }
    const at = to + <usize>i;
    if (n >= 4) {
      v128.store_lane<u32>(at, value, 0);
    } else {
      v128.store_lane<u8>(at, value, 0);
      if (n > 1) v128.store_lane<u8>(at, value, 1, 1);
      if (n > 2) v128.store_lane<u8>(at, value, 2, 2);
    }
  } else {
    storeLanes(to + (<usize>i << 2), x, n);
  }
}

/** One operation along n elements; a stride is 0 (one element, repeated) or 1. Operands that there are not have stride 0. */
// @ts-ignore: decorator
@inline function loop(op: i32, to: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32): void {
  const bytes = takesBytes(op);
  let i = 0;
  if (op < code.ARITHMETIC) {
    const none = splat(0);
    for (; i + 4 <= n; i += 4) store4(op, to, i, apply(op, load4(bytes, x, i), none, none), 4);
    if (i < n) store4(op, to, i, apply(op, load4(bytes, x, i), none, none), n - i);
  } else if (op < code.SELECTION) {
    const none = splat(0);
    if (sx == 1 && sy == 1) {
      for (; i + 4 <= n; i += 4) store4(op, to, i, apply(op, load4(bytes, x, i), load4(bytes, y, i), none), 4);
      if (i < n) store4(op, to, i, apply(op, load4(bytes, x, i), load4(bytes, y, i), none), n - i);
    } else if (sx == 1) {
      const one = repeat4(bytes, y);
      for (; i + 4 <= n; i += 4) store4(op, to, i, apply(op, load4(bytes, x, i), one, none), 4);
      if (i < n) store4(op, to, i, apply(op, load4(bytes, x, i), one, none), n - i);
    } else if (sy == 1) {
      const one = repeat4(bytes, x);
      for (; i + 4 <= n; i += 4) store4(op, to, i, apply(op, one, load4(bytes, y, i), none), 4);
      if (i < n) store4(op, to, i, apply(op, one, load4(bytes, y, i), none), n - i);
    } else {
      const value = apply(op, repeat4(bytes, x), repeat4(bytes, y), none);
      for (; i + 4 <= n; i += 4) store4(op, to, i, value, 4);
      if (i < n) store4(op, to, i, value, n - i);
    }
  } else {
    // The first of three operands is bytes, which choose between the others.
    const choice = op == code.OP_where_u8;
    for (; i < n; i += 4) {
      const c = sx == 1 ? load4(true, x, i) : repeat4(true, x);
      const a = sy == 1 ? load4(choice, y, i) : repeat4(choice, y);
      const b = sz == 1 ? load4(choice, z, i) : repeat4(choice, z);
      store4(op, to, i, apply(op, c, a, b), n - i);
    }
  }
}

type Run = (to: usize, x: usize, sx: i32, y: usize, sy: i32, z: usize, sz: i32, n: i32) => void;

/**
 * The loop of an operation, without a choice inside. Functions that are called through a table are not inlined: the
 * optimizer takes minutes for one function of fifty loops.
 */
function runOf(op: i32): Run {
  switch (op) {
    case code.OP_neg: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_neg, to, x, sx, y, sy, z, sz, n);
    case code.OP_exp: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_exp, to, x, sx, y, sy, z, sz, n);
    case code.OP_log: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_log, to, x, sx, y, sy, z, sz, n);
    case code.OP_sqrt: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sqrt, to, x, sx, y, sy, z, sz, n);
    case code.OP_tanh: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_tanh, to, x, sx, y, sy, z, sz, n);
    case code.OP_sigmoid: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sigmoid, to, x, sx, y, sy, z, sz, n);
    case code.OP_relu: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_relu, to, x, sx, y, sy, z, sz, n);
    case code.OP_abs: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_abs, to, x, sx, y, sy, z, sz, n);
    case code.OP_sign: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sign, to, x, sx, y, sy, z, sz, n);
    case code.OP_floor: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_floor, to, x, sx, y, sy, z, sz, n);
    case code.OP_ceil: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_ceil, to, x, sx, y, sy, z, sz, n);
    case code.OP_round: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_round, to, x, sx, y, sy, z, sz, n);
    case code.OP_expm1: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_expm1, to, x, sx, y, sy, z, sz, n);
    case code.OP_log1p: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_log1p, to, x, sx, y, sy, z, sz, n);
    case code.OP_sin: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sin, to, x, sx, y, sy, z, sz, n);
    case code.OP_cos: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cos, to, x, sx, y, sy, z, sz, n);
    case code.OP_erf: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_erf, to, x, sx, y, sy, z, sz, n);
    case code.OP_erfc: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_erfc, to, x, sx, y, sy, z, sz, n);
    case code.OP_atan: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_atan, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_u8_f32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_u8_f32, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_u8_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_u8_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_i32_f32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_i32_f32, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_i32_u8: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_i32_u8, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_f32_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_f32_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_cast_f32_u8: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_cast_f32_u8, to, x, sx, y, sy, z, sz, n);
    case code.OP_add: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_add, to, x, sx, y, sy, z, sz, n);
    case code.OP_sub: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sub, to, x, sx, y, sy, z, sz, n);
    case code.OP_mul: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_mul, to, x, sx, y, sy, z, sz, n);
    case code.OP_div: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_div, to, x, sx, y, sy, z, sz, n);
    case code.OP_pow: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_pow, to, x, sx, y, sy, z, sz, n);
    case code.OP_reluGrad: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_reluGrad, to, x, sx, y, sy, z, sz, n);
    case code.OP_sigmoidSlope: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sigmoidSlope, to, x, sx, y, sy, z, sz, n);
    case code.OP_maximum: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_maximum, to, x, sx, y, sy, z, sz, n);
    case code.OP_minimum: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_minimum, to, x, sx, y, sy, z, sz, n);
    case code.OP_add_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_add_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_sub_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_sub_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_mul_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_mul_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_maximum_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_maximum_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_minimum_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_minimum_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_equal: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_equal, to, x, sx, y, sy, z, sz, n);
    case code.OP_less: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_less, to, x, sx, y, sy, z, sz, n);
    case code.OP_lessEqual: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_lessEqual, to, x, sx, y, sy, z, sz, n);
    case code.OP_equal_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_equal_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_less_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_less_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_lessEqual_i32: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_lessEqual_i32, to, x, sx, y, sy, z, sz, n);
    case code.OP_and: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_and, to, x, sx, y, sy, z, sz, n);
    case code.OP_or: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_or, to, x, sx, y, sy, z, sz, n);
    case code.OP_xor: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_xor, to, x, sx, y, sy, z, sz, n);
    case code.OP_where: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_where, to, x, sx, y, sy, z, sz, n);
    case code.OP_where_u8: return (to, x, sx, y, sy, z, sz, n) => loop(code.OP_where_u8, to, x, sx, y, sy, z, sz, n);
    default: return unreachable();
  }
}

/** Elements of one task, which lie in one row. */
const TASK: i32 = 4096;

/** One operation with broadcasting. Axes begin with the outermost one. The strides of the last are 0 or 1. */
export function elementwise(call: Elementwise, slice: i32, slices: i32): void {
  const run = runOf(call.op);
  const axes = call.axes;
  const rank = axes.length;
  const inner = axes[rank - 1];
  const n = inner.size;
  const sx = inner.xStride;
  const sy = inner.yStride;
  const sz = inner.zStride;
  const out = call.out;
  const x = call.x;
  const y = call.y;
  const z = call.z;
  const parts = (n + TASK - 1) / TASK;
  let rows = 1;
  for (let d = 0; d < rank - 1; d++) rows *= axes[d].size;
  const end = share(rows * parts, slice + 1, slices);
  for (let task = share(rows * parts, slice, slices); task < end; task++) {
    const row = task / parts;
    const from = (task - row * parts) * TASK;
    let rest = row;
    let ox = from * sx;
    let oy = from * sy;
    let oz = from * sz;
    for (let d = rank - 2; d >= 0; d--) {
      const axis = axes[d];
      const size = axis.size;
      const q = rest / size;
      const i = rest - q * size;
      ox += i * axis.xStride;
      oy += i * axis.yStride;
      oz += i * axis.zStride;
      rest = q;
    }
    run(
      out.address + <usize>(row * n + from) * <usize>out.elementBytes,
      x.address + <usize>ox * <usize>x.elementBytes,
      sx,
      y.address + <usize>oy * <usize>y.elementBytes,
      sy,
      z.address + <usize>oz * <usize>z.elementBytes,
      sz,
      min(TASK, n - from),
    );
  }
}

/** Elements of a strip: so few that the registers of a chain stay in the first-level cache. */
export const STRIP: i32 = 512;

export const OPERAND_TENSOR: i32 = 0; // as many elements as the results
export const OPERAND_SCALAR: i32 = 1; // one element
export const OPERAND_REGISTER: i32 = 2; // a strip of scratch memory, at this offset

/** The address of an operand's elements for the strip at element `from`. */
// @ts-ignore: decorator
@inline function stripOf(operand: ChainOperand, from: i32, registers: usize): usize {
  const kind = operand.kind;
  const address = operand.address;
  if (kind == OPERAND_TENSOR) return address + <usize>from * <usize>operand.elementBytes;
  return kind == OPERAND_SCALAR ? address : registers + address;
}

// @ts-ignore: decorator
@inline function strideOf(operand: ChainOperand): i32 {
  return operand.kind == OPERAND_SCALAR ? 0 : 1;
}

/**
 * Several operations on each element, strip by strip, so that what lies between them never leaves the cache. For each strip
 * inputs that are neither tensors nor scalars are loaded into registers, then the instructions run. Stores come last:
 * a result may lie where an input was.
 */
export function chain(call: Chain, slice: i32, slices: i32): void {
  const n = call.n;
  const registers = ownScratch(call.scratch);
  const loads = call.loads;
  const instructions = call.instructions;
  const stores = call.stores;
  const strips = (n + STRIP - 1) / STRIP;
  const end = share(strips, slice + 1, slices);
  for (let strip = share(strips, slice, slices); strip < end; strip++) {
    const from = strip * STRIP;
    const count = min(STRIP, n - from);
    for (let i = 0; i < loads.length; i++) {
      const input = loads[i];
      const x = input.x;
      const length = input.length;
      const repeats = input.repeats;
      const to = registers + <usize>input.register;
      if (input.elementBytes == 1) repeatBytes(x, length, repeats, to, from, count);
      else if (repeats == 1) repeatRow(x, length, to, from, count);
      else repeatEach(x, length, repeats, to, from, count);
    }
    for (let i = 0; i < instructions.length; i++) {
      const instruction = instructions[i];
      const x = instruction.x;
      const y = instruction.y;
      const z = instruction.z;
      runOf(instruction.op)(
        stripOf(instruction.out, from, registers),
        stripOf(x, from, registers),
        strideOf(x),
        stripOf(y, from, registers),
        strideOf(y),
        stripOf(z, from, registers),
        strideOf(z),
        count,
      );
    }
    for (let i = 0; i < stores.length; i++) {
      const result = stores[i];
      const bytes = <usize>result.elementBytes;
      memory.copy(result.y + <usize>from * bytes, registers + <usize>result.register, <usize>count * bytes);
    }
  }
}

/** Elements `from` … `from + count` of a row that is repeated over and over. */
function repeatRow(row: usize, length: i32, to: usize, from: i32, count: i32): void {
  let at = from % length;
  while (count > 0) {
    const run = min(length - at, count);
    const source = row + (<usize>at << 2);
    let i = 0;
    for (; i + 4 <= run; i += 4) v128.store(to + (<usize>i << 2), v128.load(source + (<usize>i << 2)));
    for (; i < run; i++) store<f32>(to + (<usize>i << 2), load<f32>(source + (<usize>i << 2)));
    to += <usize>run << 2;
    count -= run;
    at = 0;
  }
}

/** The same where every element is repeated `repeats` times before the next one. */
function repeatEach(source: usize, length: i32, repeats: i32, to: usize, from: i32, count: i32): void {
  let at = from / repeats;
  let left = repeats - (from - at * repeats);
  at %= length;
  while (count > 0) {
    const run = min(left, count);
    const value = v128.load32_splat(source + (<usize>at << 2));
    let i = 0;
    for (; i + 4 <= run; i += 4) v128.store(to + (<usize>i << 2), value);
    if (i < run) storeLanes(to + (<usize>i << 2), value, run - i);
    to += <usize>run << 2;
    count -= run;
    left = repeats;
    if (++at == length) at = 0;
  }
}

/** The same of bytes. */
function repeatBytes(source: usize, length: i32, repeats: i32, to: usize, from: i32, count: i32): void {
  let at = from / repeats;
  let left = repeats - (from - at * repeats);
  at %= length;
  while (count > 0) {
    const run = min(left, count);
    memory.fill(to, load<u8>(source + <usize>at), <usize>run);
    to += <usize>run;
    count -= run;
    left = repeats;
    if (++at == length) at = 0;
  }
}

/** y = x. Fails on an element that is not finite. */
export function checkFinite(call: CheckFinite, slice: i32, slices: i32): void {
  const x = call.x;
  const y = call.y;
  const n = call.n;
  const end = share(n, slice + 1, slices);
  for (let i = share(n, slice, slices); i < end; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (value - value != 0) {
      fail(ERROR_NOT_FINITE, reinterpret<i32>(value), i);
      return;
    }
    store<f32>(y + (<usize>i << 2), value);
  }
}
