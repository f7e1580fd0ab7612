/**
 * The public surface of the engine. Where a layer and an operation have the same name (conv2d, maxPool2d, batchNorm, dropout,
 * relu, gelu and the like), the plain name is the layer; the operation is a method of tensors, or
 * `ops.conv2d(x, w)`.
 */
export * from './errors.ts';
export type * from './types.ts';
export { Tensor } from './tensor.ts';
export * as ops from './ops/index.ts';
export {
  abs,
  add,
  all,
  and,
  any,
  argMax,
  argMin,
  argSort,
  atan,
  binaryCrossEntropyRows,
  broadcastTo,
  cast,
  ceil,
  checkFinite,
  clamp,
  concat,
  correct,
  cos,
  crossEntropyRows,
  cumulativeSum,
  customGradient,
  diceRows,
  div,
  dot,
  einsum,
  equal,
  erf,
  erfc,
  exp,
  expandDims,
  expm1,
  f32,
  flip,
  floor,
  focalRows,
  full,
  gather,
  greater,
  greaterEqual,
  huberRows,
  i32,
  isFinite,
  isNaN,
  klDivergenceRows,
  less,
  lessEqual,
  log,
  log1p,
  logSoftmax,
  logSumExp,
  matmul,
  max,
  maximum,
  mean,
  meanSquaredErrorRows,
  min,
  minimum,
  mul,
  neg,
  norm,
  not,
  notEqual,
  oneHot,
  ones,
  or,
  outer,
  pad,
  pow,
  prod,
  randomBernoulli,
  randomNormal,
  randomPermutation,
  randomUniform,
  reciprocal,
  repeat,
  reshape,
  round,
  rsqrt,
  scalar,
  scatterAdd,
  scatterAlong,
  sign,
  sin,
  slice,
  softmax,
  softmaxCrossEntropy,
  sort,
  split,
  sqrt,
  square,
  squeeze,
  stack,
  stopGradient,
  sub,
  sum,
  takeAlong,
  takeRows,
  tensor,
  tile,
  topK,
  transpose,
  u8,
  variance,
  where,
  xor,
  zeros,
  type CrossEntropyOptions,
  type CustomOperation,
  type CumulativeOptions,
  type Nested,
  type NormOptions,
  type PadOptions,
  type Range,
  type ReduceOptions,
  type SortOptions,
  type TensorLike,
  type TensorOptions,
  type VarianceOptions,
} from './ops/index.ts';
export * as init from './nn/initializers.ts';
export * from './nn/index.ts';
export * from './train/index.ts';
export { grad, hessianVector, valueAndGrad } from './grad.ts';
export {
  gradcheck,
  type GradcheckOptions,
  type GradcheckReport,
  type GradcheckRow,
} from './tools/gradcheck.ts';
export { compile, type Built, type Compiled, type CompileSpec, type Reserved } from './compile.ts';
export type { Plan, Step, StepNote } from './plan/plan.ts';
export type { Backend, Executable, Feeds, Outputs, StepTime, Store } from './backends/backend.ts';
export { RunsError } from './backends/runs.ts';
export { adapterName, simdName, type ReferenceReport, type Report } from './backends/report.ts';
export type { GpuReport } from './backends/gpu/report.ts';
export type { WasmReport } from './backends/wasm/report.ts';
export { reference, type ReferenceOptions } from './backends/reference/reference.ts';
export { wasm, type WasmOptions } from './backends/wasm/wasm.ts';
export { gpu, type GpuOptions } from './backends/gpu/gpu.ts';
export { BACKENDS, openBackend, setDefaultBackend, type BackendName, type OpenOptions } from './select.ts';
export { SIMD_KINDS, wideSimdUnavailableReason, type Simd } from './backends/wasm/simd.ts';
export { Evaluator } from './evaluate.ts';
export {
  measureLimits,
  startLimit,
  type LimitOptions,
  type LimitTeam,
  type MachineLimits,
} from './tools/limits.ts';
export { formatProfile, summarizeProfile, type ProfileRow, type ProfileSummary } from './tools/profile.ts';
export { key, permutation, stream, type Key, type Stream } from './rng.ts';
import './methods.ts';
