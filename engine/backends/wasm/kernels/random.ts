// Random numbers: Philox4x32-10, as in engine/rng.ts, and what is made of its words.
import { Dropout, Random } from "./calls.generated";
import { splat, storeLanes } from "./simd";
import { firstTask } from "./team";

const M0: u64 = 0xd2511f53;
const M1: u64 = 0xcd9e8d57;

/** The four words of one block. */
function philox(k0: u32, k1: u32, block: u32, step: u32): v128 {
  let c0 = block;
  let c1: u32 = 0;
  let c2 = step;
  let c3: u32 = 0;
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
  return i32x4.replace_lane(i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(c0), 1, c1), 2, c2), 3, c3);
}

/** See dropout in engine/ops/random.ts. */
// @ts-ignore: decorator
@words("*x", "*y", "n", "*step", "key0", "key1", "threshold", "~scale")
export function dropout(call: Dropout, slice: i32, slices: i32): void {
  const x = call.x;
  const y = call.y;
  const n = call.n;
  const step = load<u32>(call.step);
  const threshold = <u32>call.threshold;
  const scale = call.scale;
  const blocks = (n + 3) >> 2;
  const end = firstTask(blocks, slice + 1, slices);
  for (let block = firstTask(blocks, slice, slices); block < end; block++) {
    const words = philox(call.key0, call.key1, block, step);
    const at = <usize>block << 4;
    const kept = i32x4.ge_u(words, i32x4.splat(threshold));
    const value = v128.and(f32x4.mul(v128.load(x + at), splat(scale)), kept);
    storeLanes(y + at, value, n - (block << 2));
  }
}

/** Normal or uniform numbers: see random in engine/ops/random.ts. */
// @ts-ignore: decorator
@words("*y", "n", "*step", "key0", "key1", "?normal")
export function random(call: Random, slice: i32, slices: i32): void {
  const y = call.y;
  const n = call.n;
  const step = load<u32>(call.step);
  const normal = call.normal;
  const blocks = (n + 3) >> 2;
  const end = firstTask(blocks, slice + 1, slices);
  for (let block = firstTask(blocks, slice, slices); block < end; block++) {
    const words = philox(call.key0, call.key1, block, step);
    let value: v128;
    if (normal) {
      value = f32x4.splat(normalOf(i32x4.extract_lane(words, 0)));
      value = f32x4.replace_lane(value, 1, normalOf(i32x4.extract_lane(words, 1)));
      value = f32x4.replace_lane(value, 2, normalOf(i32x4.extract_lane(words, 2)));
      value = f32x4.replace_lane(value, 3, normalOf(i32x4.extract_lane(words, 3)));
    } else {
      value = f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(words, 8)), splat(5.9604644775390625e-8));
    }
    storeLanes(y + (<usize>block << 4), value, n - (block << 2));
  }
}

/** As normalOf in engine/rng.ts, operation by operation: the same bits. */
function normalOf(word: u32): f32 {
  const u = (<f64>word + 0.5) / 4294967296.0;
  const q = u - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    let p = 2509.0809287301226727;
    p = p * r + 33430.575583588128105;
    p = p * r + 67265.770927008700853;
    p = p * r + 45921.953931549871457;
    p = p * r + 13731.693765509461125;
    p = p * r + 1971.5909503065514427;
    p = p * r + 133.14166789178437745;
    p = p * r + 3.387132872796366608;
    let d = 5226.495278852854561;
    d = d * r + 28729.085735721942674;
    d = d * r + 39307.89580009271061;
    d = d * r + 21213.794301586595867;
    d = d * r + 5394.1960214247511077;
    d = d * r + 687.1870074920579083;
    d = d * r + 42.313330701600911252;
    d = d * r + 1.0;
    return <f32>((q * p) / d);
  }
  const r = Math.sqrt(-lnOf(q < 0 ? u : 1.0 - u)) - 1.6;
  let p = 7.7454501427834140764e-4;
  p = p * r + 0.0227238449892691845833;
  p = p * r + 0.24178072517745061177;
  p = p * r + 1.27045825245236838258;
  p = p * r + 3.64784832476320460504;
  p = p * r + 5.7694972214606914055;
  p = p * r + 4.6303378461565452959;
  p = p * r + 1.42343711074968357734;
  let d = 1.05075007164441684324e-9;
  d = d * r + 5.475938084995344946e-4;
  d = d * r + 0.0151986665636164571966;
  d = d * r + 0.14810397642748007459;
  d = d * r + 0.68976733498510000455;
  d = d * r + 1.6763848301838038494;
  d = d * r + 2.05319162663775882187;
  d = d * r + 1.0;
  return <f32>(q < 0 ? -(p / d) : p / d);
}

/** ln x for 2^−33 <= x < 1, as lnOf in engine/rng.ts. */
function lnOf(x: f64): f64 {
  let exponent = 0.0;
  while (x < 0.7071067811865476) {
    x *= 2.0;
    exponent -= 1.0;
  }
  const s = (x - 1.0) / (x + 1.0);
  const z = s * s;
  let p = 1.0 / 21.0;
  for (let k = 19.0; k >= 1.0; k -= 2.0) p = p * z + 1.0 / k;
  return exponent * 0.6931471805599453 + 2.0 * s * p;
}
