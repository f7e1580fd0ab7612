import {
  binaryCrossEntropy,
  accuracy,
  cosineEmbeddingLoss,
  cosineSimilarity,
  crossEntropy,
  diceLoss,
  focalLoss,
  huberLoss,
  klDivergence,
  meanAbsoluteError,
  meanSquaredError,
  smoothL1Loss,
  tripletMarginLoss,
  type CrossEntropyOptions,
} from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { sizeOf } from '../../engine/shape.ts';
import type { Tensor } from '../../engine/tensor.ts';
import { away, define, given, integers, uniform, type Case } from './case.ts';

/** [rows, classes] */
const SIZES: readonly (readonly [number, number])[] = [
  [1, 1],
  [1, 2],
  [5, 7],
  [3, 10],
  [100, 10],
  [33, 3],
  [2, 1001],
  [0, 4],
];

export const loss = {
  softmaxCrossEntropy: [
    ...SIZES.map(([rows, classes]) =>
      define(
        `${rows} rows of ${classes}`,
        { logits: uniform([rows, classes], -4, 4), labels: integers([rows], classes) },
        ({ logits, labels }) => [...ops.softmaxCrossEntropy([logits, labels], {})],
        { tags: rows * classes > 500 ? ['large'] : [] },
      ),
    ),
    define(
      'large logits: no overflow',
      {
        logits: given([4, 3], [800, -800, 0, -800, 800, 799, 1e4, 0, 0, -3, -2, -1]),
        labels: given([4], [0, 2, 1, 2], 'i32'),
      },
      ({ logits, labels }) => [...ops.softmaxCrossEntropy([logits, labels], {})],
      { wrt: [], tags: ['special'] },
    ),
    define(
      'sure predictions',
      {
        logits: given([3, 3], [15, 0, 0, 0, 30, -1, -40, -40, 60]),
        labels: given([3], [0, 1, 2], 'i32'),
      },
      ({ logits, labels }) => [...ops.softmaxCrossEntropy([logits, labels], {})],
      { wrt: [], tags: ['special'] },
    ),
    define(
      'equal logits',
      { logits: given([3, 10], [100]), labels: given([3], [0, 9, 5], 'i32') },
      ({ logits, labels }) => [...ops.softmaxCrossEntropy([logits, labels], {})],
      {},
    ),
  ],
  softmaxCrossEntropyGrad: SIZES.map(([rows, classes]) =>
    define(
      `${rows} rows of ${classes}`,
      { g: uniform([rows]), softmax: uniform([rows, classes], 0, 0.5), labels: integers([rows], classes) },
      ({ g, softmax, labels }) => ops.softmaxCrossEntropyGrad([g, softmax, labels], {}),
      { tags: rows * classes > 500 ? ['large'] : [] },
    ),
  ),
  correct: [
    ...SIZES.map(([rows, classes]) =>
      define(
        `${rows} rows of ${classes}`,
        { logits: uniform([rows, classes]), labels: integers([rows], classes) },
        ({ logits, labels }) => accuracy(logits, labels, { reduction: 'none' }),
        { wrt: [], tolerance: 0 },
      ),
    ),
    define(
      'ties go to the first, NaN is wrong',
      {
        logits: given(
          [6, 3],
          [1, 1, 0, 1, 1, 0, NaN, 5, 1, 5, NaN, 1, 0, 0, 0, -Infinity, -Infinity, -Infinity],
        ),
        labels: given([6], [0, 1, 0, 0, 0, 0], 'i32'),
      },
      ({ logits, labels }) => accuracy(logits, labels, { reduction: 'none' }),
      { wrt: [], tolerance: 0, tags: ['special'] },
    ),
  ],
} satisfies Record<string, readonly Case[]>;

