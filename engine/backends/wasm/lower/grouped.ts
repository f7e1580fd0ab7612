/**
 * Convolutions with groups or dilation: gathered into matrices (kernels/grouped.ts), or channel by channel where each is a
 * group of its own. The dense ones are in conv.ts.
 */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { rowsOfTask } from './conv.ts';
import { align, emitSum, fill, panelOf, tileBytes, type Lower, type Site, type SiteWith } from './site.ts';

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
function emitPass(site: Site, pass: Pass, rotated: boolean, bias: number, relu: boolean): void {
  const { emit } = site;
  const [x, w] = site.inputs;
  const [y] = site.outputs;
  const { images, channels, filters, kernel, groups, input, output } = pass;
  if (sizeOf(site.results[0].shape) === 0) return;
  if (sizeOf(kernel) * channels * sizeOf(input) === 0) {
    fill(site);
    return;
  }
  if (isDepthwise(pass)) {
    site.note('depthwise');
    emit('depthwise', { ...groupedOf(pass), x, w, y, bias, relu }, images * output[0]);
    return;
  }
  site.note('grouped');
  const [inner, columns, taps] = [channels / groups, filters / groups, sizeOf(kernel)];
  const packed = site.scratch(groups * Math.ceil(columns / panelOf(site)) * panelOf(site) * taps * inner * 4);
  const strides = rotated
    ? { tapStride: columns * channels, innerStride: 1, columnStride: channels, groupStride: inner }
    : { tapStride: inner * filters, innerStride: filters, columnStride: 1, groupStride: columns };
  emit('packGroups', { w, packed, taps, inner, columns, groups, ...strides });
  const { taskRows, gatheredBytes, imageTasks } = tasksOf(pass);
  const cornerBytes = tileBytes(site);
  const scratch = site.scratchPerThread(align(cornerBytes + gatheredBytes + 64));
  const words = { ...groupedOf(pass), x, packed, y, bias, relu, taskRows, cornerBytes, scratch };
  emit('groupedConv', words, images * imageTasks);
}

/** conv2d, with the bias and relu that may be fused into it. */
export function groupedConv2d(site: SiteWith<AttrsOf<'conv2d'>>, relu: boolean): void {
  const [x, w] = site.types;
  const pass = forwardPass(site.attrs, x.shape[0], x.shape[3], w.shape[3]);
  emitPass(site, pass, false, site.inputs[2] ?? 0, relu);
}

export const groupedGradInput: Lower<AttrsOf<'conv2dGradInput'>> = (site) => {
  const [g, w] = site.types;
  const { stride, pad, input, kernel, output, dilation, groups } = site.attrs;
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
  emitPass(site, pass, true, 0, false);
};

/** Chunks into which the images are cut: their partial sums are added in order. */
const CHUNKS = 64;

/** The weight gradient and, where it is fused, the sum of dy over all but its last axis. */
export const groupedGradWeight: Lower<AttrsOf<'conv2dGradWeight'>> = (site) => {
  const { outputs, emit } = site;
  const [x, dy] = site.inputs;
  const [xType, dyType] = site.types;
  const pass = forwardPass(site.attrs, xType.shape[0], xType.shape[3], dyType.shape[3]);
  const { images, channels, filters, output, kernel, groups } = pass;
  if (sizeOf(site.results[0].shape) === 0) return;
  if (images * sizeOf(output) === 0) {
    outputs.forEach((_, i) => fill(site, i));
    return;
  }
  const taps = sizeOf(kernel);
  if (isDepthwise(pass)) {
    site.note('depthwise');
    const chunks = Math.min(CHUNKS, images * output[0]);
    const partial = site.scratch(chunks * taps * channels * 4);
    emit('depthwiseGradWeight', { ...groupedOf(pass), x, dy, partial, chunks }, chunks * taps);
    emit('sum', { x: partial, y: outputs[0], outer: 1, n: chunks, inner: taps * channels, chunks: 1 });
  } else {
    site.note('grouped');
    const [depth, columns] = [(taps * channels) / groups, filters / groups];
    const { taskRows, gatheredBytes, imageTasks } = tasksOf(pass);
    const rows = Math.ceil(depth / K.MR) * K.MR * groups;
    const shared = Math.min(
      Math.ceil(CHUNKS / groups),
      Math.floor(2 ** 22 / (rows * Math.ceil(columns / K.NR) * K.NR)),
    );
    const chunks = Math.max(1, Math.min(images * imageTasks, shared));
    const partial = site.scratch(chunks * rows * Math.ceil(columns / panelOf(site)) * panelOf(site) * 4);
    const scratch = site.scratchPerThread(align(gatheredBytes + 64));
    const words = { ...groupedOf(pass), x, dy, partial, chunks, taskRows, scratch };
    emit('groupedGradWeight', words, chunks * groups);
    emit('addGroupPartials', { partial, dw: outputs[0], chunks, groups, depth, columns });
  }
  if (outputs.length > 1) emitSum(site, dy, outputs[1], 1, images * sizeOf(output), filters);
};
