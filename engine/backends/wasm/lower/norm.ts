/** Normalization: over all axes but the last (batches), or over positions and the channels of a group. */
import type { AttrsOf } from '../../../ops/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { Shape, TensorType } from '../../../types.ts';
import { floatWord } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { align, type Lower } from './site.ts';

/**
 * Rows, channels and chunks of a normalisation over all axes but the last. A chunk is walked once for every vector of
 * channels, so it should stay in the first-level cache.
 */
function rowsOf({ shape }: TensorType): { rows: number; channels: number; chunks: number } {
  const channels = shape[shape.length - 1];
  const rows = sizeOf(shape) / Math.max(channels, 1);
  const chunkRows = Math.max(32, Math.floor((12 * 1024) / (4 * Math.max(channels, 1))));
  return { rows, channels, chunks: Math.max(1, Math.floor(rows / chunkRows)) };
}

/** Batch normalisation, and the sum and relu that may be fused into it. */
export const batchNorm: Lower = (site) => {
  const { inputs, outputs, types, attrs, emitWords, emitPieces, scratch } = site;
  const [y, mean, variance] = outputs;
  const parameters = inputs.slice(1);
  const residual = attrs['residual'] === true ? parameters.pop()! : 0;
  const [gamma = 0, beta = 0] = parameters;
  const epsilon = floatWord((attrs as AttrsOf<'batchNorm'>).epsilon);
  const { rows, channels, chunks } = rowsOf(types[0]);
  const partial = scratch(chunks * 2 * channels * 4);
  emitPieces(chunks, K.K_CHUNK_MOMENTS, inputs[0], partial, rows, channels, chunks);
  emitWords(K.K_MERGE_MOMENTS, partial, mean, variance, rows, channels, chunks);
  const epilogue = [residual, attrs['relu'] === true ? 1 : 0];
  emitWords(K.K_NORMALISE, inputs[0], y, mean, variance, gamma, beta, rows, channels, epsilon, ...epilogue);
};

/** The gradient of a batch normalisation, and of the relu that may come after it. */
export const batchNormGrad =
  (relu: boolean): Lower =>
  ({ inputs, outputs, types, attrs, emitWords, emitPieces, scratch }) => {
    const [g, x, mean, variance, gamma = 0, beta = 0] = inputs;
    const [dx, dGamma, dBeta] = outputs;
    const epsilon = floatWord((attrs as AttrsOf<'batchNormGrad'>).epsilon);
    const { rows, channels, chunks } = rowsOf(types[1]);
    const partial = scratch(chunks * 2 * channels * 4);
    const passed = [beta, relu ? 1 : 0];
    const sums = [g, x, mean, variance, partial, rows, channels, chunks, epsilon, gamma, ...passed];
    emitPieces(chunks, K.K_CHUNK_GRAD_SUMS, ...sums);
    emitWords(K.K_MERGE_GRAD_SUMS, partial, dBeta, dGamma, channels, chunks);
    const words = [g, x, mean, variance, gamma, dBeta, dGamma, dx, rows, channels, epsilon, ...passed];
    emitWords(K.K_NORMALISE_GRAD, ...words);
  };

/** A row of a value to standardise, [images, positions, groups, channels of a group], with room to read past its end. */
const rowBytes = (shape: Shape): number => align(sizeOf(shape.slice(2)) * 4 + 16);

export const standardize: Lower = ({
  inputs: [x],
  outputs,
  types: [{ shape }],
  attrs,
  threads,
  emitPieces,
  scratch,
}) => {
  const own = 2 * rowBytes(shape);
  const words = [...shape, floatWord((attrs as AttrsOf<'standardize'>).epsilon), scratch(threads * own), own];
  emitPieces(shape[0], K.K_STANDARDIZE, x, ...outputs, ...words);
};

export const standardizeGrad: Lower = ({
  inputs,
  outputs,
  types: [{ shape }],
  attrs,
  threads,
  emitPieces,
  scratch,
}) => {
  const own = 3 * rowBytes(shape);
  const words = [
    ...shape,
    floatWord((attrs as AttrsOf<'standardizeGrad'>).epsilon),
    scratch(threads * own),
    own,
  ];
  emitPieces(shape[0], K.K_STANDARDIZE_GRAD, ...inputs, ...outputs, ...words);
};

export const lrnWithin: Lower = (site) => {
  const { inputs, outputs, types, attrs, emit, scratchPerThread } = site;
  const [x] = inputs;
  const [y, scales] = outputs;
  const [images, height, width, channels] = types[0].shape;
  const { size, alpha, beta } = attrs as AttrsOf<'lrnWithin'>;
  const scratch = scratchPerThread(align(height * width * channels * 4 + 64));
  const image = { images, height, width, channels };
  emit('lrn', { x, y, scales, ...image, size, alpha: alpha / size ** 2, beta, scratch }, images);
};

export const lrnWithinGrad: Lower = (site) => {
  const { inputs, outputs, types, attrs, emit, scratchPerThread } = site;
  const [dy, x, scales] = inputs;
  const [dx] = outputs;
  const [images, height, width, channels] = types[0].shape;
  const { size, alpha, beta } = attrs as AttrsOf<'lrnWithinGrad'>;
  const factor = (2 * alpha * beta) / size ** 2;
  const productBytes = align(height * width * channels * 4 + 64);
  const scratch = scratchPerThread(2 * productBytes);
  const image = { images, height, width, channels };
  emit('lrnGrad', { dy, x, scales, dx, ...image, size, factor, beta, productBytes, scratch }, images);
};
