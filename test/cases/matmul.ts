import { matmul as product, type MatmulOptions } from '../../engine/ops/index.ts';
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

export const matmul = {
  matmul: FLAGS.flatMap((flags) => [
    ...SIZES.map((sizes) => product2([], sizes, flags)),
    ...BATCHES.map(([batch, ...sizes]) => product2([batch], sizes, flags)),
  ]),
} satisfies Record<string, readonly Case[]>;
