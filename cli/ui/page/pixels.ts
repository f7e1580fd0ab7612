/** Pictures on the page. */
import type { Picture } from '../protocol.ts';
import { h } from './dom.ts';

/** A canvas with the pixels of a picture. The style sheet scales it. */
export function canvasOf({ height, width, channels, bytes }: Picture, label: string): HTMLCanvasElement {
  const canvas = h('canvas', { width, height, role: 'img', 'aria-label': label });
  const values = Uint8Array.from(atob(bytes), (character) => character.charCodeAt(0));
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = values[i * channels + Math.min(c, channels - 1)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d')!.putImageData(image, 0, 0);
  return canvas;
}
