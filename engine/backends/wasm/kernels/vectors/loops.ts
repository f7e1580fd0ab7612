// Loops of one operation over dense floats, for loops.ts. Each statement makes one vector, because V8 joins no loads that a store separates.
import { V } from "../width";

/** An operation needs no instance: `apply` does not use `this`. */
// @ts-ignore: decorator
@inline function operation<Op>(): Op {
  return changetype<Op>(0);
}

/** One operand. `bytes` is a multiple of V. */
export function unaryVectors<Op>(out: usize, x: usize, bytes: usize): void {
  for (const end = x + bytes; x < end; x += V, out += V) {
    const a = v128.load(x);
    const y = operation<Op>().apply(a);
    v128.store(out, y);
  }
}

/** Two operands. */
export function binaryVectors<Op>(out: usize, x: usize, y: usize, bytes: usize): void {
  for (const end = x + bytes; x < end; x += V, y += V, out += V) {
    const a = v128.load(x);
    const b = v128.load(y);
    const z = operation<Op>().apply(a, b);
    v128.store(out, z);
  }
}

/** Two operands, the first of which is the number at `x`. */
export function numberByVectors<Op>(out: usize, x: usize, y: usize, bytes: usize): void {
  const a = v128.load32_splat(x);
  for (const end = y + bytes; y < end; y += V, out += V) {
    const b = v128.load(y);
    const z = operation<Op>().apply(a, b);
    v128.store(out, z);
  }
}

/** Two operands, the second of which is the number at `y`. */
export function vectorsByNumber<Op>(out: usize, x: usize, y: usize, bytes: usize): void {
  const b = v128.load32_splat(y);
  for (const end = x + bytes; x < end; x += V, out += V) {
    const a = v128.load(x);
    const z = operation<Op>().apply(a, b);
    v128.store(out, z);
  }
}

/** Three operands. */
export function ternaryVectors<Op>(out: usize, x: usize, y: usize, z: usize, bytes: usize): void {
  for (const end = x + bytes; x < end; x += V, y += V, z += V, out += V) {
    const a = v128.load(x);
    const b = v128.load(y);
    const c = v128.load(z);
    const w = operation<Op>().apply(a, b, c);
    v128.store(out, w);
  }
}

/** Three operands, the second of which is the number at `y`. */
export function vectorsNumberVectors<Op>(out: usize, x: usize, y: usize, z: usize, bytes: usize): void {
  const b = v128.load32_splat(y);
  for (const end = x + bytes; x < end; x += V, z += V, out += V) {
    const a = v128.load(x);
    const c = v128.load(z);
    const w = operation<Op>().apply(a, b, c);
    v128.store(out, w);
  }
}

/** Three operands, the third of which is the number at `z`. */
export function vectorsVectorsNumber<Op>(out: usize, x: usize, y: usize, z: usize, bytes: usize): void {
  const c = v128.load32_splat(z);
  for (const end = x + bytes; x < end; x += V, y += V, out += V) {
    const a = v128.load(x);
    const b = v128.load(y);
    const w = operation<Op>().apply(a, b, c);
    v128.store(out, w);
  }
}
