import { warpAffine, warpBoxes, warpPoints } from '../../engine/ops/index.ts';
import { bytes, define, given, integers, uniform, type Case } from './case.ts';

const turn = (degrees: number, size = 1): readonly number[] => {
  const [sin, cos] = [Math.sin((degrees * Math.PI) / 180) / size, Math.cos((degrees * Math.PI) / 180) / size];
  return [cos, -sin, 0.3, sin, cos, -0.2];
};
/** Two maps: a rotation that shrinks, and a mirror image with a shift. */
const MAPS = [...turn(20, 0.7), -1, 0, 0.25, 0, 1.25, 1.1].map(Math.fround);
/** A flip and a shift by whole pixels. */
const WHOLE = [-1, 0, 1, 0, 1, -2, 1, 0, -7, 0, -1, 0];

/** Affine maps, made of elementwise operations and gathering. */
export const warp = {
  warpAffine: [
    ...([0, 'reflect', [0.5, -1, 2]] as const).flatMap((fill) =>
      (['nearest', 'bilinear'] as const).map((mode) =>
        define(
          `${mode}, ${String(fill)}`,
          { x: uniform([2, 5, 4, 3]), m: given([2, 2, 3], MAPS) },
          ({ x, m }) => warpAffine(x, m, { mode, fill }),
          { wrt: mode === 'nearest' ? ['x'] : ['x', 'm'] },
        ),
      ),
    ),
    define(
      'whole pixels',
      { x: uniform([2, 5, 4, 3]), m: given([2, 2, 3], WHOLE) },
      ({ x, m }) => warpAffine(x, m),
      {
        wrt: ['x'],
        tolerance: 0,
      },
    ),
    define(
      'i32',
      { x: integers([2, 4, 6, 1], 9), m: given([2, 2, 3], WHOLE) },
      ({ x, m }) => warpAffine(x, m, { mode: 'nearest', fill: 255 }),
      { wrt: [] },
    ),
    define(
      'u8',
      { x: bytes([2, 4, 6, 3]), m: given([2, 2, 3], MAPS) },
      ({ x, m }) => warpAffine(x, m, { mode: 'nearest', fill: 'reflect' }),
      { wrt: [] },
    ),
  ],
  warpPoints: [
    define('3 points', { p: uniform([2, 3, 2], 0, 6), m: given([2, 2, 3], MAPS) }, ({ p, m }) =>
      warpPoints(p, m, [6, 8]),
    ),
    define('more columns', { p: uniform([2, 1, 4], 0, 6), m: given([2, 2, 3], MAPS) }, ({ p, m }) =>
      warpPoints(p, m, 6),
    ),
  ],
  warpBoxes: [
    define(
      '3 boxes',
      { b: given([2, 3, 4], [1, 2, 4, 5, 0.5, 1, 3, 2.5, 2, 2, 5, 3]), m: given([2, 2, 3], MAPS) },
      ({ b, m }) => warpBoxes(b, m, [6, 8]),
      { wrt: ['b'] },
    ),
    define(
      'with a class and padding',
      { b: given([2, 2, 5], [1, 2, 4, 5, 3, 0, 0, 0, 0, 9]), m: given([2, 2, 3], WHOLE) },
      ({ b, m }) => warpBoxes(b, m, [6, 8]),
      { wrt: [], tolerance: 0 },
    ),
  ],
} satisfies Record<string, readonly Case[]>;
