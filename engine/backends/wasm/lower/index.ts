/**
 * From plan steps to kernel calls: which kernels of the module compute an operation, how its work is cut, and which
 * scratch memory it needs. How work is cut depends on shapes alone, never on the number of threads.
 */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { resizeTable } from '../../../ops/primitives/resize.ts';
import { broadcastStrides, bytesOf, elementBytes, mergeAxes, sizeOf, stridesOf } from '../../../shape.ts';
import type { Shape, TensorType } from '../../../types.ts';
import type { FusedTable, KernelTable } from '../../backend.ts';
import { fusionsOf } from '../../kernel-table.ts';
import { elementwise, elementwiseKernels } from './chain.ts';
import { conv2d, conv2dGradInput, conv2dGradWeight } from './conv.ts';
import { groupedConv2d, groupedGradInput, groupedGradWeight, isDense } from './grouped.ts';
import type { StructOf } from '../call.ts';
import { matmul } from './matmul.ts';
import { batchNorm, batchNormGrad, lrnWithin, lrnWithinGrad, standardize, standardizeGrad } from './norm.ts';
import {
  avgPool2d,
  avgPoolGrad,
  conv2dMaxPool,
  conv2dMaxPoolGradWeight,
  maxPool,
  maxPool2dArgmaxGrad,
  maxPoolGrad,
} from './pool.ts';
import { align, emitSum, fill, type Site, type SiteWith } from './site.ts';

/** Elements of a value: strides over the shape of a copy, and the first element. */
interface Elements {
  readonly strides: readonly number[];
  readonly first?: number;
}

/** Emits a strided copy over `shape` from an input to the result. Without other strides the result is dense. */
function stridedCopy(
  { inputs, outputs, results: [{ dtype }], emit }: Site,
  shape: Shape,
  from: Elements & { readonly input?: number },
  to: Elements = { strides: stridesOf(shape) },
): void {
  if (sizeOf(shape) === 0) return;
  const bytes = elementBytes(dtype);
  const axes = mergeAxes(shape, [from.strides, to.strides]);
  emit('strided', {
    x: inputs[from.input ?? 0] + (from.first ?? 0) * bytes,
    y: outputs[0] + (to.first ?? 0) * bytes,
    elementBytes: bytes,
    axes: axes.map(([size, xStride, yStride]) => ({ size, xStride, yStride })),
  });
}

/** Every step-th element of each axis, from `begin` on. */
function everyStep(shape: Shape, begin: readonly number[], step: readonly number[]): Elements {
  const strides = stridesOf(shape);
  return {
    strides: strides.map((stride, axis) => stride * step[axis]),
    first: strides.reduce((sum, stride, axis) => sum + stride * begin[axis], 0),
  };
}

/** The strides of a value that images are normalized with, over the shape of an image. */
function pixelStrides({ shape }: TensorType, image: Shape): StructOf<'PixelStrides'> {
  const [height, width, channels] = broadcastStrides(shape, image);
  return { height, width, channels };
}

type ConvSite = SiteWith<AttrsOf<'conv2d'>>;

const forward = (site: ConvSite, relu: boolean): void =>
  (isDense(site.attrs) ? conv2d : groupedConv2d)(site, relu);
const gradInput = (site: ConvSite): void => (isDense(site.attrs) ? conv2dGradInput : groupedGradInput)(site);
const gradWeight = (site: ConvSite): void =>
  (isDense(site.attrs) ? conv2dGradWeight : groupedGradWeight)(site);

/** The rows and columns of a resized image. */
function blends(attrs: AttrsOf<'resize2d'>): {
  readonly rows: readonly StructOf<'Blend'>[];
  readonly columns: readonly StructOf<'Blend'>[];
} {
  return { rows: resizeTable(attrs, 0), columns: resizeTable(attrs, 1) };
}

