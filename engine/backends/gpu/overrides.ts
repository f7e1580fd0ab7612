/** Hand-written WGSL that replaces gpu.js's kernels, by the name of the step. */
import type { Attrs } from '../../op.ts';
import type { AttrsOf } from '../../ops/primitives/index.ts';
import { matmulSizes } from '../../ops/primitives/matmul.ts';
import type { Step } from '../../plan/plan.ts';
import { sizeOf } from '../../shape.ts';
import type { FusableAttrs, Operands, StepAttrs } from './lowering.ts';
import { WORD } from './memory.ts';
import type { Override } from './program.ts';
import { floatsOf, rowsAndColumns } from './text.ts';
import type { WgslLimits } from './wgsl/template.ts';
import {
  batchNorm,
  batchNormGrad,
  conv2d,
  conv2dGradInput,
  conv2dGradWeight,
  elementwise,
  matmul,
} from './wgsl/index.ts';

/** The modules of a step whose attributes are `A`; null if the templates do not cover it. */
type Template<A> = (operands: Operands & { readonly attrs: A }, limits: WgslLimits) => ReturnType<Override>;

/** Whether the templates cover a convolution: one group, no dilation. */
const isCovered = ({ groups, dilation }: AttrsOf<'conv2d'>): boolean =>
  groups === 1 && dilation.every((step) => step === 1);

const forward: Template<FusableAttrs<'conv2d', 'conv2dBias'>> = (
  { types: [x, w], attrs, inputs },
  limits,
) => {
  if (!isCovered(attrs)) return null;
  const [images, , , channels] = x.shape;
  const bias = inputs.length > 2;
  const sizes = { images, channels, filters: w.shape[3] };
  return conv2d(attrs, { ...sizes, bias, relu: attrs.relu === true }, limits);
};

const gradWeight: Template<AttrsOf<'conv2dGradWeight'>> = ({ types: [x, g], attrs, outputs }, limits) => {
  if (!isCovered(attrs)) return null;
  const [images, , , channels] = x.shape;
  const sizes = { images, channels, filters: g.shape[3] };
  return conv2dGradWeight(attrs, { ...sizes, bias: outputs.length > 1 }, limits);
};

const normalize: Template<FusableAttrs<'batchNorm', 'batchNormAct'>> = ({ types: [x, ...rest], attrs }) => {
  const { epsilon, residual = false, relu = false } = attrs;
  const [rows, channels] = rowsAndColumns(x.shape);
  return batchNorm({ rows, channels, epsilon, affine: rest.length > 1, residual, relu });
};

const templates: { readonly [N in Step['op']]?: Template<StepAttrs<N>> } = {
  matmul: ({ types, attrs }, limits) => matmul({ ...matmulSizes(types, attrs), ...attrs }, limits),
  conv2d: forward,
  conv2dBias: forward,
  conv2dGradInput({ types: [g, w], attrs }, limits) {
    if (!isCovered(attrs)) return null;
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

/** Arithmetic operations below which a product fills no tile, so that gpu.js's kernel is as good. */
const SMALL_PRODUCT = 2 ** 15;

export const overridesFor =
  (limits: WgslLimits): Override =>
  (operands, { op, flops }) => {
    if (op !== 'elementwise' && flops < SMALL_PRODUCT) return null;
    // Larger buffers are bound in parts, which only translated kernels can read.
    const bindable = operands.types.every(
      (type) => floatsOf(type) * WORD <= limits.maxStorageBufferBindingSize,
    );
    const template = templates[op] as Template<Attrs> | undefined;
    return bindable && template !== undefined ? template(operands, limits) : null;
  };
