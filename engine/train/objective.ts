/** Loss and metrics. Each gives one number per example, because means must exclude padded examples. */
import type { Dataset } from '../dataset.ts';
import { ShapeError } from '../errors.ts';
import { isAccumulator, type Accumulation, type Accumulator } from '../metrics/accumulator.ts';
import { expectTensor } from '../op.ts';
import { accuracy, crossEntropy } from '../ops/loss.ts';
import { isPromise, isRecord, show } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/**
 * Maps the output of the model and the targets, [N, ...] each, to one number per example, f32 [N]. Operations such as `crossEntropy`
 * and `meanSquaredError` are loss functions: they take `{ reduction: 'none' }` as the third argument.
 */
export type LossFunction = (
  output: Tensor,
  targets: Tensor,
  options: { readonly reduction: 'none' },
) => Tensor;
/** Like `LossFunction`, for a metric that is a mean over examples. */
export type MetricFunction = LossFunction;
/** A metric: a mean over examples, or an accumulator of `cyclegrad/metrics`, which only evaluations compute. */
export type Metric = MetricFunction | Accumulator;

export interface ObjectiveOptions {
  /**
   * The loss of each example. A custom function passes its third argument, `{ reduction: 'none' }`, on to the operation. Default for
   * class labels: `crossEntropy`. Required for other targets.
   *
   * @example
   * await fit({
   *   ...options,
   *   loss: (output, targets, reduction) => crossEntropy(output, targets, { ...reduction, labelSmoothing: 0.1 }),
   * });
   */
  readonly loss?: LossFunction;
  /** Metrics by name. Default: `accuracy`, if the targets are class labels and the output is [N, classes]. */
  readonly metrics?: Readonly<Record<string, Metric>>;
}

export interface Objective {
  readonly loss: LossFunction;
  /** Null: accuracy, if the output has one number for each class, which is unknown for a custom loss. */
  readonly metrics: Readonly<Record<string, MetricFunction>> | null;
  readonly accumulators: Readonly<Record<string, Accumulator>>;
}

/** Throws TypeError if there is no default loss for the targets, and for values that are not functions. */
export function objectiveFor(
  where: string,
  dataset: Dataset,
  options: { readonly [Name in keyof ObjectiveOptions]: ObjectiveOptions[Name] | undefined },
): Objective {
  const labels = dataset.y.dtype === 'i32' && dataset.y.shape.length === 0;
  const { metrics } = options;
  if (metrics !== undefined && (!isRecord(metrics) || isPromise(metrics))) {
    throw new TypeError(`${where}: metrics must be an object of functions by name, got ${show(metrics)}`);
  }
  const { loss = labels ? crossEntropy : undefined } = options;
  if (loss === undefined) {
    throw new TypeError(
      `${where}: loss is missing: the targets of ${dataset.name} are ${formatType(dataset.y)}, not class labels ` +
        `(use integers for class labels: an Int32Array [N]; else pass a loss, for instance meanSquaredError or binaryCrossEntropy)`,
    );
  }
  for (const [name, value] of Object.entries({ loss, ...options.metrics })) {
    if (typeof value !== 'function' && !(value !== loss && isAccumulator(value))) {
      throw new TypeError(
        `${where}: ${name === 'loss' ? name : `metric ${name}`} must be a function of outputs and targets, for instance ${name === 'loss' ? 'crossEntropy or meanSquaredError' : 'accuracy'}, got ${show(value)}`,
      );
    }
  }
  if (metrics === undefined) {
    const usual = options.loss === undefined ? { accuracy } : null;
    return { loss, metrics: labels ? usual : {}, accumulators: {} };
  }
  const functions: Record<string, MetricFunction> = {};
  const accumulators: Record<string, Accumulator> = {};
  for (const [name, metric] of Object.entries(metrics)) {
    if (isAccumulator(metric)) accumulators[name] = metric;
    else functions[name] = metric;
  }
  return { loss, metrics: functions, accumulators };
}

