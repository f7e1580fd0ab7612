// Winograd's minimal filtering for convolutions of stride 1: tiles of T × T inputs give m × m outputs of an r × r filter,
// T = m + r − 1, with T² products in place of m² r². Three forms: F(4×4, 5×5) and F(6×6, 3×3) on tiles of 8, which share
// the points 0, ±1, ±2, ±½, ∞ and so the input transform, and F(4×4, 3×3) on tiles of 6 with 0, ±1, ±2, ∞.
//
//   forward          y  = Aᵀ [ Σ_c (G g Gᵀ) ⊙ (Bᵀ d B) ] A        one matrix product per frequency: tiles × channels
//   input gradient   the same with turned filters
//   weight gradient  dg = Gᵀ [ Σ_tiles (Bᵀ d B) ⊙ (A dy Aᵀ) ] G   one product per frequency: channels × filters
//
// A vector holds four channels, so the transforms are straight lines of vector arithmetic. Rows of a product are tiles
// and do not touch each other: how tiles are grouped into blocks and slices changes no bit of the result.
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
import { arg, ptr } from "./elementwise";
import { MR, NR } from "./gemm";
import { weightTile } from "./conv";
import { fma, relu4, splat, storeLanes } from "./simd";
import { share } from "./team";

// @ts-ignore: decorator
@inline function add(a: v128, b: v128): v128 {
  return f32x4.add(a, b);
}
// @ts-ignore: decorator
@inline function sub(a: v128, b: v128): v128 {
  return f32x4.sub(a, b);
}

/** One line of Bᵀ on tiles of 8. Strides in bytes. */
// @ts-ignore: decorator
@inline function inputLine8(x: usize, sx: usize, y: usize, sy: usize): void {
  const d0 = v128.load(x);
  x += sx;
  const d1 = v128.load(x);
  x += sx;
  const d2 = v128.load(x);
  x += sx;
  const d3 = v128.load(x);
  x += sx;
  const d4 = v128.load(x);
  x += sx;
  const d5 = v128.load(x);
  x += sx;
  const d6 = v128.load(x);
  x += sx;
  const d7 = v128.load(x);
  const e1 = fma(d4, splat(-4.25), add(d2, d6));
  const o1 = fma(d3, splat(-4.25), add(d1, d5));
  const e2 = fma(d4, splat(-1.25), fma(d2, splat(0.25), d6));
  const o2 = fma(d5, splat(2), fma(d3, splat(-2.5), f32x4.mul(d1, splat(0.5))));
  const e3 = fma(d4, splat(-5), fma(d2, splat(4), d6));
  const o3 = fma(d5, splat(0.5), fma(d3, splat(-2.5), add(d1, d1)));
  v128.store(y, fma(sub(d4, d2), splat(5.25), sub(d0, d6)));
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, fma(sub(d3, d5), splat(5.25), sub(d7, d1)));
}

/** One line of Bᵀ on tiles of 6. */
// @ts-ignore: decorator
@inline function inputLine6(x: usize, sx: usize, y: usize, sy: usize): void {
  const d0 = v128.load(x);
  x += sx;
  const d1 = v128.load(x);
  x += sx;
  const d2 = v128.load(x);
  x += sx;
  const d3 = v128.load(x);
  x += sx;
  const d4 = v128.load(x);
  x += sx;
  const d5 = v128.load(x);
  const e1 = fma(d2, splat(-4), d4);
  const o1 = fma(d1, splat(-4), d3);
  const e2 = sub(d4, d2);
  const o = sub(d3, d1);
  const o2 = add(o, o);
  v128.store(y, fma(d2, splat(-5), fma(d0, splat(4), d4)));
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, fma(d3, splat(-5), fma(d1, splat(4), d5)));
}

