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
import { K } from '../kernels.generated.ts';
import { align, type Lower, type Site } from './site.ts';

/** Where the kernels of convolutions and pooling have the number of images. */
const IMAGES_WORD = 3;

/** The geometry words that every pooling kernel takes. */
function poolWords(images: number, channels: number, attrs: Attrs): number[] {
  const { kernel, stride, pad, input, output, insideOnly } = attrs as AttrsOf<'maxPool2d'>;
  return [images, ...input, channels, ...kernel, ...stride, ...pad, ...output, insideOnly ? 1 : 0];
}

/** Of `x`, the maxima and their positions, or the taps of the windows that won, as the second result's type says. */
export const maxPool =
  (relu: boolean): Lower =>
  ({ inputs, outputs, types: [{ shape }], results: [y, at], attrs, emitPieces }) => {
    const words = [...poolWords(shape[0], shape[3], attrs), relu ? 1 : 0, elementBytes(at.dtype)];
    emitPieces(shape[0] * y.shape[1], K.K_MAX_POOL, ...inputs, ...outputs, ...words);
  };

/** The gradient of a max pool by positions, and of the relu after it where its result comes along. */
export const maxPoolGrad: Lower = ({ inputs, outputs: [dx], types: [{ shape }], attrs, emitPieces }) => {
  const [g, y, at] = inputs.length > 2 ? inputs : [inputs[0], 0, inputs[1]];
  emitPieces(shape[0], K.K_MAX_POOL_GRAD, g, at, dx, ...poolWords(shape[0], shape[3], attrs), y);
};

export const maxPool2dTapsGrad: Lower = ({ inputs, outputs, types: [{ shape }], attrs, emitPieces }) =>
  emitPieces(shape[0], K.K_MAX_POOL_SPREAD, ...inputs, ...outputs, ...poolWords(shape[0], shape[3], attrs));

export const avgPool2d: Lower = ({ inputs, outputs, types: [{ shape }], results, attrs, emitPieces }) => {
  const pieces = shape[0] * results[0].shape[1];
  emitPieces(pieces, K.K_AVG_POOL, ...inputs, ...outputs, ...poolWords(shape[0], shape[3], attrs));
};

/** The gradient of an average pool, and of the relu before it where its result comes along. */
export const avgPoolGrad: Lower = ({
  inputs: [g, y = 0],
  outputs: [dx],
  types: [{ shape }],
  results,
  attrs,
  emitPieces,
}) => {
  const [images, height] = results[0].shape;
  emitPieces(images * height, K.K_AVG_POOL_GRAD, g, dx, ...poolWords(shape[0], shape[3], attrs), y);
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

/** A word of a call that is an address: bytes that it moves on by image and by thread. */
type Move = readonly [word: number, perImage: number, perThread: number];

/** A convolution, then a max pool, with what lies between in scratch memory: of one image for each thread, or of all. */
export const conv2dMaxPool =
  (conv: Lower): Lower =>
  (site) => {
    const { types, results, attrs, threads, emitPieces, scratch } = site;
    const pool = attrs['pool'] as Attrs;
    const full = unpooled(results[0], pool);
    const images = full.shape[0];
    const [imageBytes, ...moves] = [full, types[0], ...results].map((type) => bytesOf(type) / images);
    const convSite = { ...site, attrs: { ...attrs, relu: false }, results: [full] };
    const poolSite = { ...site, attrs: pool, types: [full] };
    const lowerPool = maxPool(attrs['relu'] === true);
    if (!imageByImage(images, imageBytes, bytesOf(types[1]))) {
      const between = scratch(bytesOf(full));
      conv({ ...convSite, outputs: [between] });
      lowerPool({ ...poolSite, inputs: [between] });
      return;
    }
    const own = align(imageBytes + 64);
    const between = scratch(threads * own);
    const calls: number[][] = [];
    /** Takes down the kernel that shares pieces, which is the last one, for one image. */
    const each = (lower: Lower, part: Site, ...moving: readonly Move[]): void =>
      lower({
        ...part,
        emitPieces(_, kernel, ...words) {
          const single = words.with(IMAGES_WORD, 1);
          calls.push([kernel, single.length, moving.length, ...single, ...moving.flat()]);
        },
      });
    each(conv, { ...convSite, outputs: [between] }, [0, moves[0], 0], [2, 0, own]);
    each(lowerPool, { ...poolSite, inputs: [between] }, [0, 0, own], [1, moves[1], 0], [2, moves[2], 0]);
    const room = align(Math.max(...calls.map((call) => call.length)) * 4);
    const words = [images, scratch(threads * room), room, calls.length, ...calls.flat()];
    emitPieces(images, K.K_EACH_IMAGE, ...words);
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
      conv2dGradWeight({ ...site, inputs: [x, g] }, [taps, ...poolWords(shape[0], shape[3], pool)]);
      return;
    }
    const full = unpooled(types[1], pool);
    const spread = scratch(bytesOf(full));
    maxPool2dTapsGrad({ ...site, inputs: [g, taps], outputs: [spread], types: [types[1]], attrs: pool });
    gradWeight({ ...site, inputs: [x, spread], types: [types[0], full] });
  };
