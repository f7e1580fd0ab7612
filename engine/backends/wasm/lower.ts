/**
 * From plan steps to kernel calls: which kernels of the module compute an operation, how its work is cut, and which
 * scratch memory it needs. How work is cut depends on shapes alone, never on the number of threads.
 */
import type { Attrs } from '../../op.ts';
import type { AttrsOf } from '../../ops/index.ts';
import { matmulSizes } from '../../ops/matmul.ts';
import { broadcastStrides, bytesOf, sizeOf, stridesOf } from '../../shape.ts';
import type { Shape, TensorType } from '../../types.ts';
import type { KernelTable } from '../backend.ts';
import { K } from './kernels.generated.ts';

/** One plan step with addresses. */
export interface Site {
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly types: readonly TensorType[];
  readonly results: readonly TensorType[];
  readonly attrs: Attrs;
  readonly threads: number;
  /** Appends a kernel call; arguments are 32-bit words. */
  readonly emit: (kernel: number, ...words: readonly number[]) => void;
  /** Address of scratch memory that lasts until the step ends. */
  readonly scratch: (bytes: number) => number;
}

export type Lower = (site: Site) => void;

const bits = new DataView(new ArrayBuffer(4));
/** A float argument as the word that holds it. */
function word(x: number): number {
  bits.setFloat32(0, x);
  return bits.getInt32(0);
}

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

/** Zeros, as the sum of nothing. */
function fillZero({ outputs: [y], results: [type], emit }: Site): void {
  emit(K.K_SUM, y, y, 1, 0, sizeOf(type.shape), 1);
}

/** Pieces into which a long axis is cut when there are too few independent results to share. */
function chunksOf(independent: number, length: number): number {
  if (independent >= 64 || length < 128) return 1;
  return Math.max(1, Math.min(Math.ceil(64 / Math.max(independent, 1)), Math.floor(length / 64)));
}

function emitSum(
  { emit, scratch }: Site,
  x: number,
  y: number,
  outer: number,
  n: number,
  inner: number,
): void {
  const strips = Math.ceil(inner / 256);
  const chunks = chunksOf(outer * strips, n);
  if (chunks === 1) {
    emit(K.K_SUM, x, y, outer, n, inner, 1);
    return;
  }
  const partial = scratch(outer * chunks * inner * 4);
  emit(K.K_SUM, x, partial, outer, n, inner, chunks);
  emit(K.K_SUM, partial, y, outer, chunks, inner, 1);
}

/** Rows and columns of a block of a product: large enough to reuse what is packed, small enough to share evenly. */
function gemmBlocks(batch: number, m: number, n: number): [number, number] {
  let rows = 96;
  let columns = 256;
  const tasks = (): number => batch * Math.ceil(m / rows) * Math.ceil(n / columns);
  while (tasks() < 64 && (rows > K.MR || columns > 4 * K.NR)) {
    if (columns > 4 * K.NR && n > columns / 2) columns /= 2;
    else if (rows > K.MR) rows = Math.max(K.MR, Math.ceil(rows / 2 / K.MR) * K.MR);
    else columns /= 2;
  }
  return [rows, columns];
}

const align = (bytes: number): number => Math.ceil(bytes / 64) * 64;
const TILE_BYTES = K.MR * K.NR * 4;

const matmul: Lower = (site) => {
  const { inputs, outputs, types, attrs, threads, emit, scratch } = site;
  const flags = attrs as AttrsOf<'matmul'>;
  const { batch, m, n, k } = matmulSizes(types, flags);
  if (batch * m * n === 0) return;
  if (k === 0) {
    fillZero(site);
    return;
  }
  const [aRow, aColumn] = flags.transA ? [1, m] : [k, 1];
  const [bRow, bColumn] = flags.transB ? [1, k] : [n, 1];
  const packedSize = Math.ceil(n / K.NR) * K.NR * k;
  const packed = scratch(batch * packedSize * 4);
  emit(K.K_PACK_B, inputs[1], packed, k, n, bRow, bColumn, batch, k * n, packedSize);
  const [rows, columns] = gemmBlocks(batch, m, n);
  const own = align(TILE_BYTES + rows * Math.min(k, K.KC) * 4 + K.MR * K.KC * 4);
  const blocks = scratch(threads * own);
  const sizes = [m, n, k, aRow, aColumn, rows, columns, batch];
  emit(K.K_GEMM, inputs[0], packed, outputs[0], ...sizes, m * k, packedSize, m * n, blocks, own);
};

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

