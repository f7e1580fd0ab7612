/**
 * Convolutions with groups or dilation: gathered into matrices (kernels/grouped.ts), or channel by channel where each is a
 * group of its own. The dense ones are in conv.ts.
 */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { rowsOfTask } from './conv.ts';
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

/** Whether a convolution is the plain one that conv.ts computes. */
export const isDense = ({ dilation, groups }: AttrsOf<'conv2d'>): boolean =>
  groups === 1 && Math.max(...dilation) === 1;

/** One pass: from an image to another, whose pixels see it through taps. */
interface Pass {
  readonly images: number;
  readonly input: readonly [number, number];
  readonly channels: number;
  readonly output: readonly [number, number];
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly groups: number;
  /** Where the taps are: see kernels/grouped.ts. [vertical, horizontal] each. */
  readonly step: readonly [number, number];
  readonly tap: readonly [number, number];
  readonly offset: readonly [number, number];
  readonly divisor: readonly [number, number];
}

/** A pass as kernels have it. */
function groupedOf(pass: Pass): StructOf<'Grouped'> {
  const { images, input, channels, output, filters, kernel, groups, step, tap, offset, divisor } = pass;
  const [vertical, horizontal] = [0, 1].map((axis) => ({
    size: input[axis],
    step: step[axis],
    tap: tap[axis],
    offset: offset[axis],
    divisor: divisor[axis],
  }));
  const [[kernelY, kernelX], [outHeight, outWidth]] = [kernel, output];
  return { images, channels, filters, groups, kernelY, kernelX, outHeight, outWidth, vertical, horizontal };
}

const isDepthwise = ({ groups, channels, filters }: Pass): boolean =>
  groups === channels && groups === filters;

/** The forward pass: of x [N, H, W, C], to y with O channels. */
function forwardPass(attrs: AttrsOf<'conv2d'>, images: number, channels: number, filters: number): Pass {
  const { stride, pad, input, kernel, output, dilation, groups } = attrs;
  return {
    images,
    input,
    channels,
    output,
    filters,
    kernel,
    groups,
    step: stride,
    tap: dilation,
    offset: [-pad[0], -pad[2]],
    divisor: [1, 1],
  };
}

/** How many output rows a task computes from the rows that it gathers, and the tasks of an image. */
function tasksOf({ images, output, channels, kernel, groups }: Pass) {
  const rowBytes = (output[1] * sizeOf(kernel) * channels * 4) / groups;
  const taskRows = rowsOfTask(images, output[0], rowBytes, 1, 1);
  return { taskRows, gatheredBytes: taskRows * rowBytes, imageTasks: Math.ceil(output[0] / taskRows) };
}

/** y of a pass, `rotated` for an input gradient, whose filters are read with channels and filters exchanged. */
function emitPass(context: LoweringContext, pass: Pass, rotated: boolean, bias: number, relu: boolean): void {
  const { emit } = context;
  const [x, w] = context.inputs;
  const [y] = context.outputs;
  const { images, channels, filters, kernel, groups, input, output } = pass;
  if (sizeOf(context.results[0].shape) === 0) return;
  if (sizeOf(kernel) * channels * sizeOf(input) === 0) {
    fill(context);
    return;
  }
  if (isDepthwise(pass)) {
    context.note('depthwise');
    emit('depthwise', { ...groupedOf(pass), x, w, y, bias, relu }, images * output[0]);
    return;
  }
  context.note('grouped');
  const [inner, columns, taps] = [channels / groups, filters / groups, sizeOf(kernel)];
  const { at: packed, emit: emitPacking } = context.derived(
    1,
    groups * Math.ceil(columns / panelOf(context)) * panelOf(context) * taps * inner * 4,
  );
  const strides = rotated
    ? { tapStride: columns * channels, innerStride: 1, columnStride: channels, groupStride: inner }
    : { tapStride: inner * filters, innerStride: filters, columnStride: 1, groupStride: columns };
  emitPacking('packGroups', { w, packed, taps, inner, columns, groups, ...strides });
  const { taskRows, gatheredBytes, imageTasks } = tasksOf(pass);
  const cornerBytes = tileBytes(context);
  const scratch = context.scratchPerThread(align(cornerBytes + gatheredBytes + 64));
  const words = { ...groupedOf(pass), x, packed, y, bias, relu, taskRows, cornerBytes, scratch };
  emit('groupedConv', words, images * imageTasks);
}

