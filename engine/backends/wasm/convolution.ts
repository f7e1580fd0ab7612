/**
 * How a convolution is computed: directly, or by Winograd's minimal filtering on one of three tile forms. The choice
 * depends on the shape alone, by a cost model in cycles.
 */
import type { AttrsOf } from '../../ops/index.ts';
import { sizeOf } from '../../shape.ts';
import { K } from './kernels.generated.ts';
import { align, emitSum, fillZero, TILE_BYTES, type Lower, type Site } from './site.ts';

/** F(m × m, r × r) on tiles of `size` inputs. */
interface WinogradForm {
  readonly size: number;
  readonly m: number;
  readonly r: number;
  /** [size, r]: the filter transform G. */
  readonly g: Float32Array;
}

/**
 * G for finite points p_j and ∞: row j holds the powers of p_j over Π (p_j − p_l), divided by the scale that keeps Aᵀ free
 * of fractions (2^(m−1) for ±½). The sign of the row for 0 follows the kernels' Bᵀ, whose first row begins positive.
 */
function winogradForm(points: readonly number[], m: number, r: number): WinogradForm {
  const rows = points.map((p) => {
    const scale = Math.abs(p) === 0.5 ? 2 ** (m - 1) : 1;
    const product = points.reduce((n, q) => (q === p ? n : n * (p - q)), 1);
    return Array.from({ length: r }, (_, k) => p ** k / (p === 0 ? Math.abs(product) : product) / scale);
  });
  rows.push(Array.from({ length: r }, (_, k) => (k === r - 1 ? 1 : 0)));
  return { size: m + r - 1, m, r, g: Float32Array.from(rows.flat()) };
}

const TILES_OF_8 = [0, 1, -1, 2, -2, 0.5, -0.5];
const TILES_OF_6 = [0, 1, -1, 2, -2];
const FORMS = [
  winogradForm(TILES_OF_8, 4, 5),
  winogradForm(TILES_OF_8, 6, 3),
  winogradForm(TILES_OF_6, 4, 3),
];

/** The shape of one pass: a convolution, or an input gradient seen as one. */
interface Geometry {
  readonly images: number;
  readonly input: readonly [number, number];
  readonly channels: number;
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** top, left */
  readonly pad: readonly [number, number];
  /** Spacing of the input's pixels. */
  readonly dilation: readonly [number, number];
  readonly output: readonly [number, number];
}

interface Pass extends Geometry {
  readonly x: number;
  readonly w: number;
  /** The filters are to be turned by 180 degrees, with channels and filters exchanged. */
  readonly turned: boolean;
  readonly y: number;
  /** Address of one value a filter to add, or 0. */
  readonly bias: number;
  readonly relu: boolean;
}

/** Cycles of one vector's way through one line of a transform, with its loads and stores (measured, Zen 4). */
const LINE = 22;
/** Products of 8 lanes a cycle that the kernels reach, of 1 possible. */
const DIRECT_SHARE = 0.6;
const WINOGRAD_SHARE = 0.75;

const up = (n: number, to: number): number => Math.ceil(n / to) * to;

function tilesOf({ m }: WinogradForm, images: number, output: readonly [number, number]): number {
  return images * Math.ceil(output[0] / m) * Math.ceil(output[1] / m);
}

function directCycles({ images, output, kernel, channels, filters }: Geometry): number {
  return (images * sizeOf(output) * sizeOf(kernel) * channels * up(filters, K.NR)) / 8 / DIRECT_SHARE;
}

function winogradCycles(form: WinogradForm, pass: Geometry): number {
  const { size, m } = form;
  const { channels, filters } = pass;
  const products = (size ** 2 * channels * up(filters, K.NR)) / 8 / WINOGRAD_SHARE;
  const input = Math.ceil(channels / 4) * (2 * size * LINE + size ** 2);
  const output = Math.ceil(filters / 4) * ((size + m) * LINE + m ** 2);
  return tilesOf(form, pass.images, pass.output) * (products + input + output);
}

/** The Winograd form that is expected to be fastest, or null where the direct kernel is. */
function chooseForm(pass: Geometry): WinogradForm | null {
  const { kernel, stride, dilation, pad } = pass;
  let best: WinogradForm | null = null;
  let cost = directCycles(pass);
  for (const form of FORMS) {
    const { r } = form;
    const fits =
      kernel[0] === r &&
      kernel[1] === r &&
      Math.max(...stride, ...dilation) === 1 &&
      pad.every((p) => p >= 0 && p < r);
    const own = fits ? winogradCycles(form, pass) : Infinity;
    if (own < cost) {
      cost = own;
      best = form;
    }
  }
  return best;
}

/** Bytes of a block of tiles in the transformed domain that stay in the second-level cache beside the filters. */
const BLOCK_BYTES = 448 * 1024;

