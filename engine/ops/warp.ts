/** Affine maps of images, boxes and points. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { checkOneOf, checkOptions } from '../options.ts';
import { broadcastShapes, formatShape, formatType, pair, sameShape, sizeOf, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { floats, toTensor, type TensorLike } from './convert.ts';
import { arange } from './create.ts';
import {
  abs,
  add,
  and,
  cast,
  clamp,
  div,
  floor,
  greaterEqual,
  less,
  lessEqual,
  minimum,
  mul,
  remainder,
  round,
  sub,
  where,
} from './elementwise.ts';
import { gather } from './gather.ts';
import { concat, expandDims, reshape, slice, stack } from './layout.ts';
import { max, min } from './reduce.ts';

export interface WarpOptions {
  /** The nearest pixel, or interpolation of four pixels. Default 'bilinear'. */
  readonly mode?: 'nearest' | 'bilinear';
  /**
   * What lies outside the source image: 'reflect' mirrors it at the centers of its border pixels, as `pad` does. A number, or numbers
   * that broadcast to [H, W, C], is the value of the pixels outside. Default 0.
   */
  readonly fill?: 'reflect' | TensorLike;
}

/**
 * Moves each image by an affine map: a shift, rotation, change of size, shear, mirror image, or several of them.
 *
 * The rows of a matrix are [a, b, u] and [c, d, v]. The output at (x, y) is the image at (a · x + b · y + u, c · x + d · y + v), where
 * x grows to the right, y grows downward, the unit is a pixel, and the origin is the center of the image. So [[1, 0, 3], [0, 1, 0]]
 * moves the content 3 pixels to the left.
 *
 * Of PyTorch, it computes `grid_sample(x, affine_grid(theta, size))` with `align_corners: false`, with the last column of theta in
 * halves of the height and width. Mode 'nearest' rounds ties to even. The gradient passes to the image, and in mode 'bilinear' to the
 * matrix.
 *
 * Shapes: x [N, H, W, C], `f32`, or of any dtype in mode 'nearest', matrix `f32` [N, 2, 3] -> the shape and dtype of x.
 * Throws ShapeError if x is not [N, H, W, C], has no pixels, or is not `f32` in mode 'bilinear', the matrix is not `f32` [N, 2, 3], or
 * the fill does not broadcast to an image.
 * Throws RangeError if the mode is unknown.
 * Throws TypeError for an unknown option.
 *
 * @example warpAffine([[[[1], [2], [3]]]], [[[1, 0, 1], [0, 1, 0]]]) // [[[[2], [3], [0]]]]
 * @example warpAffine([[[[1], [2], [3]]]], [[[1, 0, 1], [0, 1, 0]]], { fill: 'reflect' }) // [[[[2], [3], [2]]]]
 */
export function warpAffine(x: TensorLike, matrix: TensorLike, options: WarpOptions = {}): Tensor {
  checkOptions('warpAffine', options, ['mode', 'fill']);
  const { mode = 'bilinear', fill = 0 } = options;
  checkOneOf('warpAffine', 'mode', mode, ['nearest', 'bilinear']);
  const images = mode === 'bilinear' ? floats('warpAffine', x) : toTensor('warpAffine', x);
  expectRank('warpAffine', images, 4, 'images [N, H, W, C]');
  const [, height, width] = images.shape;
  if (height < 1 || width < 1) {
    throw new ShapeError(`warpAffine: expects images with pixels but got ${formatType(images)}`);
  }
  const map = coefficients('warpAffine', matrix, images);
  const columns = reshape(centers(width), [1, 1, width]);
  const rows = reshape(centers(height), [1, height, 1]);
  // Positions in units of pixels from the center of the first pixel, [N, H, W].
  const [px, py] = map.map(([a, b, shift], axis) =>
    add(add(mul(a, columns), mul(b, rows)), add(shift, (axis === 0 ? width : height) / 2 - 0.5)),
  ) as [Tensor, Tensor];
  const take = pixels(images, outsideOf(images, fill));
  if (mode === 'nearest') return take(round(py), round(px));
  const [left, top] = [floor(px), floor(py)];
  const [right, down] = [expandDims(sub(px, left), -1), expandDims(sub(py, top), -1)];
  const line = (y: Tensor): Tensor => blend(take(y, left), take(y, add(left, 1)), right);
  return blend(line(top), line(add(top, 1)), down);
}

