// Kernels that act on each element alone, and strided copies. An argument block is a list of 32-bit words at `a`.
import { exp4, log4, relu4, sigmoid4, splat, storeLanes, tanh4 } from "./simd";
import { fail, scratch, share, ERROR_NOT_FINITE } from "./team";

// @ts-ignore: decorator
@inline export function arg(a: usize, i: i32): i32 {
  return load<i32>(a + (<usize>i << 2));
}
// @ts-ignore: decorator
@inline export function ptr(a: usize, i: i32): usize {
  return <usize>load<u32>(a + (<usize>i << 2));
}
// @ts-ignore: decorator
@inline export function real(a: usize, i: i32): f32 {
  return load<f32>(a + (<usize>i << 2));
}

export const UNARY_NEG: i32 = 0;
export const UNARY_EXP: i32 = 1;
export const UNARY_LOG: i32 = 2;
export const UNARY_SQRT: i32 = 3;
export const UNARY_TANH: i32 = 4;
export const UNARY_SIGMOID: i32 = 5;
export const UNARY_RELU: i32 = 6;

export const BINARY_ADD: i32 = 0;
export const BINARY_SUB: i32 = 1;
export const BINARY_MUL: i32 = 2;
export const BINARY_DIV: i32 = 3;
export const BINARY_POW: i32 = 4;
export const BINARY_RELU_GRAD: i32 = 5;

// @ts-ignore: decorator
@inline function unary1(op: i32, x: v128): v128 {
  if (op == UNARY_NEG) return f32x4.neg(x);
  if (op == UNARY_EXP) return exp4(x);
  if (op == UNARY_LOG) return log4(x);
  if (op == UNARY_SQRT) return f32x4.sqrt(x);
  if (op == UNARY_TANH) return tanh4(x);
  if (op == UNARY_SIGMOID) return sigmoid4(x);
  return relu4(x);
}

