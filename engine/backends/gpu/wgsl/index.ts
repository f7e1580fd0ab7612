/** Hand-written WGSL for the steps that take most of the time: pure functions of shapes. */
export { conv2d, conv2dGradInput, conv2dGradWeight, type ConvSite } from './conv.ts';
export type { Binding, WgslDispatch, WgslLimits } from './dispatch.ts';
export { matmul, type MatmulSite } from './matmul.ts';
export { batchNorm, batchNormGrad, type BackwardSite, type ForwardSite } from './norm.ts';
export { elementwise, type ChainSite, type FloatChain } from './elementwise.ts';
