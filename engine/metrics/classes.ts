/** Metrics of classes, from the counts of their confusions. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import { argMax, cast, greaterEqual } from '../ops/index.ts';
import { labelFix } from '../ops/primitives/loss.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { mean, type Accumulation, type Accumulator, type Score } from './accumulator.ts';
import { checkSingle } from './on-target.ts';
import { checkLabel } from './labels.ts';

export interface ClassOptions {
  /** A label that does not count. Default: none. */
  readonly ignoreIndex?: number;
}

export interface AverageOptions extends ClassOptions {
  /**
   * 'macro': the mean over the classes that occur among labels or predictions. 'micro': from the sums over all classes. 'binary': of class
   * 1 alone. Default 'macro'.
   */
  readonly average?: 'macro' | 'micro' | 'binary';
}

/** Examples, or pixels, by label (rows) and by prediction (columns). */
type Confusion = readonly (readonly number[])[];

/**
 * The predicted classes, with the shape of the labels: the largest of the logits, or, for a single logit, whether it is 0 or more.
 * Throws ShapeError for other shapes.
 */
function predictions(
  kind: string,
  output: Tensor,
  labels: Tensor,
): { readonly predicted: Tensor; readonly classes: number } {
  checkSingle(kind, output, labels);
  const hasClasses = output.rank === labels.rank + 1 && sameShape(output.shape.slice(0, -1), labels.shape);
  if (labels.dtype === 'i32' && hasClasses && output.shape.at(-1)! > 1) {
    return { predicted: argMax(output, -1), classes: output.shape.at(-1)! };
  }
  const isSingle = sameShape(output.shape, labels.shape) || (hasClasses && output.shape.at(-1) === 1);
  if (isSingle && labels.rank > 0) {
    return { predicted: cast(greaterEqual(output.reshape(labels.shape), 0), 'i32'), classes: 2 };
  }
  throw new ShapeError(
    `${kind}: expects logits [N, …, classes] and labels i32 [N, …], or one logit for each label 0 or 1, ` +
      `but got ${formatType(output)} and ${formatType(labels)}${labelFix(output, labels)}`,
  );
}

/** An accumulator of the confusions of classes. */
function fromConfusion(
  kind: string,
  { ignoreIndex }: ClassOptions,
  score: (confusion: Confusion) => Score,
): Accumulator {
  if (ignoreIndex !== undefined) checkInteger(kind, 'ignoreIndex', ignoreIndex, -(2 ** 31), 2 ** 31 - 1);
  return {
    kind,
    measure(output, targets) {
      const { predicted, classes } = predictions(kind, output, targets);
      return {
        rows: { predicted, labels: targets },
        start: () => countConfusions(kind, classes, ignoreIndex, score),
      };
    },
  };
}

function countConfusions(
  kind: string,
  classes: number,
  ignoreIndex: number | undefined,
  score: (confusion: Confusion) => Score,
): Accumulation {
  const counts = Array.from({ length: classes }, () => Array.from({ length: classes }, () => 0));
  return {
    add(rows) {
      const [predicted, labels] = [rows['predicted'].data, rows['labels'].data];
      labels.forEach((label, i) => {
        if (label === ignoreIndex) return;
        checkLabel(kind, label, classes, '; for labels that do not count, pass ignoreIndex');
        counts[label][predicted[i]]++;
      });
    },
    result: () => score(counts),
  };
}

interface Counts {
  readonly hits: number;
  /** Examples with this label. */
  readonly labeled: number;
  /** Examples with this prediction. */
  readonly predicted: number;
}

const countsOf = (confusion: Confusion): readonly Counts[] =>
  confusion.map((row, c) => ({
    hits: row[c],
    labeled: row.reduce((sum, n) => sum + n, 0),
    predicted: confusion.reduce((sum, other) => sum + other[c], 0),
  }));

/** A quotient that is 0 where the denominator is. */
const ratio = (a: number, b: number): number => (b === 0 ? 0 : a / b);

