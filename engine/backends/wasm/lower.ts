/**
 * From plan steps to kernel calls: which kernels of the module compute an operation, how its work is cut, and which
 * scratch memory it needs. How work is cut depends on shapes alone, never on the number of threads.
 */
import type { Attrs } from '../../op.ts';
import type { AttrsOf } from '../../ops/index.ts';
import { matmulSizes } from '../../ops/matmul.ts';
import { resizeTable } from '../../ops/resize.ts';
import { broadcastStrides, bytesOf, sizeOf, stridesOf } from '../../shape.ts';
import type { Shape, TensorType } from '../../types.ts';
import type { FusedName } from '../../plan/fuse.ts';
import type { KernelTable } from '../backend.ts';
import { BINARY, elementwise, UNARY } from './chain.ts';
import { conv2d, conv2dBias, conv2dGradInput, conv2dGradWeight } from './convolution.ts';
import { groupedConv2d, groupedGradInput, groupedGradWeight, isDense } from './grouped.ts';
import { K } from './kernels.generated.ts';
import { align, emitSum, fillZero, TILE_BYTES, word, type Lower, type Site } from './site.ts';

const unary =
  (op: number): Lower =>
  ({ inputs: [x], outputs: [y], results: [type], emit }) =>
    emit(K.K_UNARY, op, x, y, sizeOf(type.shape));

const binary =
  (op: number): Lower =>
  ({ inputs: [x, y], outputs: [z], types, results: [{ shape }], emit }) => {
    if (sizeOf(shape) === 0) return;
    const axes = mergeAxes(shape, [
      broadcastStrides(types[0].shape, shape),
      broadcastStrides(types[1].shape, shape),
    ]);
    emit(K.K_BINARY, op, x, y, z, axes.length, ...axes.flat());
  };

/** One kernel for each name of a table of codes. */
const each = <N extends string>(
  codes: Readonly<Record<N, number>>,
  kernel: (code: number) => Lower,
): Readonly<Record<N, Lower>> =>
  Object.fromEntries(Object.entries<number>(codes).map(([name, code]) => [name, kernel(code)])) as Record<
    N,
    Lower
  >;

/**
 * The axes of a strided walk, [size, stride, stride, …] each, with axes of size 1 dropped and neighbours merged where every
 * operand walks through both as through one.
 */
function mergeAxes(shape: Shape, strides: readonly (readonly number[])[]): number[][] {
  const axes: number[][] = [];
  shape.forEach((size, d) => {
    if (size === 1) return;
    const axis = [size, ...strides.map((own) => own[d])];
    const outer = axes.at(-1);
    if (outer !== undefined && strides.every((_, i) => outer[i + 1] === axis[i + 1] * size)) {
      axes[axes.length - 1] = [outer[0] * size, ...axis.slice(1)];
    } else {
      axes.push(axis);
    }
  });
  return axes.length === 0 ? [[1, ...strides.map(() => 0)]] : axes;
}

function strided(
  { inputs: [x], outputs: [y], results: [{ shape, dtype }], emit }: Site,
  strides: readonly number[],
): void {
  if (sizeOf(shape) === 0) return;
  const axes = mergeAxes(shape, [strides]);
  emit(K.K_STRIDED, dtype === 'u8' ? 1 : 4, x, y, axes.length, ...axes.flat());
}

/** Rows and columns of a block of a product: small enough for the first caches, and for many threads to share evenly. */
function gemmBlocks(batch: number, m: number, n: number): [number, number] {
  for (const [rows, columns] of [
    [48, 256],
    [48, 128],
    [48, 64],
    [24, 64],
    [24, 32],
    [12, 32],
  ]) {
    if (batch * Math.ceil(m / rows) * Math.ceil(n / columns) >= 64) return [rows, columns];
  }
  return [K.MR, 4 * K.NR];
}

