/** Metrics of object detection, and the selection among overlapping boxes. Boxes are [x1, y1, x2, y2]. */
import { DataError, ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOptions, isRecord, show } from '../options.ts';
import { formatType, sameShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { HostTensor } from '../types.ts';
import { mean, type Accumulation, type Accumulator } from './accumulator.ts';
import { checkSingle } from './on-target.ts';

/** Numbers of boxes, four for each. */
type Coordinates = ArrayLike<number>;

const isShare = (x: number): boolean => x >= 0 && x <= 1;
const SHARE = 'a number from 0 to 1';

/** Intersection over union of box i of `a` and box j of `b`. 0 if both have no area. */
function overlap(a: Coordinates, i: number, b: Coordinates, j: number): number {
  const [ax, ay, bx, by] = [a[4 * i], a[4 * i + 1], b[4 * j], b[4 * j + 1]];
  const [aw, ah] = [a[4 * i + 2] - ax, a[4 * i + 3] - ay];
  const [bw, bh] = [b[4 * j + 2] - bx, b[4 * j + 3] - by];
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  if (width <= 0 || height <= 0) return 0;
  const both = width * height;
  return both / (aw * ah + bw * bh - both);
}

export interface SuppressionOptions {
  /** Boxes that overlap a better one by more than this intersection over union are left out. Default 0.5. */
  readonly iou?: number;
  /** Boxes with a lower score are left out. Default: none. */
  readonly minScore?: number;
  /** The most boxes to keep. Default: no limit. */
  readonly limit?: number;
}

/** The options with defaults. Throws TypeError or RangeError. */
function suppressionOf(where: string, options: SuppressionOptions): Required<SuppressionOptions> {
  checkOptions(where, options, ['iou', 'minScore', 'limit']);
  const { iou = 0.5, minScore = -Infinity, limit = Infinity } = options;
  checkNumber(where, 'iou', iou, SHARE, isShare);
  if (minScore !== -Infinity) checkNumber(where, 'minScore', minScore);
  if (limit !== Infinity) checkInteger(where, 'limit', limit, 1);
  return { iou, minScore, limit };
}

/**
 * Greedy non-maximum suppression: the positions of the boxes to keep, the best first. Boxes with equal scores keep their order.
 *
 * Shapes: boxes [K, 4] as one list of 4·K numbers x1, y1, x2, y2; scores [K].
 * Throws RangeError unless there are four numbers for each score, and for options out of range. Throws DataError for a score of NaN.
 * Source: torchvision.ops.nms.
 *
 * @example nonMaxSuppression([0, 0, 10, 10, 1, 0, 10, 10, 20, 20, 30, 30], [0.8, 0.9, 0.7]) // [1, 2]
 */
export function nonMaxSuppression(
  boxes: ArrayLike<number>,
  scores: ArrayLike<number>,
  options: SuppressionOptions = {},
): number[] {
  const where = 'nonMaxSuppression';
  for (const [name, value] of Object.entries({ boxes, scores })) {
    if (Array.isArray(value) || ArrayBuffer.isView(value)) continue;
    throw new TypeError(`${where}: ${name} must be an array of numbers, got ${show(value)}`);
  }
  const { iou, minScore, limit } = suppressionOf(where, options);
  if (boxes.length !== 4 * scores.length) {
    throw new RangeError(
      `${where}: ${scores.length} scores need ${4 * scores.length} numbers of boxes, got ${boxes.length} (pass x1, y1, x2, y2 of each box)`,
    );
  }
  const order: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i]))
      throw new DataError(`${where}: score ${i} is NaN (check that the loss is finite)`);
    if (scores[i] >= minScore) order.push(i);
  }
  order.sort((a, b) => scores[b] - scores[a] || a - b);
  const kept: number[] = [];
  for (const i of order) {
    if (kept.length >= limit) break;
    if (kept.every((other) => overlap(boxes, other, boxes, i) <= iou)) kept.push(i);
  }
  return kept;
}

