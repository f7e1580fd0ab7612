/** What executables report about themselves. It is plain data, which checkpoints and benchmarks keep as JSON. */
import type { CommonReport } from '../types.ts';
import type { GpuReport } from './gpu/report.ts';
import type { WasmReport } from './wasm/report.ts';

export interface ReferenceReport extends CommonReport {
  readonly backend: 'reference';
}

/** The report of any backend, discriminated by `backend`. */
export type Report = WasmReport | GpuReport | ReferenceReport;

/** The kind of SIMD in words, for instance 'relaxed, not fused'; undefined for a backend without SIMD. */
export function simdName(report: Report): string | undefined {
  if (report.backend !== 'wasm') return undefined;
  return report.simd !== 'plain' && report.fused === false ? `${report.simd}, not fused` : report.simd;
}

/** The GPU with its driver; undefined for a backend without one. */
export const adapterName = (report: Report): string | undefined =>
  report.backend === 'gpu' ? report.adapter : undefined;