export const kernels: KernelTable<Site> & FusedTable<Site> = {
  copy: ({ inputs: [x], outputs: [y], results: [type], emit }) =>
    emit('copy', { x, y, bytes: bytesOf(type) }),
  ...elementwiseKernels,
  elementwise,
  checkFinite: ({ inputs: [x], outputs: [y], results: [{ shape }], emit }) =>
    emit('checkFinite', { x, y, n: sizeOf(shape) }),
  transpose(site) {
    const strides = stridesOf(site.types[0].shape);
    const { perm } = site.attrs;
    stridedCopy(site, site.results[0].shape, { strides: perm.map((axis) => strides[axis]) });
  },
  broadcastTo(site) {
    const { shape } = site.results[0];
    stridedCopy(site, shape, { strides: broadcastStrides(site.types[0].shape, shape) });
  },
  slice(site) {
    const { begin, step } = site.attrs;
    stridedCopy(site, site.results[0].shape, everyStep(site.types[0].shape, begin, step));
  },
  pad(site) {
    const { begin, step, value } = site.attrs;
    const [{ shape }] = site.types;
    fill(site, 0, value);
    stridedCopy(site, shape, { strides: stridesOf(shape) }, everyStep(site.results[0].shape, begin, step));
  },
  concat(site) {
    const { axis } = site.attrs;
    const strides = stridesOf(site.results[0].shape);
    let first = 0;
    site.types.forEach(({ shape }, input) => {
      stridedCopy(site, shape, { strides: stridesOf(shape), input }, { strides, first });
      first += shape[axis] * strides[axis];
    });
  },
  sum(site) {
    const [outer, n, inner] = site.types[0].shape;
    emitSum(site, site.inputs[0], site.outputs[0], outer, n, inner);
  },
  max({ inputs: [x], outputs: [y, positions], types: [{ shape }], emit }) {
    const [outer, n, inner] = shape;
    emit('maxOf', { x, y, positions, outer, n, inner });
  },
  cumsum({ inputs: [x], outputs: [y], types: [{ shape }], attrs, emit }) {
    const { exclusive, reverse } = attrs;
    const [outer, n, inner] = shape;
    emit('cumsum', { x, y, outer, n, inner, exclusive, reverse });
  },
  sort({ inputs: [x], outputs: [values, indices], types: [{ shape }], attrs, emit, scratchPerThread }) {
    const { descending } = attrs;
    const [rows, n] = shape;
    const scratch = scratchPerThread(align(2 * 4 * n));
    emit('sort', { x, values, indices, rows, n, descending, scratch });
  },
  matmul,
  conv2d: (site) => forward(site, false),
  conv2dBias: (site) => forward(site, site.attrs.relu),
  conv2dGradInput: gradInput,
  conv2dGradWeight: gradWeight,
  conv2dGradWeightBias: gradWeight,
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dArgmax: (site) => maxPool(site.attrs.relu)(site),
  conv2dMaxPool: (site) => conv2dMaxPool(site, forward, site.attrs.relu),
  maxPool2dGrad: maxPoolGrad,
  maxPool2dReluGrad: maxPoolGrad,
  maxPool2dArgmaxGrad,
  conv2dMaxPoolGradWeight: (site) => conv2dMaxPoolGradWeight(site, gradWeight),
  avgPool2d,
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
  lrnWithin,
  lrnWithinGrad,
  batchNorm: (site) => batchNorm(site, { residual: false, relu: false }),
  batchNormAct: (site) => batchNorm(site, site.attrs),
  batchNormGrad: batchNormGrad(false),
  batchNormActGrad: batchNormGrad(true),
  standardize,
  standardizeGrad,
  resize2d({ inputs: [x], outputs: [y], types: [{ shape }], attrs, emit }) {
    const [images, height, width, channels] = shape;
    const words = { x, y, images, height, width, channels, ...blends(attrs) };
    emit('resize', words, images * attrs.output[0]);
  },
  resize2dGrad({ inputs: [dy], outputs: [dx], results: [{ shape }], attrs, emit }) {
    const [images, height, width, channels] = shape;
    emit('resizeGrad', { dy, dx, images, height, width, channels, ...blends(attrs) }, images * height);
  },
  softmaxCrossEntropy({ inputs: [logits, labels], outputs: [losses, softmax], types, emit }) {
    const [rows, classes] = types[0].shape;
    emit('crossEntropy', { logits, labels, losses, softmax, rows, classes });
  },
  softmaxCrossEntropyGrad({ inputs: [dy, softmax, labels], outputs: [dx], results, emit }) {
    const [rows, classes] = results[0].shape;
    emit('crossEntropyGrad', { dy, softmax, labels, dx, rows, classes });
  },
  correct({ inputs: [logits, labels], outputs: [y], types, emit }) {
    const [rows, classes] = types[0].shape;
    emit('correct', { logits, labels, y, rows, classes });
  },
  dropout({ inputs: [x, step], outputs: [y], results: [{ shape }], attrs, emit }) {
    const { rate, key0, key1 } = attrs;
    const threshold = Math.round(rate * 2 ** 32);
    emit('dropout', { x, y, n: sizeOf(shape), step, key0, key1, threshold, scale: 1 / (1 - rate) });
  },
  random({ inputs: [step], outputs: [y], results: [{ shape }], attrs, emit }) {
    const { key0, key1, distribution } = attrs;
    emit('random', { y, n: sizeOf(shape), step, key0, key1, normal: distribution === 'normal' });
  },
  gatherRows({ inputs: [x, index], outputs: [y], types: [source, { shape }], emit }) {
    const [rows, ...row] = source.shape;
    const rowBytes = bytesOf({ shape: row, dtype: source.dtype });
    emit('gatherRows', { x, index, y, rows, count: shape[0], rowBytes });
  },
  scatterAddRows({ inputs: [dy, index], outputs: [dx], types: [{ shape }], results, emit }) {
    const [count, ...row] = shape;
    emit('scatterAddRows', { dy, index, dx, rows: results[0].shape[0], count, width: sizeOf(row) });
  },
  takeAlongAxis({ inputs: [x, index], outputs: [y], types: [source, { shape }], emit }) {
    const [outer, n, inner] = source.shape;
    const bytes = elementBytes(source.dtype);
    emit('takeAlongAxis', { x, index, y, elementBytes: bytes, outer, n, inner, m: shape[1] });
  },
  scatterAddAlongAxis({ inputs: [dy, index], outputs: [dx], types: [{ shape }], results, emit }) {
    const [outer, n, inner] = results[0].shape;
    emit('scatterAddAlongAxis', { dy, index, dx, outer, n, inner, m: shape[1] });
  },
  normalizeImages({ inputs, outputs: [y], types, emit, scratchPerThread }) {
    const [x, mean, scale, draws = 0] = inputs;
    const [images, ...image] = types[0].shape;
    const [height, width, channels] = image;
    emit('normalizeImages', {
      x,
      mean,
      scale,
      draws,
      y,
      images,
      height,
      width,
      channels,
      bytes: types[0].dtype === 'u8',
      meanStrides: pixelStrides(types[1], image),
      scaleStrides: pixelStrides(types[2], image),
      scratch: scratchPerThread(align(2 * width * channels * 4 + 16)),
    });
  },
};

/** The fusions that have kernels. */
export const fusions = fusionsOf(kernels);
