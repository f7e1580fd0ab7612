import type { CommonReport } from '../../types.ts';
import type { Simd } from './simd.ts';

/** The report of the wasm backend. */
export interface WasmReport extends CommonReport {
  readonly backend: 'wasm';
  /** The SIMD binary: 'wide' (256 bits, relaxed multiply-add), 'relaxed' (128 bits, relaxed multiply-add) or 'plain'. */
  readonly simd: Simd;
  /**
   * Whether multiply-adds are fused, that is, rounded once. Never with 'plain'. Otherwise it depends on the processor and the JavaScript
   * engine: JavaScriptCore on x64 does not fuse. Missing in reports of earlier versions.
   */
  readonly fused?: boolean;
  /** Threads that can run at the same time: cores, or the CPU quota of the container. Missing in reports of earlier versions. */
  readonly cores?: number;
  /** Why `openBackend('auto')` did not choose a GPU. Missing if wasm was chosen by its name or its options. */
  readonly noGpu?: string;
}
