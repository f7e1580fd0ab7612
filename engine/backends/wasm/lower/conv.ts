/** Convolutions without groups or dilation: computed directly here, or by Winograd's minimal filtering (winograd.ts). */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { convolutionOf, roundUp, type Geometry, type Pass } from './geometry.ts';
import {
  align,
  emitSum,
  fill,
  panelOf,
  tileBytes,
  type Lower,
  type LoweringContext,
  type ContextWith,
} from './lowering.ts';
import {
  CALL_STEPS,
  emitPositions,
  emitPositionsGradWeight,
  positionsCycles,
  positionsWeightCycles,
} from './positions.ts';
import { chooseForm, directCycles, emitWinograd, emitWinogradGradWeight, nameOf } from './winograd.ts';

/** The part of an input gradient that one phase of a strided convolution reaches: every stride-th pixel. */
interface Phase {
  /** Size of the whole filter, and the first of its taps that counts. */
  readonly filter: readonly [number, number];
  readonly tap: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Size of the whole input gradient, and its first pixel that is reached. */
  readonly full: readonly [number, number];
  readonly first: readonly [number, number];
}

function emitPass(context: LoweringContext, pass: Pass): void {
  const { input, channels, kernel } = pass;
  if (sizeOf(context.results[0].shape) === 0) return;
  if (sizeOf(kernel) * channels * sizeOf(input) === 0) {
    fill(context);
    return;
  }
  const form = chooseForm(pass, context, false);
  if (form === null) emitDirect(context, pass);
  else emitWinograd(context, form, pass);
}

