/** Sequences [N, L, C] as images of one row, so that one dimension needs no kernels of its own. */
import { ShapeError } from '../errors.ts';
import { expectRank } from '../op.ts';
import { show } from '../options.ts';
import type { Padding } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { toTensor, type TensorLike } from './convert.ts';
import { expandDims, squeeze } from './layout.ts';

/** Padding of sequences: 'same', 'valid', one number for both ends, or [before, after]. */
export type Padding1d = 'same' | 'valid' | number | readonly [before: number, after: number];

/** [N, L, C] -> [N, 1, L, C]. Throws ShapeError for another rank. */
export function asRow(where: string, x: TensorLike): Tensor {
  const t = toTensor(where, x);
  expectRank(where, t, 3, 'sequences [N, L, C]');
  return expandDims(t, 1);
}

/** [N, 1, L, C] -> [N, L, C] */
export const fromRow = (x: Tensor): Tensor => squeeze(x, 1);

/** Throws ShapeError unless `padding` has one of its forms. */
export function checkPadding1d(where: string, padding: Padding1d): void {
  if (padding === 'same' || padding === 'valid') return;
  const list: unknown = typeof padding === 'number' ? [padding, padding] : padding;
  const isSize = (p: unknown): boolean => Number.isSafeInteger(p) && (p as number) >= 0;
  if (Array.isArray(list) && list.length === 2 && list.every(isSize)) return;
  throw new ShapeError(
    `${where}: padding must be 'same', 'valid', a non-negative integer or [before, after], got ` +
      (Array.isArray(padding) ? JSON.stringify(padding) : show(padding)),
  );
}

/** The padding of an image of one row. */
export function rowPadding(where: string, padding: Padding1d): Padding {
  checkPadding1d(where, padding);
  if (typeof padding === 'string') return padding;
  const [before, after] = typeof padding === 'number' ? [padding, padding] : padding;
  return [0, 0, before, after];
}
