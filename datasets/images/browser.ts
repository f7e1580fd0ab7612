/** Decoding in browsers, with their own decoder. */
import { EngineError } from '../../engine/errors.ts';
import { checkPixels, decodingError, type DecodeOptions, type Image, type ImageFormat } from './image.ts';

let hasDecoder: boolean | undefined;

/** Whether the browser decodes images here. Deno has the classes, but no 2D canvas. */
export function hasBrowserDecoder(): boolean {
  hasDecoder ??=
    typeof createImageBitmap === 'function' &&
    typeof OffscreenCanvas === 'function' &&
    new OffscreenCanvas(1, 1).getContext('2d') !== null;
  return hasDecoder;
}

export async function decodeInBrowser(
  bytes: Uint8Array,
  format: ImageFormat,
  options: DecodeOptions,
): Promise<Image> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]), {
      imageOrientation: 'from-image',
      colorSpaceConversion: 'default',
      premultiplyAlpha: 'none',
    });
  } catch (cause) {
    throw decodingError(format, (cause as Error).message, cause);
  }
  try {
    const { width, height } = bitmap;
    checkPixels(format, width, height, options.maxPixels);
    const context = new OffscreenCanvas(width, height).getContext('2d', {
      colorSpace: 'srgb',
      willReadFrequently: true,
    });
    if (context === null) throw new EngineError('the browser has no 2D canvas, which decodes images');
    context.fillStyle = `rgb(${options.background.join(' ')})`;
    context.fillRect(0, 0, width, height);
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, width, height, { colorSpace: 'srgb' }).data;
    return { width, height, data: withoutAlpha(rgba) };
  } finally {
    bitmap.close();
  }
}

function withoutAlpha(rgba: Uint8ClampedArray): Uint8Array {
  const rgb = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4, to += 3) {
    rgb[to] = rgba[from];
    rgb[to + 1] = rgba[from + 1];
    rgb[to + 2] = rgba[from + 2];
  }
  return rgb;
}
