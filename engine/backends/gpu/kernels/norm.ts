/** Local response normalization, batch normalization and standardization. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { Shape } from '../../../types.ts';
import type { BufferId, BufferView } from '../kernel.ts';
import type { FusableAttrs, Lowering, LoweringContext } from '../lowering.ts';
import { literal, rowsAndColumns } from '../text.ts';
import { emitSum } from './reduce.ts';
import { forEachTap, type Windows } from './windows.ts';

/** Square windows centered on each position. */
function squareWindows(height: number, width: number, size: number): Windows {
  const radius = (size - 1) / 2;
  return {
    kernel: [size, size],
    stride: [1, 1],
    pad: [radius, radius, radius, radius],
    input: [height, width],
    output: [height, width],
  };
}

const lrnWithin: Lowering<AttrsOf<'lrnWithin'>> = ({
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
        squareWindows(height, width, size),
        (_, position) => `const value = x[Z][${position}][X];\nsum += value * value;`,
      )}
      return 1 + sum * ${literal(alpha / size ** 2)};`,
    args: { x: { buffer: x, dims } },
    output: dims,
    to: s,
  });
  const n = sizeOf(shape);
  emit({
    body: `return x[X] * Math.pow(s[X], ${literal(-beta)});`,
    args: { x: { buffer: x, dims: [n] }, s: { buffer: s, dims: [n] } },
    output: [n],
    to: y,
  });
};

const lrnWithinGrad: Lowering<AttrsOf<'lrnWithinGrad'>> = ({
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
    args: { g: { buffer: g, dims: [n] }, x: { buffer: x, dims: [n] }, s: { buffer: s, dims: [n] } },
    output: [n],
    to: product,
  });
  const dims = [channels, height * width, images] as const;
  emit({
    body: `let sum = 0;
      ${forEachTap(squareWindows(height, width, size), (_, position) => `sum += product[Z][${position}][X];`)}
      return g[Z][Y][X] * Math.pow(s[Z][Y][X], ${literal(-beta)}) - x[Z][Y][X] * sum * ${literal((2 * alpha * beta) / size ** 2)};`,
    args: {
      g: { buffer: g, dims },
      x: { buffer: x, dims },
      s: { buffer: s, dims },
      product: { buffer: product, dims },
    },
    output: dims,
    to,
  });
};

/** Batch normalization; as a fusion, with a residual to add as the last input, and relu. */
const batchNorm: Lowering<FusableAttrs<'batchNorm', 'batchNormAct'>> = (context) => {
  const {
    inputs: [x, ...rest],
    outputs: [y, mean, variance],
    types: [{ shape }],
    attrs,
    emit,
  } = context;
  const { epsilon, residual, relu } = attrs;
  const added = residual === true ? rest.pop() : undefined;
  const [gamma, beta] = rest;
  const [rows, channels] = rowsAndColumns(shape);
  const image = { buffer: x, dims: [channels, rows] } as const;
  const perChannel = { dims: [channels] } as const;
  const axes = { outer: 1, n: rows, inner: channels, finish: (sum: string) => `${sum} / ${rows}` };
  emitSum(context, { args: { x: image }, term: (_, r, c) => `x[${r}][${c}]`, ...axes, to: mean });
  emitSum(context, {
    args: { x: image, mean: { buffer: mean, ...perChannel } },
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
      mean: { buffer: mean, ...perChannel },
      variance: { buffer: variance, ...perChannel },
      ...(added === undefined ? {} : { added: { ...image, buffer: added } }),
      ...(affine ? { gamma: { buffer: gamma, ...perChannel }, beta: { buffer: beta, ...perChannel } } : {}),
    },
    output: [channels, rows],
    to: y,
  });
};

const batchNormGrad: Lowering<AttrsOf<'batchNormGrad'>> = (context) => {
  const {
    inputs: [g, x, mean, variance, gamma],
    outputs: [dx, dGamma, dBeta],
    types,
    attrs,
    emit,
  } = context;
  const { epsilon } = attrs;
  const [rows, channels] = rowsAndColumns(types[1].shape);
  const [gradient, image] = [g, x].map((buffer) => ({ buffer, dims: [channels, rows] as const }));
  const [means, variances, sums, products] = [mean, variance, dBeta, dGamma].map((buffer) => ({
    buffer,
    dims: [channels] as const,
  }));
  const normalized = (r: string, c: string): string =>
    `(x[${r}][${c}] - mean[${c}]) / Math.sqrt(variance[${c}] + ${literal(epsilon)})`;
  const axes = { outer: 1, n: rows, inner: channels };
  emitSum(context, { args: { g: gradient }, term: (_, r, c) => `g[${r}][${c}]`, ...axes, to: dBeta });
  emitSum(context, {
    args: { g: gradient, x: image, mean: means, variance: variances },
    term: (_, r, c) => `g[${r}][${c}] * (${normalized(r, c)})`,
    ...axes,
    to: dGamma,
  });
  emit({
    body: `const scale = ${gamma === undefined ? '1' : 'gamma[X]'} / Math.sqrt(variance[X] + ${literal(epsilon)});
      const normal = ${normalized('Y', 'X')};
      return scale * (g[Y][X] - sums[X] / ${rows} - normal * (products[X] / ${rows}));`,
    args: {
      g: gradient,
      x: image,
      mean: means,
      variance: variances,
      sums: sums,
      products: products,
      ...(gamma === undefined ? {} : { gamma: { buffer: gamma, dims: [channels] as const } }),
    },
    output: [channels, rows],
    to: dx,
  });
};

/** Sums over every group of [images, positions, groups, channels of a group]. */
function emitGroupSum(
  context: LoweringContext,
  shape: Shape,
  sum: {
    readonly args: Readonly<Record<string, BufferView>>;
    /** The term of an element, as an expression of its index, image and group. */
    readonly term: (element: string, image: string, group: string) => string;
    readonly to: BufferId;
    readonly finish?: (total: string) => string;
  },
): void {
  const [images, positions, groups, each] = shape;
  emitSum(context, {
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

const standardize: Lowering<AttrsOf<'standardize'>> = (context) => {
  const { inputs, outputs, types, attrs, emit } = context;
  const [y, mean, variance] = outputs;
  const { epsilon } = attrs;
  const [images, positions, groups, each] = types[0].shape;
  const x = { buffer: inputs[0], dims: [each, groups, images * positions] } as const;
  const [means, variances] = [mean, variance].map((buffer) => ({ buffer, dims: [groups, images] as const }));
  const finish = (total: string): string => `${total} / ${positions * each}`;
  emitGroupSum(context, types[0].shape, { args: { x }, term: (at) => `x${at}`, to: mean, finish });
  emitGroupSum(context, types[0].shape, {
    args: { x, means: means },
    term: (at, image, group) => `(x${at} - means[${image}][${group}]) * (x${at} - means[${image}][${group}])`,
    to: variance,
    finish,
  });
  emit({
    body: `const image = quotient(Z, ${positions});
      return (x[Z][Y][X] - means[image][Y]) / Math.sqrt(variances[image][Y] + ${literal(epsilon)});`,
    args: { x, means: means, variances: variances },
    output: x.dims,
    to: y,
  });
};

const standardizeGrad: Lowering<AttrsOf<'standardizeGrad'>> = (context) => {
  const { inputs, outputs, types, attrs, emit, scratch } = context;
  const { epsilon } = attrs;
  const { shape } = types[1];
  const [images, positions, groups, each] = shape;
  const [g, y] = inputs.map((buffer) => ({ buffer, dims: [each, groups, images * positions] as const }));
  const [sums, products] = [0, 1].map(() => ({
    buffer: scratch(images * groups),
    dims: [groups, images] as const,
  }));
  const count = positions * each;
  emitGroupSum(context, shape, { args: { g: g }, term: (at) => `g${at}`, to: sums.buffer });
  emitGroupSum(context, shape, {
    args: { g: g, y: y },
    term: (at) => `g${at} * y${at}`,
    to: products.buffer,
  });
  emit({
    body: `const image = quotient(Z, ${positions});
      return (g[Z][Y][X] - sums[image][Y] / ${count} - y[Z][Y][X] * products[image][Y] / ${count}) /
        Math.sqrt(variance[image][Y] + ${literal(epsilon)});`,
    args: {
      g: g,
      y: y,
      sums: sums,
      products: products,
      variance: { buffer: inputs[2], dims: [groups, images] },
    },
    output: [each, groups, images * positions],
    to: outputs[0],
  });
};

export const normKernels = {
  lrnWithin,
  lrnWithinGrad,
  batchNorm,
  batchNormAct: batchNorm,
  batchNormGrad,
  standardize,
  standardizeGrad,
};