/** One line of Aᵀ: 8 -> 4. */
// @ts-ignore: decorator
@inline function outputLine84(x: usize, sx: usize, y: usize, sy: usize): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  x += sx;
  const m6 = v128.load(x);
  x += sx;
  const m7 = v128.load(x);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  v128.store(y, fma(s3, splat(8), add(add(m0, s1), s2)));
  y += sy;
  v128.store(y, fma(d3, splat(4), fma(d2, splat(2), d1)));
  y += sy;
  v128.store(y, fma(s3, splat(2), fma(s2, splat(4), s1)));
  y += sy;
  v128.store(y, add(fma(d2, splat(8), add(d1, d3)), m7));
}

/** One line of Aᵀ: 8 -> 6. */
// @ts-ignore: decorator
@inline function outputLine86(x: usize, sx: usize, y: usize, sy: usize): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  x += sx;
  const m6 = v128.load(x);
  x += sx;
  const m7 = v128.load(x);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  const s3 = add(m5, m6);
  const d3 = sub(m5, m6);
  v128.store(y, fma(s3, splat(32), add(add(m0, s1), s2)));
  y += sy;
  v128.store(y, fma(d3, splat(16), fma(d2, splat(2), d1)));
  y += sy;
  v128.store(y, fma(s3, splat(8), fma(s2, splat(4), s1)));
  y += sy;
  v128.store(y, fma(d3, splat(4), fma(d2, splat(8), d1)));
  y += sy;
  v128.store(y, fma(s3, splat(2), fma(s2, splat(16), s1)));
  y += sy;
  v128.store(y, add(fma(d2, splat(32), add(d1, d3)), m7));
}

/** One line of Aᵀ: 6 -> 4. */
// @ts-ignore: decorator
@inline function outputLine64(x: usize, sx: usize, y: usize, sy: usize): void {
  const m0 = v128.load(x);
  x += sx;
  const m1 = v128.load(x);
  x += sx;
  const m2 = v128.load(x);
  x += sx;
  const m3 = v128.load(x);
  x += sx;
  const m4 = v128.load(x);
  x += sx;
  const m5 = v128.load(x);
  const s1 = add(m1, m2);
  const d1 = sub(m1, m2);
  const s2 = add(m3, m4);
  const d2 = sub(m3, m4);
  v128.store(y, add(add(m0, s1), s2));
  y += sy;
  v128.store(y, fma(d2, splat(2), d1));
  y += sy;
  v128.store(y, fma(s2, splat(4), s1));
  y += sy;
  v128.store(y, add(fma(d2, splat(8), d1), m5));
}

/** One line of A: 4 -> 8, the adjoint of outputLine84. */
// @ts-ignore: decorator
@inline function gradLine48(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  const e1 = add(x0, x2);
  const o1 = add(x1, x3);
  const e2 = fma(x2, splat(4), x0);
  const o2 = fma(x3, splat(8), add(x1, x1));
  const e3 = fma(x0, splat(8), add(x2, x2));
  const o3 = fma(x1, splat(4), x3);
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, x3);
}

/** One line of A: 6 -> 8. */
// @ts-ignore: decorator
@inline function gradLine68(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  x += sx;
  const x4 = v128.load(x);
  x += sx;
  const x5 = v128.load(x);
  const e1 = add(add(x0, x2), x4);
  const o1 = add(add(x1, x3), x5);
  const e2 = fma(x4, splat(16), fma(x2, splat(4), x0));
  const o2 = fma(x5, splat(32), fma(x3, splat(8), add(x1, x1)));
  const e3 = fma(x0, splat(32), fma(x2, splat(8), add(x4, x4)));
  const o3 = fma(x1, splat(16), fma(x3, splat(4), x5));
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, add(e3, o3));
  y += sy;
  v128.store(y, sub(e3, o3));
  y += sy;
  v128.store(y, x5);
}

/** One line of A: 4 -> 6, the adjoint of outputLine64. */
// @ts-ignore: decorator
@inline function gradLine46(x: usize, sx: usize, y: usize, sy: usize): void {
  const x0 = v128.load(x);
  x += sx;
  const x1 = v128.load(x);
  x += sx;
  const x2 = v128.load(x);
  x += sx;
  const x3 = v128.load(x);
  const e1 = add(x0, x2);
  const o1 = add(x1, x3);
  const e2 = fma(x2, splat(4), x0);
  const o2 = fma(x3, splat(8), add(x1, x1));
  v128.store(y, x0);
  y += sy;
  v128.store(y, add(e1, o1));
  y += sy;
  v128.store(y, sub(e1, o1));
  y += sy;
  v128.store(y, add(e2, o2));
  y += sy;
  v128.store(y, sub(e2, o2));
  y += sy;
  v128.store(y, x3);
}

