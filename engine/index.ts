/**
 * The public API of the engine: tensors, operations, derivatives, compilation, training and backends. `cyclegrad/nn` has layers and
 * models, `cyclegrad/tools` profiles, plans and gradient checks.
 */
import './methods.ts';

export * from './errors.ts';
export type * from './types.ts';
export { Tensor } from './tensor.ts';
export * from './ops/index.ts';
export { grad, hessianVector, valueAndGrad } from './grad.ts';
export { compile, type Built, type Compiled, type CompileSpec, type Reserved } from './compile.ts';
export { key, permutation, stream, type Key, type Stream } from './rng.ts';
export * from './train/index.ts';
export type { Backend, Feeds, Outputs, Store } from './backends/backend.ts';
export { RunsError } from './backends/runs.ts';
export type { ReferenceReport, Report } from './backends/report.ts';
export type { GpuReport } from './backends/gpu/report.ts';
export type { WasmReport } from './backends/wasm/report.ts';
export { reference, type ReferenceOptions } from './backends/reference/reference.ts';
export { wasm, type WasmOptions } from './backends/wasm/wasm.ts';
export { gpu, type GpuOptions } from './backends/gpu/gpu.ts';
export { BACKENDS, openBackend, setDefaultBackend, type BackendName, type OpenOptions } from './select.ts';
