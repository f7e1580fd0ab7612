/** Images: as a model wants them, and of another size. */
import type { AttrsOf } from '../../../ops/index.ts';
import type { ResizeAttrs } from '../../../ops/resize.ts';
import { broadcastStrides, sizeOf } from '../../../shape.ts';
import { expectExact, int, type Lower } from '../kernel.ts';
import { rowAndColumn } from './windows.ts';

export const normalizeImages: Lower = ({ inputs: [x, mean, scale, draws], outputs: [to], types, emit }) => {
  const [images, height, width, channels] = types[0].shape;
  const item = types[0].shape.slice(1);
  expectExact('an image', sizeOf(item));
  const at = (operand: 1 | 2): string =>
    broadcastStrides(types[operand].shape, item)
      .map((stride, axis) => (stride === 0 ? '' : `${['sy', 'sx', 'X'][axis]} * ${stride}`))
      .filter((term) => term !== '')
      .join(' + ') || '0';
  const place =
    draws === undefined
      ? 'const sy = row;\nconst sx = column;'
      : `const sy = row + ${int('draws[Z]', '0')};
        let mirrored = column;
        if (${int('draws[Z]', '2')} !== 0) { mirrored = ${width - 1} - column; }
        const sx = mirrored + ${int('draws[Z]', '1')};
        if (sy < 0 || sy >= ${height} || sx < 0 || sx >= ${width}) { return 0; }`;
  emit({
    body: `${rowAndColumn(width)}
      ${place}
      return (x[Z][sy * ${width} + sx][X] - mean[${at(1)}]) * scale[${at(2)}];`,
    args: {
      x: { place: x, dims: [channels, height * width, images] },
      mean: { place: mean, dims: [sizeOf(types[1].shape)] },
      scale: { place: scale, dims: [sizeOf(types[2].shape)] },
      ...(draws === undefined ? {} : { draws: { place: draws, dims: [6, images] as const } }),
    },
    output: [channels, height * width, images],
    to,
  });
};

/**
 * Statements that leave, for the output position `at` along an axis, the first of the input positions that it mixes in
 * `name`, and the second's weight in `name`w: the table of ops/resize.ts, in whole numbers up to the last division.
 */
function between(
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

export const resize2d: Lower<AttrsOf<'resize2d'>> = ({
  inputs: [x],
  outputs: [to],
  types: [{ shape }],
  attrs: resize,
  emit,
}) => {
  const [images, height, width, channels] = shape;
  emit({
    body: `${rowAndColumn(resize.output[1])}
      ${between(resize, 0, 'row', 'y')}
      ${between(resize, 1, 'column', 'h')}
      let top = x[Z][y * ${width} + h][X];
      if (hw > 0) { top = top * (1 - hw) + x[Z][y * ${width} + h + 1][X] * hw; }
      if (yw > 0) {
        let bottom = x[Z][(y + 1) * ${width} + h][X];
        if (hw > 0) { bottom = bottom * (1 - hw) + x[Z][(y + 1) * ${width} + h + 1][X] * hw; }
        top = top * (1 - yw) + bottom * yw;
      }
      return top;`,
    args: { x: { place: x, dims: [channels, height * width, images] } },
    output: [channels, sizeOf(resize.output), images],
    to,
  });
};

/**
 * The output positions along an axis that may mix the input position `own`, some of which do not exist: the first, and how many.
 * They lie between one input position's worth before it and two after.
 */
function stretch({ input, output }: ResizeAttrs, axis: 0 | 1, own: string): readonly [string, number] {
  const [size, count] = [input[axis], output[axis]];
  const each = Math.ceil(count / size);
  return [`quotient(${own} * ${count}, ${size}) - ${each}`, 3 * each + 1];
}

/** Every input position looks for the output positions that mix it. */
export const resize2dGrad: Lower<AttrsOf<'resize2dGrad'>> = ({
  inputs: [g],
  outputs: [to],
  types: [{ shape }],
  attrs: resize,
  emit,
}) => {
  const [images, , , channels] = shape;
  const [rows, columns] = resize.output;
  const [top, rowTurns] = stretch(resize, 0, 'row');
  const [left, columnTurns] = stretch(resize, 1, 'column');
  const share = (name: string, own: string): string => `let ${name}s = 0;
    if (${name} === ${own}) { ${name}s = 1 - ${name}w; }
    if (${name} + 1 === ${own}) { ${name}s = ${name}w; }`;
  emit({
    body: `${rowAndColumn(resize.input[1])}
      const top = ${top};
      const left = ${left};
      let sum = 0;
      for (let j = 0; j < ${rowTurns}; j++) {
        const oy = top + j;
        if (oy >= 0 && oy < ${rows}) {
          ${between(resize, 0, 'oy', 'y')}
          ${share('y', 'row')}
          if (ys > 0) {
            for (let i = 0; i < ${columnTurns}; i++) {
              const ox = left + i;
              if (ox >= 0 && ox < ${columns}) {
                ${between(resize, 1, 'ox', 'h')}
                ${share('h', 'column')}
                if (hs > 0) { sum += ys * hs * g[Z][oy * ${columns} + ox][X]; }
              }
            }
          }
        }
      }
      return sum;`,
    args: { g: { place: g, dims: [channels, rows * columns, images] } },
    output: [channels, sizeOf(resize.input), images],
    to,
  });
};
