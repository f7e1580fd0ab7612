/** The public API of training: the loop and its events, evaluation, prediction, checkpoints. */
export {
  checkpointPath,
  bestPath,
  loadCheckpoint,
  loadMetadata,
  loadTensors,
  saveCheckpoint,
  saveTensors,
  type Checkpoint,
  type SaveTensorsOptions,
} from './checkpoint.ts';
export type {
  Callback,
  CallbackFunction,
  CallbackState,
  OpenCallback,
  RunHandle,
  StepProfile,
} from './callbacks.ts';
export { earlyStopping, type EarlyStoppingOptions } from './callbacks/early-stopping.ts';
export { freezing, type FreezingPhase } from './callbacks/freezing.ts';
export { reduceOnPlateau, type ReduceOnPlateauOptions } from './callbacks/reduce-on-plateau.ts';
export { snapshots, type Snapshot, type Snapshots, type SnapshotsOptions } from './callbacks/snapshots.ts';
export type { MonitorOptions } from './monitor.ts';
export { augmentedBatch, type AugmentedBatchOptions } from './preview.ts';
export type { Interval } from './duration.ts';
export { latestCheckpoint } from './run-folder.ts';
export { evaluate, type DetailedEvaluation, type EvaluateOptions, type Evaluation } from './evaluate.ts';
export type {
  CheckpointEvent,
  EndEvent,
  EvalEvent,
  Listener,
  Notice,
  NoticeEvent,
  StartEvent,
  StepEvent,
  TrainEvent,
} from './events.ts';
export * from './listeners/index.ts';
export type { LossFunction, Metric, MetricFunction, ObjectiveOptions } from './objective.ts';
export {
  forward,
  predict,
  predictor,
  type PredictOptions,
  type Prediction,
  type Predictor,
  type PredictorOptions,
} from './predict.ts';
export {
  lrRangeTest,
  type RangeCurve,
  type RangeEvaluation,
  type RangePoint,
  type RangeTest,
  type RangeTestOptions,
} from './range-test.ts';
export { rangeSvg, type RangePicture, type RangeSvgOptions } from './range-svg.ts';
export { lossTrend, type TrendPoint } from './loss-trend.ts';
export { suggestBounds, type Suggestion, type SuggestionName } from './suggest-bounds.ts';
export { meanCurve, rangeBand, type BandPoint, type RangeBand } from './range-seeds.ts';
export { rangeWarnings, type RangeWarning } from './range-warnings.ts';
export { cycleBounds, type CycleBounds } from './cycle-bounds.ts';
export type { CheckpointOptions, EvalOptions, TrainOptions } from './settings.ts';
export type { NamedStep, StepContext, StepFunction, StepResult } from './step.ts';
export { fit, train, type Result, type TrainRun } from './train.ts';
export { updateBatchNorm, type UpdateBatchNormOptions } from './update-batch-norm.ts';
export type { MemoryUse } from '../backends/wasm/memory.ts';
export { memoryOf, type MemoryOptions, type ModelMemory } from './memory.ts';
