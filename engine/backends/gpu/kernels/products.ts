/** Matrix products and convolutions: the portable forms, which hand-written WGSL is checked against. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { matmulSizes } from '../../../ops/primitives/matmul.ts';
import { sizeOf } from '../../../shape.ts';
import type { FusableAttrs, Lowering, LoweringContext } from '../lowering.ts';
import { expectExact } from '../text.ts';
import { emitSum } from './reduce.ts';
import { sumsOf } from './sums.ts';
import { forEachTap, forEachWindow, inImage } from './windows.ts';

const matmul: Lowering<AttrsOf<'matmul'>> = ({ inputs, outputs, types, attrs: flags, vectors, emit }) => {
  const { transA, transB } = flags;
  const { batch, m, n, k } = matmulSizes(types, flags);
  const output = [n, m, batch] as const;
  if (k === 0) {
    emit({ body: 'return 0;', args: {}, output, to: outputs[0] });
    return;
  }
  const terms = { depth: k, results: n, a: { name: 'a', deep: !transA }, b: { name: 'b', deep: transB } };
  const { begin, add, end, ...rest } = sumsOf(terms, vectors);
  const product = add(
    (at) => `a[Z]${transA ? `[${at}][Y]` : `[Y][${at}]`}`,
    (at, x) => `b[Z]${transB ? `[${x}][${at}]` : `[${at}][${x}]`}`,
  );
  emit({
    body: `${begin}\n${product}\n${end}`,
    args: {
      a: { buffer: inputs[0], dims: transA ? [m, k, batch] : [k, m, batch] },
      b: { buffer: inputs[1], dims: transB ? [k, n, batch] : [n, k, batch] },
    },
    output,
    to: outputs[0],
    ...rest,
  });
};

/** Convolution, with a bias for each filter if there is a third input, and relu. */
const conv2d: Lowering<FusableAttrs<'conv2d', 'conv2dBias'>> = ({
  inputs,
  outputs,
  types,
  attrs: conv,
  vectors,
  emit,
}) => {
  const [images, height, width, allChannels] = types[0].shape;
  const [, , channels, filters] = types[1].shape;
  expectExact('an image', height * width);
  const first = conv.groups === 1 ? '' : `quotient(X, ${filters / conv.groups}) * ${channels} + `;
  const biased = inputs.length > 2;
  const { begin, add, end, ...rest } = sumsOf(
    {
      depth: channels,
      results: filters,
      a: { name: 'x', deep: true },
      b: { name: 'w', deep: false },
      bias: biased ? 'bias' : null,
      relu: conv.relu === true,
    },
    vectors && conv.groups === 1,
  );
  emit({
    body: `${begin}
      ${forEachTap(conv, (tap, position) =>
        add(
          (c) => `x[Z][${position}][${first}${c}]`,
          (c, o) => `w[${tap}][${c}][${o}]`,
        ),
      )}
      ${end}`,
    args: {
      x: { buffer: inputs[0], dims: [allChannels, height * width, images] },
      w: { buffer: inputs[1], dims: [filters, channels, sizeOf(conv.kernel)] },
      ...(biased ? { bias: { buffer: inputs[2], dims: [filters] as const } } : {}),
    },
    output: [filters, sizeOf(conv.output), images],
    to: outputs[0],
    ...rest,
  });
};

const conv2dGradInput: Lowering<AttrsOf<'conv2dGradInput'>> = ({
  inputs,
  outputs,
  types,
  attrs: conv,
  vectors,
  emit,
}) => {
  const [images, , , filters] = types[0].shape;
  const channels = types[1].shape[2];
  expectExact('an image', sizeOf(conv.input));
  const each = filters / conv.groups;
  const grouped = conv.groups > 1;
  const { begin, add, end, ...rest } = sumsOf(
    { depth: each, results: channels, a: { name: 'g', deep: true }, b: { name: 'w', deep: true } },
    vectors && !grouped,
  );
  const filter = (k: string): string => (grouped ? `group * ${each} + ${k}` : k);
  const channel = (c: string): string => (grouped ? `${c} - group * ${channels}` : c);
  emit({
    body: `${grouped ? `const group = quotient(X, ${channels});` : ''}
      ${begin}
      ${forEachWindow(conv, (window, tap) =>
        add(
          (k) => `g[Z][${window}][${filter(k)}]`,
          (k, c) => `w[${tap}][${channel(c)}][${filter(k)}]`,
        ),
      )}
      ${end}`,
    args: {
      g: { buffer: inputs[0], dims: [filters, sizeOf(conv.output), images] },
      w: { buffer: inputs[1], dims: [filters, channels, sizeOf(conv.kernel)] },
    },
    output: [channels * conv.groups, sizeOf(conv.input), images],
    to: outputs[0],
    ...rest,
  });
};