interface DirectConv {
  readonly x: number;
  readonly packed: number;
  readonly y: number;
  readonly images: number;
  readonly input: readonly [number, number];
  readonly channels: number;
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly pad: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly output: readonly [number, number];
}

function emitConv({ threads, emit, scratch }: Site, conv: DirectConv): void {
  const { images, input, channels, filters, kernel, stride, pad, dilation, output } = conv;
  const columns = (output[1] - 1) * stride[1] + kernel[1];
  const rowBytes = columns * channels * 4;
  const rows = bandRows(images, output[0], rowBytes, kernel[0], stride[0]);
  const own = align(TILE_BYTES + ((rows - 1) * stride[0] + kernel[0]) * rowBytes + 64);
  const sizes = [images, ...input, channels, filters, ...kernel, ...stride, ...pad, ...dilation, ...output];
  emit(K.K_CONV, conv.x, conv.packed, conv.y, ...sizes, rows, scratch(threads * own), own);
}

const conv2d: Lower = (site) => {
  const { inputs, outputs, types, attrs, emit, scratch } = site;
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2d'>;
  const [images, , , channels] = types[0].shape;
  const filters = types[1].shape[3];
  if (sizeOf(site.results[0].shape) === 0) return;
  const k = kernel[0] * kernel[1] * channels;
  if (k === 0) {
    fillZero(site);
    return;
  }
  const packed = scratch(Math.ceil(filters / K.NR) * K.NR * k * 4);
  emit(K.K_PACK_B, inputs[1], packed, k, filters, filters, 1, 1, 0, 0);
  emitConv(site, {
    x: inputs[0],
    packed,
    y: outputs[0],
    images,
    input,
    channels,
    filters,
    kernel,
    stride,
    output,
    pad: [pad[0], pad[2]],
    dilation: [1, 1],
  });
};

/** The input gradient is a convolution of the output's gradient, spread out by the stride, with turned filters. */
const conv2dGradInput: Lower = (site) => {
  const { inputs, outputs, types, attrs, emit, scratch } = site;
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2dGradInput'>;
  const images = types[0].shape[0];
  const [, , channels, filters] = types[1].shape;
  if (sizeOf(site.results[0].shape) === 0) return;
  const k = kernel[0] * kernel[1] * filters;
  if (k === 0 || sizeOf(output) === 0) {
    fillZero(site);
    return;
  }
  const packed = scratch(Math.ceil(channels / K.NR) * K.NR * k * 4);
  emit(K.K_PACK_FLIPPED, inputs[1], packed, ...kernel, channels, filters);
  emitConv(site, {
    x: inputs[0],
    packed,
    y: outputs[0],
    images,
    input: output,
    channels: filters,
    filters: channels,
    kernel,
    stride: [1, 1],
    pad: [kernel[0] - 1 - pad[0], kernel[1] - 1 - pad[2]],
    dilation: stride,
    output: input,
  });
};

const conv2dGradWeight: Lower = (site) => {
  const { inputs, outputs, types, attrs, threads, emit, scratch } = site;
  const { stride, pad, input, kernel, output } = attrs as AttrsOf<'conv2dGradWeight'>;
  const [images, , , channels] = types[0].shape;
  const filters = types[1].shape[3];
  if (sizeOf(site.results[0].shape) === 0) return;
  if (images === 0 || sizeOf(output) === 0) {
    fillZero(site);
    return;
  }
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
};

/** The geometry words that every pooling kernel takes. */
function poolWords(images: number, channels: number, attrs: Attrs): number[] {
  const { kernel, stride, pad, input, output, insideOnly } = attrs as AttrsOf<'maxPool2d'>;
  return [images, ...input, channels, ...kernel, ...stride, ...pad, ...output, insideOnly ? 1 : 0];
}

