import { einsum, matmul as product, outer, type MatmulOptions } from '../../engine/ops/index.ts';
import { formatShape } from '../../engine/shape.ts';
import type { Shape } from '../../engine/types.ts';
import { define, uniform, type Case } from './case.ts';

/** [m, k, n] */
const SIZES: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [6, 8, 4],
  [6, 8, 8],
  [7, 9, 5],
  [13, 17, 19],
  [1, 65, 10],
  [31, 6, 1],
  [1, 1000, 1],
  [33, 1, 35],
  [16, 16, 16],
  [2, 3, 33],
  [5, 0, 3],
  [0, 4, 3],
  [100, 130, 70],
  [64, 515, 10],
  [13, 700, 35],
  [7, 8195, 3],
];
/** [batch, m, k, n] */
const BATCHES: readonly (readonly [number, number, number, number])[] = [
  [1, 2, 3, 4],
  [3, 4, 5, 6],
  [5, 7, 9, 3],
  [2, 17, 19, 21],
  [0, 2, 3, 4],
];
const FLAGS: readonly Required<MatmulOptions>[] = [
  { transA: false, transB: false },
  { transA: true, transB: false },
  { transA: false, transB: true },
  { transA: true, transB: true },
];

function product2(
  batch: readonly number[],
  [m, k, n]: readonly number[],
  flags: Required<MatmulOptions>,
): Case {
  const { transA, transB } = flags;
  const name = `${batch.length > 0 ? `${batch[0]} of ` : ''}${m}x${k} · ${k}x${n}${transA ? ', A transposed' : ''}${transB ? ', B transposed' : ''}`;
  return define(
    name,
    {
      a: uniform([...batch, ...(transA ? [k, m] : [m, k])]),
      b: uniform([...batch, ...(transB ? [n, k] : [k, n])]),
    },
    ({ a, b }) => product(a, b, flags),
    { tolerance: 1e-5, tags: m * k * n > 4000 ? ['large'] : [] },
  );
}

/** Axes before the matrices. */
const BROADCAST: readonly (readonly [Shape, Shape])[] = [
  [[2], []],
  [[], [2]],
  [[2, 3], []],
  [[2, 1], [3]],
  [
    [2, 3],
    [2, 3],
  ],
  [[1], [2]],
  [[0], [1]],
];

/** The equation, and the operands' shapes. */
const EINSUMS: readonly (readonly [string, ...Shape[]])[] = [
  ['i->', [5]],
  ['ij->ji', [3, 4]],
  ['ij->', [3, 4]],
  ['ij->i', [3, 4]],
  ['ij', [3, 4]],
  ['ba', [3, 4]],
  ['i,i->', [5], [5]],
  ['i,j->ij', [3], [4]],
  ['i,i->i', [5], [5]],
  ['ij,jk->ik', [3, 4], [4, 5]],
  ['ij,jk', [3, 4], [4, 5]],
  ['ij,kj->ki', [3, 4], [5, 4]],
  ['bij,bjk->bik', [2, 3, 4], [2, 4, 5]],
  ['bhid,bhjd->bhij', [2, 2, 3, 4], [2, 2, 5, 4]],
  ['ijk,jkl->il', [2, 3, 4], [3, 4, 5]],
  ['ij,k->jk', [2, 3], [4]],
  ['...ij,...jk->...ik', [2, 3, 4], [4, 5]],
  ['...i,...i->...', [2, 1, 4], [3, 4]],
  ['...i->i...', [2, 3, 4]],
  ['i...j->...', [2, 3, 4]],
  ['ij,jk,kl->il', [2, 3], [3, 4], [4, 5]],
  ['a,b,c->cab', [2], [3], [4]],
  ['ij,ij,j->i', [2, 3], [2, 3], [3]],
  ['ij,jk->ik', [0, 4], [4, 5]],
];

/** Functions made of these. */
export const compositeMatmul = {
  outer: [define('[3] and [4]', { a: uniform([3]), b: uniform([4]) }, ({ a, b }) => outer(a, b))],
  einsum: EINSUMS.map(([equation, ...shapes]) =>
    define(
      `${equation}, ${shapes.map(formatShape).join(' ')}`,
      Object.fromEntries(shapes.map((shape, i) => [`x${i}`, uniform(shape)])),
      (inputs) => einsum(equation, ...shapes.map((_, i) => inputs[`x${i}`])),
      { tolerance: 1e-5 },
    ),
  ),
} satisfies Record<string, readonly Case[]>;

export const matmul = {
  matmul: FLAGS.flatMap((flags) => [
    ...SIZES.map((sizes) => product2([], sizes, flags)),
    ...BATCHES.map(([batch, ...sizes]) => product2([batch], sizes, flags)),
    ...BROADCAST.map(([batchA, batchB]) =>
      define(
        `batches ${formatShape(batchA)} and ${formatShape(batchB)}${flags.transA ? ', A transposed' : ''}${flags.transB ? ', B transposed' : ''}`,
        {
          a: uniform([...batchA, ...(flags.transA ? [4, 3] : [3, 4])]),
          b: uniform([...batchB, ...(flags.transB ? [5, 4] : [4, 5])]),
        },
        ({ a, b }) => product(a, b, flags),
        { tolerance: 1e-5 },
      ),
    ),
  ]),
} satisfies Record<string, readonly Case[]>;