/** a · (1 − t) + b · t, exactly a for t of 0. */
const blend = (a: Tensor, b: Tensor, t: Tensor): Tensor => add(mul(a, sub(1, t)), mul(b, t));

/** The centers of pixels along an axis from its middle. */
const centers = (size: number): Tensor => sub(arange(size), (size - 1) / 2);

/** The rows of the matrices, each coefficient `f32` [N, 1, 1]. Throws ShapeError for another shape. */
function coefficients(where: string, matrix: TensorLike, { shape }: Tensor): readonly Tensor[][] {
  const m = floats(where, matrix);
  if (!sameShape(m.shape, [shape[0], 2, 3])) {
    throw new ShapeError(`${where}: the matrix must be f32 [${shape[0]},2,3] but got ${formatType(m)}`);
  }
  return [0, 1].map((row) =>
    [0, 1, 2].map((column) => reshape(slice(m, [null, row, column]), [shape[0], 1, 1])),
  );
}

/** 'reflect', or the pixels outside in the dtype of the images. */
function outsideOf(images: Tensor, fill: 'reflect' | TensorLike): 'reflect' | Tensor | number {
  if (fill === 'reflect' || typeof fill === 'number') return fill;
  const value = cast(toTensor('warpAffine: fill', fill), images.dtype);
  const item = images.shape.slice(1);
  if (sameShape(broadcastShapes('warpAffine: fill', item, value.shape), item)) return value;
  throw new ShapeError(
    `warpAffine: fill ${formatType(value)} does not broadcast to an image of ${formatType(images)}`,
  );
}

/** The pixels at whole positions y and x, `f32` [N, H, W] each. */
function pixels(images: Tensor, outside: 'reflect' | Tensor | number): (y: Tensor, x: Tensor) => Tensor {
  const [n, height, width, channels] = images.shape as readonly [number, number, number, number];
  const all = reshape(images, [n * height * width, channels]);
  const first = reshape(mul(arange(0, n, 1, 'i32'), height * width), [n, 1, 1]);
  const at = (y: Tensor, x: Tensor): Tensor => {
    const index = add(cast(add(mul(y, width), x), 'i32'), first);
    return reshape(gather(all, reshape(index, [sizeOf(index.shape)])), images.shape);
  };
  if (outside === 'reflect') return (y, x) => at(reflected(y, height), reflected(x, width));
  return (y, x) => {
    const [row, column] = [clamp(y, 0, height - 1), clamp(x, 0, width - 1)];
    const isInside = and(within(y, height), within(x, width));
    return where(expandDims(isInside, -1), at(row, column), outside);
  };
}

const within = (position: Tensor, size: number): Tensor =>
  and(greaterEqual(position, 0), lessEqual(position, size - 1));

/** Positions mirrored at the first and the last one. */
function reflected(position: Tensor, size: number): Tensor {
  if (size === 1) return mul(position, 0);
  const period = 2 * (size - 1);
  const folded = remainder(abs(position), period);
  return minimum(folded, sub(period, folded));
}

/**
 * Moves points as `warpAffine` moves images: the pixel of an image under a point is under the moved point. Points may leave the image.
 *
 * A position is [x, y] in pixels from the upper left corner of the image, so the center of the first pixel is [0.5, 0.5]. Further
 * columns stay as they are.
 *
 * Shapes: points `f32` [N, K, 2 + any], matrix `f32` [N, 2, 3], size [H, W] or one number for both -> the shape of points.
 * Throws ShapeError if the points or the matrix have another shape, or a size is not a positive integer.
 *
 * @example warpPoints([[[5, 2]]], [[[1, 0, 3], [0, 1, 0]]], [8, 8]) // [[[2, 2]]]
 */
export function warpPoints(points: TensorLike, matrix: TensorLike, size: Pair): Tensor {
  const t = rowsOf('warpPoints', points, 2, 'points [N, K, 2 + any]');
  const forward = forwardMap('warpPoints', matrix, t, size);
  const [x, y] = forward(column(t, 0), column(t, 1));
  return withColumns(t, [x, y]);
}

