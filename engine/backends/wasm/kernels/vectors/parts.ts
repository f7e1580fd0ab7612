// What the transforms of transforms.generated.ts are made of.
import { fma, fnma } from "../simd";

// @ts-ignore: decorator
@inline export function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline export function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

/**
 * The factor at an address. Factors come from memory, since V8 makes a constant of 256 bits anew wherever it is used
 * (transforms took up to twice as long).
 */
// @ts-ignore: decorator
@inline export function factor(at: usize): v128 {
  return v128.load32_splat(at);
}

/**
 * The address of a vector of a 1-D transform, `stride` bytes after the one before. A known stride becomes part of the
 * instruction. An unknown one is added to the address before, as multiples of it would need more registers than there are.
 */
// @ts-ignore: decorator
@inline export function next(first: usize, before: usize, index: usize, stride: usize, known: bool): usize {
  return known ? first + index * stride : before + stride;
}

/** Stores even ± p · odd: rows ±p of a transform. */
// @ts-ignore: decorator
@inline export function storePair(plus: usize, minus: usize, even: v128, odd: v128, p: v128): void {
  v128.store(plus, fma(odd, p, even));
  v128.store(minus, fnma(odd, p, even));
}

/** Stores an output, in the second pass with the bias and no less than `floor`: 0 for relu. */
// @ts-ignore: decorator
@inline export function finish(to: usize, value: v128, last: bool, shift: v128, floor: v128): void {
  if (last) {
    // Keeps NaN, which is not below the floor.
    value = f32x4.pmax(add(value, shift), floor);
  }
  v128.store(to, value);
}
