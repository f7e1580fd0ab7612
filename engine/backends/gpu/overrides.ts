/** Hand-written WGSL in place of gpu.js's kernels, by the name of the step. */
import type { Attrs } from '../../op.ts';
import type { AttrsOf } from '../../ops/index.ts';
import { matmulSizes } from '../../ops/matmul.ts';
import type { FusedAttrs } from '../../plan/fusions/index.ts';
import type { Step } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import { floatsOf, rowsAndColumns, type StepAttrs } from './kernel.ts';
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

/** The dispatches of a step whose attributes are `A`; null where the templates have none. */
type Write<A> = (
  site: Parameters<Override>[0] & { readonly attrs: A },
  limits: WgslLimits,
) => ReturnType<Override>;

/** Whether the templates know a convolution: one group, taps side by side. */
const isPlain = ({ groups, dilation }: AttrsOf<'conv2d'>): boolean =>
  groups === 1 && dilation.every((step) => step === 1);

const forward: Write<AttrsOf<'conv2d'> & Partial<FusedAttrs<'conv2dBias'>>> = (
  { types: [x, w], attrs, inputs },
  limits,
) => {
  if (!isPlain(attrs)) return null;
  const [images, , , channels] = x.shape;
  const site = { images, channels, filters: w.shape[3], bias: inputs.length > 2, relu: attrs.relu === true };
  return conv2d(attrs, site, limits);
};

const gradWeight: Write<AttrsOf<'conv2dGradWeight'>> = ({ types: [x, g], attrs, outputs }, limits) => {
  if (!isPlain(attrs)) return null;
  const [images, , , channels] = x.shape;
  const site = { images, channels, filters: g.shape[3], bias: outputs.length > 1 };
  return conv2dGradWeight(attrs, site, limits);
};

const normalize: Write<AttrsOf<'batchNorm'> & Partial<FusedAttrs<'batchNormAct'>>> = ({
  types: [x, ...rest],
  attrs,
}) => {
  const { epsilon, residual = false, relu = false } = attrs;
  const [rows, channels] = rowsAndColumns(x.shape);
  return batchNorm({ rows, channels, epsilon, affine: rest.length > 1, residual, relu });
};

const written: { readonly [N in Step['op']]?: Write<StepAttrs<N>> } = {
  matmul: ({ types, attrs }, limits) => matmul({ ...matmulSizes(types, attrs), ...attrs }, limits),
  conv2d: forward,
  conv2dBias: forward,
  conv2dGradInput({ types: [g, w], attrs }, limits) {
    if (!isPlain(attrs)) return null;
    const [, , channels, filters] = w.shape;
    return conv2dGradInput(attrs, { images: g.shape[0], channels, filters }, limits);
  },
  conv2dGradWeight: gradWeight,
  conv2dGradWeightBias: gradWeight,
  batchNorm: normalize,
  batchNormAct: normalize,
  batchNormGrad({ types, attrs: { epsilon }, inputs, outputs }) {
    const [rows, channels] = rowsAndColumns(types[1].shape);
    const inPlaceOf = (['g', 'x'] as const).find((_, i) => inputs[i] === outputs[0]) ?? null;
    return batchNormGrad({ rows, channels, epsilon, affine: types.length > 4, inPlaceOf });
  },
  elementwise({ types, results, attrs: { program, times, results: numbers }, inputs, outputs }, limits) {
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
    const write = written[op] as Write<Attrs> | undefined;
    return bindable && write !== undefined ? write(site, limits) : null;
  };
