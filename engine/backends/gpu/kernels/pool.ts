/** Pooling. Gradients are gathered: each input position loops over the windows that contain it. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import type { PoolAttrs } from '../../../ops/primitives/pool.ts';
import { sizeOf } from '../../../shape.ts';
import type { Lowering } from '../lowering.ts';
import { int, returnHalf } from '../text.ts';
import { wins } from './reduce.ts';
import { forEachTap, forEachWindow } from './windows.ts';

const maxPool =
  (relu: boolean): Lowering<AttrsOf<'maxPool2d'>> =>
  ({ inputs: [x], outputs: [y, argmax], types: [{ shape }], attrs: pool, emit }) => {
    const [images, height, width, channels] = shape;
    const args = { x: { buffer: x, dims: [channels, height * width, images] } } as const;
    const search = (channel: string): string => `let best = 0;
      let found = -1;
      ${forEachTap(
        pool,
        (_, position) => `const value = x[Z][${position}][${channel}];
          if (found < 0 || ${wins('value', 'best')}) { best = value; found = ${position}; }`,
      )}`;
    emit({
      body: `${search('X')}\n${relu ? 'if (best < 0) { return 0; }' : ''}\nreturn best;`,
      args,
      output: [channels, sizeOf(pool.output), images],
      to: y,
    });
    emit({
      body: `const channel = quotient(X, 2);\n${search('channel')}\n${returnHalf('found', 'X - channel * 2')}`,
      args,
      output: [2 * channels, sizeOf(pool.output), images],
      to: argmax,
    });
  };

/** Inputs: g, the result of a relu after the pool if there is one, and the argmax. */
const maxPoolGrad: Lowering<AttrsOf<'maxPool2dGrad'>> = ({
  inputs,
  outputs: [to],
  results: [{ shape }],
  attrs: pool,
  emit,
}) => {
  const [images, height, width, channels] = shape;
  const windows = sizeOf(pool.output);
  const [g, y, argmax] = inputs.length === 3 ? inputs : [inputs[0], null, inputs[1]];
  const passed = y === null ? '' : ` && y[Z][window][X] > 0`;
  emit({
    body: `let sum = 0;
      ${forEachWindow(
        pool,
        (window) => `if (${int(`argmax[Z][${window}]`, 'X')} === Y${passed}) { sum += g[Z][${window}][X]; }`,
      )}
      return sum;`,
    args: {
      g: { buffer: g, dims: [channels, windows, images] },
      argmax: { buffer: argmax, dims: [2 * channels, windows, images] },
      ...(y === null ? {} : { y: { buffer: y, dims: [channels, windows, images] as const } }),
    },
    output: [channels, height * width, images],
    to,
  });
};

/** The divisor of the average over the window at row `y` and column `x` of the output. */
function divisor({ kernel, stride, pad, input, insideOnly }: PoolAttrs, y: string, x: string): string {
  const side = (at: string, axis: 0 | 1): string => {
    const start = `(${at} * ${stride[axis]} - ${pad[2 * axis]})`;
    const end = `Math.min(${start} + ${kernel[axis]}, ${input[axis] + pad[2 * axis + 1]})`;
    return insideOnly ? `(Math.min(${end}, ${input[axis]}) - Math.max(${start}, 0))` : `(${end} - ${start})`;
  };
  return `(${side(y, 0)} * ${side(x, 1)})`;
}

const avgPool2d: Lowering<AttrsOf<'avgPool2d'>> = ({
  inputs: [x],
  outputs: [to],
  types: [{ shape }],
  attrs: pool,
  emit,
}) => {
  const [images, height, width, channels] = shape;
  emit({
    body: `let sum = 0;
      ${forEachTap(pool, (_, position) => `sum += x[Z][${position}][X];`)}
      return sum / ${divisor(pool, 'row', 'column')};`,
    args: { x: { buffer: x, dims: [channels, height * width, images] } },
    output: [channels, sizeOf(pool.output), images],
    to,
  });
};

/** Inputs: g, and the result of a relu before the pool if there is one. */
const avgPoolGrad: Lowering<AttrsOf<'avgPool2dGrad'>> = ({
  inputs: [g, y],
  outputs: [to],
  results: [{ shape }],
  attrs: pool,
  emit,
}) => {
  const [images, height, width, channels] = shape;
  const positions = height * width;
  emit({
    body: `${y === undefined ? '' : 'if (y[Z][Y][X] > 0) { } else { return 0; }'}
      let sum = 0;
      ${forEachWindow(pool, (window) => `sum += g[Z][${window}][X] / ${divisor(pool, 'oy', 'ox')};`)}
      return sum;`,
    args: {
      g: { buffer: g, dims: [channels, sizeOf(pool.output), images] },
      ...(y === undefined ? {} : { y: { buffer: y, dims: [channels, positions, images] as const } }),
    },
    output: [channels, positions, images],
    to,
  });
};

export const poolKernels = {
  maxPool2d: maxPool(false),
  maxPool2dRelu: maxPool(true),
  maxPool2dGrad: maxPoolGrad,
  maxPool2dReluGrad: maxPoolGrad,
  avgPool2d,
  avgPool2dGrad: avgPoolGrad,
  avgPool2dReluGrad: avgPoolGrad,
};
