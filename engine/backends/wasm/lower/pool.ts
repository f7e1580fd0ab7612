/**
 * Pooling, and convolutions whose result goes no further than a max pool: image by image, so that neither the result nor its
 * gradient leaves the cache.
 */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { bytesOf, elementBytes } from '../../../shape.ts';
import type { TensorType } from '../../../types.ts';
import { conv2dGradWeight, takesPooled } from './conv.ts';
import { isDense } from './grouped.ts';
import { encodeCall, wordIndex, type StructOf } from '../call.ts';
import { align, type Lower, type LoweringContext, type ContextWith } from './lowering.ts';

type ConvAttrs = AttrsOf<'conv2d'>;
type PoolAttrs = AttrsOf<'maxPool2d'>;

/** The geometry of the windows on images [N, H, W, C]. */
function pooling(images: number, channels: number, attrs: PoolAttrs): StructOf<'Pooling'> {
  const { kernel, stride, pad, input, output, insideOnly } = attrs;
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
  (relu: boolean): Lower<PoolAttrs> =>
  ({ inputs: [x], outputs: [y, argmax], types: [{ shape }], results: [type, { dtype }], attrs, emit }) => {
    const windows = pooling(shape[0], shape[3], attrs);
    const words = { ...windows, x, y, argmax, relu, argmaxBytes: elementBytes(dtype) };
    emit('maxPool', words, shape[0] * type.shape[1]);
  };

/** The gradient of a max pool by its argmax, and of the relu after it when its result is an input. */
export const maxPoolGrad: Lower<PoolAttrs> = ({ inputs, outputs: [dx], types: [{ shape }], attrs, emit }) => {
  const [dy, mask, argmax] = inputs.length > 2 ? inputs : [inputs[0], 0, inputs[1]];
  emit('maxPoolGrad', { ...pooling(shape[0], shape[3], attrs), dy, argmax, dx, mask }, shape[0]);
};

export const maxPool2dArgmaxGrad: Lower<PoolAttrs> = ({
  inputs: [dy, argmax],
  outputs: [dx],
  types: [{ shape }],
  attrs,
  emit,
}) => emit('maxPoolSpread', { ...pooling(shape[0], shape[3], attrs), dy, argmax, dx }, shape[0]);

export const avgPool2d: Lower<PoolAttrs> = ({
  inputs: [x],
  outputs: [y],
  types: [{ shape }],
  results,
  attrs,
  emit,
}) => emit('avgPool', { ...pooling(shape[0], shape[3], attrs), x, y }, shape[0] * results[0].shape[1]);

/** The gradient of an average pool, and of the relu before it when its result is an input. */
export const avgPoolGrad: Lower<PoolAttrs> = ({
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
const unpooled = ({ shape: [images, , , channels] }: TensorType, pool: PoolAttrs): TensorType => ({
  shape: [images, ...pool.input, channels],
  dtype: 'f32',
});

/**
 * Whether a convolution and its max pool are computed image by image: if there are enough images for all threads, one image fits in
 * the L2 cache, all of them together do not, and the filters are so small that reading them again for each image costs little.
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
function onEachImage(context: LoweringContext, calls: number[][], moves: StructOf<'Move'>[]) {
  return (lower: (context: LoweringContext) => void, moving: Readonly<Record<string, Move>>): void =>
    lower({
      ...context,
      emit(name, words, tasks) {
        if (!('images' in words)) {
          context.emit(name, words, tasks);
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
export function conv2dMaxPool(
  context: ContextWith<ConvAttrs & { readonly pool: PoolAttrs }>,
  conv: (context: ContextWith<ConvAttrs>, relu: boolean) => void,
  relu: boolean,
): void {
  const { types, results, attrs, emit, scratch, scratchPerThread } = context;
  const full = unpooled(results[0], attrs.pool);
  const images = full.shape[0];
  const [imageBytes, x, y, argmax] = [full, types[0], ...results].map((type) => bytesOf(type) / images);
  const lowerConv = (part: LoweringContext, to: number): void =>
    conv({ ...part, attrs, outputs: [to], results: [full] }, false);
  const lowerPool = (part: LoweringContext, from: number): void =>
    maxPool(relu)({ ...part, attrs: attrs.pool, inputs: [from], types: [full] });
  if (!imageByImage(images, imageBytes, bytesOf(types[1]))) {
    const between = scratch(bytesOf(full));
    lowerConv(context, between);
    lowerPool(context, between);
    return;
  }
  const { base, bytes: perThread } = scratchPerThread(align(imageBytes + 64));
  const program: number[][] = [];
  const moves: StructOf<'Move'>[] = [];
  const each = onEachImage(context, program, moves);
  each((part) => lowerConv(part, base), { x: { perImage: x }, y: { perThread } });
  each((part) => lowerPool(part, base), {
    x: { perThread },
    y: { perImage: y },
    argmax: { perImage: argmax },
  });
  const copies = scratchPerThread(align(4 * program.flat().length));
  emit('eachImage', { images, scratch: copies, moves, program }, images);
}

/** The weight gradient of a convolution before a max pool, and where it is fused the bias gradient. */
export function conv2dMaxPoolGradWeight(
  context: ContextWith<ConvAttrs & { readonly pool: PoolAttrs }>,
  gradWeight: Lower<ConvAttrs>,
): void {
  const { inputs, types, attrs } = context;
  const [x, dy, argmax] = inputs;
  const { pool } = attrs;
  const [images, , , channels] = types[1].shape;
  if (isDense(attrs) && takesPooled(context)) {
    conv2dGradWeight({ ...context, inputs: [x, dy] }, [{ ...pooling(images, channels, pool), argmax }]);
    return;
  }
  const full = unpooled(types[1], pool);
  const spread = context.scratch(bytesOf(full));
  maxPool2dArgmaxGrad({
    ...context,
    inputs: [dy, argmax],
    outputs: [spread],
    types: [types[1]],
    attrs: pool,
  });
  gradWeight({ ...context, inputs: [x, spread], types: [types[0], full] });
}