/** What a detector finds in each image. */
export interface Detections {
  /** `f32` [N, A, 4]. */
  readonly boxes: Tensor;
  /** A score of each box for each class, `f32` [N, A, classes]. The background is no class. */
  readonly scores: Tensor;
}

export interface DetectionOptions {
  /** The boxes and scores from the output of the model, in the graph. */
  readonly detections: (output: Tensor) => Detections;
  /** Intersections over union from which a box counts as found. The metric is the mean over them. Default [0.5]. */
  readonly iou?: readonly number[];
  /** Non-maximum suppression among the boxes of a class. Default `{ iou: 0.5, minScore: 0.01, limit: 100 }`. */
  readonly suppression?: SuppressionOptions;
}

/** A box that was kept. */
interface Found {
  readonly image: number;
  readonly score: number;
  readonly box: readonly number[];
}

/** The true boxes of a class in an image. */
type Truths = Map<number, number[]>;

/**
 * Mean average precision of boxes (mAP). For each class, boxes of all images are sorted by score. A box is right if it overlaps a true box of
 * its class, which no better box has taken, by at least `iou`. The average precision is the area under the envelope of precision over recall,
 * at every recall. Classes without true boxes do not count. `details` has `perClass`, the mean over `iou`.
 *
 * Shapes: targets `f32` [N, K, 5]: x1, y1, x2, y2 and the class. A row without area is padding.
 * Throws TypeError or RangeError for invalid options, and ShapeError, when it is applied, for other shapes.
 * Source: M. Everingham et al., The PASCAL VOC Challenge, 2010 (the area, not 11 points).
 *
 * @example
 * const mAP = meanAveragePrecision({
 *   detections: (output) => ({
 *     boxes: output.slice([null, null, { end: 4 }]),
 *     scores: output.slice([null, null, { begin: 4 }]),
 *   }),
 * });
 */
export function meanAveragePrecision(options: DetectionOptions): Accumulator {
  const where = 'meanAveragePrecision';
  checkOptions(where, options, ['detections', 'iou', 'suppression']);
  const { detections, iou = [0.5], suppression = {} } = options;
  if (typeof detections !== 'function') {
    throw new TypeError(
      `${where}: detections must be a function of the output of the model, got ${show(detections)} (return { boxes, scores })`,
    );
  }
  if (!Array.isArray(iou) || iou.length === 0)
    throw new TypeError(`${where}: iou must be an array of numbers, got ${show(iou)}`);
  for (const each of iou) checkNumber(where, 'iou', each, SHARE, isShare);
  suppressionOf(`${where}: suppression`, suppression);
  const chosen = { minScore: 0.01, limit: 100, ...suppression };
  return {
    kind: where,
    measure(output, targets) {
      if (!(targets instanceof Tensor)) checkSingle(where, output, targets);
      const { boxes, scores } = checkedDetections(where, detections(output), targets);
      return {
        rows: { boxes, scores, truths: targets },
        start: () => collectBoxes(scores.shape[2], iou, chosen),
      };
    },
  };
}

function collectBoxes(
  classes: number,
  iou: readonly number[],
  suppression: SuppressionOptions,
): Accumulation {
  const found = Array.from({ length: classes }, (): Found[] => []);
  const truths = Array.from({ length: classes }, (): Truths => new Map());
  let images = 0;
  return {
    add(rows) {
      const count = rows['truths'].shape[0];
      for (let i = 0; i < count; i++, images++) {
        collectFound(found, images, rowOf(rows['boxes'], i), rowOf(rows['scores'], i), suppression);
        collectTruths(truths, images, rowOf(rows['truths'], i));
      }
    },
    result() {
      const perClass = found.map((boxes, c) => {
        if (truths[c].size === 0) return NaN;
        const sorted = boxes.toSorted((a, b) => b.score - a.score);
        return mean(iou.map((each) => averagePrecisionOf(sorted, truths[c], each)));
      });
      return { value: mean(perClass.filter((value) => !Number.isNaN(value))), detail: { perClass } };
    },
  };
}

