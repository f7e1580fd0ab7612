/** Matrix products: blocks, packed operands, and inner axes that are cut into parts. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { matmulSizes } from '../../../ops/primitives/matmul.ts';
import { K } from '../kernels.generated.ts';
import { align, emitSum, fill, panelOf, tileBytes, type Lower, type LoweringContext } from './lowering.ts';

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

/** The matrices of a batch: where the first begins, and strides in elements to the next row, column and matrix. */
interface Matrices {
  readonly from: number;
  readonly rowStride: number;
  readonly columnStride: number;
  readonly fromStride: number;
}

/** Sizes of the products [m, k] · [k, n] of a batch. */
interface ProductSizes {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** From so many products on, each is one task, if its packed operands have no more than SMALL elements: they fit a second-level cache. */
const MANY = 64;
const SMALL = 32 * 1024;

/** Emits the products of a batch. The results are contiguous, from `to` on. */
function emitProducts(
  context: LoweringContext,
  left: Matrices,
  right: Matrices,
  to: number,
  sizes: ProductSizes,
): void {
  const { emit, scratch } = context;
  const { batch, m, n, k } = sizes;
  const panel = panelOf(context);
  const aStride = Math.ceil(m / K.MR) * K.MR * k;
  const bStride = Math.ceil(n / panel) * panel * k;
  if (batch >= MANY && Math.max(aStride, bStride) <= SMALL) {
    const cornerBytes = align(tileBytes(context));
    const aBytes = align(aStride * 4);
    const own = { packed: 0, packedStride: 0, batch };
    const words = {
      a: { ...left, ...own, rows: m, columns: k },
      b: { ...right, ...own, rows: k, columns: n },
      c: to,
      cornerBytes,
      aBytes,
      scratch: context.scratchPerThread(cornerBytes + aBytes + align(bStride * 4)),
    };
    emit('gemmEach', words, batch);
    return;
  }
  const packing = { ...right, rows: k, columns: n, batch, packedStride: bStride };
  const operands = left.columnStride === 1 ? asItLies() : packed();
  const [blockRows, blockColumns] = gemmBlocks(batch, m, n);
  const corner = context.scratchPerThread(tileBytes(context));
  const tasks = batch * Math.ceil(m / blockRows) * Math.ceil(n / blockColumns);
  const blocks = { blockRows, blockColumns, bStride, cStride: m * n, corner };
  emit('gemm', { ...operands, c: to, ...sizes, ...blocks }, tasks);

  /** The left operand is read where it lies, so only the right one is packed: once if it is constant. */
  function asItLies() {
    const { at: b, emit: emitPacking } = context.derived(1, batch * bStride * 4);
    emitPacking('packB', { ...packing, packed: b });
    return { a: left.from, b, aRow: left.rowStride, aStride: left.fromStride, packedLeft: false };
  }

  function packed() {
    const a = scratch(batch * aStride * 4);
    const b = scratch(batch * bStride * 4);
    emit('pack', {
      a: { ...left, packed: a, rows: m, columns: k, batch, packedStride: aStride },
      b: { ...packing, packed: b },
    });
    return { a, b, aRow: k, aStride, packedLeft: true };
  }
}

/** The longest inner axis that one accumulator adds up. Its rounding error grows with the length. */
const DEPTH = 4096;

export const matmul: Lower<AttrsOf<'matmul'>> = (context) => {
  const { inputs, outputs, types, attrs, scratch } = context;
  const { batch, m, n, k } = matmulSizes(types, attrs);
  if (batch * m * n === 0) return;
  if (k === 0) {
    fill(context);
    return;
  }
  const [aRow, aColumn] = attrs.transA ? [1, m] : [k, 1];
  const [bRow, bColumn] = attrs.transB ? [1, k] : [n, 1];
  const a: Matrices = { from: inputs[0], rowStride: aRow, columnStride: aColumn, fromStride: m * k };
  const b: Matrices = { from: inputs[1], rowStride: bRow, columnStride: bColumn, fromStride: k * n };
  const chunks = Math.ceil(k / DEPTH);
  if (chunks === 1 || batch > 1) {
    emitProducts(context, a, b, outputs[0], { batch, m, n, k });
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
      context,
      { ...a, from: a.from + from * aColumn * 4, fromStride: depth * aColumn },
      { ...b, from: b.from + from * bRow * 4, fromStride: depth * bRow },
      partial + first * m * n * 4,
      { batch: count, m, n, k: Math.min(depth, k - from) },
    );
  }
  emitSum(context, partial, outputs[0], 1, chunks, m * n);
};
