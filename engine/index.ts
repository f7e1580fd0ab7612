/**
 * The public surface of the engine. Where a layer and an operation have the same name (conv2d, maxPool2d, avgPool2d,
 * batchNorm, dropout, relu, sigmoid, tanh), the plain name is the layer; the operation is a method of tensors, or
 * `ops.conv2d(x, w)`.
 */
export * from './errors.ts';
export type * from './types.ts';
export { Tensor } from './tensor.ts';
export * as ops from './ops/index.ts';
export {
  add,
  broadcastTo,
  cast,
  checkFinite,
  correct,
  crossEntropyRows,
  customGradient,
  div,
  exp,
  f32,
  full,
  i32,
  log,
  matmul,
  max,
  mean,
  mul,
  neg,
  ones,
  pow,
  reshape,
  scalar,
  softmaxCrossEntropy,
  sqrt,
  stopGradient,
  sub,
  sum,
  takeRows,
  tensor,
  transpose,
  u8,
  zeros,
  type CustomOperation,
  type Nested,
  type TensorLike,
  type TensorOptions,
} from './ops/index.ts';
export * as init from './nn/initializers.ts';
export * from './nn/index.ts';
export * from './train/index.ts';
export { grad, hessianVector, valueAndGrad } from './grad.ts';
export { gradcheck, type GradcheckOptions, type GradcheckReport, type GradcheckRow } from './tools/gradcheck.ts';
export { compile, type Built, type Compiled, type CompileSpec, type Reserved } from './compile.ts';
export { NOTED_THREADS, type Plan, type Step, type StepNote } from './plan/plan.ts';
export type { Backend, Executable, Feeds, Outputs, StepTime, Store } from './backends/backend.ts';
export { reference, type ReferenceOptions } from './backends/reference/reference.ts';
export { wasm, type WasmOptions } from './backends/wasm/wasm.ts';
export { setDefaultBackend } from './backends/select.ts';
export { Evaluator } from './evaluate.ts';
export {
  formatProfile,
  measureLimits,
  summarizeProfile,
  type LimitOptions,
  type MachineLimits,
  type ProfileRow,
  type ProfileSummary,
} from './profile.ts';
export { key, permutation, stream, type Key, type Stream } from './rng.ts';
import './methods.ts';