/** Threads that keep a GPU busy. */
const MANY = 65_536;

/** Partial sums over parts of the batch, then their sum; a second output is the sum of g over all but its last axis. */
const conv2dGradWeight: Lowering<AttrsOf<'conv2dGradWeight'>> = (context) => {
  const { inputs, outputs, types, attrs: conv } = context;
  const [images, height, width, allChannels] = types[0].shape;
  const channels = allChannels / conv.groups;
  const filters = types[1].shape[3];
  const taps = sizeOf(conv.kernel);
  const weights = taps * channels * filters;
  if (weights > 0)
    emitWeightGradient(context, conv, { images, height, width, channels, filters, taps, weights });
  if (outputs.length < 2) return;
  const rows = sizeOf(types[1].shape) / Math.max(filters, 1);
  emitSum(context, {
    args: { g: { buffer: inputs[1], dims: [filters, rows] } },
    term: (_, r, x) => `g[${r}][${x}]`,
    outer: 1,
    n: rows,
    inner: filters,
    to: outputs[1],
  });
};

function emitWeightGradient(
  context: LoweringContext,
  { stride, pad, kernel, output, dilation, groups }: AttrsOf<'conv2dGradWeight'>,
  sizes: Readonly<
    Record<'images' | 'height' | 'width' | 'channels' | 'filters' | 'taps' | 'weights', number>
  >,
): void {
  const { inputs, outputs, vectors, emit, scratch } = context;
  const { images, height, width, channels, filters, taps, weights } = sizes;
  const { begin, add, end, ...rest } = sumsOf(
    { depth: 1, results: filters, a: { name: 'x', deep: false }, b: { name: 'g', deep: false } },
    vectors && groups === 1,
  );
  const threads = weights / (rest.vectors === undefined ? 1 : 4);
  const each = Math.max(1, Math.ceil(images / Math.min(Math.ceil(MANY / threads), Math.max(images, 1))));
  const splits = Math.max(1, Math.ceil(images / each));
  const to = splits === 1 ? outputs[0] : scratch(splits * weights);
  const empty = images * height * width === 0;
  const channel = groups === 1 ? 'Y' : `quotient(X, ${filters / groups}) * ${channels} + Y`;
  emit({
    body: empty
      ? 'return 0;'
      : `const split = quotient(Z, ${taps});
        const tap = Z - split * ${taps};
        const ky = quotient(tap, ${kernel[1]});
        const kx = tap - ky * ${kernel[1]};
        ${begin}
        for (let k = 0; k < ${each}; k++) {
          const n = split * ${each} + k;
          if (n < ${images}) {
            for (let oy = 0; oy < ${output[0]}; oy++) {
              const iy = oy * ${stride[0]} - ${pad[0]} + ky * ${dilation[0]};
              if (${inImage('iy', height)}) {
                for (let ox = 0; ox < ${output[1]}; ox++) {
                  const ix = ox * ${stride[1]} - ${pad[2]} + kx * ${dilation[1]};
                  if (${inImage('ix', width)}) {
                    ${add(
                      () => `x[n][iy * ${width} + ix][${channel}]`,
                      (_, o) => `g[n][oy * ${output[1]} + ox][${o}]`,
                    )}
                  }
                }
              }
            }
          }
        }
        ${end}`,
    args: empty
      ? {}
      : {
          x: { buffer: inputs[0], dims: [channels * groups, height * width, images] },
          g: { buffer: inputs[1], dims: [filters, sizeOf(output), images] },
        },
    output: [filters, channels, taps * splits],
    to,
    ...(empty ? {} : rest),
  });
  if (splits === 1) return;
  emitSum(context, {
    args: { partial: { buffer: to, dims: [weights, splits] } },
    term: (_, r, x) => `partial[${r}][${x}]`,
    outer: 1,
    n: splits,
    inner: weights,
    to: outputs[0],
  });
}

export const productKernels = {
  matmul,
  conv2d,
  conv2dBias: conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  conv2dGradWeightBias: conv2dGradWeight,
};