/** Tiles of a block: a multiple of the register tile's rows. */
function blockOf({ size }: WinogradForm, channels: number, filters: number): number {
  const each = size ** 2 * (up(channels, 4) + up(filters, K.NR)) * 4;
  return Math.max(K.MR, Math.min(8 * K.MR, Math.floor(BLOCK_BYTES / each / K.MR) * K.MR));
}

/**
 * Bytes of a block in one frequency: an odd number of cache lines, as a tile's values lie this far apart and would share a
 * few cache sets otherwise (the transforms took a fifth longer).
 */
function frequencyStep(block: number, columns: number): number {
  return (Math.ceil((block * columns * 4 + 24) / 64) | 1) * 64; // the kernels read six rows where fewer are left
}

/** Room for the two squares of vectors that a transform works on. */
const WORK_BYTES = 2048;

function emitPass(site: Site, pass: Pass): void {
  const { images, input, channels, filters, kernel, output } = pass;
  if (sizeOf(site.results[0].shape) === 0) return;
  if (sizeOf(kernel) * channels * sizeOf(input) === 0) {
    fillZero(site);
    return;
  }
  const form = chooseForm(pass);
  if (form === null) {
    emitDirect(site, pass);
    return;
  }
  const { size, m, r, g } = form;
  const { threads, emit, scratch, table } = site;
  const packed = scratch(size ** 2 * channels * up(filters, K.NR) * 4);
  const [own, other] = pass.turned ? [filters, channels] : [channels, filters];
  const squares = 3072;
  const rest = [own, other, table(g), pass.turned ? 1 : 0, scratch(threads * squares), squares];
  emit(K.K_TRANSFORM_FILTERS, pass.w, packed, size, r, ...rest);
  const block = blockOf(form, channels, filters);
  const steps = [frequencyStep(block, up(channels, 4)), frequencyStep(block, up(filters, K.NR))];
  const bytes = WORK_BYTES + size ** 2 * (steps[0] + steps[1]);
  const sizes = [images, ...input, channels, filters, ...pass.pad, ...output, size, m, block, ...steps];
  const epilogue = [pass.bias, pass.relu ? 1 : 0];
  emit(K.K_WINOGRAD, pass.x, packed, pass.y, ...sizes, scratch(threads * bytes), bytes, ...epilogue);
}

/** Output rows of one band of a direct convolution, so that the band stays in the second-level cache. */
function bandRows(
  images: number,
  outRows: number,
  rowBytes: number,
  tapRows: number,
  stride: number,
): number {
  const fitting = Math.floor(((96 * 1024) / rowBytes - tapRows) / stride) + 1;
  const sharing = Math.ceil(outRows / Math.ceil(64 / Math.max(images, 1)));
  return Math.max(1, Math.min(fitting, sharing, outRows));
}

function emitDirect({ emit, scratch, threads }: Site, pass: Pass): void {
  const { images, input, channels, filters, kernel, stride, pad, dilation, output } = pass;
  const depth = sizeOf(kernel) * channels;
  const packed = scratch(up(filters, K.NR) * depth * 4);
  if (pass.turned) emit(K.K_PACK_FLIPPED, pass.w, packed, ...kernel, filters, channels);
  else emit(K.K_PACK_B, pass.w, packed, depth, filters, filters, 1, 1, 0, 0);
  const columns = (output[1] - 1) * stride[1] + kernel[1];
  const rowBytes = columns * channels * 4;
  const rows = bandRows(images, output[0], rowBytes, kernel[0], stride[0]);
  const own = align(TILE_BYTES + ((rows - 1) * stride[0] + kernel[0]) * rowBytes + 64);
  const sizes = [images, ...input, channels, filters, ...kernel, ...stride, ...pad, ...dilation, ...output];
  const epilogue = [pass.bias, pass.relu ? 1 : 0];
  emit(K.K_CONV, pass.x, packed, pass.y, ...sizes, rows, scratch(threads * own), own, ...epilogue);
}

/** conv2d, with the bias and relu that may be fused into it. */
function forward(relu: boolean): Lower {
  return (site) => {
    const { inputs, outputs, types, attrs } = site;
    const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2d'>;
    emitPass(site, {
      x: inputs[0],
      w: inputs[1],
      turned: false,
      y: outputs[0],
      bias: inputs[2] ?? 0,
      relu,
      images: types[0].shape[0],
      input,
      channels: types[0].shape[3],
      filters: types[1].shape[3],
      kernel,
      stride,
      pad: [pad[0], pad[2]],
      dilation: [1, 1],
      output,
    });
  };
}

export const conv2d = forward(false);
export const conv2dBias: Lower = (site) => forward(site.attrs['relu'] === true)(site);

