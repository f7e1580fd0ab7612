import type { CommonReport } from '../../types.ts';
import type { Simd } from './simd.ts';

export interface WasmReport extends CommonReport {
  readonly backend: 'wasm';
  /** Which SIMD binary runs: 'wide' (256 bits, relaxed multiply-add), 'relaxed' (128 bits, with it too) or 'plain'. */
  readonly simd: Simd;
  /**
   * Whether multiply-adds are fused, that is, rounded once. They never are with 'plain'; with the others it depends on the
   * processor and the JavaScript engine (JavaScriptCore on x64 does not fuse). Missing in reports of earlier versions.
   */
  readonly fused?: boolean;
  /** Threads that can run at the same time: cores, or the CPU quota of the container. Missing in reports of earlier versions. */
  readonly cores?: number;
  /** Why `openBackend('auto')` did not choose a GPU; left out where wasm was chosen by name or by its options. */
  readonly noGpu?: string;
}
