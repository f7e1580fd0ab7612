import { correct, crossEntropyRows, ops } from '../../engine/ops/index.ts';
import { define, given, integers, uniform, type Case } from './case.ts';

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
        { through: [0], tags: rows * classes > 500 ? ['large'] : [] },
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
      'equal logits',
      { logits: given([3, 10], [100]), labels: given([3], [0, 9, 5], 'i32') },
      ({ logits, labels }) => [...ops.softmaxCrossEntropy([logits, labels], {})],
      { through: [0] },
    ),
  ],
  softmaxCrossEntropyGrad: SIZES.map(([rows, classes]) =>
    define(
      `${rows} rows of ${classes}`,
      { g: uniform([rows]), softmax: uniform([rows, classes], 0, 1), labels: integers([rows], classes) },
      ({ g, softmax, labels }) => ops.softmaxCrossEntropyGrad([g, softmax, labels], {}),
      { wrt: [] },
    ),
  ),
  correct: [
    ...SIZES.map(([rows, classes]) =>
      define(
        `${rows} rows of ${classes}`,
        { logits: uniform([rows, classes]), labels: integers([rows], classes) },
        ({ logits, labels }) => correct(logits, labels),
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
      ({ logits, labels }) => correct(logits, labels),
      { wrt: [], tolerance: 0, tags: ['special'] },
    ),
  ],
} satisfies Record<string, readonly Case[]>;

export const rows = SIZES.map(([n, classes]) =>
  define(
    `${n} rows of ${classes}`,
    { logits: uniform([n, classes], -3, 3), labels: integers([n], classes) },
    ({ logits, labels }) => crossEntropyRows(logits, labels),
    { tags: n * classes > 500 ? ['large'] : [] },
  ),
);
