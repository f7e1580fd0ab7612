/** Layers, initialisers, and how a model meets its state. */
export { activation, dropout, relu, sigmoid, tanh } from './activation.ts';
export { residual, sequential } from './compose.ts';
export {
  constant,
  given,
  he,
  msra,
  normal,
  uniform,
  xavier,
  type FanOptions,
  type Initializer,
} from './initializers.ts';
export type { Layer, LayerConfig, ParamSpec, Scope } from './layer.ts';
export { conv2d, dense, type ConvOptions, type ParamOptions, type WeightOptions } from './linear.ts';
export {
  applyGradients,
  bind,
  countParameters,
  initState,
  type BindOptions,
  type BoundOutput,
} from './model.ts';
export {
  batchNorm,
  lrn,
  normalize,
  type BatchNormLayerOptions,
  type LrnLayerOptions,
  type NormalizeOptions,
} from './norm.ts';
export { avgPool2d, flatten, maxPool2d } from './pool.ts';
export { caffeFull, caffeQuick, caffeSigmoidBn, mlp, type CaffeOptions } from './zoo.ts';
