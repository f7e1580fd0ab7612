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
import { attention, attentionGrad, slicedAttention, slicedAttentionGrad } from './attention.ts';
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
import { align, emitSum, fill, type LoweringContext, type ContextWith } from './lowering.ts';

/** Elements of a value: strides over the shape of a copy, and the first element. */
interface Elements {
  readonly strides: readonly number[];
  readonly first?: number;
}

/** Emits a strided copy over `shape` from an input to the result. Without other strides the result is dense. */
function stridedCopy(
  { inputs, outputs, results: [{ dtype }], emit }: LoweringContext,
  shape: Shape,
  from: Elements & { readonly input?: number },
  to: Elements = { strides: stridesOf(shape) },
): void {
  if (sizeOf(shape) === 0) return;
  const bytes = elementBytes(dtype);
  const axes = inLoopOrder(mergeAxes(shape, [from.strides, to.strides]));
  emit('strided', {
    x: inputs[from.input ?? 0] + (from.first ?? 0) * bytes,
    y: outputs[0] + (to.first ?? 0) * bytes,
    elementBytes: bytes,
    axes: axes.map(([size, xStride, yStride]) => ({ size, xStride, yStride })),
  });
}

/** The size of an axis, and its strides in the source and in the result. */
type CopyAxis = readonly number[];

/**
 * The axes of a copy with a long one innermost, because each row costs more than a few elements. A copy that ends in a short axis, such
 * as the channels of an image, goes along another axis instead if its elements are close to each other.
 */
function inLoopOrder(axes: readonly CopyAxis[]): readonly CopyAxis[] {
  const SHORT = 16;
  const last = axes[axes.length - 1];
  if (last[0] >= SHORT) return axes;
  const reach = ([, x, y]: CopyAxis): number => Math.max(Math.abs(x), Math.abs(y));
  const better = axes
    .filter((axis) => axis[0] >= 4 * last[0] && axis[0] >= SHORT && reach(axis) <= SHORT)
    .sort((a, b) => reach(a) - reach(b))[0];
  return better === undefined ? axes : [...axes.filter((axis) => axis !== better), better];
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

type ConvContext = ContextWith<AttrsOf<'conv2d'>>;

const forward = (context: ConvContext, relu: boolean): void =>
  (isDense(context.attrs) ? conv2d : groupedConv2d)(context, relu);
const gradInput = (context: ConvContext): void =>
  (isDense(context.attrs) ? conv2dGradInput : groupedGradInput)(context);
const gradWeight = (context: ConvContext): void =>
  (isDense(context.attrs) ? conv2dGradWeight : groupedGradWeight)(context);

/** The rows and columns of a resized image. */
function blends(attrs: AttrsOf<'resize2d'>): {
  readonly rows: readonly StructOf<'Blend'>[];
  readonly columns: readonly StructOf<'Blend'>[];
} {
  return { rows: resizeTable(attrs, 0), columns: resizeTable(attrs, 1) };
}

export const kernels: KernelTable<LoweringContext> & FusedTable<LoweringContext> = {
  copy: ({ inputs: [x], outputs: [y], results: [type], emit }) =>
    emit('copy', { x, y, bytes: bytesOf(type) }),
  ...elementwiseKernels,
  elementwise,
  checkFinite: ({ inputs: [x], outputs: [y], results: [{ shape }], emit }) =>
    emit('checkFinite', { x, y, n: sizeOf(shape) }),
  transpose(context) {
    const strides = stridesOf(context.types[0].shape);
    const { perm } = context.attrs;
    stridedCopy(context, context.results[0].shape, { strides: perm.map((axis) => strides[axis]) });
  },
  broadcastTo(context) {
    const { shape } = context.results[0];
    stridedCopy(context, shape, { strides: broadcastStrides(context.types[0].shape, shape) });
  },
  slice(context) {
    const { begin, step } = context.attrs;
    stridedCopy(context, context.results[0].shape, everyStep(context.types[0].shape, begin, step));
  },
  pad(context) {
    const { begin, step, value } = context.attrs;
    const [{ shape }] = context.types;
    fill(context, 0, value);
    stridedCopy(
      context,
      shape,
      { strides: stridesOf(shape) },
      everyStep(context.results[0].shape, begin, step),
    );
  },
  concat(context) {
    const { axis } = context.attrs;
    const strides = stridesOf(context.results[0].shape);
    let first = 0;
    context.types.forEach(({ shape }, input) => {
      stridedCopy(context, shape, { strides: stridesOf(shape), input }, { strides, first });
      first += shape[axis] * strides[axis];
    });
  },
  sum(context) {
    const [outer, n, inner] = context.types[0].shape;
    emitSum(context, context.inputs[0], context.outputs[0], outer, n, inner);
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
  attention,
  attentionGrad,
  slicedAttention,
  slicedAttentionGrad,
  conv2d: (context) => forward(context, false),
  conv2dBias: (context) => forward(context, context.attrs.relu),
  conv2dGradInput: gradInput,
  conv2dGradWeight: gradWeight,
  conv2dGradWeightBias: gradWeight,
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dArgmax: (context) => maxPool(context.attrs.relu)(context),
  conv2dMaxPool: (context) => conv2dMaxPool(context, forward, context.attrs.relu),
  maxPool2dGrad: maxPoolGrad,
  maxPool2dReluGrad: maxPoolGrad,
  maxPool2dArgmaxGrad,
  conv2dMaxPoolGradWeight: (context) => conv2dMaxPoolGradWeight(context, gradWeight),
  avgPool2d,
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
  lrnWithin,
  lrnWithinGrad,
  batchNorm: (context) => batchNorm(context, { residual: false, relu: false }),
  batchNormAct: (context) => batchNorm(context, context.attrs),
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
