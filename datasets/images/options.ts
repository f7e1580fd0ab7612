/** Options of `readImage` and `imageFolder`. */
import { checkInteger, checkOneOf, show } from '../../engine/options.ts';
import type { Size } from './resize.ts';
import type { Color, DecodeOptions } from './image.ts';

/** The format of all images. */
export interface ImageOptions {
  /** Height of the resized images in pixels, 1 to 4096. */
  readonly height: number;
  /** Width of the resized images in pixels, 1 to 4096. */
  readonly width: number;
  /** 3: red, green and blue. 1: gray, 0.299 red + 0.587 green + 0.114 blue. Default 3. */
  readonly channels?: 1 | 3;
  /**
   * How images of another aspect ratio are resized: 'cover' crops the center to the aspect ratio, 'stretch' distorts the image.
   * Default 'cover'.
   */
  readonly fit?: 'cover' | 'stretch';
  /** The color behind transparent pixels, 0 to 255 for red, green and blue. Default white, [255, 255, 255]. */
  readonly background?: readonly [red: number, green: number, blue: number];
  /**
   * The largest image that is decoded, in pixels. An AVIF image may have half as many, and a file four bytes for each pixel. Larger
   * ones are refused before they are decoded (in browsers: after). Default 2^25, 33,554,432.
   */
  readonly maxPixels?: number;
}

export const IMAGE_OPTIONS = ['height', 'width', 'channels', 'fit', 'background', 'maxPixels'] as const;

const WHITE: Color = [255, 255, 255];
/** The default of `maxPixels`. */
export const MAX_PIXELS = 2 ** 25;

/** Checks the options and fills in the defaults. */
export function imageFormat(where: string, options: ImageOptions): Size & DecodeOptions {
  const { height, width, channels = 3, fit = 'cover', background = WHITE, maxPixels = MAX_PIXELS } = options;
  checkInteger(where, 'height', height, 1, 4096);
  checkInteger(where, 'width', width, 1, 4096);
  checkOneOf(where, 'channels', channels, [1, 3]);
  checkOneOf(where, 'fit', fit, ['cover', 'stretch']);
  checkInteger(where, 'maxPixels', maxPixels, 1, 2 ** 30);
  if (!Array.isArray(background) || background.length !== 3) {
    throw new TypeError(`${where}: background must be [red, green, blue], got ${show(background)}`);
  }
  for (const [c, value] of background.entries()) checkInteger(where, `background[${c}]`, value, 0, 255);
  return { height, width, channels, fit, background, maxPixels };
}

/** Throws TypeError unless `path` is a path. `where` says whose argument it is. */
export function checkPath(where: string, path: unknown): void {
  if (typeof path === 'string' && path !== '' && !path.startsWith('file:')) return;
  const isUrl = path instanceof URL || (typeof path === 'string' && path.startsWith('file:'));
  throw new TypeError(
    `${where}, got ${show(path)}${isUrl ? ' (convert it with fileURLToPath of node:url)' : ''}`,
  );
}

/** The result of `work`, or the reason of the signal as soon as it aborts. What already runs ends in the background. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
