/** Loss and metrics. Each gives one number per example, because means must exclude padded examples. */
import type { AnyDataset } from '../dataset.ts';
import { DataError, ShapeError } from '../errors.ts';
import { isAccumulator, type Accumulation, type Accumulator } from '../metrics/accumulator.ts';
import { isType, listTensors, rowsIn, type Named } from '../named.ts';
import { expectTensor } from '../op.ts';
import { accuracy, crossEntropy } from '../ops/loss.ts';
import { isPromise, isRecord, show } from '../options.ts';
import { formatType } from '../shape.ts';
import { Tensor } from '../tensor.ts';

/**
 * Maps the output of the model and the targets, [N, ...] each, to one number per example, f32 [N]. Operations such as `crossEntropy`
 * and `meanSquaredError` are loss functions: they take `{ reduction: 'none' }` as the third argument. Several outputs or targets are an
 * object of tensors by name.
 */
export type LossFunction<O = Tensor, Y = Tensor> = (
  output: O,
  targets: Y,
  options: { readonly reduction: 'none' },
) => Tensor;
/** Like `LossFunction`, for a metric that is a mean over examples. */
export type MetricFunction<O = Tensor, Y = Tensor> = LossFunction<O, Y>;
/** A metric: a mean over examples, or an accumulator of `cyclegrad/metrics`, which only evaluations compute. */
export type Metric<O = Tensor, Y = Tensor> = MetricFunction<O, Y> | Accumulator<O, Y>;

type Tensors = Named<Tensor>;

/** The options for any outputs and targets. */
export type AnyObjectiveOptions = ObjectiveOptions<Tensors, Tensors>;

export interface ObjectiveOptions<O = Tensor, Y = Tensor> {
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
  readonly loss?: LossFunction<O, Y>;
  /** Metrics by name. Default: `accuracy`, if the targets are class labels and the output is [N, classes]. */
  readonly metrics?: Readonly<Record<string, Metric<O, Y>>>;
}

export interface Objective {
  readonly loss: LossFunction<Tensors, Tensors>;
  /** Null: accuracy, if the output has one number for each class, which is unknown for a custom loss. */
  readonly metrics: Readonly<Record<string, MetricFunction<Tensors, Tensors>>> | null;
  readonly accumulators: Readonly<Record<string, Accumulator<Tensors, Tensors>>>;
}

