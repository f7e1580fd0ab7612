/** Convolution of images in NHWC with filters in HWIO. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkInteger, checkOptions, show } from '../options.ts';
import { formatShape, formatType, pair, placeWindow, type Padding, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { Shape, TensorType } from '../types.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { expandDims } from './layout.ts';
import { conv2dGradInputOp, conv2dOp, type ConvAttrs } from './primitives/conv.ts';
import { asRow, fromRow, rowPadding, type Padding1d } from './row.ts';

export type { Padding1d } from './row.ts';

export interface Conv2dOptions {
  /** Pixels between windows: one number, or [vertical, horizontal]. Default 1. */
  readonly stride?: Pair;
  /** Zeros around the image in pixels, or 'same' or 'valid'. Default 'valid'. */
  readonly padding?: Padding;
  /** Distance between taps of the kernel in pixels. Default 1. */
  readonly dilation?: Pair;
  /**
   * Number of groups into which input and output channels are divided. Output channels see only the inputs of their group.
   * Default 1.
   */
  readonly groups?: number;
}

/**
 * 2-D convolution: the cross-correlation of images with filters, as in every deep learning library.
 *
 *   span = (KH − 1) · dilation + 1
 *   H' = floor((H + pads − span) / stride) + 1
 *   H' = ceil(H / stride) with padding 'same', where an odd pixel of padding goes to the end
 *
 * Shapes: images x `f32` [N, H, W, C] (NHWC), filters w `f32` [KH, KW, C / groups, O] (HWIO) -> [N, H', W', O].
 *
 * For a depthwise convolution, groups is C and w is [KH, KW, 1, C · multiplier].
 *
 * Where the wasm backend uses Winograd's algorithm (3×3 and 5×5 kernels with stride 1), a NaN, an infinity or the rounding
 * error of an outlier spreads to all outputs of its tile, even to those whose window does not contain it.
 * `wasm({ convolution: 'direct' })` avoids that.
 * Throws ShapeError if the channels do not match the filters or groups, no window fits, or an operand is not `f32` of rank
 * 4.
 * Throws TypeError for an unknown option.
 *
 * @example conv2d(ones([1, 3, 3, 1]), ones([2, 2, 1, 1])) // [[[[4], [4]], [[4], [4]]]]
 */
export function conv2d(x: TensorLike, w: TensorLike, options: Conv2dOptions = {}): Tensor {
  checkOptions('conv2d', options, ['stride', 'padding', 'dilation', 'groups']);
  const image = toTensor('conv2d', x);
  const weight = toTensor('conv2d', w);
  expectRank('conv2d', image, 4, 'images [N, H, W, C]');
  return convolution('conv2d', image, weight, options);
}

function convolution(where: string, image: Tensor, weight: Tensor, options: Conv2dOptions): Tensor {
  const { groups = 1 } = options;
  const channels = image.shape[3];
  checkFilters(where, weight, groups, options.dilation);
  if (channels !== weight.shape[2] * groups) {
    throw new ShapeError(
      `${where}: input has ${channels} channels but weight expects ${weight.shape[2] * groups}` +
        `${groups === 1 ? '' : ` (${groups} groups of ${weight.shape[2]})`}: ` +
        `x ${formatShape(image.shape)}, w ${formatType(weight)}${layoutFix(image.shape, weight.shape[2] * groups)}`,
    );
  }
  const attrs = convAttrs(where, [image.shape[1], image.shape[2]], weight, options);
  return conv2dOp([image, weight], attrs)[0];
}

export interface Conv1dOptions {
  /** Positions between windows. Default 1. */
  readonly stride?: number;
  /** Zeros on both sides, [before, after], or 'same' or 'valid'. Default 'valid'. */
  readonly padding?: Padding1d;
  /** Distance between taps of the kernel. Default 1. */
  readonly dilation?: number;
  /** Number of groups into which input and output channels are divided. Default 1. */
  readonly groups?: number;
}

/**
 * 1-D convolution of sequences: `conv2d` in one dimension.
 *
 *   span = (K − 1) · dilation + 1
 *   L' = floor((L + pads − span) / stride) + 1
 *   L' = ceil(L / stride) with padding 'same', where an odd position of padding goes to the end
 *
 * Shapes: sequences x `f32` [N, L, C], filters w `f32` [K, C / groups, O] -> [N, L', O].
 * Source: torch.nn.functional.conv1d.
 * Throws ShapeError if the channels do not match the filters or groups, no window fits, the padding is unknown, or an operand is not
 * `f32` of rank 3.
 * Throws RangeError if the stride or the dilation is not a positive integer.
 * Throws TypeError for an unknown option.
 *
 * @example conv1d([[[1], [2], [4]]], [[[1]], [[1]]]) // [[[3], [6]]]
 */
export function conv1d(x: TensorLike, w: TensorLike, options: Conv1dOptions = {}): Tensor {
  checkOptions('conv1d', options, ['stride', 'padding', 'dilation', 'groups']);
  const { stride = 1, padding = 'valid', dilation = 1, groups = 1 } = options;
  const [row, filters] = [asRow('conv1d', x), toTensor('conv1d', w)];
  expectRank('conv1d', filters, 3, 'filters [K, C, O]');
  checkInteger('conv1d', 'stride', stride, 1);
  checkInteger('conv1d', 'dilation', dilation, 1);
  const flat = {
    stride: [1, stride],
    padding: rowPadding('conv1d', padding),
    dilation: [1, dilation],
    groups,
  } as const;
  return fromRow(convolution('conv1d', row, expandDims(filters, 0), flat));
}

