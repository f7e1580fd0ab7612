/**
 * Single-shot detection: anchors, matching, the loss, and the boxes that a model found. A box is [x1, y1, x2, y2] in pixels. Matching is part
 * of the graph, so boxes are targets like any other, and augmentations move them.
 */
import * as ops from '../index.ts';
import { checkHostTensor } from '../host.ts';
import type { HostTensor, LossFunction, Tensor } from '../index.ts';
import { nonMaxSuppression } from '../metrics/index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkNumber, checkOptions, show } from '../options.ts';
import { MODEL, checkModel, conv, identity, input, list, type ModelOptions } from './parts.ts';

export interface AnchorMap {
  /** Height and width of the feature map: one number, or [height, width]. */
  readonly grid: number | readonly [number, number];
  /** Sides of the anchors in pixels: square roots of their areas. */
  readonly sizes: readonly number[];
  /** Width divided by height of the anchors. Default [1, 2, 0.5]. */
  readonly ratios?: readonly number[];
}

const isPositive = (x: number): boolean => x > 0;
const isShare = (x: number): boolean => x >= 0 && x <= 1;
const isNotNegative = (x: number): boolean => x >= 0;

/**
 * The anchors of feature maps, in the order of the detector's output: by map, row, column, size and ratio. Each is centered on its cell.
 *
 * Shapes: size [height, width] of the images, or one number for both -> `f32` [A, 4].
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016.
 * Throws RangeError for a grid, a size or a ratio that is not positive.
 *
 * @example anchorBoxes(64, [{ grid: 2, sizes: [32], ratios: [1] }]).data.subarray(4, 8) // [32, 0, 64, 32]
 */