/** Four channels of a square of pixels, zero outside the image, as rows of vectors in `tile`. */
function gather(
  image: usize,
  tile: usize,
  height: i32,
  width: i32,
  pixel: usize,
  top: i32,
  left: i32,
  size: i32,
): void {
  const row = <usize>width * pixel;
  const first = max(0, -left);
  const last = max(min(size, width - left), first);
  for (let i = 0; i < size; i++, tile += <usize>size << 4) {
    const y = top + i;
    if (y < 0 || y >= height) {
      // Loops of stores: a call of the engine's fill costs more than the few vectors it would write.
      for (let j = 0; j < size; j++) v128.store(tile + (<usize>j << 4), splat(0));
      continue;
    }
    let from = image + <usize>y * row + <usize>(left + first) * pixel;
    for (let j = 0; j < first; j++) v128.store(tile + (<usize>j << 4), splat(0));
    for (let j = first; j < last; j++, from += pixel) v128.store(tile + (<usize>j << 4), v128.load(from));
    for (let j = last; j < size; j++) v128.store(tile + (<usize>j << 4), splat(0));
  }
}

/** Bᵀ d B of one tile and four channels: result (i, j) at to + (i · T + j) · step. `work` holds T² vectors twice. */
function inputTile(work: usize, to: usize, step: usize, size: i32): void {
  const half = work + 1024;
  if (size == 8) {
    for (let j: usize = 0; j < 8; j++) inputLine8(work + (j << 4), 128, half + (j << 4), 128);
    for (let i: usize = 0; i < 8; i++) inputLine8(half + (i << 7), 16, to + 8 * i * step, step);
  } else {
    for (let j: usize = 0; j < 6; j++) inputLine6(work + (j << 4), 96, half + (j << 4), 96);
    for (let i: usize = 0; i < 6; i++) inputLine6(half + i * 96, 16, to + 6 * i * step, step);
  }
}

/** Aᵀ M A of one tile and four filters, as m rows of m vectors in `work` (which holds two such squares). */
function outputTile(from: usize, step: usize, work: usize, size: i32, m: i32): void {
  const half = work + 1024;
  if (size == 8 && m == 4) {
    for (let j: usize = 0; j < 8; j++) outputLine84(from + j * step, 8 * step, half + (j << 4), 128);
    for (let i: usize = 0; i < 4; i++) outputLine84(half + (i << 7), 16, work + (i << 6), 16);
  } else if (size == 8) {
    for (let j: usize = 0; j < 8; j++) outputLine86(from + j * step, 8 * step, half + (j << 4), 128);
    for (let i: usize = 0; i < 6; i++) outputLine86(half + (i << 7), 16, work + i * 96, 16);
  } else {
    for (let j: usize = 0; j < 6; j++) outputLine64(from + j * step, 6 * step, half + (j << 4), 96);
    for (let i: usize = 0; i < 4; i++) outputLine64(half + i * 96, 16, work + (i << 6), 16);
  }
}

/** A dy Aᵀ of one tile and four filters, laid out like inputTile's result. */
function gradTile(work: usize, to: usize, step: usize, size: i32, m: i32): void {
  const half = work + 1024;
  if (size == 8 && m == 4) {
    for (let j: usize = 0; j < 4; j++) gradLine48(work + (j << 4), 64, half + (j << 4), 64);
    for (let i: usize = 0; i < 8; i++) gradLine48(half + (i << 6), 16, to + 8 * i * step, step);
  } else if (size == 8) {
    for (let j: usize = 0; j < 6; j++) gradLine68(work + (j << 4), 96, half + (j << 4), 96);
    for (let i: usize = 0; i < 8; i++) gradLine68(half + i * 96, 16, to + 8 * i * step, step);
  } else {
    for (let j: usize = 0; j < 4; j++) gradLine46(work + (j << 4), 64, half + (j << 4), 64);
    for (let i: usize = 0; i < 6; i++) gradLine46(half + (i << 6), 16, to + 6 * i * step, step);
  }
}

