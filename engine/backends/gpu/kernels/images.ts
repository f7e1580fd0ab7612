/** Normalization and resizing of images. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import type { ResizeAttrs } from '../../../ops/primitives/resize.ts';
import { broadcastStrides, sizeOf } from '../../../shape.ts';
import type { Lowering } from '../lowering.ts';
import { expectExact, int } from '../text.ts';
import { rowAndColumn } from './windows.ts';

const normalizeImages: Lowering = ({ inputs: [x, mean, scale, draws], outputs: [to], types, emit }) => {
  const [images, height, width, channels] = types[0].shape;
  const item = types[0].shape.slice(1);
  expectExact('an image', sizeOf(item));
  const at = (operand: 1 | 2): string =>
    broadcastStrides(types[operand].shape, item)
      .map((stride, axis) => (stride === 0 ? '' : `${['sy', 'sx', 'X'][axis]} * ${stride}`))
      .filter((term) => term !== '')
      .join(' + ') || '0';
  const crop =
    draws === undefined
      ? 'const sy = row;\nconst sx = column;'
      : `const sy = row + ${int('draws[Z]', '0')};
        let mirrored = column;
        if (${int('draws[Z]', '2')} !== 0) { mirrored = ${width - 1} - column; }
        const sx = mirrored + ${int('draws[Z]', '1')};
        if (sy < 0 || sy >= ${height} || sx < 0 || sx >= ${width}) { return 0; }`;
  emit({
    body: `${rowAndColumn(width)}
      ${crop}
      return (x[Z][sy * ${width} + sx][X] - mean[${at(1)}]) * scale[${at(2)}];`,
    args: {
      x: { buffer: x, dims: [channels, height * width, images] },
      mean: { buffer: mean, dims: [sizeOf(types[1].shape)] },
      scale: { buffer: scale, dims: [sizeOf(types[2].shape)] },
      ...(draws === undefined ? {} : { draws: { buffer: draws, dims: [6, images] as const } }),
    },
    output: [channels, height * width, images],
    to,
  });
};

/**
 * Statements for the output position `at` along an axis: `name` is the first of the two input positions that it interpolates,
 * `name`w the weight of the second. As in ops/resize.ts, in integers up to the last division.
 */
function interpolation(
  { input, output, bilinear, alignCorners }: ResizeAttrs,
  axis: 0 | 1,
  at: string,
  name: string,
): string {
  const [size, count] = [input[axis], output[axis]];
  const [over, under] = alignCorners
    ? [`(${at}) * ${size - 1}`, Math.max(count - 1, 1)]
    : [`Math.max((2 * (${at}) + 1) * ${size} - ${count}, 0)`, 2 * count];
  if (!bilinear) return `const ${name} = quotient((${at}) * ${size}, ${count});\nconst ${name}w = 0;`;
  return `const ${name}o = ${over};
    let ${name} = quotient(${name}o, ${under});
    let ${name}w = (${name}o - ${name} * ${under}) / ${under};
    if (${name} >= ${size - 1}) { ${name} = ${size - 1}; ${name}w = 0; }`;
}

const resize2d: Lowering<AttrsOf<'resize2d'>> = ({
  inputs: [x],
  outputs: [to],
  types: [{ shape }],
  attrs: resize,
  emit,
}) => {
  const [images, height, width, channels] = shape;
  emit({
    body: `${rowAndColumn(resize.output[1])}
      ${interpolation(resize, 0, 'row', 'y')}
      ${interpolation(resize, 1, 'column', 'h')}
      let top = x[Z][y * ${width} + h][X];
      if (hw > 0) { top = top * (1 - hw) + x[Z][y * ${width} + h + 1][X] * hw; }
      if (yw > 0) {
        let bottom = x[Z][(y + 1) * ${width} + h][X];
        if (hw > 0) { bottom = bottom * (1 - hw) + x[Z][(y + 1) * ${width} + h + 1][X] * hw; }
        top = top * (1 - yw) + bottom * yw;
      }
      return top;`,
    args: { x: { buffer: x, dims: [channels, height * width, images] } },
    output: [channels, sizeOf(resize.output), images],
    to,
  });
};

/**
 * A range of output positions that contains all that interpolate the input position `own` along an axis: the first, and how
 * many. Some of them may lie outside the output.
 */
function outputRange({ input, output }: ResizeAttrs, axis: 0 | 1, own: string): readonly [string, number] {
  const [size, count] = [input[axis], output[axis]];
  const each = Math.ceil(count / size);
  return [`quotient(${own} * ${count}, ${size}) - ${each}`, 3 * each + 1];
}

/** Each input position gathers from the output positions that interpolate it. */
const resize2dGrad: Lowering<AttrsOf<'resize2dGrad'>> = ({
  inputs: [g],
  outputs: [to],
  types: [{ shape }],
  attrs: resize,
  emit,
}) => {
  const [images, , , channels] = shape;
  const [rows, columns] = resize.output;
  const [top, rowCount] = outputRange(resize, 0, 'row');
  const [left, columnCount] = outputRange(resize, 1, 'column');
  const weight = (name: string, own: string): string => `let ${name}s = 0;
    if (${name} === ${own}) { ${name}s = 1 - ${name}w; }
    if (${name} + 1 === ${own}) { ${name}s = ${name}w; }`;
  emit({
    body: `${rowAndColumn(resize.input[1])}
      const top = ${top};
      const left = ${left};
      let sum = 0;
      for (let j = 0; j < ${rowCount}; j++) {
        const oy = top + j;
        if (oy >= 0 && oy < ${rows}) {
          ${interpolation(resize, 0, 'oy', 'y')}
          ${weight('y', 'row')}
          if (ys > 0) {
            for (let i = 0; i < ${columnCount}; i++) {
              const ox = left + i;
              if (ox >= 0 && ox < ${columns}) {
                ${interpolation(resize, 1, 'ox', 'h')}
                ${weight('h', 'column')}
                if (hs > 0) { sum += ys * hs * g[Z][oy * ${columns} + ox][X]; }
              }
            }
          }
        }
      }
      return sum;`,
    args: { g: { buffer: g, dims: [channels, rows * columns, images] } },
    output: [channels, sizeOf(resize.input), images],
    to,
  });
};

export const imageKernels = {
  normalizeImages,
  resize2d,
  resize2dGrad,
};