function checkedDetections(where: string, found: unknown, targets: Tensor): Detections {
  const { boxes, scores } = isRecord(found) ? found : {};
  if (!(boxes instanceof Tensor) || !(scores instanceof Tensor)) {
    throw new TypeError(
      `${where}: detections must return { boxes, scores }, two tensors, got ${show(found)}`,
    );
  }
  const fits =
    boxes.rank === 3 &&
    scores.rank === 3 &&
    boxes.shape[2] === 4 &&
    sameShape(boxes.shape.slice(0, 2), scores.shape.slice(0, 2));
  if (!fits || targets.rank !== 3 || targets.shape[2] !== 5 || targets.shape[0] !== boxes.shape[0]) {
    throw new ShapeError(
      `${where}: expects boxes f32 [N, A, 4], scores f32 [N, A, classes] and targets f32 [N, K, 5], ` +
        `but got ${formatType(boxes)}, ${formatType(scores)} and ${formatType(targets)}`,
    );
  }
  return { boxes, scores };
}

/** The values of one example. */
function rowOf({ shape, data }: HostTensor, i: number): ArrayLike<number> {
  const each = data.length / shape[0];
  return data.subarray(i * each, (i + 1) * each);
}

/** Adds the boxes of an image to the lists of their classes. */
function collectFound(
  found: readonly Found[][],
  image: number,
  boxes: ArrayLike<number>,
  scores: ArrayLike<number>,
  suppression: SuppressionOptions,
): void {
  const classes = found.length;
  const count = scores.length / classes;
  for (let c = 0; c < classes; c++) {
    const ofClass = Float32Array.from({ length: count }, (_, i) => scores[i * classes + c]);
    for (const i of nonMaxSuppression(boxes, ofClass, suppression)) {
      found[c].push({ image, score: ofClass[i], box: [0, 1, 2, 3].map((at) => boxes[4 * i + at]) });
    }
  }
}

function collectTruths(truths: readonly Truths[], image: number, rows: ArrayLike<number>): void {
  for (let i = 0; i < rows.length; i += 5) {
    const [x1, y1, x2, y2, c] = [0, 1, 2, 3, 4].map((at) => rows[i + at]);
    if (x2 <= x1 || y2 <= y1) continue;
    if (truths[c] === undefined) {
      throw new DataError(
        `meanAveragePrecision: a target has class ${c}, but the scores have ${truths.length} classes, 0 … ${truths.length - 1} ` +
          '(return one column of scores for each class, without the background)',
      );
    }
    truths[c].set(image, [...(truths[c].get(image) ?? []), x1, y1, x2, y2]);
  }
}

/** Average precision of the boxes of a class, sorted by falling score. */
function averagePrecisionOf(sorted: readonly Found[], truths: Truths, iou: number): number {
  const taken = new Set<string>();
  const total = [...truths.values()].reduce((sum, boxes) => sum + boxes.length / 4, 0);
  let hits = 0;
  /** Precision at each hit. */
  const precisions: number[] = [];
  sorted.forEach(({ image, box }, rank) => {
    const boxes = truths.get(image) ?? [];
    let [best, at] = [0, -1];
    for (let j = 0; j < boxes.length / 4; j++) {
      const value = overlap(box, 0, boxes, j);
      if (value > best) [best, at] = [value, j];
    }
    const key = `${image} ${at}`;
    if (best < iou || at < 0 || taken.has(key)) return;
    taken.add(key);
    hits++;
    precisions.push(hits / (rank + 1));
  });
  // The envelope: the best precision at this recall or a higher one.
  let [area, most] = [0, 0];
  for (const precision of precisions.toReversed()) {
    most = Math.max(most, precision);
    area += most / total;
  }
  return area;
}
