/**
 * Winograd's minimal filtering on one of five tile forms (build/winograd-points.js has their points). The choice depends on the
 * shape alone, by a cost model in cycles.
 */
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K, TRANSFORMS } from '../kernels.generated.ts';
import { convolutionOf, roundUp, type Geometry, type Pass } from './geometry.ts';
import { align, panelOf, tileBytes, type LoweringContext } from './lowering.ts';
import { positionsCycles } from './positions.ts';

/** A 1-D transform: F(m, r) computes m outputs of a filter of r taps from `size` values. */
interface Transform {
  readonly size: number;
  readonly m: number;
  readonly r: number;
  /** [size, r]: the filter transform G. */
  readonly g: Float32Array;
  /** The factors that the kernels read from a table, where they are more than the registers. */
  readonly factors: Float32Array;
}

/** F(m × n, r × r): how the columns of a tile are transformed, and how its rows. */
export interface WinogradForm {
  readonly down: Transform;
  readonly across: Transform;
  /** Channels up to which the error of a pass stays in its bound: it grows with the root of the number of products that are added. */
  readonly deepest: number;
  /** Tiles up to which a weight gradient, which adds over them, keeps to its bound. */
  readonly tiles: number;
  /** The part of the time that it has to be expected to save: oblong tiles are less exact. */
  readonly worth: number;
}

const { F85, F83, F45, F63, F43 } = TRANSFORMS;
/** Takes it wherever it is expected to be fastest. */
const ANYWHERE = { deepest: Infinity, tiles: Infinity, worth: 0 };
const FORMS: readonly WinogradForm[] = [
  { down: F45, across: F45, ...ANYWHERE },
  { down: F63, across: F63, ...ANYWHERE },
  { down: F43, across: F43, ...ANYWHERE },
  // Largest errors in parts of the largest result, of normal numbers and 100 images of 16 × 16 or 8 × 8: of 32 channels 3.4e-5 to
  // 4.6e-5 (12 draws), in F(4×4, 5×5) up to 6e-6. Weight gradients of up to 1024 tiles have 3.4e-5 to 4.4e-5 (five shapes, 12 draws each).
  { down: F85, across: F45, deepest: 32, tiles: 1024, worth: 0.1 },
  // Of 32, 64 and 128 channels up to 1.2e-5, 1.4e-5, 1.6e-5 (6 draws), of 256 up to 2.6e-5; in F(4×4, 3×3) a fifth to a tenth of that.
  { down: F83, across: F43, deepest: 128, tiles: Infinity, worth: 0.05 },
];

/** How many values a tile has, each with a matrix product of its own. */
const elementsOf = ({ down, across }: WinogradForm): number => down.size * across.size;

/**
 * Cycles of one vector's way through one line of a transform, with its loads and stores, by size: measured on a Zen 4 with
 * vectors of 128 bits, and the input lines of ten and six, which decide between the forms for 3×3, on a Zen 5 with 256.
 */
const LINES: Readonly<Record<number, { readonly input: number; readonly output: number }>> = {
  12: { input: 50, output: 28 },
  10: { input: 25, output: 24 },
  8: { input: 18, output: 12 },
  6: { input: 12, output: 8 },
};
/** Products of 8 lanes a cycle that the kernels reach, of 1 possible. */
const DIRECT_SHARE = 0.75;
const WINOGRAD_SHARE = 0.8;

/** Channels that have products of their own, with the filters in registers: those of colour images. */
const FEW = 3;

function tilesOf({ down, across }: WinogradForm, images: number, output: readonly [number, number]): number {
  return images * Math.ceil(output[0] / down.m) * Math.ceil(output[1] / across.m);
}

export function directCycles({ images, output, kernel, channels, filters }: Geometry): number {
  return (images * sizeOf(output) * sizeOf(kernel) * channels * roundUp(filters, K.NR)) / 8 / DIRECT_SHARE;
}

function winogradCycles(form: WinogradForm, pass: Geometry): number {
  const { down, across } = form;
  const { channels, filters } = pass;
  const products = (elementsOf(form) * channels * roundUp(filters, K.NR)) / 8 / WINOGRAD_SHARE;
  const columns = LINES[down.size];
  const rows = LINES[across.size];
  const input = Math.ceil(channels / 4) * (across.size * columns.input + down.size * rows.input);
  const output = Math.ceil(filters / 4) * (across.size * columns.output + down.m * rows.output);
  return tilesOf(form, pass.images, pass.output) * (products + input + output);
}

/** Bytes that stay in the second-level cache beside what else is in use. */
const CACHE_BYTES = 448 * 1024;

/** Bytes of the transformed filters, in panels of so many columns. */
const filterBytes = (
  form: WinogradForm,
  { channels, filters }: Pick<Geometry, 'channels' | 'filters'>,
  panel: number = K.NR,
): number => elementsOf(form) * channels * roundUp(filters, panel) * 4;

