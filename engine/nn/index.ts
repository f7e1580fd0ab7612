/**
 * Layers, initializers, models and their state: `import * as nn from 'cyclegrad/nn'`. The operations that layers apply are in
 * `cyclegrad`.
 */
import '../methods.ts';

export {
  activation,
  celu,
  dropout,
  dropout2d,
  elu,
  gelu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  mish,
  prelu,
  relu,
  selu,
  sigmoid,
  silu,
  softplus,
  tanh,
} from './activation.ts';
export {
  classToken,
  multiHeadAttention,
  patchEmbedding,
  positionalEmbedding,
  stochasticDepth,
  transformerBlock,
  type MultiHeadAttentionOptions,
  type PositionalEmbeddingOptions,
  type TransformerBlockOptions,
} from './attention.ts';
export { branches, module, residual, sequential } from './compose.ts';
export { embedding } from './embedding.ts';
export { ensemble, withViews, type Ensemble, type MeanOptions } from './ensemble.ts';
export * as init from './initializers.ts';
export type { DiracOptions, FanOptions, Initializer } from './initializers.ts';
export type { Described, Layer, LayerConfig, ParamSpec, Scope, TorchLayout } from './layer.ts';
export {
  conv1d,
  conv2d,
  conv2dTranspose,
  dense,
  depthwiseConv2d,
  type Conv1dLayerOptions,
  type ConvOptions,
  type ConvTransposeOptions,
  type DepthwiseOptions,
  type PaddingMode,
  type ParamOptions,
  type WeightOptions,
} from './linear.ts';
export {
  binaryCrossEntropyLoss,
  crossEntropyLoss,
  diceLoss,
  focalLoss,
  huberLoss,
  smoothL1Loss,
  type Loss,
} from './loss.ts';
export type { Match, NamedMatch, NamedParameter, Pattern } from '../match.ts';
export {
  applyGradients,
  bind,
  countParameters,
  freeze,
  initState,
  parameters,
  type BindOptions,
  type BoundOutput,
  type FreezeOptions,
} from './model.ts';
export {
  batchNorm,
  groupNorm,
  instanceNorm,
  layerNorm,
  lrn,
  normalize,
  type BatchNormLayerOptions,
  type LrnLayerOptions,
  type NormLayerOptions,
  type NormalizeOptions,
} from './norm.ts';
export {
  adaptiveAvgPool2d,
  adaptiveMaxPool2d,
  avgPool1d,
  avgPool2d,
  flatten,
  globalAvgPool2d,
  globalMaxPool2d,
  maxPool1d,
  maxPool2d,
  pixelShuffle,
  pixelUnshuffle,
  upsample2d,
} from './pool.ts';
export { recompute } from './recompute.ts';
export { summary, type Summary, type SummaryRow } from './summary.ts';
export { caffeFull, caffeQuick, caffeSigmoidBn, mlp, type CaffeOptions } from './zoo.ts';
