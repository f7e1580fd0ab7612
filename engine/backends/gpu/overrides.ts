/** Hand-written WGSL in place of gpu.js's kernels, by the name of the step. */
import type { AttrsOf } from '../../ops/index.ts';
import { matmulSizes } from '../../ops/matmul.ts';
import type { ChainAttrs } from '../../plan/fusions/elementwise.ts';
import type { FusedName } from '../../plan/fusions/index.ts';
import type { KernelName } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import { floatsOf, rowsAndColumns } from './kernel.ts';
import { WORD } from './memory.ts';
import type { Override } from './program.ts';
import type { WgslLimits } from './wgsl/dispatch.ts';
import {
  batchNorm,
  batchNormGrad,
  conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  elementwise,
  matmul,
} from './wgsl/index.ts';

/** Whether the templates know a convolution: one group, taps side by side. */
const isPlain = ({ groups, dilation }: AttrsOf<'conv2d'>): boolean =>
  groups === 1 && dilation.every((step) => step === 1);

type Write = (site: Parameters<Override>[0], limits: WgslLimits) => ReturnType<Override>;

const forward: Write = ({ types: [x, w], attrs, inputs }, limits) => {
  const conv = attrs as AttrsOf<'conv2d'> & { readonly relu?: boolean };
  if (!isPlain(conv)) return null;
  const [images, , , channels] = x.shape;
  const site = { images, channels, filters: w.shape[3], bias: inputs.length > 2, relu: conv.relu === true };
  return conv2d(conv, site, limits);
};

const gradWeight: Write = ({ types: [x, g], attrs, outputs }, limits) => {
  if (!isPlain(attrs as AttrsOf<'conv2d'>)) return null;
  const [images, , , channels] = x.shape;
  const site = { images, channels, filters: g.shape[3], bias: outputs.length > 1 };
  return conv2dGradWeight(attrs as AttrsOf<'conv2d'>, site, limits);
};

const normalise: Write = ({ types: [x, ...rest], attrs }) => {
  const {
    epsilon,
    residual = false,
    relu = false,
  } = attrs as AttrsOf<'batchNorm'> & {
    readonly residual?: boolean;
    readonly relu?: boolean;
  };
  const [rows, channels] = rowsAndColumns(x.shape);
  return batchNorm({ rows, channels, epsilon, affine: rest.length > 1, residual, relu });
};

const written: { readonly [N in KernelName | FusedName]?: Write } = {
  matmul({ types, attrs }, limits) {
    const flags = attrs as AttrsOf<'matmul'>;
    return matmul({ ...matmulSizes(types, flags), ...flags }, limits);
  },
  conv2d: forward,
  conv2dBias: forward,
  conv2dGradInput({ types: [g, w], attrs }, limits) {
    if (!isPlain(attrs as AttrsOf<'conv2d'>)) return null;
    const [, , channels, filters] = w.shape;
    const site = { images: g.shape[0], channels, filters };
    return conv2dGradInput(attrs as AttrsOf<'conv2d'>, site, limits);
  },
  conv2dGradWeight: gradWeight,
  conv2dGradWeightBias: gradWeight,
  batchNorm: normalise,
  batchNormAct: normalise,
  batchNormGrad({ types, attrs, inputs, outputs }) {
    const [rows, channels] = rowsAndColumns(types[1].shape);
    const { epsilon } = attrs as AttrsOf<'batchNormGrad'>;
    const inPlaceOf = (['g', 'x'] as const).find((_, i) => inputs[i] === outputs[0]) ?? null;
    return batchNormGrad({ rows, channels, epsilon, affine: types.length > 4, inPlaceOf });
  },
  elementwise({ types, results, attrs, inputs, outputs }, limits) {
    const { program, times, results: numbers } = attrs as ChainAttrs;
    const floats = [...types, ...results].every(({ dtype }) => dtype === 'f32');
    if (!floats || program.some(([, dtype]) => dtype !== 'f32') || times.some((n) => n > 1)) return null;
    const chain = {
      program: program.map(([op, , ...operands]) => [op, ...operands] as const),
      results: numbers,
    };
    const sizes = types.map(({ shape }) => sizeOf(shape));
    return elementwise({ ...chain, sizes, n: sizeOf(results[0].shape), inputs, outputs }, limits);
  },
};

/** Arithmetic operations below which no tile of a product is full, and gpu.js's kernel does as well. */
const SMALL_PRODUCT = 2 ** 15;

export const overridesFor =
  (limits: WgslLimits): Override =>
  (site, { op, flops }) => {
    if (op !== 'elementwise' && flops < SMALL_PRODUCT) return null;
    // What is larger is bound in parts, which gpu.js's kernels are rewritten for.
    const bindable = site.types.every((type) => floatsOf(type) * WORD <= limits.maxStorageBufferBindingSize);
    return bindable ? (written[op]?.(site, limits) ?? null) : null;
  };