const BINARY =
  '; for one output and binaryCrossEntropy, pass the targets as floats [N, 1]: ' +
  'arrays(x, { shape: [N, 1], data: Float32Array.from(labels) })';

/** Loss and means of a batch as graph outputs, [N] each. Throws ShapeError for other shapes. */
export function measure(
  where: string,
  { loss, metrics }: Objective,
  { classes }: Dataset,
  output: Tensor,
  targets: Tensor,
): Record<string, Tensor> {
  if (classes.length > 0 && output.rank === 2 && output.shape[1] < classes.length) {
    throw new ShapeError(
      `${where}: the data has ${classes.length} classes but the model's output is ${formatType(output)} ` +
        `(the last layer needs ${classes.length} outputs${output.shape[1] === 1 ? BINARY : ''})`,
    );
  }
  const options = { reduction: 'none' } as const;
  const rows: Record<string, Tensor> = { loss: loss(output, targets, options) };
  const perClass = output.rank === 2 && output.shape[1] === classes.length;
  const measured = metrics ?? (perClass ? { accuracy } : {});
  for (const [name, metric] of Object.entries(measured))
    rows[METRIC + name] = metric(output, targets, options);
  for (const [name, value] of Object.entries(rows)) {
    expectTensor(`${where}: ${name}`, value);
    if (value.dtype !== 'f32' || value.rank !== 1 || value.shape[0] !== targets.shape[0]) {
      const scalar = 'pass the third argument on, for instance crossEntropy(output, targets, options)';
      throw new ShapeError(
        `${where}: ${name} must return one number per example, f32 [${targets.shape[0]}], got ${formatType(value)} ` +
          `(${value.rank === 0 ? scalar : 'reduce all axes except the first; the trainer reduces the batch'})`,
      );
    }
  }
  return rows;
}

/** The prefix of metrics in the outputs of a step. */
const METRIC = 'metric ';

/** Whether an output of an evaluation is the loss or a mean, not what an accumulator needs. */
export const isMeasure = (output: string): boolean => output === 'loss' || output.startsWith(METRIC);

/** Metrics by name as outputs of a step. */
export const metricOutputs = <T>(metrics: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(metrics).map(([name, value]) => [METRIC + name, value]));

/** The loss, and the metrics by name, from the outputs of a step. */
export function readMeasures<T>(values: Readonly<Record<string, T>>): {
  readonly loss: T;
  readonly metrics: Readonly<Record<string, T>>;
} {
  const { loss, ...rest } = values;
  const metrics = Object.entries(rest).map(([name, value]) => [name.slice(METRIC.length), value] as const);
  return { loss, metrics: Object.fromEntries(metrics) };
}

/** The accumulators of a compiled evaluation. */
export interface Accumulating {
  /** What they need of each batch, as graph outputs with one row per example. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** Starts them, by the names of their metrics. */
  start(): Readonly<Record<string, Accumulation>>;
}

/** The prefix of the outputs of an accumulator. */
export const rowsOf = (metric: string): string => `rows ${metric} `;

/** Throws TypeError or ShapeError unless each row of an accumulator belongs to an example. */
export function accumulate(
  where: string,
  { accumulators }: Objective,
  output: Tensor,
  targets: Tensor,
): Accumulating {
  const outputs: Record<string, Tensor> = {};
  const starts: [string, () => Accumulation][] = [];
  for (const [name, accumulator] of Object.entries(accumulators)) {
    const measured = accumulator.measure(output, targets);
    for (const [key, value] of Object.entries(measured.rows)) {
      expectTensor(`${where}: metric ${name}: ${key}`, value);
      if (value.rank === 0 || value.shape[0] !== targets.shape[0]) {
        throw new ShapeError(
          `${where}: metric ${name}: ${key} must have one row per example, [${targets.shape[0]}, …], got ${formatType(value)} ` +
            '(do not reduce the first axis)',
        );
      }
      outputs[rowsOf(name) + key] = value;
    }
    starts.push([name, () => measured.start()]);
  }
  return { outputs, start: () => Object.fromEntries(starts.map(([name, start]) => [name, start()])) };
}
