/**
 * From plan steps to kernel calls: which kernels of the module compute an operation, how its work is cut, and which
 * scratch memory it needs. How work is cut depends on shapes alone, never on the number of threads.
 */
import type { Attrs } from '../../../op.ts';
import type { AttrsOf } from '../../../ops/index.ts';
import { resizeTable } from '../../../ops/resize.ts';
import { broadcastStrides, bytesOf, elementBytes, mergeAxes, sizeOf, stridesOf } from '../../../shape.ts';
import type { Shape } from '../../../types.ts';
import type { FusedName } from '../../../plan/fuse.ts';
import type { KernelTable } from '../../backend.ts';
import { elementwise, elementwiseKernels } from './chain.ts';
import { conv2d, conv2dGradInput, conv2dGradWeight } from './conv.ts';
import { groupedConv2d, groupedGradInput, groupedGradWeight, isDense } from './grouped.ts';
import { floatWord } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { matmul } from './matmul.ts';
import { batchNorm, batchNormGrad, lrnWithin, lrnWithinGrad, standardize, standardizeGrad } from './norm.ts';
import {
  avgPool2d,
  avgPoolGrad,
  conv2dMaxPool,
  conv2dMaxPoolGradWeight,
  maxPool,
  maxPool2dTapsGrad,
  maxPoolGrad,
} from './pool.ts';
import { align, emitSum, fill, type Lower, type Site } from './site.ts';

/**
 * Copies elements of the first input to the result, both walked through with strides over `shape`, from the given elements
 * on. Without other strides the result is dense.
 */
function strided(
  { inputs, outputs: [y], results: [{ dtype }], emitWords }: Site,
  shape: Shape,
  from: { readonly strides: readonly number[]; readonly first?: number; readonly input?: number },
  to: { readonly strides: readonly number[]; readonly first?: number } = { strides: stridesOf(shape) },
): void {
  if (sizeOf(shape) === 0) return;
  const bytes = elementBytes(dtype);
  const axes = mergeAxes(shape, [from.strides, to.strides]);
  const addresses = [inputs[from.input ?? 0] + (from.first ?? 0) * bytes, y + (to.first ?? 0) * bytes];
  emitWords(K.K_STRIDED, bytes, ...addresses, axes.length, ...axes.flat());
}

/** The walk through every step-th element of each axis from `begin` on. */
function walk(shape: Shape, begin: readonly number[], step: readonly number[]) {
  const strides = stridesOf(shape);
  return {
    strides: strides.map((stride, axis) => stride * step[axis]),
    first: strides.reduce((sum, stride, axis) => sum + stride * begin[axis], 0),
  };
}

const convolution =
  (dense: Lower, grouped: Lower): Lower =>
  (site) =>
    (isDense(site.attrs as AttrsOf<'conv2d'>) ? dense : grouped)(site);

const forward = convolution(conv2d, groupedConv2d);
const gradWeight = convolution(conv2dGradWeight, groupedGradWeight);

/** Geometry and tables of a resize between images [N, …, C]. */
function resizeWords(shape: Shape, attrs: Attrs): number[] {
  const resize = attrs as AttrsOf<'resize2d'>;
  const tables = [...resizeTable(resize, 0), ...resizeTable(resize, 1)];
  return [
    shape[0],
    ...resize.input,
    shape[3],
    ...resize.output,
    ...tables.flatMap(({ from, to, weight }) => [from, to, floatWord(weight)]),
  ];
}

/** The fusions that have kernels. */
export const fusions: ReadonlySet<FusedName> = new Set([
  'elementwise',
  'conv2dBias',
  'conv2dGradWeightBias',
  'batchNormAct',
  'batchNormActGrad',
  'maxPool2dRelu',
  'maxPool2dReluGrad',
  'maxPool2dTaps',
  'maxPool2dTapsGrad',
  'conv2dMaxPool',
  'conv2dMaxPoolGradWeight',
  'avgPool2dReluGrad',
]);