const matmul: Lower = (site) => {
  const { inputs, outputs, types, attrs, threads, emit, emitPieces, scratch } = site;
  const flags = attrs as AttrsOf<'matmul'>;
  const { batch, m, n, k } = matmulSizes(types, flags);
  if (batch * m * n === 0) return;
  if (k === 0) {
    fillZero(site);
    return;
  }
  const [aRow, aColumn] = flags.transA ? [1, m] : [k, 1];
  const [bRow, bColumn] = flags.transB ? [1, k] : [n, 1];
  const sizeA = Math.ceil(m / K.MR) * K.MR * k;
  const sizeB = Math.ceil(n / K.NR) * K.NR * k;
  const packedA = scratch(batch * sizeA * 4);
  const packedB = scratch(batch * sizeB * 4);
  emit(K.K_PACK_A, inputs[0], packedA, m, k, aRow, aColumn, batch, m * k, sizeA);
  emit(K.K_PACK_B, inputs[1], packedB, k, n, bRow, bColumn, batch, k * n, sizeB);
  const strides = [sizeA, sizeB, m * n];
  const blocks = gemmBlocks(batch, m, n);
  const corner = scratch(threads * TILE_BYTES);
  const pieces = batch * Math.ceil(m / blocks[0]) * Math.ceil(n / blocks[1]);
  const words = [m, n, k, ...blocks, batch, ...strides, corner, TILE_BYTES];
  emitPieces(pieces, K.K_GEMM, packedA, packedB, outputs[0], ...words);
};

const convolution =
  (dense: Lower, grouped: Lower): Lower =>
  (site) =>
    (isDense(site.attrs as AttrsOf<'conv2d'>) ? dense : grouped)(site);

/** The geometry words that every pooling kernel takes. */
function poolWords(images: number, channels: number, attrs: Attrs): number[] {
  const { kernel, stride, pad, input, output, insideOnly } = attrs as AttrsOf<'maxPool2d'>;
  return [images, ...input, channels, ...kernel, ...stride, ...pad, ...output, insideOnly ? 1 : 0];
}

const maxPool =
  (relu: boolean): Lower =>
  ({ inputs, outputs, types: [{ shape }], results, attrs, emitPieces }) => {
    const words = [...poolWords(shape[0], shape[3], attrs), relu ? 1 : 0];
    emitPieces(shape[0] * results[0].shape[1], K.K_MAX_POOL, ...inputs, ...outputs, ...words);
  };

/** The gradient of an average pool, and of the relu before it where its result comes along. */
const avgPoolGrad: Lower = ({
  inputs: [g, y = 0],
  outputs: [dx],
  types: [{ shape }],
  results,
  attrs,
  emitPieces,
}) => {
  const [images, height] = results[0].shape;
  emitPieces(images * height, K.K_AVG_POOL_GRAD, g, dx, ...poolWords(shape[0], shape[3], attrs), y);
};

/**
 * Rows, channels and chunks of a normalisation over all axes but the last. A chunk is walked once for every four
 * channels, so it should stay in the first-level cache.
 */
function rowsOf({ shape }: TensorType): { rows: number; channels: number; chunks: number } {
  const channels = shape[shape.length - 1];
  const rows = sizeOf(shape) / Math.max(channels, 1);
  const chunkRows = Math.max(32, Math.floor((12 * 1024) / (4 * Math.max(channels, 1))));
  return { rows, channels, chunks: Math.max(1, Math.min(1024, Math.floor(rows / chunkRows))) };
}

/** Batch normalisation, and the sum and relu that may be fused into it. */
const batchNorm: Lower = (site) => {
  const { inputs, outputs, types, attrs, emit, emitPieces, scratch } = site;
  const [y, mean, variance] = outputs;
  const parameters = inputs.slice(1);
  const residual = attrs['residual'] === true ? parameters.pop()! : 0;
  const [gamma = 0, beta = 0] = parameters;
  const epsilon = word((attrs as AttrsOf<'batchNorm'>).epsilon);
  const { rows, channels, chunks } = rowsOf(types[0]);
  const partial = scratch(chunks * 2 * channels * 4);
  emitPieces(chunks, K.K_CHUNK_MOMENTS, inputs[0], partial, rows, channels, chunks);
  emit(K.K_MERGE_MOMENTS, partial, mean, variance, rows, channels, chunks);
  const epilogue = [residual, attrs['relu'] === true ? 1 : 0];
  emit(K.K_NORMALISE, inputs[0], y, mean, variance, gamma, beta, rows, channels, epsilon, ...epilogue);
};

/** A row of a value to standardise, [images, positions, groups, channels of a group], with room to read past its end. */
const rowBytes = (shape: Shape): number => align(sizeOf(shape.slice(2)) * 4 + 16);