function powLanes(x: v128, y: v128): v128 {
  let r = f32x4.splat(NativeMathf.pow(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
  r = f32x4.replace_lane(r, 1, NativeMathf.pow(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
  r = f32x4.replace_lane(r, 2, NativeMathf.pow(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
  return f32x4.replace_lane(r, 3, NativeMathf.pow(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
}

// @ts-ignore: decorator
@inline function binary1(op: i32, x: v128, y: v128): v128 {
  if (op == BINARY_ADD) return f32x4.add(x, y);
  if (op == BINARY_SUB) return f32x4.sub(x, y);
  if (op == BINARY_MUL) return f32x4.mul(x, y);
  if (op == BINARY_DIV) return f32x4.div(x, y);
  if (op == BINARY_POW) return powLanes(x, y);
  return v128.and(x, f32x4.gt(y, splat(0))); // relu's gradient: x where the result y is positive
}

// @ts-ignore: decorator
@inline function unaryRun(op: i32, x: usize, y: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) v128.store(y + (<usize>i << 2), unary1(op, v128.load(x + (<usize>i << 2))));
  if (i < n) storeLanes(y + (<usize>i << 2), unary1(op, v128.load(x + (<usize>i << 2))), n - i);
}

/** y = f(x): op, x, y, n */
export function unary(a: usize, slice: i32, slices: i32): void {
  const op = arg(a, 0);
  const n = arg(a, 3);
  const lines = (n + 15) >> 4; // slices begin on cache lines
  const begin = share(lines, slice, slices) << 4;
  const end = min(share(lines, slice + 1, slices) << 4, n);
  if (begin >= end) return;
  const x = ptr(a, 1) + (<usize>begin << 2);
  const y = ptr(a, 2) + (<usize>begin << 2);
  const m = end - begin;
  unaryRunOf(op, x, y, m);
}

function unaryRunOf(op: i32, x: usize, y: usize, m: i32): void {
  switch (op) {
    case UNARY_NEG: unaryRun(UNARY_NEG, x, y, m); break;
    case UNARY_EXP: unaryRun(UNARY_EXP, x, y, m); break;
    case UNARY_LOG: unaryRun(UNARY_LOG, x, y, m); break;
    case UNARY_SQRT: unaryRun(UNARY_SQRT, x, y, m); break;
    case UNARY_TANH: unaryRun(UNARY_TANH, x, y, m); break;
    case UNARY_SIGMOID: unaryRun(UNARY_SIGMOID, x, y, m); break;
    case UNARY_RELU: unaryRun(UNARY_RELU, x, y, m); break;
    default: unreachable();
  }
}

/** One run along the innermost axis; sx and sy are 0 (repeated) or 1. */
// @ts-ignore: decorator
@inline function binaryRun(op: i32, x: usize, sx: i32, y: usize, sy: i32, z: usize, n: i32): void {
  let i = 0;
  if (sx == 1 && sy == 1) {
    for (; i + 4 <= n; i += 4) {
      const at = <usize>i << 2;
      v128.store(z + at, binary1(op, v128.load(x + at), v128.load(y + at)));
    }
    if (i < n) {
      const at = <usize>i << 2;
      storeLanes(z + at, binary1(op, v128.load(x + at), v128.load(y + at)), n - i);
    }
  } else if (sx == 1) {
    const b = v128.load32_splat(y);
    for (; i + 4 <= n; i += 4) {
      const at = <usize>i << 2;
      v128.store(z + at, binary1(op, v128.load(x + at), b));
    }
    if (i < n) storeLanes(z + (<usize>i << 2), binary1(op, v128.load(x + (<usize>i << 2)), b), n - i);
  } else if (sy == 1) {
    const b = v128.load32_splat(x);
    for (; i + 4 <= n; i += 4) {
      const at = <usize>i << 2;
      v128.store(z + at, binary1(op, b, v128.load(y + at)));
    }
    if (i < n) storeLanes(z + (<usize>i << 2), binary1(op, b, v128.load(y + (<usize>i << 2))), n - i);
  } else {
    const b = binary1(op, v128.load32_splat(x), v128.load32_splat(y));
    for (; i + 4 <= n; i += 4) v128.store(z + (<usize>i << 2), b);
    if (i < n) storeLanes(z + (<usize>i << 2), b, n - i);
  }
}

function binaryRunOf(op: i32, x: usize, sx: i32, y: usize, sy: i32, z: usize, n: i32): void {
  switch (op) {
    case BINARY_ADD: binaryRun(BINARY_ADD, x, sx, y, sy, z, n); break;
    case BINARY_SUB: binaryRun(BINARY_SUB, x, sx, y, sy, z, n); break;
    case BINARY_MUL: binaryRun(BINARY_MUL, x, sx, y, sy, z, n); break;
    case BINARY_DIV: binaryRun(BINARY_DIV, x, sx, y, sy, z, n); break;
    case BINARY_POW: binaryRun(BINARY_POW, x, sx, y, sy, z, n); break;
    case BINARY_RELU_GRAD: binaryRun(BINARY_RELU_GRAD, x, sx, y, sy, z, n); break;
    default: unreachable();
  }
}

/**
 * z = f(x, y) with broadcasting: op, x, y, z, rank, then rank triples (size, stride of x, stride of y) from the outermost
 * axis; strides in elements; the innermost strides are 0 or 1. Work is shared in pieces of a row: `piece` elements.
 */
export function binary(a: usize, slice: i32, slices: i32): void {
  const op = arg(a, 0);
  const x = ptr(a, 1);
  const y = ptr(a, 2);
  const z = ptr(a, 3);
  const rank = arg(a, 4);
  const axes = a + 20;
  const inner = axes + <usize>(rank - 1) * 12;
  const n = load<i32>(inner);
  const sx = load<i32>(inner, 4);
  const sy = load<i32>(inner, 8);
  const piece = 4096;
  const pieces = (n + piece - 1) / piece;
  let rows = 1;
  for (let d = 0; d < rank - 1; d++) rows *= load<i32>(axes + <usize>d * 12);
  const begin = share(rows * pieces, slice, slices);
  const end = share(rows * pieces, slice + 1, slices);
  for (let task = begin; task < end; task++) {
    const row = task / pieces;
    const from = (task - row * pieces) * piece;
    let rest = row;
    let ox = 0;
    let oy = 0;
    for (let d = rank - 2; d >= 0; d--) {
      const axis = axes + <usize>d * 12;
      const size = load<i32>(axis);
      const q = rest / size;
      const i = rest - q * size;
      ox += i * load<i32>(axis, 4);
      oy += i * load<i32>(axis, 8);
      rest = q;
    }
    binaryRunOf(
      op,
      x + (<usize>(ox + from * sx) << 2),
      sx,
      y + (<usize>(oy + from * sy) << 2),
      sy,
      z + (<usize>(row * n + from) << 2),
      min(piece, n - from),
    );
  }
}

/** Elements of a strip: so few that the registers of a chain stay in the first-level cache. */
export const STRIP: i32 = 512;

export const OPERAND_WHOLE: i32 = 0; // as many elements as the result
export const OPERAND_SINGLE: i32 = 1; // one element
export const OPERAND_REGISTER: i32 = 2; // a strip of scratch memory

/** Where an operand begins for the strip at byte `offset`. */
// @ts-ignore: decorator
@inline function operand(at: usize, offset: usize, registers: usize): usize {
  const kind = load<i32>(at);
  const place = <usize>load<u32>(at, 4);
  return kind == OPERAND_WHOLE ? place + offset : kind == OPERAND_SINGLE ? place : registers + place;
}

/**
 * Several operations on each element, strip by strip, so that what lies between them never leaves the cache:
 * n, scratch, scratch bytes per thread, counts of loads, instructions and stores; then loads (address of a row, its length,
 * register), instructions (1 for binary or 0, op, result, x, y: operands of two words, kind and place) and stores
 * (register, address), which come last: a result may lie where an input was.
 */
export function chain(a: usize, slice: i32, slices: i32): void {
  const n = arg(a, 0);
  const registers = scratch(ptr(a, 1), arg(a, 2));
  const loads = arg(a, 3);
  const instructions = arg(a, 4);
  const stores = arg(a, 5);
  const strips = (n + STRIP - 1) / STRIP;
  const end = share(strips, slice + 1, slices);
  for (let strip = share(strips, slice, slices); strip < end; strip++) {
    const from = strip * STRIP;
    const count = min(STRIP, n - from);
    const offset = <usize>from << 2;
    let at = a + 24;
    for (let i = 0; i < loads; i++, at += 12) {
      repeatRow(<usize>load<u32>(at), load<i32>(at, 4), registers + <usize>load<u32>(at, 8), from, count);
    }
    for (let i = 0; i < instructions; i++, at += 32) {
      const to = operand(at + 8, offset, registers);
      const x = operand(at + 16, offset, registers);
      if (load<i32>(at) == 0) {
        unaryRunOf(load<i32>(at, 4), x, to, count);
      } else {
        const sx = load<i32>(at, 16) == OPERAND_SINGLE ? 0 : 1;
        const sy = load<i32>(at, 24) == OPERAND_SINGLE ? 0 : 1;
        binaryRunOf(load<i32>(at, 4), x, sx, operand(at + 24, offset, registers), sy, to, count);
      }
    }
    for (let i = 0; i < stores; i++, at += 8) {
      memory.copy(<usize>load<u32>(at, 4) + offset, registers + <usize>load<u32>(at), <usize>count << 2);
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

/** A dense result from a strided source: element bytes (1 or 4), x, y, rank, then rank pairs (size, stride of x). */
export function strided(a: usize, slice: i32, slices: i32): void {
  const shift: usize = arg(a, 0) == 4 ? 2 : 0;
  const x = ptr(a, 1);
  const y = ptr(a, 2);
  const rank = arg(a, 3);
  const axes = a + 16;
  const inner = axes + <usize>(rank - 1) * 8;
  const n = load<i32>(inner);
  const stride = <usize>load<i32>(inner, 4) << shift;
  let rows = 1;
  for (let d = 0; d < rank - 1; d++) rows *= load<i32>(axes + <usize>d * 8);
  const begin = share(rows, slice, slices);
  const end = share(rows, slice + 1, slices);
  for (let row = begin; row < end; row++) {
    let rest = row;
    let offset = 0;
    for (let d = rank - 2; d >= 0; d--) {
      const axis = axes + <usize>d * 8;
      const size = load<i32>(axis);
      const q = rest / size;
      offset += (rest - q * size) * load<i32>(axis, 4);
      rest = q;
    }
    let from = x + (<usize>offset << shift);
    let to = y + ((<usize>row * <usize>n) << shift);
    if (stride == (<usize>1 << shift)) {
      memory.copy(to, from, <usize>n << shift);
    } else if (shift == 2) {
      for (let i = 0; i < n; i++, from += stride, to += 4) store<u32>(to, load<u32>(from));
    } else {
      for (let i = 0; i < n; i++, from += stride, to += 1) store<u8>(to, load<u8>(from));
    }
  }
}

/** x, y, bytes */
export function copy(a: usize, slice: i32, slices: i32): void {
  const bytes = arg(a, 2);
  const lines = (bytes + 63) >> 6;
  const begin = share(lines, slice, slices) << 6;
  const end = min(share(lines, slice + 1, slices) << 6, bytes);
  if (begin < end) memory.copy(ptr(a, 1) + <usize>begin, ptr(a, 0) + <usize>begin, <usize>(end - begin));
}

/** u8 or i32 to f32: element bytes, x, y, n */
export function cast(a: usize, slice: i32, slices: i32): void {
  const bytes = arg(a, 0);
  const x = ptr(a, 1);
  const y = ptr(a, 2);
  const n = arg(a, 3);
  const end = share(n, slice + 1, slices);
  for (let i = share(n, slice, slices); i < end; i++) {
    const value = bytes == 1 ? <f32>load<u8>(x + <usize>i) : <f32>load<i32>(x + (<usize>i << 2));
    store<f32>(y + (<usize>i << 2), value);
  }
}

/** y = x, failing on an element that is not finite: x, y, n */
export function checkFinite(a: usize, slice: i32, slices: i32, control: usize, step: i32): void {
  const x = ptr(a, 0);
  const y = ptr(a, 1);
  const n = arg(a, 2);
  const end = share(n, slice + 1, slices);
  for (let i = share(n, slice, slices); i < end; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (value - value != 0) {
      fail(control, step, ERROR_NOT_FINITE, reinterpret<i32>(value), i);
      return;
    }
    store<f32>(y + (<usize>i << 2), value);
  }
}

const M0: u64 = 0xd2511f53;
const M1: u64 = 0xcd9e8d57;

/** x, y, n, address of the step (i32), key words, threshold, scale: see dropout in engine/ops/random.ts */
export function dropout(a: usize, slice: i32, slices: i32): void {
  const x = ptr(a, 0);
  const y = ptr(a, 1);
  const n = arg(a, 2);
  const step = load<u32>(ptr(a, 3));
  const threshold = <u32>arg(a, 6);
  const scale = real(a, 7);
  const blocks = (n + 3) >> 2;
  const end = share(blocks, slice + 1, slices);
  for (let block = share(blocks, slice, slices); block < end; block++) {
    let c0: u32 = block;
    let c1: u32 = 0;
    let c2: u32 = step;
    let c3: u32 = 0;
    let k0: u32 = arg(a, 4);
    let k1: u32 = arg(a, 5);
    for (let round = 0; round < 10; round++) {
      const p0 = M0 * <u64>c0;
      const p1 = M1 * <u64>c2;
      const n0 = <u32>(p1 >> 32) ^ c1 ^ k0;
      const n2 = <u32>(p0 >> 32) ^ c3 ^ k1;
      c1 = <u32>p1;
      c3 = <u32>p0;
      c0 = n0;
      c2 = n2;
      k0 += 0x9e3779b9;
      k1 += 0xbb67ae85;
    }
    const at = <usize>block << 4;
    const words = i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2), 3, c3);
    const kept = i32x4.ge_u(words, i32x4.splat(threshold));
    const value = v128.and(f32x4.mul(v128.load(x + at), splat(scale)), kept);
    storeLanes(y + at, value, n - (block << 2));
  }
}