/**
 * Moves boxes as `warpAffine` moves images. The result is the smallest upright box around the moved corners, cut off at the border of
 * the image.
 *
 * A box is [x1, y1, x2, y2] in pixels from the upper left corner of the image, so [0, 0, W, H] is the whole image. Further columns, for
 * instance a class, stay as they are. A box without area is a padding row. It and a box that leaves the image become [0, 0, 0, 0].
 *
 * Shapes: boxes `f32` [N, K, 4 + any], matrix `f32` [N, 2, 3], size [H, W] or one number for both -> the shape of boxes.
 * Throws ShapeError if the boxes or the matrix have another shape, or a size is not a positive integer.
 *
 * @example warpBoxes([[[1, 1, 5, 4]]], [[[1, 0, 3], [0, 1, 0]]], [8, 8]) // [[[0, 1, 2, 4]]]
 */
export function warpBoxes(boxes: TensorLike, matrix: TensorLike, size: Pair): Tensor {
  const t = rowsOf('warpBoxes', boxes, 4, 'boxes [N, K, 4 + any]');
  const [height, width] = sizeIn('warpBoxes', size);
  const forward = forwardMap('warpBoxes', matrix, t, size);
  const [x1, y1, x2, y2] = [0, 1, 2, 3].map((i) => column(t, i)) as [Tensor, Tensor, Tensor, Tensor];
  const corners = [forward(x1, y1), forward(x2, y1), forward(x1, y2), forward(x2, y2)];
  const [xs, ys] = [0, 1].map((axis) => stack(corners.map((corner) => corner[axis]))) as [Tensor, Tensor];
  const moved = [min(xs, 0), min(ys, 0), max(xs, 0), max(ys, 0)].map((edge, i) =>
    clamp(edge, 0, i % 2 === 0 ? width : height),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const hasArea = [
    [x1, x2],
    [y1, y2],
    [moved[0], moved[2]],
    [moved[1], moved[3]],
  ]
    .map(([from, to]) => less(from, to))
    .reduce((a, b) => and(a, b));
  return withColumns(
    t,
    moved.map((edge) => where(hasArea, edge, 0)),
  );
}

/** [height, width]. Throws ShapeError unless both are positive integers. */
function sizeIn(where: string, size: Pair): readonly [number, number] {
  const both = pair(size, `${where}: size`);
  if (both.every((n) => Number.isSafeInteger(n) && n > 0)) return both;
  throw new ShapeError(`${where}: size must be positive integers, got ${formatShape(both)}`);
}

function rowsOf(where: string, rows: TensorLike, columns: number, words: string): Tensor {
  const t = floats(where, rows);
  expectRank(where, t, 3, words);
  if (t.shape[2] >= columns) return t;
  throw new ShapeError(`${where}: expects ${words} but got ${formatType(t)}`);
}

/** A column of rows, [N, K]. */
const column = (rows: Tensor, index: number): Tensor => slice(rows, [null, null, index]);

/** The rows with their first columns replaced. */
function withColumns(rows: Tensor, first: readonly Tensor[]): Tensor {
  const rest = slice(rows, [null, null, { begin: first.length }]);
  return concat([stack(first, 2), rest], 2);
}

/** Where the content at (x, y) goes, [N, K] each: the inverse of the map of the images. */
function forwardMap(
  where: string,
  matrix: TensorLike,
  rows: Tensor,
  size: Pair,
): (x: Tensor, y: Tensor) => readonly [Tensor, Tensor] {
  const [height, width] = sizeIn(where, size);
  const [[a, b, u], [c, d, v]] = coefficients(where, matrix, rows).map((line) =>
    line.map((value) => reshape(value, [rows.shape[0], 1])),
  ) as [[Tensor, Tensor, Tensor], [Tensor, Tensor, Tensor]];
  const determinant = sub(mul(a, d), mul(b, c));
  return (x, y) => {
    const [dx, dy] = [sub(sub(x, width / 2), u), sub(sub(y, height / 2), v)];
    return [
      add(div(sub(mul(d, dx), mul(b, dy)), determinant), width / 2),
      add(div(sub(mul(a, dy), mul(c, dx)), determinant), height / 2),
    ];
  };
}
