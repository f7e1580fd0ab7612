/** The public API of the listeners, which process the events of a run: progress, JSON lines, reports and curves. */
export { formatDuration, formatPercent } from './format.ts';
export type { TextOutput } from './streams.ts';
export { progressBar, type ProgressOptions } from './progress.ts';
export { jsonLines, type JsonLinesOptions } from './json-lines.ts';
export { report, type ReportOptions } from './report.ts';
export type { RunSummary } from './run-record.ts';
export {
  curveSvg,
  type CurveAxis,
  type CurveMarker,
  type CurveOptions,
  type CurvePanel,
  type CurveSeries,
} from './curve.ts';
export { csvLog } from './csv.ts';
export { htmlReport, type HtmlReport, type HtmlReportOptions } from './html.ts';
export { tensorboard, type TensorBoard, type TensorBoardOptions } from './tensorboard.ts';
export { tracker, type TrackedRun, type TrackerClient, type TrackerOptions } from './tracker.ts';