export const kernels: KernelTable<Lower> & { readonly [N in FusedName]: Lower } = {
  copy: ({ inputs: [x], outputs: [y], results: [type], emitWords }) =>
    emitWords(K.K_COPY, x, y, bytesOf(type)),
  ...elementwiseKernels,
  elementwise,
  checkFinite: ({ inputs: [x], outputs: [y], results: [type], emitWords }) =>
    emitWords(K.K_CHECK_FINITE, x, y, sizeOf(type.shape)),
  transpose(site) {
    const strides = stridesOf(site.types[0].shape);
    const { perm } = site.attrs as AttrsOf<'transpose'>;
    strided(site, site.results[0].shape, { strides: perm.map((axis) => strides[axis]) });
  },
  broadcastTo(site) {
    const { shape } = site.results[0];
    strided(site, shape, { strides: broadcastStrides(site.types[0].shape, shape) });
  },
  slice(site) {
    const { begin, step } = site.attrs as AttrsOf<'slice'>;
    strided(site, site.results[0].shape, walk(site.types[0].shape, begin, step));
  },
  pad(site) {
    const { begin, step, value } = site.attrs as AttrsOf<'pad'>;
    const [{ shape }] = site.types;
    fill(site, 0, value);
    strided(site, shape, { strides: stridesOf(shape) }, walk(site.results[0].shape, begin, step));
  },
  concat(site) {
    const { axis } = site.attrs as AttrsOf<'concat'>;
    const strides = stridesOf(site.results[0].shape);
    let first = 0;
    site.types.forEach(({ shape }, input) => {
      strided(site, shape, { strides: stridesOf(shape), input }, { strides, first });
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
  cumulativeSum({ inputs, outputs, types: [{ shape }], attrs, emitWords }) {
    const { exclusive, reverse } = attrs as AttrsOf<'cumulativeSum'>;
    emitWords(K.K_CUMULATIVE_SUM, ...inputs, ...outputs, ...shape, Number(exclusive), Number(reverse));
  },
  sort({ inputs, outputs, types: [{ shape }], attrs, threads, emitWords, scratch }) {
    const [rows, n] = shape;
    const own = align(2 * 4 * n);
    const words = [rows, n, Number((attrs as AttrsOf<'sort'>).descending), scratch(threads * own), own];
    emitWords(K.K_SORT, ...inputs, ...outputs, ...words);
  },
  matmul,
  conv2d: forward,
  conv2dBias: forward,
  conv2dGradInput: convolution(conv2dGradInput, groupedGradInput),
  conv2dGradWeight: gradWeight,
  conv2dGradWeightBias: gradWeight,
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dTaps: (site) => maxPool(site.attrs['relu'] === true)(site),
  conv2dMaxPool: conv2dMaxPool(forward),
  maxPool2dGrad: maxPoolGrad,
  maxPool2dReluGrad: maxPoolGrad,
  maxPool2dTapsGrad,
  conv2dMaxPoolGradWeight: conv2dMaxPoolGradWeight(gradWeight),
  avgPool2d,
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
  lrnWithin,
  lrnWithinGrad,
  batchNorm,
  batchNormAct: batchNorm,
  batchNormGrad: batchNormGrad(false),
  batchNormActGrad: batchNormGrad(true),
  standardize,
  standardizeGrad,
  resize2d: ({ inputs: [x], outputs: [y], types: [{ shape }], attrs, emitPieces }) => {
    const { output } = attrs as AttrsOf<'resize2d'>;
    emitPieces(shape[0] * output[0], K.K_RESIZE, x, y, ...resizeWords(shape, attrs));
  },
  resize2dGrad: ({ inputs: [g], outputs: [dx], types: [{ shape }], attrs, emitPieces }) => {
    const { input } = attrs as AttrsOf<'resize2dGrad'>;
    emitPieces(shape[0] * input[0], K.K_RESIZE_GRAD, g, dx, ...resizeWords(shape, attrs));
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
  dropout({ inputs: [x, step], outputs: [y], results: [type], attrs, emitWords }) {
    const { rate, key0, key1 } = attrs as AttrsOf<'dropout'>;
    emitWords(
      K.K_DROPOUT,
      x,
      y,
      sizeOf(type.shape),
      step,
      key0,
      key1,
      Math.round(rate * 2 ** 32),
      floatWord(1 / (1 - rate)),
    );
  },
  random({ inputs: [step], outputs: [y], results: [type], attrs, emitWords }) {
    const { key0, key1, distribution } = attrs as AttrsOf<'random'>;
    emitWords(K.K_RANDOM, y, sizeOf(type.shape), step, key0, key1, distribution === 'normal' ? 1 : 0);
  },
  takeRows({ inputs, outputs, types: [x, index], emitWords }) {
    const row = { shape: x.shape.slice(1), dtype: x.dtype };
    emitWords(K.K_TAKE_ROWS, ...inputs, ...outputs, x.shape[0], index.shape[0], bytesOf(row));
  },
  scatterRows({ inputs, outputs, types: [g], results: [y], emitWords }) {
    emitWords(K.K_SCATTER_ROWS, ...inputs, ...outputs, y.shape[0], g.shape[0], sizeOf(g.shape.slice(1)));
  },
  takeAlong({ inputs, outputs, types: [x, index], emitWords }) {
    emitWords(K.K_TAKE_ALONG, elementBytes(x.dtype), ...inputs, ...outputs, ...x.shape, index.shape[1]);
  },
  scatterAlong({ inputs, outputs, types: [g], results: [y], emitWords }) {
    emitWords(K.K_SCATTER_ALONG, ...inputs, ...outputs, ...y.shape, g.shape[1]);
  },
  normalizeImages({ inputs: [x, mean, scale, draws = 0], outputs: [y], types, threads, emitWords, scratch }) {
    const item = types[0].shape.slice(1);
    const own = align(2 * sizeOf(item.slice(1)) * 4 + 16);
    const bytes = types[0].dtype === 'u8' ? 1 : 4;
    const strides = [...broadcastStrides(types[1].shape, item), ...broadcastStrides(types[2].shape, item)];
    const words = [...types[0].shape, bytes, ...strides, scratch(threads * own), own];
    emitWords(K.K_NORMALIZE_IMAGES, x, mean, scale, draws, y, ...words);
  },
};
