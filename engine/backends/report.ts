/** Reports of executables. They are plain data, which checkpoints and benchmarks store as JSON. */
import { checkKind } from '../options.ts';
import type { CommonReport } from '../types.ts';
import type { GpuReport } from './gpu/report.ts';
import type { WasmReport } from './wasm/report.ts';

/** The report of the reference backend. */
export interface ReferenceReport extends CommonReport {
  readonly backend: 'reference';
}

/** The report of any backend, discriminated by `backend`. */
export type Report = WasmReport | GpuReport | ReferenceReport;

/**
 * The SIMD instructions of a report as text, for instance 'relaxed, not fused'. Undefined for a backend without SIMD.
 *
 * @example console.log(simdName(result.report));
 */
export function simdName(report: Report): string | undefined {
  checkKind('simdName', 'report', report, 'backend', 'a report, for instance result.report');
  if (report.backend !== 'wasm') return undefined;
  return report.simd !== 'plain' && report.fused === false ? `${report.simd}, not fused` : report.simd;
}

/**
 * The GPU of a report and its driver. Undefined for a backend without a GPU.
 *
 * @example adapterName(result.report) // undefined
 */
export function adapterName(report: Report): string | undefined {
  checkKind('adapterName', 'report', report, 'backend', 'a report, for instance result.report');
  return report.backend === 'gpu' ? report.adapter : undefined;
}
