/**
 * Direct convolutions position by position (kernels/positions.ts): without the products of taps outside the image. On small maps these
 * are most of them.
 */
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { convolutionOf, roundUp, type Geometry } from './geometry.ts';
import { align, panelOf, tileBytes, type LoweringContext } from './lowering.ts';

/** Steps of a product whose right operand stays in the first-level cache beside the left one. */
const STEPS = 344;
/** Products of 8 lanes a cycle that the kernels reach, of 1 possible. */
const POSITIONS_SHARE = 0.75;

/** The pairs of an output position and a tap inside the image along one axis. */
function pairsOf({ input, output, kernel, stride, pad }: Geometry, axis: 0 | 1): number {
  let pairs = 0;
  for (let position = 0; position < output[axis]; position++) {
    const first = position * stride[axis] - pad[axis];
    pairs += Math.max(0, Math.min(kernel[axis], input[axis] - first) - Math.max(0, -first));
  }
  return pairs;
}

/** Cycles of a pass over so many images. */
export function positionsCycles(pass: Geometry, images = pass.images): number {
  const products = images * pairsOf(pass, 0) * pairsOf(pass, 1);
  return (products * pass.channels * roundUp(pass.filters, K.NR)) / 8 / POSITIONS_SHARE;
}

/** Steps of a product that take as long as to call its kernel and to load and store its sums. */
export const CALL_STEPS = 12;
/** Cycles in which an operand of a weight gradient is packed, by element: mostly the time of memory. */
const PACKING = 8;

/** Images whose operands are multiplied together, for each position. */
const imagesTogether = ({ images, output }: Geometry): number =>
  Math.max(1, Math.min(images, Math.floor(STEPS / output[1])));

/** Cycles of a weight gradient. */
export function positionsWeightCycles(pass: Geometry): number {
  const { images, input, channels, filters, output } = pass;
  const products = (positionsCycles(pass) * roundUp(channels, K.MR)) / channels;
  const elements = images * (sizeOf(input) * channels + sizeOf(output) * filters);
  return products * (1 + CALL_STEPS / (output[1] * imagesTogether(pass))) + elements * PACKING;
}

/** Bytes of inputs that stay in the second-level cache beside a panel of filters. */
const INPUT_BYTES = 384 * 1024;

export function emitPositions(context: LoweringContext, words: StructOf<'ConvPass'>): void {
  const { images, height, width, channels, filters, outHeight, outWidth } = words;
  const fitting = Math.floor(INPUT_BYTES / (height * width * channels * 4) / K.MR);
  const blockImages = Math.max(4, fitting) * K.MR;
  const corner = context.scratchPerThread(align(tileBytes(context)));
  const panels = Math.ceil(filters / panelOf(context));
  const tasks = Math.ceil(images / blockImages) * panels * outHeight * outWidth;
  context.emit('convPositions', { ...words, blockImages, corner }, tasks);
}

/** An odd number of cache lines, so that panels do not share a few cache sets. */
const oddLines = (bytes: number): number => (Math.ceil(bytes / 64) | 1) * 64;

/** Products that one sum adds up, if there are enough images: its rounding error grows with their number. */
const DEPTH = 4096;
/** Parts of the work that many threads share evenly. */
const PARTS = 64;

export function emitPositionsGradWeight(context: LoweringContext, geometry: Geometry): void {
  const { emit, scratch, inputs, outputs } = context;
  const { images, input, channels, filters, kernel, stride, output } = geometry;
  const [x, dy] = inputs;
  const panel = panelOf(context);
  const rowPlaces = roundUp(input[1], stride[1]);
  const inputBytes = oddLines(images * input[0] * rowPlaces * K.MR * 4);
  const gradBytes = oddLines(images * sizeOf(output) * panel * 4);
  const packed = scratch(inputBytes * Math.ceil(channels / K.MR));
  const grads = scratch(gradBytes * Math.ceil(filters / panel));
  const blockImages = imagesTogether(geometry);
  const blockRows = Math.max(1, Math.min(output[0], Math.floor(STEPS / (output[1] * blockImages))));
  const blocks = Math.ceil(images / blockImages);
  const chunks = Math.min(blocks, Math.ceil((images * sizeOf(output)) / DEPTH));
  const size = sizeOf(kernel) * channels * filters;
  const partial = chunks === 1 ? outputs[0] : scratch(chunks * size * 4);
  const parts = Math.ceil(Math.sqrt(PARTS / chunks));
  const rowGroups = Math.min(Math.ceil(channels / K.MR), parts);
  const columnGroups = Math.min(Math.ceil(filters / panel), Math.ceil(PARTS / (chunks * rowGroups)));
  const [height, width] = input;
  emit(
    'packPositions',
    {
      x,
      packed,
      images,
      height,
      width,
      channels,
      stride: stride[1],
      blockImages,
      panelBytes: inputBytes,
      wide: false,
    },
    blocks * sizeOf(input),
  );
  emit(
    'packPositions',
    {
      x: dy,
      packed: grads,
      images,
      height: output[0],
      width: output[1],
      channels: filters,
      stride: 1,
      blockImages,
      panelBytes: gradBytes,
      wide: true,
    },
    blocks * sizeOf(output),
  );
  emit(
    'positionsGradWeight',
    {
      ...convolutionOf(geometry),
      inputs: packed,
      inputBytes,
      grads,
      gradBytes,
      dw: partial,
      chunks,
      rowGroups,
      columnGroups,
      blockImages,
      blockRows,
      corner: context.scratchPerThread(align(tileBytes(context))),
    },
    chunks * rowGroups * columnGroups,
  );
  if (chunks > 1) emit('sum', { x: partial, y: outputs[0], outer: 1, n: chunks, inner: size, chunks: 1 });
}
