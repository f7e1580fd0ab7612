/** Sequences [N, L, C] as images of one row, so that one dimension needs no kernels of its own. */
import { expectRank } from '../op.ts';
import type { Padding } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { expandDims, squeeze } from './layout.ts';

/** Padding of sequences: 'same', 'valid', one number for both ends, or [before, after]. */
export type Padding1d = 'same' | 'valid' | number | readonly [before: number, after: number];

/** [N, L, C] -> [N, 1, L, C]. Throws ShapeError for another rank. */
export function asRow(where: string, x: TensorLike): Tensor {
  const t = toTensor(x);
  expectRank(where, t, 3, 'sequences [N, L, C]');
  return expandDims(t, 1);
}

/** [N, 1, L, C] -> [N, L, C] */
export const fromRow = (x: Tensor): Tensor => squeeze(x, 1);

/** The padding of an image of one row. */
export function rowPadding(padding: Padding1d): Padding {
  if (typeof padding === 'string') return padding;
  const [before, after] = typeof padding === 'number' ? [padding, padding] : padding;
  return [0, 0, before, after];
}
