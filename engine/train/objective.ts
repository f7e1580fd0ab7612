/** What is minimised and what is measured, one number for each example: so padded examples can be left out of a mean. */
import type { Dataset } from '../dataset.ts';
import { ShapeError } from '../errors.ts';
import { expectTensor } from '../op.ts';
import { correct, crossEntropyRows } from '../ops/loss.ts';
import { show } from '../options.ts';
import { formatType } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** From the model's output and the targets, [N, ...] each, to one number per example, f32 [N]. */
export type RowFunction = (output: Tensor, targets: Tensor) => Tensor;

export interface ObjectiveOptions {
  /** Default: softmax cross-entropy, where targets are class labels. */
  readonly loss?: RowFunction;
  /** Default: accuracy, where targets are class labels and the output is [N, classes]. */
  readonly metrics?: Readonly<Record<string, RowFunction>>;
}

export interface Objective {
  readonly loss: RowFunction;
  /** Null: accuracy, if the output turns out to be one number for each class, which a loss of the user's own does not say. */
  readonly metrics: Readonly<Record<string, RowFunction>> | null;
}

/** Throws TypeError where there is no loss for such targets by default, and for what is no function. */
export function objectiveFor(where: string, dataset: Dataset, options: ObjectiveOptions): Objective {
  const labels = dataset.y.dtype === 'i32' && dataset.y.shape.length === 0;
  const loss = options.loss ?? (labels ? crossEntropyRows : null);
  if (loss === null) {
    throw new TypeError(
      `${where}: loss is missing: the targets of ${dataset.name} are ${formatType(dataset.y)}, not class labels ` +
        `(give a loss: (output, targets) => rows [N])`,
    );
  }
  for (const [name, given] of Object.entries({ loss, ...options.metrics })) {
    if (typeof given !== 'function') {
      throw new TypeError(
        `${where}: ${name === 'loss' ? name : `metric ${name}`} must be a function (output, targets) => rows [N], got ${show(given)}`,
      );
    }
  }
  return {
    loss,
    metrics: options.metrics ?? (!labels ? {} : options.loss === undefined ? { accuracy: correct } : null),
  };
}

/** Loss and metrics of a batch as graph outputs: `rows` [N] each. Throws ShapeError for anything else than rows. */
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
        `(give the last layer ${classes.length} outputs)`,
    );
  }
  const rows: Record<string, Tensor> = { loss: loss(output, targets) };
  const perClass = output.rank === 2 && output.shape[1] === classes.length;
  const measured = metrics ?? (perClass ? { accuracy: correct } : {});
  for (const [name, metric] of Object.entries(measured)) rows[METRIC + name] = metric(output, targets);
  for (const [name, value] of Object.entries(rows)) {
    expectTensor(`${where}: ${name}`, value);
    if (value.dtype !== 'f32' || value.rank !== 1 || value.shape[0] !== targets.shape[0]) {
      throw new ShapeError(
        `${where}: ${name} must give one number per example, f32 [${targets.shape[0]}], but gives ${formatType(value)} ` +
          `(reduce all axes but the first, and leave the batch to the trainer)`,
      );
    }
  }
  return rows;
}

/** Before the names of metrics among a step's outputs. */
const METRIC = 'metric ';

/** The numbers of a step's outputs: the loss, and the metrics by name. */
export function readMeasures(values: Readonly<Record<string, number>>): {
  readonly loss: number;
  readonly metrics: Readonly<Record<string, number>>;
} {
  const { loss, ...rest } = values;
  const metrics = Object.entries(rest).map(([name, value]) => [name.slice(METRIC.length), value] as const);
  return { loss, metrics: Object.fromEntries(metrics) };
}
