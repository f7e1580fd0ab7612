/** Resizing, and turning bytes into images. */
import { type ResizeAttrs, resizeTable } from '../../../ops/primitives/resize.ts';
import type { KernelTable } from '../../backend.ts';
import { accumulate, broadcast, type Call } from './call.ts';

/** Visits every (image, output position, input position that it mixes) triple of a resize, with the weight. */
function forMixed(
  attrs: ResizeAttrs,
  images: number,
  visit: (n: number, oy: number, ox: number, iy: number, ix: number, weight: number) => void,
): void {
  const parts = ([0, 1] as const).map((axis) =>
    resizeTable(attrs, axis).map(({ from, to, weight }) => [
      { at: from, share: 1 - weight },
      ...(weight === 0 ? [] : [{ at: to, share: weight }]),
    ]),
  );
  for (let n = 0; n < images; n++) {
    parts[0].forEach((rows, oy) => {
      parts[1].forEach((columns, ox) => {
        for (const y of rows) for (const x of columns) visit(n, oy, ox, y.at, x.at, y.share * x.share);
      });
    });
  }
}

export const imageKernels = {
  resize2d({ inputs: [x], outputs: [y], attrs }) {
    const [images, , , channels] = x.shape;
    accumulate(y, (add) => {
      forMixed(attrs, images, (n, oy, ox, iy, ix, weight) => {
        for (let c = 0; c < channels; c++) add(y.index(n, oy, ox, c), weight * x.get(n, iy, ix, c));
      });
    });
  },

  resize2dGrad({ inputs: [g], outputs: [dx], attrs }) {
    const [images, , , channels] = g.shape;
    accumulate(dx, (add) => {
      forMixed(attrs, images, (n, oy, ox, iy, ix, weight) => {
        for (let c = 0; c < channels; c++) add(dx.index(n, iy, ix, c), weight * g.get(n, oy, ox, c));
      });
    });
  },

  normalizeImages({ inputs: [x, mean, scale, draws], outputs: [y] }) {
    const [images, height, width, channels] = x.shape;
    const center = broadcast(mean, [height, width, channels]);
    const factor = broadcast(scale, [height, width, channels]);
    for (let n = 0; n < images; n++) {
      const [dy, dx, flip] = draws === undefined ? [0, 0, 0] : [0, 1, 2].map((i) => draws.get(n, i));
      for (let i = 0; i < height; i++) {
        for (let j = 0; j < width; j++) {
          const sy = i + dy;
          const sx = (flip === 0 ? j : width - 1 - j) + dx;
          const inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
          for (let c = 0; c < channels; c++) {
            y.set(
              n,
              i,
              j,
              c,
              inside ? (x.get(n, sy, sx, c) - center.get(sy, sx, c)) * factor.get(sy, sx, c) : 0,
            );
          }
        }
      }
    }
  },
} satisfies Partial<KernelTable<Call>>;
