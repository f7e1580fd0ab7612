/**
 * Single-shot detection: anchors, coding of boxes, matching, the loss, and the selection of results. A box is [top, left, bottom, right]
 * in fractions of the image.
 */
import * as ops from '../index.ts';
import type { HostTensor, Tensor } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import { MODEL, checkModel, conv, identity, input, list, type ModelOptions } from './parts.ts';

/** [top, left, bottom, right], from 0 to 1. */
export type Box = readonly [number, number, number, number];

export interface AnchorMap {
  /** Height and width of the feature map: one number, or [height, width]. */
  readonly grid: number | readonly [number, number];
  /** Sides of the anchors as fractions of the image: square roots of their areas. */
  readonly sizes: readonly number[];
  /** Width divided by height of the anchors. Default [1, 2, 0.5]. */
  readonly ratios?: readonly number[];
}

/**
 * The anchors of feature maps, in the order of the detector's output: by map, row, column, size and ratio. Each is centered on its
 * cell.
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016.
 * Throws RangeError for a grid, a size or a ratio that is not positive.
 *
 * @example anchorBoxes([{ grid: 2, sizes: [0.5], ratios: [1] }])[0] // [0, 0, 0.5, 0.5]
 */
export function anchorBoxes(maps: readonly AnchorMap[]): Box[] {
  const positive = (x: number): boolean => x > 0;
  return maps.flatMap(({ grid, sizes, ratios = [1, 2, 0.5] }) => {
    const [rows, columns] = typeof grid === 'number' ? [grid, grid] : grid;
    for (const side of [rows, columns]) checkInteger('anchorBoxes', 'grid', side, 1);
    const boxes: Box[] = [];
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        for (const size of sizes) {
          checkNumber('anchorBoxes', 'size', size, 'a positive number', positive);
          for (const ratio of ratios) {
            checkNumber('anchorBoxes', 'ratio', ratio, 'a positive number', positive);
            const [height, width] = [size / Math.sqrt(ratio), size * Math.sqrt(ratio)];
            const [y, x] = [(row + 0.5) / rows, (column + 0.5) / columns];
            boxes.push([y - height / 2, x - width / 2, y + height / 2, x + width / 2]);
          }
        }
      }
    }
    return boxes;
  });
}

/**
 * Intersection of two boxes divided by their union.
 *
 * @example boxOverlap([0, 0, 1, 1], [0, 0, 0.5, 1]) // 0.5
 */
export function boxOverlap(a: Box, b: Box): number {
  const height = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
  const width = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
  if (height <= 0 || width <= 0) return 0;
  const area = (box: Box): number => (box[2] - box[0]) * (box[3] - box[1]);
  return (height * width) / (area(a) + area(b) - height * width);
}

/** Center and size. */
const centered = ([top, left, bottom, right]: Box): Box => [
  (top + bottom) / 2,
  (left + right) / 2,
  bottom - top,
  right - left,
];

/** Deviations by which SSD divides the codes of centers and of sizes. */
const [CENTER, SIZE] = [0.1, 0.2];

/**
 * A box relative to an anchor: offsets of the center in anchor sizes, and logarithms of the ratios of sizes, divided by 0.1 and 0.2.
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016.
 *
 * @example encodeBox([0.1, 0, 0.6, 0.5], [0, 0, 0.5, 0.5]) // [2, 0, 0, 0]
 */
export function encodeBox(box: Box, anchor: Box): Box {
  const [b, a] = [centered(box), centered(anchor)];
  return [
    (b[0] - a[0]) / a[2] / CENTER,
    (b[1] - a[1]) / a[3] / CENTER,
    Math.log(b[2] / a[2]) / SIZE,
    Math.log(b[3] / a[3]) / SIZE,
  ];
}

/**
 * The box of a code: the inverse of `encodeBox`.
 *
 * @example decodeBox([0, 0, 0, 0], [0, 0, 0.5, 0.5]) // [0, 0, 0.5, 0.5]
 */
export function decodeBox(code: Box, anchor: Box): Box {
  const a = centered(anchor);
  const [y, x] = [a[0] + code[0] * CENTER * a[2], a[1] + code[1] * CENTER * a[3]];
  const [height, width] = [a[2] * Math.exp(code[2] * SIZE), a[3] * Math.exp(code[3] * SIZE)];
  return [y - height / 2, x - width / 2, y + height / 2, x + width / 2];
}

/** An object of an image. */
export interface LabeledBox {
  readonly box: Box;
  /** From 0. */
  readonly label: number;
}

/**
 * What each anchor should predict: the code of its object's box, and the class, which is 0 for background and label + 1 for an object.
 * An anchor belongs to the object with the largest overlap, if that is at least `threshold`. The best anchor of each object belongs to it
 * in any case.
 *
 * Shapes: A anchors -> [A, 5]: the code, then the class.
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016, section 2.2.
 * Throws RangeError for a threshold outside 0 … 1.
 *
 * @example matchAnchors([{ box: [0, 0, 0.5, 0.5], label: 2 }], anchorBoxes([{ grid: 2, sizes: [0.5], ratios: [1] }])).data[4] // 3
 */