/** Output rows that one task of a convolution computes: the rows that they see stay in the second-level cache. */
export function rowsOfTask(
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

/** The part of the time of rows that positions may be expected to take: they read the pixels of an image one by one. */
const WORTH_POSITIONS = 0.93;

/** Computes `pass` directly; with a phase, the part of an input gradient that it reaches. */
function emitDirect(
  context: LoweringContext,
  pass: Pass,
  phase: Phase = { filter: pass.kernel, tap: [0, 0], stride: [1, 1], full: pass.output, first: [0, 0] },
): void {
  const { emit, note } = context;
  const { images, channels, filters, kernel, stride, output } = pass;
  const depth = sizeOf(kernel) * channels;
  const { at: packed, emit: emitPacking } = context.derived(
    1,
    roundUp(filters, panelOf(context)) * depth * 4,
  );
  if (pass.rotated) {
    const [kernelY, kernelX] = phase.filter;
    const taps = {
      phaseY: phase.tap[0],
      phaseX: phase.tap[1],
      strideY: phase.stride[0],
      strideX: phase.stride[1],
    };
    emitPacking('packRotated', {
      w: pass.w,
      packed,
      kernelY,
      kernelX,
      channels: filters,
      filters: channels,
      ...taps,
    });
  } else {
    const matrix = { from: pass.w, rows: depth, columns: filters, rowStride: filters, columnStride: 1 };
    emitPacking('packB', { ...matrix, packed, batch: 1, fromStride: 0, packedStride: 0 });
  }
  const placement = {
    fullHeight: phase.full[0],
    fullWidth: phase.full[1],
    firstY: phase.first[0],
    firstX: phase.first[1],
    skipY: phase.stride[0],
    skipX: phase.stride[1],
  };
  const { x, y, bias, relu } = pass;
  const words = { ...convolutionOf(pass), ...placement, x, packed, y, bias, relu };
  // Both ways give the same bits, so the number of images may decide. Without many taps outside the image, rows of one image are better.
  const rounded = roundUp(sizeOf(output), K.MR) / sizeOf(output);
  if (positionsCycles(pass, roundUp(images, K.MR)) < WORTH_POSITIONS * directCycles(pass) * rounded) {
    note('direct, position by position');
    emitPositions(context, words);
    return;
  }
  note('direct');
  const columns = (output[1] - 1) * stride[1] + kernel[1];
  const rowBytes = columns * channels * 4;
  const taskRows = rowsOfTask(images, output[0], rowBytes, kernel[0], stride[0]);
  const cornerBytes = tileBytes(context);
  const paddedBytes = ((taskRows - 1) * stride[0] + kernel[0]) * rowBytes;
  const scratch = context.scratchPerThread(align(cornerBytes + paddedBytes + 64));
  emit('conv', { ...words, taskRows, cornerBytes, scratch }, images * Math.ceil(output[0] / taskRows));
}

/** conv2d, with the bias and relu that may be fused into it. */
export function conv2d(context: ContextWith<AttrsOf<'conv2d'>>, relu: boolean): void {
  const { inputs, outputs, types, attrs } = context;
  const { stride, pad, input, kernel, output } = attrs;
  emitPass(context, {
    x: inputs[0],
    w: inputs[1],
    rotated: false,
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
    output,
  });
}

/**
 * The input gradient is a convolution of the output's gradient with rotated filters. Of a strided convolution, it is one for
 * every phase: pixels a stride apart meet the same taps, and together the phases do no more work than the forward pass.
 */
export const conv2dGradInput: Lower<AttrsOf<'conv2dGradInput'>> = (context) => {
  const { inputs, outputs, types, attrs } = context;
  const { stride, pad, input, kernel, output } = attrs;
  const common = {
    x: inputs[0],
    w: inputs[1],
    rotated: true,
    y: outputs[0],
    bias: 0,
    relu: false,
    images: types[0].shape[0],
    input: output,
    channels: types[1].shape[3],
    filters: types[1].shape[2],
    stride: [1, 1],
  } as const;
  if (Math.max(...stride) === 1) {
    const rotatedPad = [kernel[0] - 1 - pad[0], kernel[1] - 1 - pad[2]] as const;
    emitPass(context, { ...common, kernel, pad: rotatedPad, output: input });
    return;
  }
  if (sizeOf(context.results[0].shape) === 0) return;
  // Where the stride exceeds the filter, some pixels meet no tap.
  const empty = sizeOf(kernel) * common.channels * sizeOf(output) === 0;
  if (empty || stride.some((s, axis) => s > kernel[axis])) fill(context);
  if (empty) return;
  const phases = [0, 1].map((axis) => phasesOf(input[axis], kernel[axis], stride[axis], pad[2 * axis]));
  for (const y of phases[0]) {
    for (const x of phases[1]) {
      emitDirect(
        context,
        { ...common, kernel: [y.taps, x.taps], pad: [y.pad, x.pad], output: [y.count, x.count] },
        { filter: kernel, tap: [y.tap, x.tap], stride, full: input, first: [y.first, x.first] },
      );
    }
  }
};

/** The phases of one axis that meet a tap: pixel first + i · stride takes `taps` taps from i − pad on. */
function phasesOf(size: number, kernel: number, stride: number, pad: number) {
  return Array.from({ length: Math.min(stride, kernel) }, (_, tap) => {
    const first = (((tap - pad) % stride) + stride) % stride;
    const taps = Math.ceil((kernel - tap) / stride);
    const count = Math.ceil((size - first) / stride);
    return { tap, taps, first, count, pad: taps - 1 - (first + pad - tap) / stride };
  }).filter(({ count }) => count > 0);
}

/** The context of a weight gradient. */
type WeightContext = ContextWith<AttrsOf<'conv2dGradWeight'>>;

function weightGeometry({ types: [x, g], attrs }: WeightContext): Geometry {
  const { stride, pad, input, kernel, output } = attrs;
  const [images, , , channels] = x.shape;
  const pads = [pad[0], pad[2]] as const;
  return { images, input, channels, filters: g.shape[3], kernel, stride, pad: pads, output };
}

/** Whether the weight gradient can take g before the max pool it comes through. */
export const takesPooled = (context: WeightContext): boolean =>
  chooseForm(weightGeometry(context), context, true) !== null;

/**
 * The weight gradient and, where it is fused, the sum of g over all but its last axis. The words of a max pool between
 * are in `pools` (`takesPooled`).
 */
export function conv2dGradWeight(context: WeightContext, pools: readonly StructOf<'Pooled'>[] = []): void {
  const geometry = weightGeometry(context);
  const { images, filters, output } = geometry;
  if (sizeOf(context.results[0].shape) === 0) return;
  if (images === 0 || sizeOf(output) === 0) {
    context.outputs.forEach((_, i) => fill(context, i));
    return;
  }
  const form = chooseForm(geometry, context, true);
  if (form !== null) {
    context.note(nameOf(form));
    emitWinogradGradWeight(context, form, geometry, pools);
    return;
  }
  if (positionsWeightCycles(geometry) < directWeightCycles(geometry)) {
    context.note('direct, position by position');
    emitPositionsGradWeight(context, geometry);
  } else {
    context.note('direct');
    emitDirectGradWeight(context);
  }
  if (context.outputs.length > 1)
    emitSum(context, context.inputs[1], context.outputs[1], 1, images * sizeOf(output), filters);
}

/** Zeros after each row of the gradient that cost less than to load and store the sums once for each row. */
const WORTH_ONE_PRODUCT = 4;

/** The rows that a task of a direct weight gradient works on at a time. */
function weightRows({ channels, filters, kernel, stride, output }: Geometry) {
  // With a few zeros after each row of the gradient the windows of all rows lie at one distance, and are one product.
  const zeros = Math.max(0, Math.ceil(kernel[1] / stride[1]) - 1);
  const extraColumns = zeros <= WORTH_ONE_PRODUCT ? zeros : -1;
  const columns =
    extraColumns < 0 ? (output[1] - 1) * stride[1] + kernel[1] : (output[1] + extraColumns) * stride[1];
  const rowBytes = columns * channels * 4;
  const gradRowBytes = (output[1] + Math.max(extraColumns, 0)) * filters * 4;
  // Padded rows of the image and of the gradient stay in the first-level cache together.
  const fitting = Math.floor((20 * 1024) / (rowBytes + gradRowBytes));
  const taskRows = Math.max(1, Math.min(fitting, output[0]));
  return { extraColumns, rowBytes, gradRowBytes, taskRows };
}

/** Cycles of a direct weight gradient that is computed row by row. */
function directWeightCycles(geometry: Geometry): number {
  const { channels, kernel, output } = geometry;
  const { extraColumns, taskRows } = weightRows(geometry);
  const steps = extraColumns < 0 ? output[1] : taskRows * (output[1] + extraColumns) - extraColumns;
  const run = kernel[1] * channels;
  return (directCycles(geometry) * (1 + CALL_STEPS / steps) * roundUp(run, K.MR)) / run;
}

function emitDirectGradWeight(context: WeightContext): void {
  const { emit, scratch } = context;
  const [x, dy] = context.inputs;
  const geometry = weightGeometry(context);
  const { images, channels, filters, kernel } = geometry;
  const run = kernel[1] * channels;
  const runPadded = Math.ceil(run / K.MR) * K.MR;
  const partialRows = kernel[0] * runPadded;
  // About a hundred tasks of (images, filter row), but no more than 16 MiB of partial sums (twice that where wide panels are half empty).
  const chunks = Math.max(
    1,
    Math.min(
      images,
      Math.ceil(100 / kernel[0]),
      Math.floor(2 ** 22 / (partialRows * roundUp(filters, K.NR))),
    ),
  );
  const { extraColumns, rowBytes, gradRowBytes, taskRows } = weightRows(geometry);
  const paddedBytes = taskRows * rowBytes + 16;
  const partial = scratch(chunks * partialRows * roundUp(filters, panelOf(context)) * 4);
  const own = context.scratchPerThread(align(paddedBytes + taskRows * gradRowBytes + 80));
  emit(
    'convGradWeight',
    {
      ...convolutionOf(geometry),
      x,
      dy,
      partial,
      chunks,
      taskRows,
      extraColumns,
      paddedBytes,
      scratch: own,
    },
    chunks * kernel[0],
  );
  emit('addPartials', { partial, dw: context.outputs[0], chunks, kernelY: kernel[0], run, filters });
}
