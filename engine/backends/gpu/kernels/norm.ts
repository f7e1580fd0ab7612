/** Local response normalisation and batch normalisation. */
import type { AttrsOf } from '../../../ops/index.ts';
import { sizeOf } from '../../../shape.ts';
import { literal, rowsAndColumns, type Lower } from '../kernel.ts';
import { emitSum } from './reduce.ts';
import { forEachTap, type Windows } from './windows.ts';

/** The squares around every position: windows that do not move the image. */
function squares(height: number, width: number, size: number): Windows {
  const radius = (size - 1) / 2;
  return {
    kernel: [size, size],
    stride: [1, 1],
    pad: [radius, radius, radius, radius],
    input: [height, width],
    output: [height, width],
  };
}

export const lrnWithin: Lower = ({ inputs: [x], outputs: [y, s], types: [{ shape }], attrs, emit }) => {
  const { size, alpha, beta } = attrs as AttrsOf<'lrnWithin'>;
  const [images, height, width, channels] = shape;
  const dims = [channels, height * width, images] as const;
  emit({
    body: `let sum = 0;
      ${forEachTap(
        squares(height, width, size),
        (_, position) => `const value = x[Z][${position}][X];\nsum += value * value;`,
      )}
      return 1 + sum * ${literal(alpha / size ** 2)};`,
    args: { x: { place: x, dims } },
    output: dims,
    to: s,
  });
  const n = sizeOf(shape);
  emit({
    body: `return x[X] * Math.pow(s[X], ${literal(-beta)});`,
    args: { x: { place: x, dims: [n] }, s: { place: s, dims: [n] } },
    output: [n],
    to: y,
  });
};

export const lrnWithinGrad: Lower = ({
  inputs: [g, x, s],
  outputs: [to],
  types: [{ shape }],
  attrs,
  emit,
  scratch,
}) => {
  const { size, alpha, beta } = attrs as AttrsOf<'lrnWithinGrad'>;
  const [images, height, width, channels] = shape;
  const n = sizeOf(shape);
  const product = scratch(n);
  emit({
    body: `return g[X] * x[X] * Math.pow(s[X], ${literal(-beta - 1)});`,
    args: { g: { place: g, dims: [n] }, x: { place: x, dims: [n] }, s: { place: s, dims: [n] } },
    output: [n],
    to: product,
  });
  const dims = [channels, height * width, images] as const;
  emit({
    body: `let sum = 0;
      ${forEachTap(squares(height, width, size), (_, position) => `sum += product[Z][${position}][X];`)}
      return g[Z][Y][X] * Math.pow(s[Z][Y][X], ${literal(-beta)}) - x[Z][Y][X] * sum * ${literal((2 * alpha * beta) / size ** 2)};`,
    args: {
      g: { place: g, dims },
      x: { place: x, dims },
      s: { place: s, dims },
      product: { place: product, dims },
    },
    output: dims,
    to,
  });
};

export const batchNorm: Lower = (site) => {
  const {
    inputs: [x, gamma, beta],
    outputs: [y, mean, variance],
    types: [{ shape }],
    attrs,
    emit,
  } = site;
  const { epsilon } = attrs as AttrsOf<'batchNorm'>;
  const [rows, channels] = rowsAndColumns(shape);
  const image = { place: x, dims: [channels, rows] } as const;
  const perChannel = { dims: [channels] } as const;
  const axes = { outer: 1, n: rows, inner: channels, finish: (sum: string) => `${sum} / ${rows}` };
  emitSum(site, { args: { x: image }, term: (_, r, c) => `x[${r}][${c}]`, ...axes, to: mean });
  emitSum(site, {
    args: { x: image, mean: { place: mean, ...perChannel } },
    term: (_, r, c) => `(x[${r}][${c}] - mean[${c}]) * (x[${r}][${c}] - mean[${c}])`,
    ...axes,
    to: variance,
  });
  const affine = gamma !== undefined && beta !== undefined;
  emit({
    body: `const normal = (x[Y][X] - mean[X]) / Math.sqrt(variance[X] + ${literal(epsilon)});
      return ${affine ? 'normal * gamma[X] + beta[X]' : 'normal'};`,
    args: {
      x: image,
      mean: { place: mean, ...perChannel },
      variance: { place: variance, ...perChannel },
      ...(affine ? { gamma: { place: gamma, ...perChannel }, beta: { place: beta, ...perChannel } } : {}),
    },
    output: [channels, rows],
    to: y,
  });
};

export const batchNormGrad: Lower = (site) => {
  const {
    inputs: [g, x, mean, variance, gamma],
    outputs: [dx, dGamma, dBeta],
    types,
    attrs,
    emit,
  } = site;
  const { epsilon } = attrs as AttrsOf<'batchNormGrad'>;
  const [rows, channels] = rowsAndColumns(types[1].shape);
  const [gradient, image] = [g, x].map((place) => ({ place, dims: [channels, rows] as const }));
  const [means, variances, sums, products] = [mean, variance, dBeta, dGamma].map((place) => ({
    place,
    dims: [channels] as const,
  }));
  const normalised = (r: string, c: string): string =>
    `(x[${r}][${c}] - mean[${c}]) / Math.sqrt(variance[${c}] + ${literal(epsilon)})`;
  const axes = { outer: 1, n: rows, inner: channels };
  emitSum(site, { args: { g: gradient! }, term: (_, r, c) => `g[${r}][${c}]`, ...axes, to: dBeta });
  emitSum(site, {
    args: { g: gradient!, x: image!, mean: means!, variance: variances! },
    term: (_, r, c) => `g[${r}][${c}] * (${normalised(r, c)})`,
    ...axes,
    to: dGamma,
  });
  emit({
    body: `const scale = ${gamma === undefined ? '1' : 'gamma[X]'} / Math.sqrt(variance[X] + ${literal(epsilon)});
      const normal = ${normalised('Y', 'X')};
      return scale * (g[Y][X] - sums[X] / ${rows} - normal * (products[X] / ${rows}));`,
    args: {
      g: gradient!,
      x: image!,
      mean: means!,
      variance: variances!,
      sums: sums!,
      products: products!,
      ...(gamma === undefined ? {} : { gamma: { place: gamma, dims: [channels] as const } }),
    },
    output: [channels, rows],
    to: dx,
  });
};
