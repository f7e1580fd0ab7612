/**
 * Convolutions with groups or dilation: gathered into matrices (kernels/grouped.ts), or channel by channel where each is a
 * group of its own. The dense ones are in conv.ts.
 */
import type { AttrsOf } from '../../../ops/index.ts';
import { sizeOf } from '../../../shape.ts';
import { rowsOfTask } from './conv.ts';
import { K } from '../kernels.generated.ts';
import { align, emitSum, fill, panelOf, tileBytes, type Lower, type Site } from './site.ts';

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

const wordsOf = (pass: Pass): number[] => [
  pass.images,
  ...pass.input,
  pass.channels,
  ...pass.output,
  pass.filters,
  ...pass.kernel,
  pass.groups,
  ...pass.step,
  ...pass.tap,
  ...pass.offset,
  ...pass.divisor,
];

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

/** Bands of patches, and the words that say so. */
function bandsOf(site: Site, pass: Pass): { rows: number; bands: number; words: number[] } {
  const { scratch, threads } = site;
  const { images, output, channels, kernel, groups } = pass;
  const rowBytes = (output[1] * sizeOf(kernel) * channels * 4) / groups;
  const rows = rowsOfTask(images, output[0], rowBytes, 1, 1);
  const own = align(tileBytes(site) + rows * rowBytes + 64);
  return { rows, bands: Math.ceil(output[0] / rows), words: [rows, scratch(threads * own), own] };
}

/** y of a pass, `turned` for an input gradient, whose filters are read with channels and filters exchanged. */
function emitPass(site: Site, pass: Pass, turned: boolean, bias: number, relu: boolean): void {
  const {
    inputs: [x, w],
    outputs: [y],
    emitWords,
    emitPieces,
    scratch,
  } = site;
  const { images, channels, filters, kernel, groups, input, output } = pass;
  if (sizeOf(site.results[0].shape) === 0) return;
  if (sizeOf(kernel) * channels * sizeOf(input) === 0) {
    fill(site);
    return;
  }
  const epilogue = [bias, relu ? 1 : 0];
  if (isDepthwise(pass)) {
    site.note('depthwise');
    emitPieces(images * output[0], K.K_DEPTHWISE, x, w, y, ...wordsOf(pass), ...epilogue);
    return;
  }
  site.note('grouped');
  const [inner, columns, taps] = [channels / groups, filters / groups, sizeOf(kernel)];
  const packed = scratch(groups * Math.ceil(columns / panelOf(site)) * panelOf(site) * taps * inner * 4);
  const strides = turned ? [columns * channels, 1, channels, inner] : [inner * filters, filters, 1, columns];
  emitWords(K.K_PACK_GROUPS, w, packed, taps, inner, columns, groups, ...strides);
  const { bands, words } = bandsOf(site, pass);
  emitPieces(images * bands, K.K_GROUPED_CONV, x, packed, y, ...wordsOf(pass), ...words, ...epilogue);
}

/** conv2d, with the bias and relu that may be fused into it. */
export const groupedConv2d: Lower = (site) => {
  const [x, w] = site.types;
  const attrs = site.attrs as AttrsOf<'conv2d'>;
  const pass = forwardPass(attrs, x.shape[0], x.shape[3], w.shape[3]);
  emitPass(site, pass, false, site.inputs[2] ?? 0, site.attrs['relu'] === true);
};

export const groupedGradInput: Lower = (site) => {
  const [g, w] = site.types;
  const { stride, pad, input, kernel, output, dilation, groups } = site.attrs as AttrsOf<'conv2dGradInput'>;
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

/** Pieces into which the images are cut: their partial sums are added in order. */
const CHUNKS = 64;

/** The weight gradient and, where it is fused, the sum of g over all but its last axis. */
export const groupedGradWeight: Lower = (site) => {
  const {
    inputs,
    outputs,
    types: [x, g],
    emitWords,
    emitPieces,
    scratch,
  } = site;
  const attrs = site.attrs as AttrsOf<'conv2dGradWeight'>;
  const pass = forwardPass(attrs, x.shape[0], x.shape[3], g.shape[3]);
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
    const partial = scratch(chunks * taps * channels * 4);
    emitPieces(chunks * taps, K.K_DEPTHWISE_GRAD_WEIGHT, ...inputs, partial, ...wordsOf(pass), chunks);
    site.emit('sum', { x: partial, y: outputs[0], outer: 1, n: chunks, inner: taps * channels, chunks: 1 });
  } else {
    site.note('grouped');
    const [depth, columns] = [(taps * channels) / groups, filters / groups];
    const { bands, words } = bandsOf(site, pass);
    const rows = Math.ceil(depth / K.MR) * K.MR * groups;
    const shared = Math.min(
      Math.ceil(CHUNKS / groups),
      Math.floor(2 ** 22 / (rows * Math.ceil(columns / K.NR) * K.NR)),
    );
    const chunks = Math.max(1, Math.min(images * bands, shared));
    const partial = scratch(chunks * rows * Math.ceil(columns / panelOf(site)) * panelOf(site) * 4);
    emitPieces(
      chunks * groups,
      K.K_GROUPED_GRAD_WEIGHT,
      ...inputs,
      partial,
      ...wordsOf(pass),
      ...words,
      chunks,
    );
    emitWords(K.K_ADD_GROUP_PARTIALS, partial, outputs[0], chunks, groups, depth, columns);
  }
  if (outputs.length > 1) emitSum(site, inputs[1], outputs[1], 1, images * sizeOf(output), filters);
};