/** Throws TypeError if there is no default loss for the targets, and for values that are not functions. */
export function objectiveFor(
  where: string,
  dataset: AnyDataset,
  options: { readonly [Name in keyof AnyObjectiveOptions]: AnyObjectiveOptions[Name] | undefined },
): Objective {
  const { y } = dataset;
  const labels = isType(y) && y.dtype === 'i32' && y.shape.length === 0;
  const { metrics } = options;
  if (metrics !== undefined && (!isRecord(metrics) || isPromise(metrics))) {
    throw new TypeError(`${where}: metrics must be an object of functions by name, got ${show(metrics)}`);
  }
  const { loss = labels ? (crossEntropy as Objective['loss']) : undefined } = options;
  if (loss === undefined) {
    if (!isType(y)) {
      const names = Object.keys(y);
      throw new TypeError(
        `${where}: loss is missing: ${dataset.name} has targets by name, ${names.join(', ')} ` +
          `(pass a loss that uses them, for instance (output, targets, options) => crossEntropy(output, targets.${names[0]}, options))`,
      );
    }
    throw new TypeError(
      `${where}: loss is missing: the targets of ${dataset.name} are ${formatType(y)}, not class labels ` +
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
    const usual = options.loss === undefined ? ACCURACY : null;
    return { loss, metrics: labels ? usual : {}, accumulators: {} };
  }
  const functions: Record<string, MetricFunction<Tensors, Tensors>> = {};
  const accumulators: Record<string, Accumulator<Tensors, Tensors>> = {};
  for (const [name, metric] of Object.entries(metrics)) {
    if (isAccumulator(metric)) accumulators[name] = metric;
    else functions[name] = metric;
  }
  return { loss, metrics: functions, accumulators };
}

const ACCURACY = { accuracy: accuracy as MetricFunction<Tensors, Tensors> };

const BINARY =
  '; for one output and binaryCrossEntropy, pass the targets as floats [N, 1]: ' +
  'arrays(x, { shape: [N, 1], data: Float32Array.from(labels) })';

/** Loss and means of a batch as graph outputs, [N] each. Throws ShapeError for other shapes. */
export function measure(
  where: string,
  { loss, metrics }: Objective,
  { classes }: AnyDataset,
  output: Tensors,
  targets: Tensors,
): Record<string, Tensor> {
  const logits = output instanceof Tensor && output.rank === 2 ? output : null;
  if (classes.length > 0 && logits !== null && logits.shape[1] < classes.length) {
    throw new ShapeError(
      `${where}: the data has ${classes.length} classes but the model's output is ${formatType(logits)} ` +
        `(the last layer needs ${classes.length} outputs${logits.shape[1] === 1 ? BINARY : ''})`,
    );
  }
  const options = { reduction: 'none' } as const;
  const name = naming(where, output, targets);
  const rows: Record<string, Tensor> = { loss: name('loss', () => loss(output, targets, options)) };
  const perClass = logits?.shape[1] === classes.length;
  const measured = metrics ?? (perClass ? ACCURACY : {});
  const count = rowsIn(targets);
  for (const [metric, compute] of Object.entries(measured))
    rows[METRIC + metric] = name(METRIC + metric, () => compute(output, targets, options));
  for (const [row, value] of Object.entries(rows)) {
    expectTensor(`${where}: ${row}`, value);
    if (value.dtype !== 'f32' || value.rank !== 1 || value.shape[0] !== count) {
      const scalar = 'pass the third argument on, for instance crossEntropy(output, targets, options)';
      throw new ShapeError(
        `${where}: ${row} must return one number per example, f32 [${count}], got ${formatType(value)} ` +
          `(${value.rank === 0 ? scalar : 'reduce all axes except the first; the trainer reduces the batch'})`,
      );
    }
  }
  return rows;
}

/** Names the loss or the metric in shape errors of `compute`, and lists several outputs and targets. */
const naming =
  (where: string, output: Tensors, targets: Tensors) =>
  <T>(name: string, compute: () => T): T => {
    try {
      return compute();
    } catch (cause) {
      if (!(cause instanceof ShapeError)) throw cause;
      throw new ShapeError(`${where}: ${name}: ${cause.message}${choices(output, targets)}`, { cause });
    }
  };

const choices = (output: Tensors, targets: Tensors): string =>
  output instanceof Tensor && targets instanceof Tensor
    ? ''
    : `; there are ${listTensors('output', output)} and ${listTensors('target', targets)}`;

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
  output: Tensors,
  targets: Tensors,
): Accumulating {
  const outputs: Record<string, Tensor> = {};
  const starts: [string, () => Accumulation][] = [];
  const count = rowsIn(targets);
  for (const [name, accumulator] of Object.entries(accumulators)) {
    const measured = naming(
      where,
      output,
      targets,
    )(METRIC + name, () => accumulator.measure(output, targets));
    for (const [key, value] of Object.entries(measured.rows)) {
      expectTensor(`${where}: metric ${name}: ${key}`, value);
      if (value.rank === 0 || value.shape[0] !== count) {
        throw new ShapeError(
          `${where}: metric ${name}: ${key} must have one row per example, [${count}, …], got ${formatType(value)} ` +
            '(do not reduce the first axis)',
        );
      }
      outputs[rowsOf(name) + key] = value;
    }
    starts.push([name, () => namedAccumulation(`${where}: ${METRIC}${name}`, measured.start())]);
  }
  return { outputs, start: () => Object.fromEntries(starts.map(([name, start]) => [name, start()])) };
}

/** Names the metric in errors about the data. */
function namedAccumulation(place: string, accumulation: Accumulation): Accumulation {
  return {
    add(rows) {
      try {
        accumulation.add(rows);
      } catch (cause) {
        if (!(cause instanceof DataError)) throw cause;
        throw new DataError(`${place}: ${cause.message}`, { cause });
      }
    },
    result: () => accumulation.result(),
  };
}