/** conv2d, with the bias and relu that may be fused into it. */
export function groupedConv2d(context: ContextWith<AttrsOf<'conv2d'>>, relu: boolean): void {
  const [x, w] = context.types;
  const pass = forwardPass(context.attrs, x.shape[0], x.shape[3], w.shape[3]);
  emitPass(context, pass, false, context.inputs[2] ?? 0, relu);
}

export const groupedGradInput: Lower<AttrsOf<'conv2dGradInput'>> = (context) => {
  const [g, w] = context.types;
  const { stride, pad, input, kernel, output, dilation, groups } = context.attrs;
  const pass: Pass = {
    images: g.shape[0],
    input: output,
    channels: g.shape[3],
    output: input,
    filters: w.shape[2] * groups,
    kernel,
    groups,
    step: [1, 1],
    tap: [-dilation[0], -dilation[1]],
    offset: [pad[0], pad[2]],
    divisor: stride,
  };
  emitPass(context, pass, true, 0, false);
};

/** Chunks into which the images are cut: their partial sums are added in order. */
const CHUNKS = 64;

/** The weight gradient and, where it is fused, the sum of dy over all but its last axis. */
export const groupedGradWeight: Lower<AttrsOf<'conv2dGradWeight'>> = (context) => {
  const { outputs, emit } = context;
  const [x, dy] = context.inputs;
  const [xType, dyType] = context.types;
  const pass = forwardPass(context.attrs, xType.shape[0], xType.shape[3], dyType.shape[3]);
  const { images, channels, filters, output, kernel, groups } = pass;
  if (sizeOf(context.results[0].shape) === 0) return;
  if (images * sizeOf(output) === 0) {
    outputs.forEach((_, i) => fill(context, i));
    return;
  }
  const taps = sizeOf(kernel);
  if (isDepthwise(pass)) {
    context.note('depthwise');
    const chunks = Math.min(CHUNKS, images * output[0]);
    const partial = context.scratch(chunks * taps * channels * 4);
    emit('depthwiseGradWeight', { ...groupedOf(pass), x, dy, partial, chunks }, chunks);
    emit('sum', { x: partial, y: outputs[0], outer: 1, n: chunks, inner: taps * channels, chunks: 1 });
  } else {
    context.note('grouped');
    const [depth, columns] = [(taps * channels) / groups, filters / groups];
    const { taskRows, gatheredBytes, imageTasks } = tasksOf(pass);
    const rows = Math.ceil(depth / K.MR) * K.MR * groups;
    const shared = Math.min(
      Math.ceil(CHUNKS / groups),
      Math.floor(2 ** 22 / (rows * Math.ceil(columns / K.NR) * K.NR)),
    );
    const chunks = Math.max(1, Math.min(images * imageTasks, shared));
    const partial = context.scratch(
      chunks * rows * Math.ceil(columns / panelOf(context)) * panelOf(context) * 4,
    );
    const scratch = context.scratchPerThread(align(gatheredBytes + 64));
    const words = { ...groupedOf(pass), x, dy, partial, chunks, taskRows, scratch };
    emit('groupedGradWeight', words, chunks * groups);
    emit('addGroupPartials', { partial, dw: outputs[0], chunks, groups, depth, columns });
  }
  if (outputs.length > 1) emitSum(context, dy, outputs[1], 1, images * sizeOf(output), filters);
};
