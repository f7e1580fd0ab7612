/** Values that move from one level to the next along a curve, phase after phase. All annealing is built from this. */

/** The value at fraction `p` of the way: exactly `from` at 0 and `to` at 1. */
export type Curve = (from: number, to: number, p: number) => number;

// Not from + (to - from) * p, which misses `to` by a rounding error at p = 1.
export const lerp: Curve = (from, to, p) => from * (1 - p) + to * p;
export const halfCosine: Curve = (from, to, p) => lerp(from, to, (1 - Math.cos(Math.PI * p)) / 2);
export const geometricMean: Curve = (from, to, p) => from ** (1 - p) * to ** p;

export const curves = { cos: halfCosine, linear: lerp } as const;

/** A phase lasts from the end of the previous one (0 for the first) up to, but not including, `end`. */
export interface Phase {
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/**
 * The value at step t. After the last phase it stays at that phase's `to`.
 *
 * A phase of zero width is never entered, so nothing divides by zero.
 */
export function alongPhases(phases: readonly Phase[], curve: Curve): (t: number) => number {
  return (t) => {
    let start = 0;
    for (const { end, from, to } of phases) {
      if (t < end) return curve(from, to, (t - start) / (end - start));
      start = end;
    }
    return phases.at(-1)!.to;
  };
}
