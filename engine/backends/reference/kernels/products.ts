/** Matrix products and convolutions. */
import type { ConvAttrs } from '../../../ops/primitives/conv.ts';
import { matmulSizes } from '../../../ops/primitives/matmul.ts';
import type { KernelTable } from '../../backend.ts';
import { accumulate, type Call, type Nd } from './call.ts';

/** Visits every (image, output position, tap inside the image) triple of a convolution. */
function forTaps(
  { stride, pad, input, kernel, output, dilation }: ConvAttrs,
  images: number,
  visit: (n: number, oy: number, ox: number, iy: number, ix: number, ky: number, kx: number) => void,
): void {
  for (let n = 0; n < images; n++) {
    for (let oy = 0; oy < output[0]; oy++) {
      for (let ox = 0; ox < output[1]; ox++) {
        for (let ky = 0; ky < kernel[0]; ky++) {
          for (let kx = 0; kx < kernel[1]; kx++) {
            const iy = oy * stride[0] - pad[0] + ky * dilation[0];
            const ix = ox * stride[1] - pad[2] + kx * dilation[1];
            if (iy >= 0 && iy < input[0] && ix >= 0 && ix < input[1]) visit(n, oy, ox, iy, ix, ky, kx);
          }
        }
      }
    }
  }
}

/** The first input channel that output channel o sees, of groups of `channels` channels. */
const firstChannel = (o: number, filters: number, channels: number, groups: number): number =>
  Math.floor((o * groups) / filters) * channels;

export const productKernels = {
  matmul({ inputs: [a, b], outputs: [c], attrs: flags }) {
    const type = (x: Nd) => ({ shape: x.shape, dtype: 'f32' }) as const;
    const { batch, m, n, k } = matmulSizes([type(a), type(b)], flags);
    const matrix = (x: Nd, transposed: boolean, i: number): Nd => {
      const view = x.dimension === 3 ? x.pick(i, null, null) : x;
      return transposed ? view.transpose(1, 0) : view;
    };
    accumulate(c, (add) => {
      for (let i = 0; i < batch; i++) {
        const left = matrix(a, flags.transA, i);
        const right = matrix(b, flags.transB, i);
        for (let row = 0; row < m; row++) {
          for (let column = 0; column < n; column++) {
            let sum = 0;
            for (let j = 0; j < k; j++) sum += left.get(row, j) * right.get(j, column);
            add((i * m + row) * n + column, sum);
          }
        }
      }
    });
  },

  conv2d({ inputs: [x, w], outputs: [y], attrs: conv }) {
    const [, , channels, filters] = w.shape;
    accumulate(y, (add) => {
      forTaps(conv, x.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        const row = ((n * conv.output[0] + oy) * conv.output[1] + ox) * filters;
        for (let o = 0; o < filters; o++) {
          const first = firstChannel(o, filters, channels, conv.groups);
          let sum = 0;
          for (let c = 0; c < channels; c++) sum += x.get(n, iy, ix, first + c) * w.get(ky, kx, c, o);
          add(row + o, sum);
        }
      });
    });
  },

  conv2dGradInput({ inputs: [g, w], outputs: [dx], attrs: conv }) {
    const [, , channels, filters] = w.shape;
    accumulate(dx, (add) => {
      forTaps(conv, g.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        const row = ((n * conv.input[0] + iy) * conv.input[1] + ix) * channels * conv.groups;
        for (let o = 0; o < filters; o++) {
          const first = firstChannel(o, filters, channels, conv.groups);
          for (let c = 0; c < channels; c++) add(row + first + c, g.get(n, oy, ox, o) * w.get(ky, kx, c, o));
        }
      });
    });
  },

  conv2dGradWeight({ inputs: [x, g], outputs: [dw], attrs: conv }) {
    const [, , channels, filters] = dw.shape;
    accumulate(dw, (add) => {
      forTaps(conv, x.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        for (let c = 0; c < channels; c++) {
          const row = ((ky * conv.kernel[1] + kx) * channels + c) * filters;
          for (let o = 0; o < filters; o++) {
            const first = firstChannel(o, filters, channels, conv.groups);
            add(row + o, x.get(n, iy, ix, first + c) * g.get(n, oy, ox, o));
          }
        }
      });
    });
  },
} satisfies Partial<KernelTable<Call>>;
