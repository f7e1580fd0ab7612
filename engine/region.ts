/** Parts of the graph that the backward pass computes again (see recompute.ts). */

/** A part of the graph that is computed again. */
export interface Region {
  /** Results that are kept. */
  readonly kept: Set<object>;
}

let current: Region | null = null;

/** The region that new operations belong to. */
export const currentRegion = (): Region | null => current;

/**
 * Calls `build`. The operations that it creates are computed again in the backward pass. The tensors of its result are kept. In a region
 * inside of another one, operations belong to the outer one.
 */
export function recomputed<T>(build: () => T, resultsOf: (result: T) => readonly object[]): T {
  if (current !== null) return build();
  const region: Region = { kept: new Set() };
  current = region;
  try {
    const result = build();
    for (const tensor of resultsOf(result)) region.kept.add(tensor);
    return result;
  } finally {
    current = null;
  }
}
