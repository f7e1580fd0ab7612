/** Metrics of rankings: how well scores separate the examples of a class from the others. */
import { ShapeError } from '../errors.ts';
import { checkInteger } from '../options.ts';
import { cast, equal, softmax, sum, topK } from '../ops/index.ts';
import { labelFix } from '../ops/primitives/loss.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { MetricFunction } from '../train/objective.ts';
import { mean, type Accumulation, type Accumulator } from './accumulator.ts';
import { checkLabel } from './labels.ts';
import { checkSingle } from './on-target.ts';

/**
 * Share of examples whose label is among the k largest logits. Ties go to the first classes.
 *
 * Shapes: logits `f32` [N, classes], labels `i32` [N] -> [N] of 1 and 0.
 * Throws RangeError unless k is a positive integer, and ShapeError, when it is applied, for fewer than k classes.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { top5: topKAccuracy(5) } });
 */
export function topKAccuracy(k: number): MetricFunction {
  checkInteger('topKAccuracy', 'k', k, 1);
  return (logits, labels) => {
    checkSingle('topKAccuracy', logits, labels);
    if (
      labels.dtype !== 'i32' ||
      logits.rank !== 2 ||
      !sameShape(labels.shape, logits.shape.slice(0, 1)) ||
      k > logits.shape[1]
    ) {
      throw new ShapeError(
        `topKAccuracy: expects logits [N, classes] of at least ${k} classes and labels i32 [N], ` +
          `but got ${formatType(logits)} and ${formatType(labels)}${labelFix(logits, labels)}`,
      );
    }
    const { indices } = topK(logits, k);
    return sum(cast(equal(cast(indices, 'i32'), labels.reshape([-1, 1])), 'f32'), 1);
  };
}

/** The scores of each class, [N, classes], and of which class each example is. */
function scoresOf(kind: string, output: Tensor, targets: Tensor): Readonly<Record<string, Tensor>> {
  checkSingle(kind, output, targets);
  const n = targets.shape[0] ?? 0;
  const isOneEach = targets.rank === 1 || (targets.rank === 2 && targets.shape[1] === 1);
  if (isOneEach && output.shape[0] === n) {
    const labels = targets.reshape([n]);
    if (output.rank === 1 || (output.rank === 2 && output.shape[1] === 1))
      return { scores: output.reshape([n, 1]), labels };
    // The order of examples by one logit of several means nothing, that by its probability does.
    if (output.rank === 2 && labels.dtype === 'i32') return { scores: softmax(output), labels };
  }
  throw new ShapeError(
    `${kind}: expects logits [N, classes] and labels i32 [N], or logits [N] or [N, 1] for labels 0 and 1, ` +
      `but got ${formatType(output)} and ${formatType(targets)}${labelFix(output, targets)}`,
  );
}

/** A score and whether the example is of the class. */
interface Ranked {
  readonly score: number;
  readonly isOfClass: boolean;
}

/** The mean over the classes of a metric of examples sorted by falling score. Classes without an example, or with all of them, do not count. */
function oneAgainstRest(kind: string, metric: (sorted: readonly Ranked[]) => number): Accumulator {
  return {
    kind,
    measure(output, targets) {
      const rows = scoresOf(kind, output, targets);
      return { rows, start: () => collectScores(kind, rows['scores'].shape[1], metric) };
    },
  };
}

function collectScores(
  kind: string,
  classes: number,
  metric: (sorted: readonly Ranked[]) => number,
): Accumulation {
  const scores: number[] = [];
  const labels: number[] = [];
  return {
    add(rows) {
      for (const score of rows['scores'].data) scores.push(score);
      for (const label of rows['labels'].data) {
        checkLabel(kind, label, Math.max(classes, 2));
        labels.push(label);
      }
    },
    result() {
      const perClass = Array.from({ length: classes }, (_, c) => {
        const ofClass = classes === 1 ? 1 : c;
        const ranked = labels.map((label, i) => ({
          score: scores[i * classes + c],
          isOfClass: label === ofClass,
        }));
        const positives = ranked.filter(({ isOfClass }) => isOfClass).length;
        const isUndefined = positives === 0 || positives === ranked.length;
        if (isUndefined || ranked.some(({ score }) => Number.isNaN(score))) return NaN;
        return metric(ranked.toSorted((a, b) => b.score - a.score));
      });
      return { value: mean(perClass.filter((value) => !Number.isNaN(value))), detail: { perClass } };
    },
  };
}

/** The groups of equal scores: the number of examples of the class, and of others. */
function* ties(sorted: readonly Ranked[]): Generator<{ readonly hits: number; readonly others: number }> {
  for (let i = 0; i < sorted.length;) {
    const { score } = sorted[i];
    let [hits, others] = [0, 0];
    for (; i < sorted.length && sorted[i].score === score; i++) {
      if (sorted[i].isOfClass) hits++;
      else others++;
    }
    yield { hits, others };
  }
}

/**
 * Area under the ROC curve: the probability that an example of the class has a higher score than another one, ties counted half. With several
 * classes, each against the rest, then the mean. `details` has `perClass`, NaN for a class without examples.
 *
 * Shapes: logits `f32` [N, classes] and labels `i32` [N], or logits [N] or [N, 1] for labels 0 and 1.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { auc: auc() } });
 */
export const auc = (): Accumulator =>
  oneAgainstRest('auc', (sorted) => {
    let [above, area, rest] = [0, 0, 0];
    for (const { hits, others } of ties(sorted)) {
      area += others * (above + hits / 2);
      above += hits;
      rest += others;
    }
    return area / (above * rest);
  });

/**
 * Average precision: the area under the curve of precision over recall, as the sum of the precision at each threshold times the recall that it
 * adds. With several classes, each against the rest, then the mean. `details` has `perClass`, NaN for a class without examples.
 *
 * Shapes: logits `f32` [N, classes] and labels `i32` [N], or logits [N] or [N, 1] for labels 0 and 1.
 *
 * @example
 * await evaluate({ model, state: result.state, data: test, backend, metrics: { ap: averagePrecision() } });
 */
export const averagePrecision = (): Accumulator =>
  oneAgainstRest('averagePrecision', (sorted) => {
    let [found, seen, area] = [0, 0, 0];
    for (const { hits, others } of ties(sorted)) {
      found += hits;
      seen += hits + others;
      area += hits * (found / seen);
    }
    return area / found;
  });
