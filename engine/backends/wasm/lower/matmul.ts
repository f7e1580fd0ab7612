/** Matrix products: blocks, packed operands, and inner axes that are cut into parts. */
import type { AttrsOf } from '../../../ops/index.ts';
import { matmulSizes } from '../../../ops/matmul.ts';
import { K } from '../kernels.generated.ts';
import { emitSum, fill, panelOf, tileBytes, type Lower, type Site } from './site.ts';

/** Rows and columns of a block of a product: small enough for the first caches, and for many threads to share evenly. */
function gemmBlocks(batch: number, m: number, n: number): [number, number] {
  for (const [rows, columns] of [
    [96, 128],
    [48, 256],
    [48, 128],
    [48, 64],
    [24, 64],
    [24, 32],
    [12, 32],
  ]) {
    if (batch * Math.ceil(m / rows) * Math.ceil(n / columns) >= 64) return [rows, columns];
  }
  return [K.MR, 32];
}

/** The address of a matrix and its strides in elements, to the next row, column and matrix of a batch. */
interface Matrices {
  readonly at: number;
  readonly row: number;
  readonly column: number;
  readonly next: number;
}

/** Emits the products [m, k] · [k, n] of a batch. The results are contiguous, from `to` on. */
function emitProducts(site: Site, a: Matrices, b: Matrices, to: number, size: readonly number[]): void {
  const { threads, emitWords, emitPieces, scratch } = site;
  const [batch, m, n, k] = size as readonly [number, number, number, number];
  const panel = panelOf(site);
  const sizeA = Math.ceil(m / K.MR) * K.MR * k;
  const sizeB = Math.ceil(n / panel) * panel * k;
  const packedA = scratch(batch * sizeA * 4);
  const packedB = scratch(batch * sizeB * 4);
  const wordsA = [a.at, packedA, m, k, a.row, a.column, batch, a.next, sizeA];
  const wordsB = [b.at, packedB, k, n, b.row, b.column, batch, b.next, sizeB];
  emitWords(K.K_PACK, ...wordsB, ...wordsA);
  const strides = [sizeA, sizeB, m * n];
  const blocks = gemmBlocks(batch, m, n);
  const corner = scratch(threads * tileBytes(site));
  const pieces = batch * Math.ceil(m / blocks[0]) * Math.ceil(n / blocks[1]);
  const words = [m, n, k, ...blocks, batch, ...strides, corner, tileBytes(site)];
  emitPieces(pieces, K.K_GEMM, packedA, packedB, to, ...words);
}

/** The longest inner axis that one accumulator adds up. Its rounding error grows with the length. */
const DEPTH = 4096;

export const matmul: Lower = (site) => {
  const { inputs, outputs, types, attrs, scratch } = site;
  const flags = attrs as AttrsOf<'matmul'>;
  const { batch, m, n, k } = matmulSizes(types, flags);
  if (batch * m * n === 0) return;
  if (k === 0) {
    fill(site);
    return;
  }
  const [aRow, aColumn] = flags.transA ? [1, m] : [k, 1];
  const [bRow, bColumn] = flags.transB ? [1, k] : [n, 1];
  const a: Matrices = { at: inputs[0], row: aRow, column: aColumn, next: m * k };
  const b: Matrices = { at: inputs[1], row: bRow, column: bColumn, next: k * n };
  const chunks = Math.ceil(k / DEPTH);
  if (chunks === 1 || batch > 1) {
    emitProducts(site, a, b, outputs[0], [batch, m, n, k]);
    return;
  }
  // All parts but the last have one length and are a batch. The last part may be shorter.
  const depth = Math.ceil(k / chunks);
  const partial = scratch(chunks * m * n * 4);
  for (const [first, count] of [
    [0, chunks - 1],
    [chunks - 1, 1],
  ]) {
    const from = first * depth;
    emitProducts(
      site,
      { ...a, at: a.at + from * aColumn * 4, next: depth * aColumn },
      { ...b, at: b.at + from * bRow * 4, next: depth * bRow },
      partial + first * m * n * 4,
      [count, m, n, Math.min(depth, k - from)],
    );
  }
  emitSum(site, partial, outputs[0], 1, chunks, m * n);
};
