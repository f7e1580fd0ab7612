/**
 * Pooling, and convolutions whose result goes no further than a max pool: image by image, so that neither the result nor its
 * gradient leaves the cache.
 */
import type { Attrs } from '../../../op.ts';
import type { AttrsOf } from '../../../ops/index.ts';
import { bytesOf, elementBytes } from '../../../shape.ts';
import type { TensorType } from '../../../types.ts';
import { conv2dGradWeight, takesPooled } from './conv.ts';
import { isDense } from './grouped.ts';
import { encodeCall, wordIndex, type StructOf } from '../call.ts';
import { align, type Lower, type Site } from './site.ts';

/** The geometry of the windows on images [N, H, W, C]. */
function pooling(images: number, channels: number, attrs: Attrs): StructOf<'Pooling'> {
  const { kernel, stride, pad, input, output, insideOnly } = attrs as AttrsOf<'maxPool2d'>;
  const [height, width] = input;
  const [kernelY, kernelX] = kernel;
  const [strideY, strideX] = stride;
  const [padTop, padBottom, padLeft, padRight] = pad;
  const [outHeight, outWidth] = output;
  return {
    images,
    height,
    width,
    channels,
    kernelY,
    kernelX,
    strideY,
    strideX,
    padTop,
    padBottom,
    padLeft,
    padRight,
    outHeight,
    outWidth,
    insideOnly,
  };
}

/** The maxima of `x` and their argmax: in the image or, where the second result is bytes, in the window. */
export const maxPool =
  (relu: boolean): Lower =>
  ({ inputs: [x], outputs: [y, argmax], types: [{ shape }], results: [type, { dtype }], attrs, emit }) => {
    const windows = pooling(shape[0], shape[3], attrs);
    const words = { ...windows, x, y, argmax, relu, argmaxBytes: elementBytes(dtype) };
    emit('maxPool', words, shape[0] * type.shape[1]);
  };

/** The gradient of a max pool by its argmax, and of the relu after it when its result is an input. */
export const maxPoolGrad: Lower = ({ inputs, outputs: [dx], types: [{ shape }], attrs, emit }) => {
  const [dy, mask, argmax] = inputs.length > 2 ? inputs : [inputs[0], 0, inputs[1]];
  emit('maxPoolGrad', { ...pooling(shape[0], shape[3], attrs), dy, argmax, dx, mask }, shape[0]);
};

export const maxPool2dTapsGrad: Lower = ({
  inputs: [dy, argmax],
  outputs: [dx],
  types: [{ shape }],
  attrs,
  emit,
}) => emit('maxPoolSpread', { ...pooling(shape[0], shape[3], attrs), dy, argmax, dx }, shape[0]);

export const avgPool2d: Lower = ({ inputs: [x], outputs: [y], types: [{ shape }], results, attrs, emit }) =>
  emit('avgPool', { ...pooling(shape[0], shape[3], attrs), x, y }, shape[0] * results[0].shape[1]);

/** The gradient of an average pool, and of the relu before it when its result is an input. */
export const avgPoolGrad: Lower = ({
  inputs: [dy, mask = 0],
  outputs: [dx],
  types: [{ shape }],
  results,
  attrs,
  emit,
}) => {
  const [images, height] = results[0].shape;
  emit('avgPoolGrad', { ...pooling(shape[0], shape[3], attrs), dy, dx, mask }, images * height);
};

/** The type of what lies between a convolution and its max pool. */
const unpooled = ({ shape: [images, , , channels] }: TensorType, pool: Attrs): TensorType => ({
  shape: [images, ...(pool as AttrsOf<'maxPool2d'>).input, channels],
  dtype: 'f32',
});

/**
 * Whether a convolution and its max pool are computed image by image: where there are images for all threads, one that the
 * second-level cache holds and all together do not fit it, and filters so small that reading them for each costs little.
 */
function imageByImage(images: number, imageBytes: number, filterBytes: number): boolean {
  return images >= 64 && imageBytes >= 2 ** 16 && imageBytes <= 2 ** 19 && 8 * filterBytes <= imageBytes;
}

/** How an address of a call moves on: bytes by image, or by thread. */
type Move = { readonly perImage: number } | { readonly perThread: number };

/**
 * Collects the calls that `lower` emits on images, each for the first image alone. Others, which come before, are emitted once for
 * all images.
 */
function onEachImage(site: Site, calls: number[][], moves: StructOf<'Move'>[]) {
  return (lower: Lower, part: Partial<Site>, moving: Readonly<Record<string, Move>>): void =>
    lower({
      ...site,
      ...part,
      emit(name, words, tasks) {
        if (!('images' in words)) {
          site.emit(name, words, tasks);
          return;
        }
        const first = calls.flat().length;
        calls.push(encodeCall(name, { ...words, images: 1 }, 1));
        for (const [word, move] of Object.entries(moving))
          moves.push({ perImage: 0, perThread: 0, ...move, word: first + wordIndex(name, word) });
      },
    });
}

/** A convolution, then a max pool, with what lies between in scratch memory: of one image for each thread, or of all. */
export const conv2dMaxPool =
  (conv: Lower): Lower =>
  (site) => {
    const { types, results, attrs, emit, scratch, scratchPerThread } = site;
    const pool = attrs['pool'] as Attrs;
    const full = unpooled(results[0], pool);
    const images = full.shape[0];
    const [imageBytes, x, y, argmax] = [full, types[0], ...results].map((type) => bytesOf(type) / images);
    const convPart = { attrs: { ...attrs, relu: false }, results: [full] };
    const poolPart = { attrs: pool, types: [full] };
    const lowerPool = maxPool(attrs['relu'] === true);
    if (!imageByImage(images, imageBytes, bytesOf(types[1]))) {
      const between = scratch(bytesOf(full));
      conv({ ...site, ...convPart, outputs: [between] });
      lowerPool({ ...site, ...poolPart, inputs: [between] });
      return;
    }
    const { base, bytes: perThread } = scratchPerThread(align(imageBytes + 64));
    const program: number[][] = [];
    const moves: StructOf<'Move'>[] = [];
    const each = onEachImage(site, program, moves);
    each(conv, { ...convPart, outputs: [base] }, { x: { perImage: x }, y: { perThread } });
    each(
      lowerPool,
      { ...poolPart, inputs: [base] },
      { x: { perThread }, y: { perImage: y }, argmax: { perImage: argmax } },
    );
    const copies = scratchPerThread(align(4 * program.flat().length));
    emit('eachImage', { images, scratch: copies, moves, program }, images);
  };

/** The weight gradient of a convolution before a max pool, and where it is fused the bias gradient. */
export const conv2dMaxPoolGradWeight =
  (gradWeight: Lower): Lower =>
  (site) => {
    const {
      inputs: [x, g, taps],
      types,
      attrs,
      scratch,
    } = site;
    const pool = attrs['pool'] as Attrs;
    const { shape } = types[1];
    if (isDense(attrs as AttrsOf<'conv2d'>) && takesPooled(site)) {
      conv2dGradWeight({ ...site, inputs: [x, g] }, [{ ...pooling(shape[0], shape[3], pool), taps }]);
      return;
    }
    const full = unpooled(types[1], pool);
    const spread = scratch(bytesOf(full));
    maxPool2dTapsGrad({ ...site, inputs: [g, taps], outputs: [spread], types: [types[1]], attrs: pool });
    gradWeight({ ...site, inputs: [x, spread], types: [types[0], full] });
  };