/** Output and target of one shape, the target in 0 … 1. */
const pairs = (
  what: string,
  fn: (x: Tensor, target: Tensor) => Tensor,
  wrt: readonly ('x' | 'target')[],
): Case[] =>
  [[1, 1], [5], [4, 7], [2, 3, 4, 2], [0, 3], [33, 10]].map((shape) =>
    define(
      `[${shape.join(',')}]${what}`,
      { x: uniform(shape, -4, 4), target: uniform(shape, 0, 1) },
      ({ x, target }) => fn(x, target),
      { wrt, tolerance: 3e-6, tags: sizeOf(shape) > 300 ? ['large'] : [] },
    ),
  );

const REDUCTIONS = ['mean', 'sum', 'none'] as const;

export const losses = {
  accuracy: REDUCTIONS.map((reduction) =>
    define(
      reduction,
      { logits: uniform([33, 10], -3, 3), labels: integers([33], 10) },
      ({ logits, labels }) => accuracy(logits, labels, { reduction }),
      { wrt: [] },
    ),
  ),
  crossEntropy: [
    ...[0, 0.1, 1].flatMap((labelSmoothing) =>
      SIZES.map(([n, classes]) =>
        define(
          `${n} rows of ${classes}${labelSmoothing === 0 ? '' : `, smoothing ${labelSmoothing}`}`,
          { logits: uniform([n, classes], -3, 3), labels: integers([n], classes) },
          ({ logits, labels }) => crossEntropy(logits, labels, { labelSmoothing, reduction: 'none' }),
          { tolerance: labelSmoothing === 0 ? 1e-6 : 3e-6, tags: n * classes > 500 ? ['large'] : [] },
        ),
      ),
    ),
    ...(
      [
        {},
        { labelSmoothing: 0.2 },
        { weight: [0.5, 2, 1, 0] },
        { ignoreIndex: 3 },
        { labelSmoothing: 0.2, weight: [0.5, 2, 1, 3], ignoreIndex: 0 },
      ] as const satisfies readonly CrossEntropyOptions[]
    ).flatMap((options) =>
      REDUCTIONS.flatMap((reduction) =>
        ([[9], [3, 2, 5]] as const).map((rows: readonly number[]) =>
          define(
            `labels [${rows.join(',')}], ${reduction}, ${JSON.stringify(options)}`,
            { logits: uniform([...rows, 4], -3, 3), labels: integers(rows, 4) },
            ({ logits, labels }) => crossEntropy(logits, labels, { ...options, reduction }),
            { tolerance: 3e-6 },
          ),
        ),
      ),
    ),
    ...(
      [{}, { labelSmoothing: 0.2, weight: [0.5, 2, 1, 3] }] as const satisfies readonly CrossEntropyOptions[]
    ).flatMap((options) =>
      REDUCTIONS.flatMap((reduction) =>
        ([[9], [3, 2, 5]] as const).map((rows: readonly number[]) =>
          define(
            `probabilities [${rows.join(',')},4], ${reduction}, ${JSON.stringify(options)}`,
            { logits: uniform([...rows, 4], -3, 3), target: uniform([...rows, 4], 0, 0.5) },
            ({ logits, target }) => crossEntropy(logits, target, { ...options, reduction }),
            { tolerance: 3e-6 },
          ),
        ),
      ),
    ),
    define(
      'a label to ignore that is no class',
      { logits: uniform([4, 3]), labels: given([4], [2, 255, 0, 255], 'i32') },
      ({ logits, labels }) => crossEntropy(logits, labels, { ignoreIndex: 255 }),
    ),
  ],
  cosineSimilarity: [
    define('rows', { a: away([4, 7]), b: away([4, 7]) }, ({ a, b }) => cosineSimilarity(a, b)),
    define('columns, broadcast', { a: away([5, 3]), b: away([5, 1]) }, ({ a, b }) =>
      cosineSimilarity(a, b, 0),
    ),
    define('short vectors', { a: uniform([4, 3], 0, 1e-3), b: away([4, 3]) }, ({ a, b }) =>
      cosineSimilarity(a, b, -1, { epsilon: 0.1 }),
    ),
  ],
  cosineEmbeddingLoss: REDUCTIONS.map((reduction) =>
    define(
      reduction,
      { a: away([6, 5]), b: away([6, 5]), labels: given([6], [1, -1], 'i32') },
      ({ a, b, labels }) => cosineEmbeddingLoss(a, b, labels, { reduction, margin: -0.9 }),
      { tolerance: 3e-6 },
    ),
  ),
  tripletMarginLoss: [{}, { swap: true }, { order: 1, margin: 3 }, { order: 3 }].flatMap((options) =>
    REDUCTIONS.map((reduction) =>
      define(
        `${reduction}, ${JSON.stringify(options)}`,
        { a: away([5, 4]), p: uniform([5, 4], 2, 4), n: uniform([5, 4], -6, -4) },
        ({ a, p, n }) => tripletMarginLoss(a, p, n, { margin: 9, ...options, reduction }),
        { tolerance: 3e-6 },
      ),
    ),
  ),
  meanAbsoluteError: pairs('', (x, target) => meanAbsoluteError(x, target, { reduction: 'none' }), [
    'x',
    'target',
  ]),
  smoothL1Loss: [1, 0.3].flatMap((beta) =>
    pairs(`, beta ${beta}`, (x, target) => smoothL1Loss(x, target, { beta, reduction: 'none' }), [
      'x',
      'target',
    ]),
  ),
  meanSquaredError: pairs('', (x, target) => meanSquaredError(x, target, { reduction: 'none' }), [
    'x',
    'target',
  ]),
  huberLoss: [
    ...pairs('', (x, target) => huberLoss(x, target, { reduction: 'none' }), ['x', 'target']),
    ...pairs(', delta 0.5', (x, target) => huberLoss(x, target, { delta: 0.5, reduction: 'none' }), [
      'x',
      'target',
    ]),
  ],
  binaryCrossEntropy: [
    ...pairs('', (x, target) => binaryCrossEntropy(x, target, { reduction: 'none' }), ['x', 'target']),
    ...pairs(
      ', weighted',
      (x, target) => binaryCrossEntropy(x, target, { posWeight: 2.5, reduction: 'none' }),
      ['x', 'target'],
    ),
    define(
      'a weight for each class',
      { x: uniform([4, 3]), target: uniform([4, 3], 0, 1) },
      ({ x, target }) => binaryCrossEntropy(x, target, { posWeight: [0.01, 1, 30] }),
      { tolerance: 3e-6 },
    ),
    define(
      'large logits: no overflow',
      {
        x: given([4, 2], [800, -800, 1e4, -1e4, 60, -60, 0, 1]),
        target: given([4, 2], [1, 0, 0, 1, 0.5, 0.5, 1, 0]),
      },
      ({ x, target }) => binaryCrossEntropy(x, target, { reduction: 'none' }),
      { wrt: [], tags: ['special'] },
    ),
  ],
  focalLoss: [
    ...pairs('', (x, target) => focalLoss(x, target, { reduction: 'none' }), ['x']),
    ...pairs(
      ', gamma 1.5',
      (x, target) => focalLoss(x, target, { alpha: 0.6, gamma: 1.5, reduction: 'none' }),
      ['x', 'target'],
    ),
    ...pairs(', gamma 0', (x, target) => focalLoss(x, target, { gamma: 0, reduction: 'none' }), ['x']),
  ],
  diceLoss: [
    ...pairs('', (x, target) => diceLoss(x, target, { reduction: 'none' }), ['x', 'target']),
    ...pairs(', smooth 0.1', (x, target) => diceLoss(x, target, { smooth: 0.1, reduction: 'none' }), ['x']),
  ],
  klDivergence: SIZES.map(([n, classes]) =>
    define(
      `${n} rows of ${classes}`,
      { x: uniform([n, classes], -3, 3), target: uniform([n, classes], 0, 2 / classes) },
      ({ x, target }) => klDivergence(x, target, { reduction: 'none' }),
      { wrt: ['x'], tolerance: 3e-6, tags: n * classes > 500 ? ['large'] : [] },
    ),
  ),
} satisfies Record<string, readonly Case[]>;