export function matchAnchors(
  objects: readonly LabeledBox[],
  anchors: readonly Box[],
  threshold = 0.5,
): HostTensor {
  checkNumber('matchAnchors', 'threshold', threshold, 'a number from 0 to 1', (x) => x >= 0 && x <= 1);
  const owner: (LabeledBox | undefined)[] = anchors.map((anchor) => {
    const overlaps = objects.map(({ box }) => boxOverlap(box, anchor));
    const best = Math.max(...overlaps);
    return best > 0 && best >= threshold ? objects[overlaps.indexOf(best)] : undefined;
  });
  for (const object of objects) {
    const overlaps = anchors.map((anchor) => boxOverlap(object.box, anchor));
    owner[overlaps.indexOf(Math.max(...overlaps))] = object;
  }
  const data = new Float32Array(anchors.length * 5);
  owner.forEach((object, i) => {
    if (object !== undefined) data.set([...encodeBox(object.box, anchors[i]), object.label + 1], i * 5);
  });
  return { shape: [anchors.length, 5], dtype: 'f32', data };
}

export interface DetectionLossOptions {
  /** Background anchors that count, for each anchor with an object: those with the largest losses. Default 3. */
  readonly negatives?: number;
  /** Factor on the loss of boxes. Default 1. */
  readonly boxes?: number;
}

/**
 * The loss of each image: smooth L1 of the codes of anchors with objects, and cross-entropy of their classes and of the hardest
 * background anchors, divided by the number of anchors with objects (1 if there is none).
 *
 * Shapes: output `f32` [N, A, 4 + classes + 1], target `f32` [N, A, 5] -> [N].
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016, equations 1 to 3.
 * Throws RangeError for a negative option, and ShapeError for other shapes.
 *
 * @example detectionLoss(tensor([[[0, 0, 0, 0, 0, 0]]]), tensor([[[0, 0, 0, 0, 1]]])) // [0.6931]
 */
export function detectionLoss(output: Tensor, target: Tensor, options: DetectionLossOptions = {}): Tensor {
  checkOptions('detectionLoss', options, ['negatives', 'boxes']);
  const { negatives = 3, boxes = 1 } = options;
  const notNegative = (x: number): boolean => x >= 0;
  checkNumber('detectionLoss', 'negatives', negatives, 'a number >= 0', notNegative);
  checkNumber('detectionLoss', 'boxes', boxes, 'a number >= 0', notNegative);
  if (
    output.rank !== 3 ||
    target.rank !== 3 ||
    target.shape[2] !== 5 ||
    output.shape[1] !== target.shape[1]
  ) {
    throw new ops.ShapeError(
      `detectionLoss: expects outputs [N, A, 4 + classes + 1] and targets [N, A, 5], got [${output.shape.join(', ')}] ` +
        `and [${target.shape.join(', ')}] (matchAnchors returns the targets of an image)`,
    );
  }
  const [images, anchors, width] = output.shape;
  const label = ops.slice(target, [{}, {}, 4]);
  const positive = ops.cast(ops.greater(label, 0));
  const count = ops.sum(positive, 1);

  const codes = ops.sub(ops.slice(output, [{}, {}, { end: 4 }]), ops.slice(target, [{}, {}, { end: 4 }]));
  const size = ops.abs(codes);
  const smooth = ops.where(ops.less(size, 1), ops.mul(ops.square(codes), 0.5), ops.sub(size, 0.5));
  const boxLoss = ops.sum(ops.mul(ops.sum(smooth, 2), positive), 1);

  const logits = ops.reshape(ops.slice(output, [{}, {}, { begin: 4 }]), [images * anchors, width - 4]);
  const labels = ops.reshape(ops.cast(label, 'i32'), [images * anchors]);
  const rows = ops.crossEntropy(logits, labels, { reduction: 'none' });
  const classLoss = ops.reshape(rows, [images, anchors]);
  const background = ops.stopGradient(ops.where(ops.greater(positive, 0), -1, classLoss));
  const rank = ops.argSort(ops.argSort(background, 1, { descending: true }).cast(), 1);
  const hard = ops.less(ops.cast(rank), ops.reshape(ops.mul(count, negatives), [images, 1]));
  const counted = ops.maximum(positive, ops.mul(ops.cast(hard), ops.sub(1, positive)));
  const total = ops.add(ops.mul(boxLoss, boxes), ops.sum(ops.mul(classLoss, counted), 1));
  return ops.div(total, ops.maximum(count, 1));
}

/** An object that a detector found. */
export interface Detection extends LabeledBox {
  /** Probability of the class. */
  readonly score: number;
}