/**
 * Filters into the transformed domain, packed in panels of NR columns for each frequency: G g Gᵀ.
 * w [r, r, C, O], packed, T, r, C, O, address of G (T × r floats), turned, scratch, scratch bytes per thread. Turned
 * exchanges C and O and rotates by 180 degrees, for the input gradient: rows are O, columns C.
 */
export function transformFilters(a: usize, thread: i32, threads: i32): void {
  const packed = ptr(a, 1);
  const size = arg(a, 2);
  const r = arg(a, 3);
  const channels = arg(a, 4);
  const filters = arg(a, 5);
  const g = ptr(a, 6);
  const turned = arg(a, 7) != 0;
  const taps = ptr(a, 8) + <usize>thread * <usize>arg(a, 9); // r × r panels
  const half = taps + 1024; // T × r panels
  const rows = turned ? filters : channels;
  const columns = turned ? channels : filters;
  const panels = (columns + NR - 1) / NR;
  const frequency = <usize>(panels * rows * NR) << 2;
  const end = share(rows * panels, thread + 1, threads);
  for (let task = share(rows * panels, thread, threads); task < end; task++) {
    const panel = task / rows;
    const row = task - panel * rows;
    const first = panel * NR;
    const valid = min(NR, columns - first);
    for (let tap = 0; tap < r * r; tap++) {
      const to = taps + (<usize>(tap * NR) << 2);
      if (turned) {
        let from = ptr(a, 0) + (<usize>(((r * r - 1 - tap) * channels + first) * filters + row) << 2);
        for (let j = 0; j < NR; j++, from += <usize>filters << 2) {
          store<f32>(to + (<usize>j << 2), j < valid ? load<f32>(from) : 0);
        }
      } else {
        const from = ptr(a, 0) + (<usize>((tap * channels + row) * filters + first) << 2);
        if (valid < NR) memory.fill(to, 0, NR << 2);
        memory.copy(to, from, <usize>valid << 2);
      }
    }
    for (let u = 0; u < size; u++) {
      for (let x = 0; x < r; x++) {
        let s0 = splat(0);
        let s1 = splat(0);
        for (let y = 0; y < r; y++) {
          const factor = v128.load32_splat(g + (<usize>(u * r + y) << 2));
          const from = taps + (<usize>((y * r + x) * NR) << 2);
          s0 = fma(factor, v128.load(from), s0);
          s1 = fma(factor, v128.load(from, 16), s1);
        }
        const to = half + (<usize>((u * r + x) * NR) << 2);
        v128.store(to, s0);
        v128.store(to, s1, 16);
      }
    }
    let to = packed + (<usize>(task * NR) << 2);
    for (let u = 0; u < size; u++) {
      for (let v = 0; v < size; v++, to += frequency) {
        let s0 = splat(0);
        let s1 = splat(0);
        for (let x = 0; x < r; x++) {
          const factor = v128.load32_splat(g + (<usize>(v * r + x) << 2));
          const from = half + (<usize>((u * r + x) * NR) << 2);
          s0 = fma(factor, v128.load(from), s0);
          s1 = fma(factor, v128.load(from, 16), s1);
        }
        v128.store(to, s0);
        v128.store(to, s1, 16);
      }
    }
  }
}