/** The input gradient is a convolution of the output's gradient, spread out by the stride, with turned filters. */
export const conv2dGradInput: Lower = (site) => {
  const { inputs, outputs, types, attrs } = site;
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2dGradInput'>;
  emitPass(site, {
    x: inputs[0],
    w: inputs[1],
    turned: true,
    y: outputs[0],
    bias: 0,
    relu: false,
    images: types[0].shape[0],
    input: output,
    channels: types[1].shape[3],
    filters: types[1].shape[2],
    kernel,
    stride: [1, 1],
    pad: [kernel[0] - 1 - pad[0], kernel[1] - 1 - pad[2]],
    dilation: stride,
    output: input,
  });
};

/** The weight gradient and, where it is fused, the sum of g over all but its last axis. */
export const conv2dGradWeight: Lower = (site) => {
  const { types, attrs } = site;
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2dGradWeight'>;
  const [images, , , channels] = types[0].shape;
  const filters = types[1].shape[3];
  if (sizeOf(site.results[0].shape) === 0) return;
  if (images === 0 || sizeOf(output) === 0) {
    site.outputs.forEach((_, i) => fillZero(site, i));
    return;
  }
  const geometry = { images, input, channels, filters, kernel, stride, output };
  const form = chooseForm({ ...geometry, pad: [pad[0], pad[2]], dilation: [1, 1] });
  if (form !== null) {
    emitWinogradGradWeight(site, form);
    return;
  }
  emitDirectGradWeight(site);
  if (site.outputs.length > 1)
    emitSum(site, site.inputs[1], site.outputs[1], 1, images * sizeOf(output), filters);
};

/** Pieces into which the tiles are cut: their partial sums are added in order. Sixteen share evenly among 2, 4, 8, 16. */
const CHUNKS = 16;

function emitWinogradGradWeight(
  { inputs, outputs, types, attrs, threads, emit, scratch, table }: Site,
  form: WinogradForm,
): void {
  const { pad, input, output } = attrs as AttrsOf<'conv2dGradWeight'>;
  const { size, m, r, g } = form;
  const [images, , , channels] = types[0].shape;
  const filters = types[1].shape[3];
  const chunks = Math.min(CHUNKS, tilesOf(form, images, output));
  const partial = scratch(chunks * size ** 2 * up(channels, K.MR) * up(filters, K.NR) * 4);
  const block = blockOf(form, channels, filters);
  const steps = [frequencyStep(block, up(channels, 4)), frequencyStep(block, up(filters, K.NR))];
  const own = WORK_BYTES + size ** 2 * (steps[0] + steps[1]);
  const sizes = [
    images,
    ...input,
    channels,
    filters,
    pad[0],
    pad[2],
    ...output,
    size,
    m,
    chunks,
    block,
    ...steps,
  ];
  const totals = outputs.length > 1 ? scratch(chunks * filters * 4) : 0;
  emit(K.K_WINOGRAD_GRAD_WEIGHT, ...inputs, partial, ...sizes, scratch(threads * own), own, totals);
  if (outputs.length > 1) emit(K.K_SUM, totals, outputs[1], 1, chunks, filters, 1);
  const sums = 2048;
  const rest = [size, r, channels, filters, chunks, table(g), scratch(threads * sums), sums];
  emit(K.K_WINOGRAD_FINISH_WEIGHT, partial, outputs[0], ...rest);
}

function emitDirectGradWeight({ inputs, outputs, types, attrs, threads, emit, scratch }: Site): void {
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2dGradWeight'>;
  const [images, , , channels] = types[0].shape;
  const filters = types[1].shape[3];
  const run = kernel[1] * channels;
  const runPadded = Math.ceil(run / K.MR) * K.MR;
  const filtersPadded = Math.ceil(filters / K.NR) * K.NR;
  const partialFloats = kernel[0] * runPadded * filtersPadded;
  // About a hundred tasks of (images, filter row), but no more than 16 MiB of partial sums.
  const chunks = Math.max(
    1,
    Math.min(images, Math.ceil(100 / kernel[0]), Math.floor(2 ** 22 / partialFloats)),
  );
  const columns = (output[1] - 1) * stride[1] + kernel[1];
  const rowBytes = columns * channels * 4;
  // A band of the image and of the gradient together stay in the first-level cache.
  const fitting = Math.floor((20 * 1024) / (rowBytes * stride[0] + output[1] * filters * 4));
  const rows = Math.max(1, Math.min(fitting, output[0]));
  const own = align(((rows - 1) * stride[0] + 1) * rowBytes + 64);
  const partial = scratch(chunks * partialFloats * 4);
  const sizes = [images, ...input, channels, filters, ...kernel, ...stride, pad[0], pad[2], ...output];
  emit(K.K_CONV_GRAD_WEIGHT, ...inputs, partial, ...sizes, chunks, rows, scratch(threads * own), own);
  emit(K.K_ADD_PARTIALS, partial, outputs[0], chunks, kernel[0], run, filters);
}