export interface Conv2dTransposeOptions extends Conv2dOptions {
  /** Extra rows and columns at the end of the output, from 0 to stride − 1. Default 0. */
  readonly outputPadding?: Pair;
}

/**
 * Transposed 2-D convolution: the gradient of `conv2d` with respect to its input. It enlarges images by the stride.
 *
 *   span = (KH − 1) · dilation + 1
 *   H' = (H − 1) · stride + span − pads + outputPadding
 *   H' = H · stride with padding 'same'
 *
 * Shapes: images x `f32` [N, H, W, C] (NHWC), filters w `f32` [KH, KW, O / groups, C] -> [N, H', W', O].
 * Source: torch.nn.functional.conv_transpose2d; TensorFlow for padding 'same'.
 * Throws ShapeError if the channels do not match the filters or groups, the output would be empty, `outputPadding` is not
 * in 0 … stride − 1, or an operand is not `f32` of rank 4.
 * Throws TypeError for an unknown option.
 *
 * @example conv2dTranspose([[[[1], [2]]]], ones([1, 2, 1, 1]), { stride: [1, 2] }) // [[[[1], [1], [2], [2]]]]
 */
export function conv2dTranspose(x: TensorLike, w: TensorLike, options: Conv2dTransposeOptions = {}): Tensor {
  checkOptions('conv2dTranspose', options, ['stride', 'padding', 'dilation', 'groups', 'outputPadding']);
  const where = 'conv2dTranspose';
  const { outputPadding = 0, ...geometry } = options;
  const { stride = 1, padding = 'valid', dilation = 1, groups = 1 } = geometry;
  const image = toTensor(where, x);
  const weight = toTensor(where, w);
  expectRank(where, image, 4, 'images [N, H, W, C]');
  checkFilters(where, weight, groups, dilation);
  if (image.shape[3] !== weight.shape[3]) {
    throw new ShapeError(
      `${where}: input has ${image.shape[3]} channels but weight expects ${weight.shape[3]}: ` +
        `x ${formatShape(image.shape)}, w ${formatType(weight)} [KH, KW, O / groups, C]${layoutFix(image.shape, weight.shape[3])}`,
    );
  }
  const [strides, extra, spans] = [
    pair(stride, `${where}: stride`),
    pair(outputPadding, `${where}: outputPadding`),
    spansOf(where, weight, dilation),
  ];
  if (padding === 'same' && extra.some((n) => n !== 0)) {
    throw new ShapeError(`${where}: padding 'same' fixes the output size (remove outputPadding)`);
  }
  if (extra.some((n, axis) => !Number.isSafeInteger(n) || n < 0 || n >= strides[axis])) {
    throw new ShapeError(
      `${where}: outputPadding must be an integer from 0 to stride − 1, got ${formatShape(extra)} ` +
        `with stride ${formatShape(strides)}`,
    );
  }
  const pads = typeof padding === 'string' ? null : placeWindow(where, [1, 1], [1, 1], 1, padding).pad;
  const input = [0, 1].map((axis) => {
    const size = image.shape[axis + 1];
    if (padding === 'same') return size * strides[axis];
    const pad = pads === null ? 0 : pads[2 * axis] + pads[2 * axis + 1];
    return (size - 1) * strides[axis] + spans[axis] - pad + extra[axis];
  }) as [number, number];
  if (input.some((n) => n < 1)) {
    throw new ShapeError(
      `${where}: the output would be empty: images ${formatShape(image.shape)}, kernel ${spans.join('×')}, ` +
        `padding ${formatShape(pads ?? [0, 0, 0, 0])} (pad less)`,
    );
  }
  return conv2dGradInputOp([image, weight], convAttrs(where, input, weight, geometry))[0];
}

/** The fix for images in the order of PyTorch. */
const layoutFix = ({ 1: second }: Shape, channels: number): string =>
  second === channels
    ? ' (images are [N, H, W, C]; this looks like [N, C, H, W]: transpose(x, [0, 2, 3, 1]))'
    : '';

const spansOf = (where: string, w: TensorType, dilation: Pair): [number, number] => {
  const [y, x] = pair(dilation, `${where}: dilation`);
  return [(w.shape[0] - 1) * y + 1, (w.shape[1] - 1) * x + 1];
};

function checkFilters(where: string, w: TensorType, groups: number, dilation: Pair = 1): void {
  expectRank(where, w, 4, 'filters [KH, KW, C, O]');
  if (!Number.isSafeInteger(groups) || groups < 1 || w.shape[3] % groups !== 0) {
    throw new ShapeError(
      `${where}: groups must be a positive integer that divides the ${w.shape[3]} filters of w ${formatType(w)}, ` +
        `got ${show(groups)}`,
    );
  }
  const steps = pair(dilation, `${where}: dilation`);
  if (steps.some((d) => !Number.isSafeInteger(d) || d < 1)) {
    throw new ShapeError(`${where}: dilation must be a positive integer, got ${formatShape(steps)}`);
  }
}

/** The geometry of a convolution whose input images have the size `input`. */
function convAttrs(
  where: string,
  input: readonly [number, number],
  w: TensorType,
  { stride = 1, padding = 'valid', dilation = 1, groups = 1 }: Conv2dOptions,
): ConvAttrs {
  const window = placeWindow(where, input, spansOf(where, w, dilation), stride, padding);
  return {
    stride: window.stride,
    pad: window.pad,
    input,
    kernel: [w.shape[0], w.shape[1]],
    output: window.out,
    dilation: pair(dilation, `${where}: dilation`),
    groups,
  };
}