const pool =
  (kernel: number): Lower =>
  ({ inputs, outputs, types: [{ shape }], attrs, emit }) =>
    emit(kernel, ...inputs, ...outputs, ...poolWords(shape[0], shape[3], attrs));

/** Rows, channels and chunks of a normalisation over all axes but the last. */
function rowsOf({ shape }: TensorType): { rows: number; channels: number; chunks: number } {
  const channels = shape[shape.length - 1];
  const rows = sizeOf(shape) / Math.max(channels, 1);
  return { rows, channels, chunks: Math.max(1, Math.min(64, Math.floor(rows / 32))) };
}

export const kernels: KernelTable<Lower> = {
  copy: ({ inputs: [x], outputs: [y], results: [type], emit }) => emit(K.K_COPY, x, y, bytesOf(type)),
  add: binary(K.BINARY_ADD),
  sub: binary(K.BINARY_SUB),
  mul: binary(K.BINARY_MUL),
  div: binary(K.BINARY_DIV),
  pow: binary(K.BINARY_POW),
  reluGrad: binary(K.BINARY_RELU_GRAD),
  neg: unary(K.UNARY_NEG),
  exp: unary(K.UNARY_EXP),
  log: unary(K.UNARY_LOG),
  sqrt: unary(K.UNARY_SQRT),
  tanh: unary(K.UNARY_TANH),
  sigmoid: unary(K.UNARY_SIGMOID),
  relu: unary(K.UNARY_RELU),
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
  conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  maxPool2d: pool(K.K_MAX_POOL),
  maxPool2dGrad: pool(K.K_MAX_POOL_GRAD),
  avgPool2d: pool(K.K_AVG_POOL),
  avgPool2dGrad: pool(K.K_AVG_POOL_GRAD),
  lrnWithin({ inputs, outputs, types: [{ shape }], attrs, emit }) {
    const { size, alpha, beta } = attrs as AttrsOf<'lrnWithin'>;
    emit(K.K_LRN, ...inputs, ...outputs, ...shape, size, word(alpha / size ** 2), word(beta));
  },
  lrnWithinGrad({ inputs, outputs, types: [{ shape }], attrs, threads, emit, scratch }) {
    const { size, alpha, beta } = attrs as AttrsOf<'lrnWithinGrad'>;
    const own = align(sizeOf(shape.slice(1)) * 4 + 64);
    const factor = (2 * alpha * beta) / size ** 2;
    const scalars = [size, word(factor), word(beta)];
    emit(K.K_LRN_GRAD, ...inputs, ...outputs, ...shape, ...scalars, scratch(threads * own), own);
  },
  batchNorm({
    inputs: [x, gamma = 0, beta = 0],
    outputs: [y, mean, variance],
    types: [type],
    attrs,
    emit,
    scratch,
  }) {
    const epsilon = word((attrs as AttrsOf<'batchNorm'>).epsilon);
    const { rows, channels, chunks } = rowsOf(type);
    const partial = scratch(chunks * 2 * channels * 4);
    emit(K.K_CHUNK_MOMENTS, x, partial, rows, channels, chunks);
    emit(K.K_MERGE_MOMENTS, partial, mean, variance, rows, channels, chunks);
    emit(K.K_NORMALISE, x, y, mean, variance, gamma, beta, rows, channels, epsilon);
  },
  batchNormGrad({ inputs: [g, x, mean, variance, gamma = 0], outputs, types, attrs, emit, scratch }) {
    const [dx, dGamma, dBeta] = outputs;
    const epsilon = word((attrs as AttrsOf<'batchNormGrad'>).epsilon);
    const { rows, channels, chunks } = rowsOf(types[1]);
    const partial = scratch(chunks * 2 * channels * 4);
    emit(K.K_CHUNK_GRAD_SUMS, g, x, mean, variance, partial, rows, channels, chunks, epsilon);
    emit(K.K_MERGE_GRAD_SUMS, partial, dBeta, dGamma, channels, chunks);
    emit(K.K_NORMALISE_GRAD, g, x, mean, variance, gamma, dBeta, dGamma, dx, rows, channels, epsilon);
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
