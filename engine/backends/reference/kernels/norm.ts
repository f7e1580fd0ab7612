/** Normalization. */
import type { KernelTable } from '../../backend.ts';
import type { Call, Nd } from './call.ts';

/** Box sums of f over the size × size square around each position, zero outside. */
function boxSum(
  x: Nd,
  size: number,
  f: (n: number, y: number, x: number, c: number) => number,
): Float64Array {
  const [images, height, width, channels] = x.shape;
  const radius = (size - 1) / 2;
  const sums = new Float64Array(x.size);
  let at = 0;
  for (let n = 0; n < images; n++) {
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let y = Math.max(i - radius, 0); y <= Math.min(i + radius, height - 1); y++) {
            for (let z = Math.max(j - radius, 0); z <= Math.min(j + radius, width - 1); z++)
              sum += f(n, y, z, c);
          }
          sums[at++] = sum;
        }
      }
    }
  }
  return sums;
}

/** Visits every group of [images, positions, groups, channels of a group] with the places of its elements. */
function forGroups(
  shape: readonly number[],
  visit: (n: number, group: number, elements: readonly number[]) => void,
): void {
  const [images, positions, groups, each] = shape;
  for (let n = 0; n < images; n++) {
    for (let group = 0; group < groups; group++) {
      const place = (k: number): number =>
        ((n * positions + Math.floor(k / each)) * groups + group) * each + (k % each);
      visit(
        n,
        group,
        Array.from({ length: positions * each }, (_, k) => place(k)),
      );
    }
  }
}

export const normKernels = {
  lrnWithin({ inputs: [x], outputs: [y, s], attrs: { size, alpha, beta } }) {
    const sums = boxSum(x, size, (n, i, j, c) => x.get(n, i, j, c) ** 2);
    for (let i = 0; i < x.size; i++) {
      const scale = 1 + (alpha / size ** 2) * sums[i];
      s.data[i] = scale;
      y.data[i] = x.data[i] * scale ** -beta;
    }
  },

  lrnWithinGrad({ inputs: [g, x, s], outputs: [dx], attrs: { size, alpha, beta } }) {
    const sums = boxSum(
      x,
      size,
      (n, i, j, c) => g.get(n, i, j, c) * x.get(n, i, j, c) * s.get(n, i, j, c) ** (-beta - 1),
    );
    const factor = (2 * alpha * beta) / size ** 2;
    for (let i = 0; i < x.size; i++) {
      dx.data[i] = g.data[i] * s.data[i] ** -beta - factor * x.data[i] * sums[i];
    }
  },

  batchNorm({ inputs: [x, gamma, beta], outputs: [y, mean, variance], attrs: { epsilon } }) {
    const channels = mean.size;
    const count = x.size / channels;
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let i = c; i < x.size; i += channels) sum += x.data[i];
      const center = sum / count;
      let squares = 0;
      for (let i = c; i < x.size; i += channels) squares += (x.data[i] - center) ** 2;
      const scale = (gamma?.data[c] ?? 1) / Math.sqrt(squares / count + epsilon);
      for (let i = c; i < x.size; i += channels)
        y.data[i] = (x.data[i] - center) * scale + (beta?.data[c] ?? 0);
      mean.data[c] = center;
      variance.data[c] = squares / count;
    }
  },

  batchNormGrad({ inputs: [g, x, mean, variance, gamma], outputs: [dx, dGamma, dBeta], attrs: { epsilon } }) {
    const channels = mean.size;
    const count = x.size / channels;
    for (let c = 0; c < channels; c++) {
      const inverse = 1 / Math.sqrt(variance.data[c] + epsilon);
      const normalized = (i: number): number => (x.data[i] - mean.data[c]) * inverse;
      let sum = 0;
      let product = 0;
      for (let i = c; i < x.size; i += channels) {
        sum += g.data[i];
        product += g.data[i] * normalized(i);
      }
      const scale = (gamma?.data[c] ?? 1) * inverse;
      for (let i = c; i < x.size; i += channels) {
        dx.data[i] = scale * (g.data[i] - sum / count - normalized(i) * (product / count));
      }
      dGamma.data[c] = product;
      dBeta.data[c] = sum;
    }
  },

  standardize({ inputs: [x], outputs: [y, mean, variance], attrs: { epsilon } }) {
    forGroups(x.shape, (n, group, elements) => {
      const count = elements.length;
      const center = elements.reduce((sum, i) => sum + x.data[i], 0) / count;
      const squares = elements.reduce((sum, i) => sum + (x.data[i] - center) ** 2, 0);
      mean.set(n, group, center);
      variance.set(n, group, squares / count);
      for (const i of elements) y.data[i] = (x.data[i] - center) / Math.sqrt(squares / count + epsilon);
    });
  },

  standardizeGrad({ inputs: [g, y, variance], outputs: [dx], attrs: { epsilon } }) {
    forGroups(y.shape, (n, group, elements) => {
      const count = elements.length;
      const sum = elements.reduce((total, i) => total + g.data[i], 0);
      const product = elements.reduce((total, i) => total + g.data[i] * y.data[i], 0);
      const deviation = Math.sqrt(variance.get(n, group) + epsilon);
      for (const i of elements)
        dx.data[i] = (g.data[i] - sum / count - (y.data[i] * product) / count) / deviation;
    });
  },
} satisfies Partial<KernelTable<Call>>;
