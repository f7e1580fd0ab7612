/** The public surface of the engine. */
export * from './errors.ts';
export type * from './types.ts';
export { Tensor } from './tensor.ts';
export * from './ops/index.ts';
export { grad } from './grad.ts';
export { compile, type Built, type Compiled, type CompileSpec, type Reserved } from './compile.ts';
export { type Plan, type Step } from './plan/plan.ts';
export type { Backend, Executable, Feeds, Outputs, Store } from './backends/backend.ts';
export { reference, type ReferenceOptions } from './backends/reference/reference.ts';
export { setDefaultBackend } from './backends/select.ts';
export { Evaluator } from './evaluate.ts';
export { key, permutation, stream, type Key, type Stream } from './rng.ts';
import './methods.ts';
