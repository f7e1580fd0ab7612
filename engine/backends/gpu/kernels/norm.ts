/** Local response normalisation and batch normalisation. */
import type { AttrsOf } from '../../../ops/index.ts';
import type { FusedAttrs } from '../../../plan/fusions/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { Shape } from '../../../types.ts';
import { literal, rowsAndColumns, type Lower, type Place, type Site, type View } from '../kernel.ts';
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

export const lrnWithin: Lower<AttrsOf<'lrnWithin'>> = ({
  inputs: [x],
  outputs: [y, s],
  types: [{ shape }],
  attrs,
  emit,
}) => {
  const { size, alpha, beta } = attrs;
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

export const lrnWithinGrad: Lower<AttrsOf<'lrnWithinGrad'>> = ({
  inputs: [g, x, s],
  outputs: [to],
  types: [{ shape }],
  attrs,
  emit,
  scratch,
}) => {
  const { size, alpha, beta } = attrs;
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

/** Batch normalisation; as a fusion, of what it takes and where `residual` is set something to add, with relu where asked. */
export const batchNorm: Lower<AttrsOf<'batchNorm'> & Partial<FusedAttrs<'batchNormAct'>>> = (site) => {
  const {
    inputs: [x, ...rest],
    outputs: [y, mean, variance],
    types: [{ shape }],
    attrs,
    emit,
  } = site;
  const { epsilon, residual, relu } = attrs;
  const added = residual === true ? rest.pop() : undefined;
  const [gamma, beta] = rest;
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
      const result = ${affine ? 'normal * gamma[X] + beta[X]' : 'normal'}${added === undefined ? '' : ' + added[Y][X]'};
      ${relu === true ? 'if (result < 0) { return 0; }' : ''}
      return result;`,
    args: {
      x: image,
      mean: { place: mean, ...perChannel },
      variance: { place: variance, ...perChannel },
      ...(added === undefined ? {} : { added: { ...image, place: added } }),
      ...(affine ? { gamma: { place: gamma, ...perChannel }, beta: { place: beta, ...perChannel } } : {}),
    },
    output: [channels, rows],
    to: y,
  });
};

export const batchNormGrad: Lower<AttrsOf<'batchNormGrad'>> = (site) => {
  const {
    inputs: [g, x, mean, variance, gamma],
    outputs: [dx, dGamma, dBeta],
    types,
    attrs,
    emit,
  } = site;
  const { epsilon } = attrs;
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

/** Sums over every group of [images, positions, groups, channels of a group]. */
function emitGroupSum(
  site: Site,
  shape: Shape,
  sum: {
    readonly args: Readonly<Record<string, View>>;
    /** What is added, as an expression of where an element is and of its image and group. */
    readonly term: (element: string, image: string, group: string) => string;
    readonly to: Place;
    readonly finish?: (total: string) => string;
  },
): void {
  const [images, positions, groups, each] = shape;
  emitSum(site, {
    ...sum,
    term: (z, r, x) =>
      sum.term(
        `[${z} * ${positions} + ${each === 1 ? r : `quotient(${r}, ${each})`}][${x}][${each === 1 ? '0' : `remainder(${r}, ${each})`}]`,
        z,
        x,
      ),
    outer: images,
    n: positions * each,
    inner: groups,
  });
}

export const standardize: Lower<AttrsOf<'standardize'>> = (site) => {
  const { inputs, outputs, types, attrs, emit } = site;
  const [y, mean, variance] = outputs;
  const { epsilon } = attrs;
  const [images, positions, groups, each] = types[0].shape;
  const x = { place: inputs[0], dims: [each, groups, images * positions] } as const;
  const [means, variances] = [mean, variance].map((place) => ({ place, dims: [groups, images] as const }));
  const finish = (total: string): string => `${total} / ${positions * each}`;
  emitGroupSum(site, types[0].shape, { args: { x }, term: (at) => `x${at}`, to: mean, finish });
  emitGroupSum(site, types[0].shape, {
    args: { x, means: means! },
    term: (at, image, group) => `(x${at} - means[${image}][${group}]) * (x${at} - means[${image}][${group}])`,
    to: variance,
    finish,
  });
  emit({
    body: `const image = quotient(Z, ${positions});
      return (x[Z][Y][X] - means[image][Y]) / Math.sqrt(variances[image][Y] + ${literal(epsilon)});`,
    args: { x, means: means!, variances: variances! },
    output: x.dims,
    to: y,
  });
};

export const standardizeGrad: Lower<AttrsOf<'standardizeGrad'>> = (site) => {
  const { inputs, outputs, types, attrs, emit, scratch } = site;
  const { epsilon } = attrs;
  const { shape } = types[1];
  const [images, positions, groups, each] = shape;
  const [g, y] = inputs.map((place) => ({ place, dims: [each, groups, images * positions] as const }));
  const [sums, products] = [0, 1].map(() => ({
    place: scratch(images * groups),
    dims: [groups, images] as const,
  }));
  const count = positions * each;
  emitGroupSum(site, shape, { args: { g: g! }, term: (at) => `g${at}`, to: sums!.place });
  emitGroupSum(site, shape, { args: { g: g!, y: y! }, term: (at) => `g${at} * y${at}`, to: products!.place });
  emit({
    body: `const image = quotient(Z, ${positions});
      return (g[Z][Y][X] - sums[image][Y] / ${count} - y[Z][Y][X] * products[image][Y] / ${count}) /
        Math.sqrt(variance[image][Y] + ${literal(epsilon)});`,
    args: {
      g: g!,
      y: y!,
      sums: sums!,
      products: products!,
      variance: { place: inputs[2], dims: [groups, images] },
    },
    output: [each, groups, images * positions],
    to: outputs[0],
  });
};