/** A score of each class, and its average. */
function averaged(kind: string, options: AverageOptions, scoreOf: (counts: Counts) => number): Accumulator {
  checkOptions(kind, options, ['average', 'ignoreIndex']);
  const { average = 'macro' } = options;
  checkOneOf(kind, 'average', average, ['macro', 'micro', 'binary']);
  return fromConfusion(kind, options, (confusion) => {
    const counts = countsOf(confusion);
    const perClass = counts.map((each) => (each.labeled + each.predicted === 0 ? NaN : scoreOf(each)));
    return { value: averageOf(average, counts, perClass, scoreOf), detail: { perClass } };
  });
}

function averageOf(
  average: NonNullable<AverageOptions['average']>,
  counts: readonly Counts[],
  perClass: readonly number[],
  scoreOf: (counts: Counts) => number,
): number {
  if (average === 'binary') return scoreOf(counts[1]);
  if (average === 'macro') return mean(perClass.filter((score) => !Number.isNaN(score)));
  const total = (name: keyof Counts): number => counts.reduce((sum, each) => sum + each[name], 0);
  return scoreOf({ hits: total('hits'), labeled: total('labeled'), predicted: total('predicted') });
}

/**
 * The confusion matrix: `details` has the number of examples, or pixels, by label (rows) and by prediction (columns). The value is the share
 * of those on the diagonal, the accuracy.
 *
 * Shapes: logits `f32` [N, …, classes], labels `i32` [N, …]; or one logit for each label 0 or 1.
 * Throws TypeError for an unknown option.
 *
 * @example
 * const metrics = { confusion: confusionMatrix() };
 * const { details } = await evaluate({ model, state: result.state, data: test, backend, metrics });
 * details['confusion']?.matrix?.[3]?.[5] // cats taken for dogs
 */
export function confusionMatrix(options: ClassOptions = {}): Accumulator {
  checkOptions('confusionMatrix', options, ['ignoreIndex']);
  return fromConfusion('confusionMatrix', options, (matrix) => {
    const counts = countsOf(matrix);
    const sum = (name: keyof Counts): number => counts.reduce((total, each) => total + each[name], 0);
    return { value: sum('hits') / sum('labeled'), detail: { matrix: matrix.map((row) => [...row]) } };
  });
}

/**
 * Precision: the share of the predictions of a class that are right. 0 for a class that is never predicted. `details` has `perClass`, NaN for
 * classes that do not occur.
 *
 * Shapes: logits `f32` [N, …, classes], labels `i32` [N, …]; or one logit for each label 0 or 1.
 * Throws TypeError or RangeError for invalid options.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { precision: precision({ average: 'macro' }) } });
 */
export const precision = (options: AverageOptions = {}): Accumulator =>
  averaged('precision', options, ({ hits, predicted }) => ratio(hits, predicted));

/**
 * Recall: the share of the examples of a class that are found. 0 for a class without examples. `details` has `perClass`, NaN for classes that
 * do not occur.
 *
 * Shapes: logits `f32` [N, …, classes], labels `i32` [N, …]; or one logit for each label 0 or 1.
 * Throws TypeError or RangeError for invalid options.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { recall: recall({ average: 'macro' }) } });
 */
export const recall = (options: AverageOptions = {}): Accumulator =>
  averaged('recall', options, ({ hits, labeled }) => ratio(hits, labeled));

/**
 * F1: the harmonic mean of precision and recall, 2·hits / (labeled + predicted). `details` has `perClass`, NaN for classes that do not occur.
 *
 * Shapes: logits `f32` [N, …, classes], labels `i32` [N, …]; or one logit for each label 0 or 1.
 * Throws TypeError or RangeError for invalid options.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { f1: f1() } });
 */
export const f1 = (options: AverageOptions = {}): Accumulator =>
  averaged('f1', options, ({ hits, labeled, predicted }) => ratio(2 * hits, labeled + predicted));

/**
 * Mean intersection over union, for segmentation: hits / (labeled + predicted − hits) of each class, over the pixels of all images, then the
 * mean over the classes that occur. `details` has `perClass`.
 *
 * Shapes: logits `f32` [N, H, W, classes], labels `i32` [N, H, W]; or one logit for each label 0 or 1. It accepts any rank.
 * Throws TypeError or RangeError for invalid options.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { iou: meanIoU() } });
 */
export const meanIoU = (options: AverageOptions = {}): Accumulator =>
  averaged('meanIoU', options, ({ hits, labeled, predicted }) => ratio(hits, labeled + predicted - hits));