export function anchorBoxes(
  size: number | readonly [height: number, width: number],
  maps: readonly AnchorMap[],
): HostTensor {
  const [height, width] = pairOf('size', size);
  if (!Array.isArray(maps)) {
    throw new TypeError(
      `anchorBoxes: maps must be an array of feature maps, got ${show(maps)} (write [{ grid: 8, sizes: [16] }])`,
    );
  }
  const boxes = maps.flatMap((map: AnchorMap) => {
    checkOptions('anchorBoxes: maps', map, ['grid', 'sizes', 'ratios']);
    const { grid, sizes, ratios = [1, 2, 0.5] } = map;
    const [rows, columns] = pairOf('grid', grid);
    for (const [name, list] of Object.entries({ sizes, ratios })) {
      if (!Array.isArray(list))
        throw new TypeError(`anchorBoxes: ${name} must be an array of numbers, got ${show(list)}`);
    }
    const shapes = sizes.flatMap((side) => {
      checkNumber('anchorBoxes', 'sizes', side, 'positive numbers', isPositive);
      return ratios.map((ratio) => {
        checkNumber('anchorBoxes', 'ratios', ratio, 'positive numbers', isPositive);
        return [side * Math.sqrt(ratio), side / Math.sqrt(ratio)] as const;
      });
    });
    return Array.from({ length: rows * columns }, (_, cell) => {
      const x = (((cell % columns) + 0.5) / columns) * width;
      const y = ((Math.floor(cell / columns) + 0.5) / rows) * height;
      return shapes.map(([w, h]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
    }).flat();
  });
  return { shape: [boxes.length, 4], dtype: 'f32', data: Float32Array.from(boxes.flat()) };
}

/** Height and width from one number or two. */
function pairOf(name: string, value: number | readonly [number, number]): readonly [number, number] {
  const pair: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  for (const side of pair) checkInteger('anchorBoxes', name, side, 1);
  if (pair.length !== 2)
    throw new RangeError(`anchorBoxes: ${name} must be a number or [height, width], got ${show(value)}`);
  return pair as [number, number];
}

function checkTensor(where: string, name: string, value: unknown): void {
  if (!(value instanceof ops.Tensor)) {
    throw new TypeError(`${where}: ${name} must be a tensor, got ${show(value)} (write tensor(…))`);
  }
}

/** A tensor of boxes. Throws ShapeError unless its last axis has the four edges. */
function boxesOf(where: string, name: string, boxes: Tensor): Tensor {
  checkTensor(where, name, boxes);
  if (boxes.rank >= 2 && boxes.shape.at(-1)! >= 4) return boxes;
  throw new ops.ShapeError(
    `${where}: ${name} must be [..., K, 4], got [${boxes.shape.join(', ')}] (each row is x1, y1, x2, y2)`,
  );
}

/** The anchors as a tensor. Throws TypeError or ShapeError unless they are [A, 4]. */
function anchorsOf(where: string, anchors: HostTensor): Tensor {
  checkHostTensor(`${where}: anchors`, anchors);
  return boxesOf(where, 'anchors', constant(anchors));
}

const constant = ({ shape, data }: HostTensor): Tensor => ops.tensor(data, { shape });

/** A column of boxes [..., 4 + any], without its axis. */
const column = (boxes: Tensor, at: number): Tensor =>
  ops.slice(boxes, [...Array.from({ length: boxes.rank - 1 }, () => null), at]);

const columns = (boxes: Tensor): readonly [Tensor, Tensor, Tensor, Tensor] => [
  column(boxes, 0),
  column(boxes, 1),
  column(boxes, 2),
  column(boxes, 3),
];

/** Centers and sizes. */
function centered(boxes: Tensor): readonly [Tensor, Tensor, Tensor, Tensor] {
  const [x1, y1, x2, y2] = columns(boxes);
  return [ops.div(ops.add(x1, x2), 2), ops.div(ops.add(y1, y2), 2), ops.sub(x2, x1), ops.sub(y2, y1)];
}

/**
 * Intersection over union of every box with every other one. 0 for boxes without area.
 *
 * Shapes: a `f32` [..., A, 4], b `f32` [..., K, 4 + any] -> [..., A, K]. The other axes broadcast.
 *
 * @example boxOverlaps(tensor([[0, 0, 2, 2]]), tensor([[0, 0, 1, 2], [2, 2, 4, 4]])) // [[0.5, 0]]
 */
export function boxOverlaps(a: Tensor, b: Tensor): Tensor {
  const [ax1, ay1, ax2, ay2] = columns(boxesOf('boxOverlaps', 'a', a)).map((x) => ops.expandDims(x, -1));
  const [bx1, by1, bx2, by2] = columns(boxesOf('boxOverlaps', 'b', b)).map((x) => ops.expandDims(x, -2));
  const side = (low: Tensor, high: Tensor): Tensor => ops.maximum(ops.sub(high, low), 0);
  const width = side(ops.maximum(ax1, bx1), ops.minimum(ax2, bx2));
  const height = side(ops.maximum(ay1, by1), ops.minimum(ay2, by2));
  const both = ops.mul(width, height);
  const area = (x1: Tensor, y1: Tensor, x2: Tensor, y2: Tensor): Tensor =>
    ops.mul(side(x1, x2), side(y1, y2));
  const either = ops.sub(ops.add(area(ax1, ay1, ax2, ay2), area(bx1, by1, bx2, by2)), both);
  return ops.where(ops.greater(both, 0), ops.div(both, ops.where(ops.greater(either, 0), either, 1)), 0);
}

/** What each anchor should predict. */
export interface Matches {
  /** The box of its object, `f32` [N, A, 4]. Any box for background. */
  readonly boxes: Tensor;
  /** 0 for background, class + 1 for an object, `i32` [N, A]. */
  readonly labels: Tensor;
}

/**
 * Assigns objects to anchors. An anchor belongs to the object with the largest overlap, if that is at least `threshold`. The best anchor of each
 * object belongs to it in any case.
 *
 * Shapes: objects `f32` [N, K, 5], a box and a class; a row without area is padding. Anchors [A, 4].
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016, section 2.2.
 * Throws RangeError for a threshold outside 0 … 1, and ShapeError for other shapes.
 *
 * @example
 * const anchors = anchorBoxes(64, [{ grid: 2, sizes: [32], ratios: [1] }]);
 * matchAnchors(tensor([[[0, 0, 30, 30, 2]]]), anchors).labels // [[3, 0, 0, 0]]
 */
export function matchAnchors(objects: Tensor, anchors: HostTensor, threshold = 0.5): Matches {
  checkTensor('matchAnchors', 'objects', objects);
  const fixedAnchors = anchorsOf('matchAnchors', anchors);
  checkNumber('matchAnchors', 'threshold', threshold, 'a number from 0 to 1', isShare);
  if (objects.rank !== 3 || objects.shape[2] !== 5) {
    throw new ops.ShapeError(
      `matchAnchors: expects objects [N, K, 5], got [${objects.shape.join(', ')}] (each row is x1, y1, x2, y2 and the class)`,
    );
  }
  const fixed = ops.stopGradient(objects);
  const [count, most] = [anchors.shape[0], objects.shape[1]];
  const overlaps = boxOverlaps(fixedAnchors, fixed);
  const [, , width, height] = centered(fixed);
  const isObject = ops.cast(ops.greater(ops.mul(width, height), 0));
  // Anchors that are the best of an object, [N, A, K].
  const best = ops.transpose(ops.oneHot(ops.argMax(overlaps, 1), count), [0, 2, 1]);
  const claimed = ops.mul(best, ops.expandDims(isObject, 1));
  const isClaimed = ops.greater(ops.max(claimed, 2), 0);
  const owner = ops.where(isClaimed, ops.argMax(claimed, 2), ops.argMax(overlaps, 2));
  const largest = ops.max(overlaps, 2);
  const isClose = ops.and(ops.greaterEqual(largest, threshold), ops.greater(largest, 0));
  const rows = ops.matmul(ops.oneHot(owner, most), fixed);
  const label = ops.cast(ops.add(column(rows, 4), 1), 'i32');
  return {
    boxes: ops.slice(rows, [null, null, { end: 4 }]),
    labels: ops.mul(label, ops.cast(ops.or(isClaimed, isClose), 'i32')),
  };
}

/** Deviations by which SSD divides the codes of centers and of sizes. */
const [CENTER, SIZE] = [0.1, 0.2];

/** Boxes relative to anchors: offsets of the centers in anchor sizes, and logarithms of the ratios of sizes, both divided by deviations. */
function encode(boxes: Tensor, anchors: Tensor): Tensor {
  const [x, y, w, h] = centered(boxes);
  const [ax, ay, aw, ah] = centered(anchors);
  return ops.stack(
    [
      ops.div(ops.sub(x, ax), ops.mul(aw, CENTER)),
      ops.div(ops.sub(y, ay), ops.mul(ah, CENTER)),
      ops.div(ops.log(ops.div(w, aw)), SIZE),
      ops.div(ops.log(ops.div(h, ah)), SIZE),
    ],
    -1,
  );
}

/** The boxes of codes: the inverse of `encode`. */
function decode(codes: Tensor, anchors: Tensor): Tensor {
  const [cx, cy, cw, ch] = columns(codes);
  const [ax, ay, aw, ah] = centered(anchors);
  const x = ops.add(ax, ops.mul(cx, ops.mul(aw, CENTER)));
  const y = ops.add(ay, ops.mul(cy, ops.mul(ah, CENTER)));
  const [halfW, halfH] = [
    ops.mul(ops.exp(ops.mul(cw, SIZE)), aw),
    ops.mul(ops.exp(ops.mul(ch, SIZE)), ah),
  ].map((side) => ops.div(side, 2));
  return ops.stack([ops.sub(x, halfW), ops.sub(y, halfH), ops.add(x, halfW), ops.add(y, halfH)], -1);
}

export interface DetectionLossOptions {
  /** Lowest overlap with an object of an anchor that belongs to it. Default 0.5. */
  readonly threshold?: number;
  /** Background anchors that count, for each anchor with an object: those with the largest losses. Default 3. */
  readonly negatives?: number;
  /** Factor on the loss of boxes. Default 1. */
  readonly boxes?: number;
}

/**
 * The loss of a detector, for `fit`: smooth L1 of the codes of anchors with objects, and cross-entropy of their classes and of the hardest
 * background anchors, divided by the number of anchors with objects (1 if there is none).
 *
 * Shapes: outputs `f32` [N, A, 4 + classes + 1], targets `f32` [N, K, 5] -> [N].
 * Source: Liu et al., SSD: Single Shot MultiBox Detector, 2016, equations 1 to 3.
 * Throws RangeError for an option out of range, and ShapeError, when it is applied, for other shapes.
 *
 * @example
 * const loss = detectionLoss(anchorBoxes(64, [{ grid: 8, sizes: [16] }, { grid: 4, sizes: [32] }]));
 */
export function detectionLoss(anchors: HostTensor, options: DetectionLossOptions = {}): LossFunction {
  const constants = anchorsOf('detectionLoss', anchors);
  checkOptions('detectionLoss', options, ['threshold', 'negatives', 'boxes']);
  const { threshold = 0.5, negatives = 3, boxes: factor = 1 } = options;
  checkNumber('detectionLoss', 'threshold', threshold, 'a number from 0 to 1', isShare);
  checkNumber('detectionLoss', 'negatives', negatives, 'a number >= 0', isNotNegative);
  checkNumber('detectionLoss', 'boxes', factor, 'a number >= 0', isNotNegative);
  return (output, targets) => {
    checkOutput('detectionLoss', output, anchors);
    const { boxes, labels } = matchAnchors(targets, anchors, threshold);
    const [images, count, width] = output.shape;
    const positive = ops.cast(ops.greater(labels, 0));
    const objects = ops.sum(positive, 1);

    // Codes of background anchors could be infinite, and 0 · ∞ is NaN.
    const isPositive = ops.expandDims(ops.greater(labels, 0), 2);
    const codes = encode(ops.where(isPositive, boxes, constants), constants);
    const difference = ops.sub(ops.slice(output, [null, null, { end: 4 }]), codes);
    const size = ops.abs(difference);
    const smooth = ops.where(ops.less(size, 1), ops.mul(ops.square(difference), 0.5), ops.sub(size, 0.5));
    const boxLoss = ops.sum(ops.mul(ops.sum(smooth, 2), positive), 1);

    const logits = ops.reshape(ops.slice(output, [null, null, { begin: 4 }]), [images * count, width - 4]);
    const rows = ops.crossEntropy(logits, ops.reshape(labels, [images * count]), { reduction: 'none' });
    const classLoss = ops.reshape(rows, [images, count]);
    const background = ops.stopGradient(ops.where(ops.greater(positive, 0), -1, classLoss));
    const rank = ops.argSort(ops.cast(ops.argSort(background, 1, { descending: true })), 1);
    const hard = ops.less(ops.cast(rank), ops.reshape(ops.mul(objects, negatives), [images, 1]));
    const counted = ops.maximum(positive, ops.mul(ops.cast(hard), ops.sub(1, positive)));
    const total = ops.add(ops.mul(boxLoss, factor), ops.sum(ops.mul(classLoss, counted), 1));
    return ops.div(total, ops.maximum(objects, 1));
  };
}

function checkOutput(where: string, output: Tensor, anchors: HostTensor): void {
  checkTensor(where, 'output', output);
  if (output.rank === 3 && output.shape[1] === anchors.shape[0] && output.shape[2] > 5) return;
  throw new ops.ShapeError(
    `${where}: expects outputs [N, ${anchors.shape[0]}, 4 + classes + 1], got [${output.shape.join(', ')}] ` +
      '(the maps, sizes and ratios of anchorBoxes must be those of the model)',
  );
}

/**
 * Boxes and scores from the output of a detector, in the graph. `meanAveragePrecision` takes them.
 *
 * Shapes: output `f32` [N, A, 4 + classes + 1] -> boxes [N, A, 4], scores [N, A, classes], the softmax without the background.
 * Throws ShapeError for an output with another number of anchors.
 *
 * @example
 * const anchors = anchorBoxes(64, [{ grid: 8, sizes: [16] }, { grid: 4, sizes: [32] }]);
 * const mAP = meanAveragePrecision({ detections: (output) => decodeDetections(output, anchors) });
 */
export function decodeDetections(
  output: Tensor,
  anchors: HostTensor,
): { readonly boxes: Tensor; readonly scores: Tensor } {
  const constants = anchorsOf('decodeDetections', anchors);
  checkOutput('decodeDetections', output, anchors);
  return {
    boxes: decode(ops.slice(output, [null, null, { end: 4 }]), constants),
    scores: ops.slice(ops.softmax(ops.slice(output, [null, null, { begin: 4 }])), [null, null, { begin: 1 }]),
  };
}

/** An object that a detector found. */
export interface Detection {
  /** x1, y1, x2, y2 in pixels. */
  readonly box: readonly [number, number, number, number];
  /** Class, from 0. */
  readonly label: number;
  /** Probability of the class. */
  readonly score: number;
}

export interface SelectOptions {
  /** Lowest probability. Default 0.5. */
  readonly score?: number;
  /** Boxes of one class that overlap more than this with a better one are left out. Default 0.45. */
  readonly overlap?: number;
  /** Largest number of results. Default 100. */
  readonly limit?: number;
}

/**
 * The objects of each image, best first, without boxes that overlap with a better one of the same class.
 *
 * Shapes: the output of `forward` [N, A, 4 + classes + 1] -> N lists.
 * Throws ShapeError for an output with another number of anchors, and RangeError for an option out of range.
 *
 * @example
 * const anchors = anchorBoxes(64, [{ grid: 1, sizes: [64], ratios: [1] }]);
 * const output = { shape: [1, 1, 6], dtype: 'f32', data: Float32Array.of(0, 0, 0, 0, -9, 9) } as const;
 * (await selectDetections(output, anchors))[0]?.[0]?.box // [0, 0, 64, 64]
 */
export async function selectDetections(
  output: HostTensor,
  anchors: HostTensor,
  options: SelectOptions = {},
): Promise<Detection[][]> {
  checkOptions('selectDetections', options, ['score', 'overlap', 'limit']);
  const { score = 0.5, overlap = 0.45, limit = 100 } = options;
  checkNumber('selectDetections', 'score', score, 'a number from 0 to 1', isShare);
  checkNumber('selectDetections', 'overlap', overlap, 'a number from 0 to 1', isShare);
  checkInteger('selectDetections', 'limit', limit, 1);
  checkHostTensor('selectDetections: output', output);
  anchorsOf('selectDetections', anchors);
  checkOutput('selectDetections', constant(output), anchors);
  const decoded = decodeDetections(constant(output), anchors);
  const [boxes, scores] = await Promise.all([decoded.boxes.data(), decoded.scores.data()]);
  const [images, count] = output.shape;
  const classes = decoded.scores.shape[2];
  return Array.from({ length: images }, (_, image) => {
    const own = boxes.subarray(image * count * 4, (image + 1) * count * 4);
    const found = Array.from({ length: classes }, (__, label) => {
      const ofClass = Float32Array.from(
        { length: count },
        (___, i) => scores[(image * count + i) * classes + label],
      );
      return nonMaxSuppression(own, ofClass, { iou: overlap, minScore: score, limit }).map((i): Detection => {
        const [x1, y1, x2, y2] = own.subarray(4 * i, 4 * i + 4);
        return { box: [x1, y1, x2, y2], label, score: ofClass[i] };
      });
    });
    return found
      .flat()
      .toSorted((a, b) => b.score - a.score)
      .slice(0, limit);
  });
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
