/** Pooling. */
import ndops from 'ndarray-ops';
import type { PoolAttrs } from '../../../ops/primitives/pool.ts';
import type { KernelTable } from '../../backend.ts';
import { accumulate, type Call, wins } from './call.ts';

/** Visits every (window, position inside the image) pair of a pooling. */
function forWindows(
  attrs: PoolAttrs,
  visit: (oy: number, ox: number, iy: number, ix: number, divisor: number) => void,
): void {
  const { kernel, stride, pad, input, output, insideOnly } = attrs;
  for (let oy = 0; oy < output[0]; oy++) {
    for (let ox = 0; ox < output[1]; ox++) {
      const y0 = oy * stride[0] - pad[0];
      const x0 = ox * stride[1] - pad[2];
      const y1 = Math.min(y0 + kernel[0], input[0] + pad[1]);
      const x1 = Math.min(x0 + kernel[1], input[1] + pad[3]);
      const inside = {
        y0: Math.max(y0, 0),
        x0: Math.max(x0, 0),
        y1: Math.min(y1, input[0]),
        x1: Math.min(x1, input[1]),
      };
      const divisor = insideOnly ? (inside.y1 - inside.y0) * (inside.x1 - inside.x0) : (y1 - y0) * (x1 - x0);
      for (let iy = inside.y0; iy < inside.y1; iy++) {
        for (let ix = inside.x0; ix < inside.x1; ix++) visit(oy, ox, iy, ix, divisor);
      }
    }
  }
}

export const poolKernels = {
  maxPool2d({ inputs: [x], outputs: [y, at], attrs: pool }) {
    const [images, , , channels] = x.shape;
    ndops.assigns(at, -1);
    for (let n = 0; n < images; n++) {
      forWindows(pool, (oy, ox, iy, ix) => {
        for (let c = 0; c < channels; c++) {
          const value = x.get(n, iy, ix, c);
          if (at.get(n, oy, ox, c) >= 0 && !wins(value, y.get(n, oy, ox, c))) continue;
          y.set(n, oy, ox, c, value);
          at.set(n, oy, ox, c, iy * pool.input[1] + ix);
        }
      });
    }
  },

  maxPool2dGrad({ inputs: [g, at], outputs: [dx] }) {
    const [images, rows, columns, channels] = g.shape;
    const imageSize = dx.shape[1] * dx.shape[2] * channels;
    accumulate(dx, (add) => {
      for (let n = 0; n < images; n++) {
        for (let oy = 0; oy < rows; oy++) {
          for (let ox = 0; ox < columns; ox++) {
            for (let c = 0; c < channels; c++) {
              add(n * imageSize + at.get(n, oy, ox, c) * channels + c, g.get(n, oy, ox, c));
            }
          }
        }
      }
    });
  },

  avgPool2d({ inputs: [x], outputs: [y], attrs: pool }) {
    const [images, , , channels] = x.shape;
    const divisors = new Float64Array(y.size / Math.max(channels, 1)).fill(1);
    accumulate(
      y,
      (add) => {
        for (let n = 0; n < images; n++) {
          forWindows(pool, (oy, ox, iy, ix, divisor) => {
            const window = (n * pool.output[0] + oy) * pool.output[1] + ox;
            divisors[window] = divisor;
            for (let c = 0; c < channels; c++) add(window * channels + c, x.get(n, iy, ix, c));
          });
        }
      },
      (sum, i) => sum / divisors[Math.floor(i / channels)],
    );
  },

  avgPool2dGrad({ inputs: [g], outputs: [dx], attrs: pool }) {
    const [images, , , channels] = g.shape;
    accumulate(dx, (add) => {
      for (let n = 0; n < images; n++) {
        forWindows(pool, (oy, ox, iy, ix, divisor) => {
          const row = ((n * pool.input[0] + iy) * pool.input[1] + ix) * channels;
          for (let c = 0; c < channels; c++) add(row + c, g.get(n, oy, ox, c) / divisor);
        });
      }
    });
  },
} satisfies Partial<KernelTable<Call>>;