/** The Winograd form that is expected to be fastest, or null where a direct kernel is. */
export function chooseForm(pass: Geometry, context: LoweringContext, weights: boolean): WinogradForm | null {
  const { kernel, stride, pad, channels } = pass;
  if (context.convolution === 'direct') return null;
  let best: WinogradForm | null = null;
  let cost = Math.min(directCycles(pass), positionsCycles(pass));
  for (const form of FORMS) {
    const { r, size } = form.down;
    // Twelve rows have so many filters that fetching them anew for every block costs what their products save.
    const slow = size === 12 && filterBytes(form, pass) > CACHE_BYTES;
    const fine = weights
      ? tilesOf(form, pass.images, pass.output) <= form.tiles
      : channels <= form.deepest && !slow;
    const fits =
      kernel[0] === r && kernel[1] === r && Math.max(...stride) === 1 && pad.every((p) => p >= 0 && p < r);
    if (!fits || !fine) continue;
    const own = winogradCycles(form, pass);
    if (own < cost * (1 - form.worth)) {
      cost = own;
      best = form;
    }
  }
  return best;
}

/**
 * Tiles of a block: a multiple of the register tile's rows. Blocks stay in the second-level cache, unless the filters alone
 * do not: then their way from memory weighs more, and larger blocks make it less often.
 */
function blockOf(form: WinogradForm, channels: number, filters: number): number {
  const elements = elementsOf(form);
  const each = elements * (roundUp(channels, K.LANES) + roundUp(filters, K.NR)) * 4;
  const fitting = Math.floor(CACHE_BYTES / each / K.MR) * K.MR;
  return Math.max(
    filterBytes(form, { channels, filters }) > CACHE_BYTES ? 4 * K.MR : K.MR,
    Math.min(8 * K.MR, fitting),
  );
}

/** Bytes from one tile of a block to the next: an odd number of cache lines, so that tiles do not share a few cache sets. */
function tileStep(form: WinogradForm, columns: number): number {
  return (Math.ceil((elementsOf(form) * columns * 4) / 64) | 1) * 64;
}

/** The words that all kernels on tiles share; scratch memory has `blockBytes` for blocks of tiles. */
function tileWords(
  context: LoweringContext,
  { down, across }: WinogradForm,
  geometry: Geometry,
  x: number,
  blockTiles: number,
  [inputStep, outputStep]: readonly [number, number],
  blockBytes: number,
): StructOf<'Tiles'> {
  const { channels, filters, output } = geometry;
  const tileColumns = Math.ceil(output[1] / across.m);
  const rows = down.size * ((tileColumns - 1) * across.m + across.size) * channels;
  const gradRows = down.m * tileColumns * across.m * filters;
  const workBytes = K.TILE_SCRATCH * context.lanes * 4;
  const paddedBytes = align(Math.max(rows, gradRows) * 4 + 64);
  return {
    ...convolutionOf(geometry),
    x,
    tall: down.size,
    wide: across.size,
    m: down.m,
    n: across.m,
    factors: context.table(down.factors),
    blockTiles,
    inputStep,
    outputStep,
    workBytes,
    paddedBytes,
    scratch: context.scratchPerThread(align(workBytes + paddedBytes + blockBytes)),
  };
}

/** Groups of tiles that go through a product together. */
const groupsOf = (form: WinogradForm, { images, output }: Geometry): number =>
  Math.ceil(tilesOf(form, images, output) / K.MR);

/**
 * Into how many parts the filters are cut where there are few tiles, each of which transforms its tiles anew: as few as let 16
 * threads share evenly enough.
 */
function partsOf(form: WinogradForm, pass: Geometry, panel: number): number {
  const groups = groupsOf(form, pass);
  const panels = Math.ceil(pass.filters / panel);
  for (let parts = 1; parts < panels; parts++) {
    const each = (groups * parts) / 16;
    if (Math.ceil(each) <= 1.25 * each) return parts;
  }
  return panels;
}

export function emitWinograd(context: LoweringContext, form: WinogradForm, pass: Pass): void {
  const { channels, filters, y, bias, relu } = pass;
  const { emit, lanes } = context;
  const panel = panelOf(context);
  context.note(nameOf(form));
  const packed = emitTransformFilters(context, form, pass);
  const block = blockOf(form, channels, filters);
  const steps = [tileStep(form, roundUp(channels, lanes)), tileStep(form, roundUp(filters, panel))] as const;
  const tiles = tileWords(context, form, pass, pass.x, block, steps, block * (steps[0] + steps[1]));
  const parts = partsOf(form, pass, panel);
  emit('winograd', { ...tiles, packed, y, bias, relu, parts }, groupsOf(form, pass) * parts);
}