export interface DetectionOptions {
  /** Lowest probability. Default 0.5. */
  readonly score?: number;
  /** Boxes of one class that overlap more than this with a better one are left out. Default 0.45. */
  readonly overlap?: number;
  /** Largest number of results. Default 100. */
  readonly limit?: number;
}

/**
 * The objects of one image, best first: classes by softmax, boxes by `decodeBox`, without boxes that overlap with a better one of the
 * same class (non-maximum suppression).
 *
 * Shapes: output of the model for one image [A, 4 + classes + 1], with A anchors.
 * Throws RangeError if the output has another number of anchors, or an option is out of range.
 *
 * @example
 * const anchors = anchorBoxes([{ grid: 1, sizes: [1], ratios: [1] }]);
 * detections({ shape: [1, 6], dtype: 'f32', data: Float32Array.of(0, 0, 0, 0, -9, 9) }, anchors).length // 1
 */
export function detections(
  output: HostTensor,
  anchors: readonly Box[],
  options: DetectionOptions = {},
): Detection[] {
  checkOptions('detections', options, ['score', 'overlap', 'limit']);
  const { score = 0.5, overlap = 0.45, limit = 100 } = options;
  const fraction = (x: number): boolean => x >= 0 && x <= 1;
  checkNumber('detections', 'score', score, 'a number from 0 to 1', fraction);
  checkNumber('detections', 'overlap', overlap, 'a number from 0 to 1', fraction);
  checkInteger('detections', 'limit', limit, 1);
  const [count, width] = output.shape;
  if (count !== anchors.length) {
    throw new RangeError(`detections: the output has ${count} anchors, but ${anchors.length} were given`);
  }
  const found = anchors.flatMap((anchor, i) => {
    const row = Array.from(output.data.subarray(i * width, (i + 1) * width));
    const box = decodeBox(row.slice(0, 4) as unknown as Box, anchor);
    const top = Math.max(...row.slice(4));
    const weights = row.slice(4).map((z) => Math.exp(z - top));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights
      .slice(1)
      .map((weight, label): Detection => ({ box, label, score: weight / sum }))
      .filter((one) => one.score >= score);
  });
  found.sort((a, b) => b.score - a.score);
  const kept: Detection[] = [];
  for (const one of found) {
    if (kept.length === limit) break;
    const isNew = kept.every(({ label, box }) => label !== one.label || boxOverlap(box, one.box) <= overlap);
    if (isNew) kept.push(one);
  }
  return kept;
}

export interface DetectorOptions extends ModelOptions {
  /** Anchors of each cell: sizes times ratios. Default 3. */
  readonly anchors?: number;
  /** Channels after the first halving. They double until the feature maps. Default 32. */
  readonly width?: number;
}

const halved = (inputs: number, outputs: number): nn.Layer =>
  list([conv(inputs, outputs, 3), nn.batchNorm(outputs), nn.relu(), nn.maxPool2d(2)]);

/**
 * A small single-shot detector: a stack of convolutions, and a head of codes and logits on its maps at 1/8 and 1/16 of the size. For
 * images of 64 × 64, these are 8 × 8 and 4 × 4 cells. Class 0 is background.
 *
 * Shapes: images x [N, H, W, channels] -> [N, A, 4 + classes + 1], with A anchors in the order of `anchorBoxes`. H and W are multiples of
 * 16.
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016.
 * Throws TypeError for an unknown option, and RangeError for a number below 1.
 *
 * @example nn.countParameters(detector({ classes: 3, width: 8 })) // 45432
 */
export function detector(options: DetectorOptions): nn.Layer {
  checkOptions('detector', options, [...MODEL, 'anchors', 'width']);
  checkModel('detector', options);
  const { classes, channels = 3, anchors = 3, width = 32 } = options;
  checkInteger('detector', 'anchors', anchors, 1);
  checkInteger('detector', 'width', width, 1);
  const each = 4 + classes + 1;
  const head = (inputs: number): nn.Layer =>
    nn.conv2d(inputs, anchors * each, 3, { padding: 1, init: nn.init.normal(0.01) });
  const rows = (map: Tensor): Tensor =>
    ops.reshape(map, [map.shape[0], map.shape[1] * map.shape[2] * anchors, each]);
  return nn.module(
    {
      normalize: input(options).input ?? identity,
      stage1: halved(channels, width),
      stage2: halved(width, 2 * width),
      stage3: halved(2 * width, 4 * width),
      stage4: halved(4 * width, 8 * width),
      head3: head(4 * width),
      head4: head(8 * width),
    },
    (x, { normalize, stage1, stage2, stage3, stage4, head3, head4 }) => {
      const fine = stage3(stage2(stage1(normalize(x))));
      return ops.concat([rows(head3(fine)), rows(head4(stage4(fine)))], 1);
    },
    'detector',
  );
}
