// Kernels that act on each element alone.
import { Chain, ChainOperand, CheckFinite, Elementwise } from "./calls.generated";
import { Loop } from "./loops";
import { storeLanes } from "./simd";
import { fail, ownScratch, firstTask, ERROR_NOT_FINITE } from "./team";

/** Elements of one task, which lie in one row. */
const TASK: i32 = 4096;

/** One operation with broadcasting. Axes begin with the outermost one. The strides of the last are 0 or 1. */
// @ts-ignore: decorator
@words("*loop", "out: Elements", "x: Elements", "y: Elements", "z: Elements", "axes: BroadcastAxis[]")
export function elementwise(call: Elementwise, slice: i32, slices: i32): void {
  const loop = changetype<Loop>(call.loop);
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
  const end = firstTask(rows * parts, slice + 1, slices);
  for (let task = firstTask(rows * parts, slice, slices); task < end; task++) {
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
    loop(
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
// @ts-ignore: decorator
@words(
  "n", "scratch: Scratch", "loads: ChainLoad[]", "instructions: ChainInstruction[]", "stores: ChainStore[]"
)
export function chain(call: Chain, slice: i32, slices: i32): void {
  const n = call.n;
  const registers = ownScratch(call.scratch);
  const loads = call.loads;
  const instructions = call.instructions;
  const stores = call.stores;
  const strips = (n + STRIP - 1) / STRIP;
  const end = firstTask(strips, slice + 1, slices);
  for (let strip = firstTask(strips, slice, slices); strip < end; strip++) {
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
      const loop = changetype<Loop>(instruction.loop);
      loop(
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
// @ts-ignore: decorator
@words("*x", "*y", "n")
export function checkFinite(call: CheckFinite, slice: i32, slices: i32): void {
  const x = call.x;
  const y = call.y;
  const n = call.n;
  const end = firstTask(n, slice + 1, slices);
  for (let i = firstTask(n, slice, slices); i < end; i++) {
    const value = load<f32>(x + (<usize>i << 2));
    if (value - value != 0) {
      fail(ERROR_NOT_FINITE, reinterpret<i32>(value), i);
      return;
    }
    store<f32>(y + (<usize>i << 2), value);
  }
}
