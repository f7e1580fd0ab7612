/**
 * Which tiles a matrix product is cut into: a small cost model by shape. What it assumes of the machine stands for a large
 * GPU and was not measured; a wrong guess costs time, never correctness.
 */
import type { WgslLimits } from './template.ts';

/** A workgroup makes `m` × `n` results, `k` terms at a time; a thread of it `rows` × `columns`. */
export interface Tile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly rows: number;
  readonly columns: number;
}

export interface Tiling {
  readonly tile: Tile;
  /** The parts into which the sum is split: they are stored in scratch memory and added up by a second module. */
  readonly splits: number;
  /** Terms of one part: a multiple of the tile's. */
  readonly part: number;
}

export interface ProductSize {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

const tile = (m: number, n: number, k: number, rows: number, columns: number): Tile => ({
  m,
  n,
  k,
  rows,
  columns,
});

/** From large to small; the first of equals is taken. */
export const TILES: readonly Tile[] = [
  tile(128, 128, 8, 8, 8),
  tile(128, 64, 16, 8, 4),
  tile(64, 128, 16, 4, 8),
  tile(64, 64, 16, 4, 4),
  tile(128, 32, 16, 8, 4),
  tile(64, 32, 16, 4, 4),
  tile(32, 64, 16, 4, 4),
  tile(128, 16, 16, 8, 4),
  tile(32, 32, 16, 4, 4),
  tile(64, 16, 16, 4, 4),
  tile(16, 64, 16, 4, 4),
  tile(32, 16, 16, 4, 4),
  tile(16, 32, 16, 4, 4),
];

export const threadsOf = (t: Tile): number => (t.m / t.rows) * (t.n / t.columns);

/** Bytes of workgroup memory: both operands, with a column of four beside each row against bank conflicts. */
export const sharedBytesOf = (t: Tile): number => 4 * t.k * (t.m + 4 + t.n + 4);

/** The machine of the model: multiprocessors, multiply-adds of one in a cycle, bytes a cycle from memory and from its cache, threads to keep it busy. */
const CORES = 128;
const LANES = 128;
const BYTES_PER_CYCLE = 1500;
const CACHED_BYTES_PER_CYCLE = 2000;
const BUSY_THREADS = 512;
/** Cycles of a dispatch that waits for another, and of a round through memory and two barriers. */
const DISPATCH = 4000;
const ROUND = 800;

const fits = (t: Tile, limits: WgslLimits): boolean =>
  threadsOf(t) <= Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX) &&
  sharedBytesOf(t) <= limits.maxComputeWorkgroupStorageSize;

/** Estimated cycles of one product in this tiling. */
export function cycles({ batch, m, n, k }: ProductSize, t: Tile, splits: number): number {
  const groups = Math.ceil(m / t.m) * Math.ceil(n / t.n) * batch * splits;
  const rounds = Math.ceil(k / splits / t.k);
  const threads = threadsOf(t);
  const arithmetic = (t.m * t.n * t.k) / LANES;
  // A thread loads rows + columns values for rows · columns multiply-adds; neighbors share half of the loads.
  const shared = (threads * t.k * (t.rows + t.columns)) / (LANES / 2);
  const work = rounds * (arithmetic + shared) + (t.m * t.n) / LANES;
  const together = Math.max(1, Math.floor(BUSY_THREADS / threads));
  const perCore = Math.ceil(groups / CORES);
  const waves = Math.ceil(perCore / together);
  const traffic = (groups * rounds * 4 * t.k * (t.m + t.n)) / CACHED_BYTES_PER_CYCLE;
  // Nothing overlaps the last tile, so among equals the smaller one wins.
  const product = Math.max(perCore * work, waves * rounds * ROUND, traffic) + work / 10;
  if (splits === 1) return product;
  return product + DISPATCH + (2 * 4 * batch * m * n * splits) / BYTES_PER_CYCLE;
}

/** The tiling with the lowest estimate; null when the device's limits fit no tile. Equal shapes give equal tilings. */
export function chooseTiling(size: ProductSize, limits: WgslLimits): Tiling | null {
  let best: Tiling | null = null;
  let least = Infinity;
  for (const candidate of TILES) {
    if (!fits(candidate, limits)) continue;
    const rounds = Math.max(1, Math.ceil(size.k / candidate.k));
    for (let splits = 1; splits <= Math.min(rounds, 256); splits *= 2) {
      const tiling = cut(size, candidate, splits);
      const bytes = 4 * size.batch * size.m * size.n * tiling.splits;
      if (tiling.splits > 1 && bytes > limits.maxStorageBufferBindingSize) break;
      const estimate = cycles(size, candidate, tiling.splits);
      if (estimate >= least) continue;
      least = estimate;
      best = tiling;
    }
  }
  return best;
}

/** The sum in about `splits` equal parts of whole tiles; none is empty. */
export function cut({ k }: ProductSize, t: Tile, splits: number): Tiling {
  const rounds = Math.max(1, Math.ceil(k / t.k));
  const each = Math.ceil(rounds / splits);
  return { tile: t, splits: Math.ceil(rounds / each), part: each * t.k };
}
