/** Hand-written WGSL for the steps that take most of the time: pure functions of shapes. */
export { conv2d, conv2dGradInput, conv2dGradWeight, type ConvSizes } from './conv.ts';
export type { Binding, WgslLimits } from './template.ts';
export { matmul, type MatmulSizes } from './matmul.ts';
export { batchNorm, batchNormGrad, type BatchNormGradOptions, type BatchNormOptions } from './norm.ts';
export { elementwise, type Chain, type FloatProgram } from './elementwise.ts';