/** Geometry and tables of a resize between images [N, …, C]. */
function resizeWords(shape: Shape, attrs: Attrs): number[] {
  const resize = attrs as AttrsOf<'resize2d'>;
  const tables = [...resizeTable(resize, 0), ...resizeTable(resize, 1)];
  return [
    shape[0],
    ...resize.input,
    shape[3],
    ...resize.output,
    ...tables.flatMap(({ from, to, weight }) => [from, to, word(weight)]),
  ];
}

/** The fusions that have kernels. */
export const fusions: ReadonlySet<FusedName> = new Set([
  'elementwise',
  'conv2dBias',
  'conv2dGradWeightBias',
  'batchNormAct',
  'maxPool2dRelu',
  'maxPool2dReluGrad',
  'avgPool2dReluGrad',
]);

export const kernels: KernelTable<Lower> & { readonly [N in FusedName]: Lower } = {
  copy: ({ inputs: [x], outputs: [y], results: [type], emit }) => emit(K.K_COPY, x, y, bytesOf(type)),
  ...each(BINARY, binary),
  ...each(UNARY, unary),
  elementwise,
  cast: ({ inputs: [x], outputs: [y], types: [{ dtype, shape }], emit }) =>
    emit(K.K_CAST, dtype === 'u8' ? 1 : 4, x, y, sizeOf(shape)),
  checkFinite: ({ inputs: [x], outputs: [y], results: [type], emit }) =>
    emit(K.K_CHECK_FINITE, x, y, sizeOf(type.shape)),
  transpose(site) {
    const strides = stridesOf(site.types[0].shape);
    strided(
      site,
      (site.attrs as AttrsOf<'transpose'>).perm.map((axis) => strides[axis]),
    );
  },
  broadcastTo: (site) => strided(site, broadcastStrides(site.types[0].shape, site.results[0].shape)),
  sum(site) {
    const [outer, n, inner] = site.types[0].shape;
    emitSum(site, site.inputs[0], site.outputs[0], outer, n, inner);
  },
  max: ({ inputs, outputs, types: [{ shape }], emit }) => emit(K.K_MAX, ...inputs, ...outputs, ...shape),
  maxGrad: ({ inputs, outputs, results: [{ shape }], emit }) =>
    emit(K.K_MAX_GRAD, ...inputs, ...outputs, ...shape),
  matmul,
  conv2d: convolution(conv2d, groupedConv2d),
  conv2dBias: convolution(conv2dBias, groupedConv2d),
  conv2dGradInput: convolution(conv2dGradInput, groupedGradInput),
  conv2dGradWeight: convolution(conv2dGradWeight, groupedGradWeight),
  conv2dGradWeightBias: convolution(conv2dGradWeight, groupedGradWeight),
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dGrad: ({ inputs: [g, at], outputs: [dx], types: [{ shape }], attrs, emitPieces }) =>
    emitPieces(shape[0], K.K_MAX_POOL_GRAD, g, at, dx, ...poolWords(shape[0], shape[3], attrs), 0),
  maxPool2dReluGrad: ({ inputs: [g, y, at], outputs: [dx], types: [{ shape }], attrs, emitPieces }) =>
    emitPieces(shape[0], K.K_MAX_POOL_GRAD, g, at, dx, ...poolWords(shape[0], shape[3], attrs), y),
  avgPool2d({ inputs, outputs, types: [{ shape }], results, attrs, emitPieces }) {
    const pieces = shape[0] * results[0].shape[1];
    emitPieces(pieces, K.K_AVG_POOL, ...inputs, ...outputs, ...poolWords(shape[0], shape[3], attrs));
  },
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
  lrnWithin({ inputs, outputs, types: [{ shape }], attrs, threads, emitPieces, scratch }) {
    const { size, alpha, beta } = attrs as AttrsOf<'lrnWithin'>;
    const own = align(sizeOf(shape.slice(1)) * 4 + 64);
    const scalars = [size, word(alpha / size ** 2), word(beta)];
    const words = [...shape, ...scalars, scratch(threads * own), own];
    emitPieces(shape[0], K.K_LRN, ...inputs, ...outputs, ...words);
  },
  lrnWithinGrad({ inputs, outputs, types: [{ shape }], attrs, threads, emitPieces, scratch }) {
    const { size, alpha, beta } = attrs as AttrsOf<'lrnWithinGrad'>;
    const own = 2 * align(sizeOf(shape.slice(1)) * 4 + 64);
    const factor = (2 * alpha * beta) / size ** 2;
    const scalars = [size, word(factor), word(beta)];
    const words = [...shape, ...scalars, scratch(threads * own), own];
    emitPieces(shape[0], K.K_LRN_GRAD, ...inputs, ...outputs, ...words);
  },
  batchNorm,
  batchNormAct: batchNorm,
  batchNormGrad({
    inputs: [g, x, mean, variance, gamma = 0],
    outputs,
    types,
    attrs,
    emit,
    emitPieces,
    scratch,
  }) {
    const [dx, dGamma, dBeta] = outputs;
    const epsilon = word((attrs as AttrsOf<'batchNormGrad'>).epsilon);
    const { rows, channels, chunks } = rowsOf(types[1]);
    const partial = scratch(chunks * 2 * channels * 4);
    emitPieces(chunks, K.K_CHUNK_GRAD_SUMS, g, x, mean, variance, partial, rows, channels, chunks, epsilon);
    emit(K.K_MERGE_GRAD_SUMS, partial, dBeta, dGamma, channels, chunks);
    emit(K.K_NORMALISE_GRAD, g, x, mean, variance, gamma, dBeta, dGamma, dx, rows, channels, epsilon);
  },
  standardize({ inputs: [x], outputs, types: [{ shape }], attrs, threads, emitPieces, scratch }) {
    const own = 2 * rowBytes(shape);
    const words = [...shape, word((attrs as AttrsOf<'standardize'>).epsilon), scratch(threads * own), own];
    emitPieces(shape[0], K.K_STANDARDIZE, x, ...outputs, ...words);
  },
  standardizeGrad({ inputs, outputs, types: [{ shape }], attrs, threads, emitPieces, scratch }) {
    const own = 3 * rowBytes(shape);
    const words = [
      ...shape,
      word((attrs as AttrsOf<'standardizeGrad'>).epsilon),
      scratch(threads * own),
      own,
    ];
    emitPieces(shape[0], K.K_STANDARDIZE_GRAD, ...inputs, ...outputs, ...words);
  },
  resize2d: ({ inputs: [x], outputs: [y], types: [{ shape }], attrs, emitPieces }) => {
    const { output } = attrs as AttrsOf<'resize2d'>;
    emitPieces(shape[0] * output[0], K.K_RESIZE, x, y, ...resizeWords(shape, attrs));
  },
  resize2dGrad: ({ inputs: [g], outputs: [dx], types: [{ shape }], attrs, emitPieces }) => {
    const { input } = attrs as AttrsOf<'resize2dGrad'>;
    emitPieces(shape[0] * input[0], K.K_RESIZE_GRAD, g, dx, ...resizeWords(shape, attrs));
  },
  softmaxCrossEntropy: ({ inputs, outputs, types: [{ shape }], emit }) =>
    emit(K.K_CROSS_ENTROPY, ...inputs, ...outputs, ...shape),
  softmaxCrossEntropyGrad: ({ inputs, outputs, results: [{ shape }], emit }) =>
    emit(K.K_CROSS_ENTROPY_GRAD, ...inputs, ...outputs, ...shape),
  correct: ({ inputs, outputs, types: [{ shape }], emit }) =>
    emit(K.K_CORRECT, ...inputs, ...outputs, ...shape),
  dropout({ inputs: [x, step], outputs: [y], results: [type], attrs, emit }) {
    const { rate, key0, key1 } = attrs as AttrsOf<'dropout'>;
    emit(
      K.K_DROPOUT,
      x,
      y,
      sizeOf(type.shape),
      step,
      key0,
      key1,
      Math.round(rate * 2 ** 32),
      word(1 / (1 - rate)),
    );
  },
  takeRows({ inputs, outputs, types: [x, index], emit }) {
    const row = { shape: x.shape.slice(1), dtype: x.dtype };
    emit(K.K_TAKE_ROWS, ...inputs, ...outputs, x.shape[0], index.shape[0], bytesOf(row));
  },
  normalizeImages({ inputs: [x, mean, scale, draws = 0], outputs: [y], types, emit }) {
    const item = types[0].shape.slice(1);
    const bytes = types[0].dtype === 'u8' ? 1 : 4;
    const strides = [...broadcastStrides(types[1].shape, item), ...broadcastStrides(types[2].shape, item)];
    emit(K.K_NORMALIZE_IMAGES, x, mean, scale, draws, y, ...types[0].shape, bytes, ...strides);
  },
};