/** Emits the transform of the filters, and returns where they are. */
function emitTransformFilters(context: LoweringContext, form: WinogradForm, pass: Pass): number {
  const { down, across } = form;
  const { w, channels, filters, rotated } = pass;
  const vectorBytes = context.lanes * 4;
  const { at, emit } = context.derived(1, filterBytes(form, pass, panelOf(context)));
  emit('transformFilters', {
    w,
    packed: at,
    tall: down.size,
    wide: across.size,
    r: down.r,
    channels: rotated ? filters : channels,
    filters: rotated ? channels : filters,
    gDown: context.table(down.g),
    gAcross: context.table(across.g),
    rotated,
    tapsBytes: K.FILTER_HALF * vectorBytes,
    scratch: context.scratchPerThread(K.FILTER_SCRATCH * vectorBytes),
  });
  return at;
}

export const nameOf = ({ down, across }: WinogradForm): string =>
  `Winograd F(${down.m}×${across.m}, ${down.r}×${across.r})`;

/** Chunks into which the tiles are cut: their partial sums are added in order. Sixteen share evenly among 2, 4, 8, 16. */
const CHUNKS = 16;

export function emitWinogradGradWeight(
  context: LoweringContext,
  form: WinogradForm,
  geometry: Geometry,
  pools: readonly StructOf<'Pooled'>[],
): void {
  const { inputs, outputs, emit, scratch, table, lanes } = context;
  const [x, dy] = inputs;
  const { down, across } = form;
  const { images, channels, filters, output } = geometry;
  const elements = elementsOf(form);
  const tiles = tilesOf(form, images, output);
  const columns = [roundUp(channels, lanes), roundUp(filters, panelOf(context))] as const;
  const columnBytes = elements * roundUp(channels, channels === FEW ? FEW : K.MR) * 4;
  const block = blockOf(form, channels, filters);
  const chunks = Math.min(CHUNKS, tiles);
  // Either the operands of all tiles go through memory, or the partial sums of every chunk do: once, and again through
  // the second-level cache (a quarter of the cost) for every further block of its tiles.
  const operands = tiles * elements * (roundUp(channels, K.LANES) + roundUp(filters, K.NR)) * 4;
  const sweeps = 1 + (Math.ceil(tiles / chunks / block) - 1) / 4;
  const many = channels !== FEW && operands < chunks * columnBytes * roundUp(filters, K.NR) * sweeps;
  const taskTiles = smallBlock(tiles);
  const parts = many ? Math.ceil(tiles / taskTiles) : chunks;
  const totals = outputs.length > 1 ? scratch(parts * filters * 4) : 0;
  const partial = scratch((many ? 1 : parts) * columnBytes * columns[1]);
  if (many) {
    // Blocks that are as deep as their columns stay in the first-level cache, with odd numbers of cache lines between the
    // tile elements. The products read six rows where fewer are left. Where the error of one long sum is too large, every
    // block is summed by itself.
    const blockwise = form.tiles !== Infinity;
    const together = Math.floor((blockwise ? 32 : 96) / taskTiles);
    const blockTiles = together * taskTiles;
    const steps = columns.map((n) => (Math.ceil((blockTiles * n * 4 + 24) / 64) | 1) * 64) as [
      number,
      number,
    ];
    const blocks = Math.ceil(parts / together);
    const operandBlocks = {
      inputs: scratch(blocks * elements * steps[0]),
      grads: scratch(blocks * elements * steps[1]),
    };
    const words = tileWords(context, form, geometry, x, blockTiles, steps, 0);
    emit('winogradGradTransform', { ...words, dy, ...operandBlocks, taskTiles, totals, pools }, parts);
    emit(
      'winogradGradProduct',
      {
        ...operandBlocks,
        partial,
        elements,
        channels,
        filters,
        tiles,
        blockTiles,
        inputStep: steps[0],
        gradStep: steps[1],
        blockwise,
        sums: blockwise ? context.scratchPerThread(tileBytes(context)) : { base: 0, bytes: 0 },
      },
      2 * elements,
    );
  } else {
    const steps = [tileStep(form, columns[0]), tileStep(form, columns[1])] as const;
    const words = tileWords(context, form, geometry, x, block, steps, block * (steps[0] + steps[1]) + 64);
    emit('winogradGradWeight', { ...words, dy, partial, chunks: parts, totals, pools }, parts);
  }
  if (outputs.length > 1)
    emit('sum', { x: totals, y: outputs[1], outer: 1, n: parts, inner: filters, chunks: 1 });
  emit('winogradFinishWeight', {
    partial,
    dw: outputs[0],
    tall: down.size,
    wide: across.size,
    r: down.r,
    channels,
    filters,
    chunks: many ? 1 : parts,
    gDown: table(down.g),
    gAcross: table(across.g),
    workBytes: K.FINISH_RESULT * lanes * 4,
    scratch: context.scratchPerThread(align(K.FINISH_SCRATCH * lanes * 4)),
  });
}

/** Tiles that are transformed in one go, at most 24: a multiple of sixteen parts, which many threads share evenly. */
const smallBlock = (tiles: number): number => Math.ceil(tiles / (CHUNKS * Math.ceil(tiles / (24 * CHUNKS))));
