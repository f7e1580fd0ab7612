/** Normalization: over all axes but the last, over positions and the channels of a group, or over a window of a channel. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { Shape, TensorType } from '../../../types.ts';
import { align, type Lower, type ContextWith } from './lowering.ts';

/**
 * Rows, channels and chunks of a normalization over all axes but the last. A chunk is read once for every vector of
 * channels, so it should stay in the first-level cache.
 */
function rowsOf({ shape }: TensorType): { rows: number; channels: number; chunks: number } {
  const channels = shape[shape.length - 1];
  const rows = sizeOf(shape) / Math.max(channels, 1);
  const chunkRows = Math.max(32, Math.floor((12 * 1024) / (4 * Math.max(channels, 1))));
  return { rows, channels, chunks: Math.max(1, Math.floor(rows / chunkRows)) };
}

/** Batch normalization, and the sum and relu that may be fused into it. */
export function batchNorm(
  context: ContextWith<AttrsOf<'batchNorm'>>,
  { residual: adds, relu }: { readonly residual: boolean; readonly relu: boolean },
): void {
  const { inputs, outputs, types, attrs, emit, scratch, scratchPerThread } = context;
  const [x, ...parameters] = inputs;
  const [y, mean, variance] = outputs;
  const residual = adds ? parameters.pop()! : 0;
  const [gamma = 0, beta = 0] = parameters;
  const { epsilon } = attrs;
  const { rows, channels, chunks } = rowsOf(types[0]);
  const partial = scratch(chunks * 2 * channels * 4);
  emit('chunkMoments', { x, partial, rows, channels, chunks }, chunks);
  emit('mergeMoments', { partial, mean, variance, rows, channels, chunks });
  const scales = scratchPerThread(align(channels * 4 + 64));
  emit('normalize', {
    mean,
    variance,
    gamma,
    beta,
    rows,
    channels,
    epsilon,
    relu,
    x,
    y,
    residual,
    scratch: scales,
  });
}

/** The gradient of a batch normalization, and of the relu that may come after it. */
export const batchNormGrad =
  (relu: boolean): Lower<AttrsOf<'batchNormGrad'>> =>
  ({ inputs, outputs, types, attrs, emit, scratch, scratchPerThread }) => {
    const [dy, x, mean, variance, gamma = 0, beta = 0] = inputs;
    const [dx, dGamma, dBeta] = outputs;
    const { epsilon } = attrs;
    const { rows, channels, chunks } = rowsOf(types[1]);
    const norm = { mean, variance, gamma, beta, rows, channels, epsilon, relu };
    const partial = scratch(chunks * 2 * channels * 4);
    emit('chunkGradSums', { ...norm, dy, x, partial, chunks }, chunks);
    emit('mergeGradSums', { partial, dBeta, dGamma, channels, chunks });
    const rowBytes = align(channels * 4 + 64);
    emit('normalizeGrad', {
      ...norm,
      dy,
      x,
      dx,
      dGamma,
      dBeta,
      rowBytes,
      scratch: scratchPerThread(4 * rowBytes),
    });
  };

/** Bytes of a row of a value to standardize, [images, positions, groups, channels of a group], with room to read past its end. */
const rowBytesOf = (shape: Shape): number => align(sizeOf(shape.slice(2)) * 4 + 16);

export const standardize: Lower<AttrsOf<'standardize'>> = ({
  inputs,
  outputs,
  types,
  attrs,
  emit,
  scratchPerThread,
}) => {
  const [x] = inputs;
  const [y, mean, variance] = outputs;
  const [{ shape }] = types;
  const [images, positions, groups, channels] = shape;
  const { epsilon } = attrs;
  const rowBytes = rowBytesOf(shape);
  const scratch = scratchPerThread(2 * rowBytes);
  const sizes = { images, positions, groups, channels };
  emit('standardize', { x, y, mean, variance, ...sizes, epsilon, rowBytes, scratch }, images);
};

export const standardizeGrad: Lower<AttrsOf<'standardizeGrad'>> = ({
  inputs,
  outputs,
  types,
  attrs,
  emit,
  scratchPerThread,
}) => {
  const [dy, y, variance] = inputs;
  const [dx] = outputs;
  const [{ shape }] = types;
  const [images, positions, groups, channels] = shape;
  const { epsilon } = attrs;
  const rowBytes = rowBytesOf(shape);
  const scratch = scratchPerThread(3 * rowBytes);
  const sizes = { images, positions, groups, channels };
  emit('standardizeGrad', { dy, y, variance, dx, ...sizes, epsilon, rowBytes, scratch }, images);
};

export const lrnWithin: Lower<AttrsOf<'lrnWithin'>> = (context) => {
  const { inputs, outputs, types, attrs, emit, scratchPerThread } = context;
  const [x] = inputs;
  const [y, scales] = outputs;
  const [images, height, width, channels] = types[0].shape;
  const { size, alpha, beta } = attrs;
  const scratch = scratchPerThread(align(height * width * channels * 4 + 64));
  const image = { images, height, width, channels };
  emit('lrn', { x, y, scales, ...image, size, alpha: alpha / size ** 2, beta, scratch }, images);
};

export const lrnWithinGrad: Lower<AttrsOf<'lrnWithinGrad'>> = (context) => {
  const { inputs, outputs, types, attrs, emit, scratchPerThread } = context;
  const [dy, x, scales] = inputs;
  const [dx] = outputs;
  const [images, height, width, channels] = types[0].shape;
  const { size, alpha, beta } = attrs;
  const factor = (2 * alpha * beta) / size ** 2;
  const productBytes = align(height * width * channels * 4 + 64);
  const scratch = scratchPerThread(2 * productBytes);
  const image = { images, height, width, channels };
  emit('lrnGrad', { dy, x, scales, dx, ...image, size, factor, beta, productBytes, scratch }, images);
};