/** Six rows (tiles) × eight columns (filters): c = a · b, rows of a and c ld bytes apart, b packed. */
export function product(a: usize, lda: usize, b: usize, c: usize, ldc: usize, depth: i32): void {
  let p0 = a;
  let p1 = p0 + lda;
  let p2 = p1 + lda;
  let p3 = p2 + lda;
  let p4 = p3 + lda;
  let p5 = p4 + lda;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00;
  let c30 = c00, c31 = c00, c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (; depth > 0; depth--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(p0);
    c00 = fma(x, b0, c00); c01 = fma(x, b1, c01);
    x = v128.load32_splat(p1);
    c10 = fma(x, b0, c10); c11 = fma(x, b1, c11);
    x = v128.load32_splat(p2);
    c20 = fma(x, b0, c20); c21 = fma(x, b1, c21);
    x = v128.load32_splat(p3);
    c30 = fma(x, b0, c30); c31 = fma(x, b1, c31);
    x = v128.load32_splat(p4);
    c40 = fma(x, b0, c40); c41 = fma(x, b1, c41);
    x = v128.load32_splat(p5);
    c50 = fma(x, b0, c50); c51 = fma(x, b1, c51);
    p0 += 4; p1 += 4; p2 += 4; p3 += 4; p4 += 4; p5 += 4;
    b += 32;
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  c += ldc; v128.store(c, c10); v128.store(c, c11, 16);
  c += ldc; v128.store(c, c20); v128.store(c, c21, 16);
  c += ldc; v128.store(c, c30); v128.store(c, c31, 16);
  c += ldc; v128.store(c, c40); v128.store(c, c41, 16);
  c += ldc; v128.store(c, c50); v128.store(c, c51, 16);
}

/** Room for the squares that a transform works on. */
const WORK: usize = 2048;

/**
 * The forward pass, and with turned filters the input gradient.
 * x, packed filters, y, images, height, width, channels, filters, pad top and left, output height and width, T, m,
 * tiles of a block (a multiple of MR), bytes of a block of inputs and of outputs in one frequency, scratch, scratch bytes
 * per thread, bias or 0, relu
 */
export function winograd(a: usize, thread: i32, threads: i32): void {
  const height = arg(a, 4);
  const width = arg(a, 5);
  const channels = arg(a, 6);
  const filters = arg(a, 7);
  const outHeight = arg(a, 10);
  const outWidth = arg(a, 11);
  const size = arg(a, 12);
  const m = arg(a, 13);
  const block = arg(a, 14);
  const inputStep = <usize>arg(a, 15);
  const outputStep = <usize>arg(a, 16);
  const work = ptr(a, 17) + <usize>thread * <usize>arg(a, 18);
  const bias = ptr(a, 19);
  const relu = arg(a, 20) != 0;
  const tileRows = (outHeight + m - 1) / m;
  const tileColumns = (outWidth + m - 1) / m;
  const perImage = tileRows * tileColumns;
  const tiles = arg(a, 3) * perImage;
  const pixel = <usize>channels << 2;
  const outPixel = <usize>filters << 2;
  const panels = (filters + NR - 1) / NR;
  const lda = <usize>((channels + 3) & ~3) << 2;
  const ldc = <usize>(panels * NR) << 2;
  const inputs = work + WORK;
  const outputs = inputs + <usize>(size * size) * inputStep;
  const panelBytes = <usize>(channels * NR) << 2;

  const end = share(tiles, thread + 1, threads);
  for (let begin = share(tiles, thread, threads); begin < end; begin += block) {
    const count = min(block, end - begin);
    for (let t = 0; t < count; t++) {
      const tile = begin + t;
      const image = tile / perImage;
      const place = tile - image * perImage;
      const ty = place / tileColumns;
      const from = ptr(a, 0) + <usize>(image * height * width) * pixel;
      const top = ty * m - arg(a, 8);
      const left = (place - ty * tileColumns) * m - arg(a, 9);
      for (let c: usize = 0; c < pixel; c += 16) {
        gather(from + c, work, height, width, pixel, top, left, size);
        inputTile(work, inputs + <usize>t * lda + c, inputStep, size);
      }
    }
    for (let f = 0; f < size * size; f++) {
      const left = inputs + <usize>f * inputStep;
      const right = ptr(a, 1) + <usize>(f * panels) * panelBytes;
      const to = outputs + <usize>f * outputStep;
      for (let panel = 0; panel < panels; panel++) {
        const b = right + <usize>panel * panelBytes;
        for (let t = 0; t < count; t += MR) {
          product(left + <usize>t * lda, lda, b, to + <usize>t * ldc + (<usize>(panel * NR) << 2), ldc, channels);
        }
      }
    }
    for (let t = 0; t < count; t++) {
      const tile = begin + t;
      const image = tile / perImage;
      const place = tile - image * perImage;
      const ty = place / tileColumns;
      const oy = ty * m;
      const ox = (place - ty * tileColumns) * m;
      const rows = min(m, outHeight - oy);
      const columns = min(m, outWidth - ox);
      const origin = ptr(a, 2) + <usize>((image * outHeight + oy) * outWidth + ox) * outPixel;
      for (let o = 0; o < filters; o += 4) {
        outputTile(outputs + <usize>t * ldc + (<usize>o << 2), outputStep, work, size, m);
        const shift = bias != 0 ? v128.load(bias + (<usize>o << 2)) : splat(0);
        for (let i = 0; i < rows; i++) {
          let to = origin + <usize>(i * outWidth) * outPixel + (<usize>o << 2);
          let from = work + (<usize>(i * m) << 4);
          for (let j = 0; j < columns; j++, to += outPixel, from += 16) {
            let value = add(v128.load(from), shift);
            if (relu) value = relu4(value);
            storeLanes(to, value, filters - o);
          }
        }
      }
    }
  }
}

/**
 * Partial weight gradients in the transformed domain, one for each chunk of tiles: T² matrices of C (padded to a multiple
 * of MR) × O (padded to one of NR).
 * x, g, partial, images, height, width, channels, filters, pad top and left, output height and width, T, m, chunks,
 * tiles of a block, bytes of a block of inputs and of gradients in one frequency, scratch, scratch bytes per thread,
 * address of the sums of g of each chunk [chunks, O] or 0
 */
export function winogradGradWeight(a: usize, thread: i32, threads: i32): void {
  const height = arg(a, 4);
  const width = arg(a, 5);
  const channels = arg(a, 6);
  const filters = arg(a, 7);
  const outHeight = arg(a, 10);
  const outWidth = arg(a, 11);
  const size = arg(a, 12);
  const m = arg(a, 13);
  const chunks = arg(a, 14);
  const block = arg(a, 15);
  const inputStep = <usize>arg(a, 16);
  const gradStep = <usize>arg(a, 17);
  const work = ptr(a, 18) + <usize>thread * <usize>arg(a, 19);
  const totals = ptr(a, 20);
  const tileRows = (outHeight + m - 1) / m;
  const tileColumns = (outWidth + m - 1) / m;
  const perImage = tileRows * tileColumns;
  const tiles = arg(a, 3) * perImage;
  const pixel = <usize>channels << 2;
  const outPixel = <usize>filters << 2;
  const lda = <usize>((channels + 3) & ~3) << 2;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const inputs = work + WORK;
  const grads = inputs + <usize>(size * size) * inputStep;
  const frequency = <usize>((channels + MR - 1) / MR * MR) * ldb;

  const end = share(chunks, thread + 1, threads);
  for (let chunk = share(chunks, thread, threads); chunk < end; chunk++) {
    const last = share(tiles, chunk + 1, chunks);
    const first = share(tiles, chunk, chunks);
    const partial = ptr(a, 2) + <usize>(chunk * size * size) * frequency;
    for (let begin = first; begin < last; begin += block) {
      const count = min(block, last - begin);
      for (let t = 0; t < count; t++) {
        const tile = begin + t;
        const image = tile / perImage;
        const place = tile - image * perImage;
        const ty = place / tileColumns;
        const oy = ty * m;
        const ox = (place - ty * tileColumns) * m;
        const x = ptr(a, 0) + <usize>(image * height * width) * pixel;
        for (let c: usize = 0; c < pixel; c += 16) {
          gather(x + c, work, height, width, pixel, oy - arg(a, 8), ox - arg(a, 9), size);
          inputTile(work, inputs + <usize>t * lda + c, inputStep, size);
        }
        const g = ptr(a, 1) + <usize>(image * outHeight * outWidth) * outPixel;
        for (let o: usize = 0; o < outPixel; o += 16) {
          gather(g + o, work, outHeight, outWidth, outPixel, oy, ox, m);
          gradTile(work, grads + <usize>t * ldb + o, gradStep, size, m);
        }
      }
      if (totals != 0) {
        // The row of A for the point 1 is all ones: that frequency of a tile is the sum of its gradients.
        addRows(grads + <usize>(size + 1) * gradStep, count, ldb, totals + <usize>chunk * outPixel, filters, begin == first);
      }
      for (let f = 0; f < size * size; f++) {
        const left = inputs + <usize>f * inputStep;
        const right = grads + <usize>f * gradStep;
        const to = partial + <usize>f * frequency;
        for (let o: usize = 0; o < ldb; o += NR * 4) {
          for (let c = 0; c < channels; c += MR) {
            const at = to + <usize>c * ldb + o;
            weightTile(left + (<usize>c << 2), right + o, 1, count, lda, 0, ldb, 0, at, ldb, begin == first);
          }
        }
      }
    }
  }
}

/** total = (fresh ? 0 : total) + the sum of rows that lie ld bytes apart. */
function addRows(rows: usize, count: i32, ld: usize, total: usize, columns: i32, fresh: bool): void {
  for (let c = 0; c < columns; c += 4) {
    const at = <usize>c << 2;
    let sum = splat(0);
    for (let r = 0; r < count; r++) sum = add(sum, v128.load(rows + <usize>r * ld + at));
    storeLanes(total + at, fresh ? sum : add(sum, v128.load(total + at)), columns - c);
  }
}

/**
 * Adds the partial weight gradients in order of their chunks and leaves the transformed domain: Gᵀ dU G.
 * partial, dw [r, r, C, O], T, r, C, O, chunks, address of G, scratch, scratch bytes per thread
 */
export function winogradFinishWeight(a: usize, thread: i32, threads: i32): void {
  const size = arg(a, 2);
  const r = arg(a, 3);
  const channels = arg(a, 4);
  const filters = arg(a, 5);
  const chunks = arg(a, 6);
  const g = ptr(a, 7);
  const sums = ptr(a, 8) + <usize>thread * <usize>arg(a, 9);
  const half = sums + 1024;
  const ldb = <usize>((filters + NR - 1) / NR * NR) << 2;
  const frequency = <usize>((channels + MR - 1) / MR * MR) * ldb;
  const chunkBytes = <usize>(size * size) * frequency;
  const groups = (filters + 3) >> 2;
  const tasks = channels * groups;
  const end = share(tasks, thread + 1, threads);
  for (let task = share(tasks, thread, threads); task < end; task++) {
    const c = task / groups;
    const o = (task - c * groups) << 2;
    const from = ptr(a, 0) + <usize>c * ldb + (<usize>o << 2);
    for (let f = 0; f < size * size; f++) {
      let p = from + <usize>f * frequency;
      let sum = v128.load(p);
      for (let chunk = 1; chunk < chunks; chunk++) {
        p += chunkBytes;
        sum = add(sum, v128.load(p));
      }
      v128.store(sums + (<usize>f << 4), sum);
    }
    for (let y = 0; y < r; y++) {
      for (let v = 0; v < size; v++) {
        let sum = splat(0);
        for (let u = 0; u < size; u++) {
          sum = fma(v128.load32_splat(g + (<usize>(u * r + y) << 2)), v128.load(sums + (<usize>(u * size + v) << 4)), sum);
        }
        v128.store(half + (<usize>(y * size + v) << 4), sum);
      }
    }
    for (let y = 0; y < r; y++) {
      for (let x = 0; x < r; x++) {
        let sum = splat(0);
        for (let v = 0; v < size; v++) {
          sum = fma(v128.load32_splat(g + (<usize>(v * r + x) << 2)), v128.load(half + (<usize>(y * size + v) << 4)), sum);
        }
        storeLanes(ptr(a, 1) + (<usize>(((y * r + x) * channels + c) * filters + o) << 2), sum, filters - o);
      }
    }
  }
}
