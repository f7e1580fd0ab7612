/** One image, for predictions. */
import { checkListening } from '../checks.ts';
import { typedArrayName } from '../../engine/host.ts';
import { checkOptions } from '../../engine/options.ts';
import type { HostTensor } from '../../engine/types.ts';
import { checkBytes, decodeImage } from './decode.ts';
import { readImageFile } from './file.ts';
import { checkPath, IMAGE_OPTIONS, imageFormat, untilAborted, type ImageOptions } from './options.ts';
import { resizeImage } from './resize.ts';
import { named } from './image.ts';

/** A path, or the bytes of a file. In browsers there are no paths. */
export type ImageSource = string | Uint8Array | ArrayBuffer | Blob;

export interface ReadImageOptions extends ImageOptions {
  /** Stops the reading when it aborts. Default: none. */
  readonly signal?: AbortSignal;
}

const WHERE = 'readImage';

/**
 * Reads one PNG, JPEG, WebP, AVIF, GIF or TIFF image in the format of `imageFolder`, for `predict` and `forward`. In Node the package
 * sharp decodes it, in browsers their own decoder, which does not read TIFF.
 *
 * Shapes: [1, height, width, channels] u8.
 * Throws DataError, with the path, if the file cannot be read, is larger than `maxPixels` or is not an image. Throws EngineError if
 * sharp cannot be loaded, TypeError or RangeError for invalid arguments, and the reason of the signal when it aborts.
 *
 * @example
 * const image = await readImage('ship.jpg', { height: 32, width: 32 });
 * const { classes } = await predict({ model, state, backend, data: image });
 */
export async function readImage(source: ImageSource, options: ReadImageOptions): Promise<HostTensor> {
  checkOptions(WHERE, options, [...IMAGE_OPTIONS, 'signal']);
  const format = imageFormat(WHERE, options);
  const { height, width, channels, maxPixels } = format;
  const { signal } = options;
  checkListening(WHERE, options);
  signal?.throwIfAborted();
  const decoding = bytesOf(source, maxPixels).then((bytes) => decodeImage(bytes, format));
  const image = await untilAborted(named(nameOf(source), decoding), signal);
  const data = new Uint8Array(height * width * channels);
  await resizeImage(image, format, data, 0);
  return { shape: [1, height, width, channels], dtype: 'u8', data };
}

async function bytesOf(source: ImageSource, maxPixels: number): Promise<Uint8Array> {
  if (source instanceof Blob) {
    checkBytes(source.size, maxPixels);
    return new Uint8Array(await source.arrayBuffer());
  }
  if (isArrayBuffer(source)) return new Uint8Array(source);
  if (typedArrayName(source) === 'Uint8Array') {
    const bytes = source as Uint8Array;
    return isArrayBuffer(bytes.buffer) ? bytes : bytes.slice(); // decoders do not take shared memory
  }
  checkPath(`${WHERE}: the image must be a path, a Uint8Array, an ArrayBuffer or a Blob`, source);
  return readImageFile(source as string, maxPixels);
}

/** Of any realm. */
const isArrayBuffer = (value: unknown): value is ArrayBuffer =>
  Object.prototype.toString.call(value) === '[object ArrayBuffer]';

/** The start of messages. */
function nameOf(source: ImageSource): string {
  if (typeof source === 'string') return source;
  return source instanceof Blob && 'name' in source ? String(source.name) : `${WHERE}: the image`;
}
