/** Metrics of whole data sets, for `evaluate` and `fit`: `import { f1, meanIoU } from 'cyclegrad/metrics'`. */
export type { Accumulation, Accumulator, Detail, Measured, Score } from './accumulator.ts';
export {
  confusionMatrix,
  f1,
  meanIoU,
  precision,
  recall,
  type AverageOptions,
  type ClassOptions,
} from './classes.ts';
export {
  meanAveragePrecision,
  nonMaxSuppression,
  type DetectionOptions,
  type Detections,
  type SuppressionOptions,
} from './detection.ts';
export { onTarget, type OnTargetOptions } from './on-target.ts';
export { auc, averagePrecision, topKAccuracy } from './ranking.ts';
