/** Schedules that the page offers, as JSON. */

/** A schedule whose step 0 is `step` of the run: the part before it never counts. */
const from = (step: number, steps: number, schedule: object): object =>
  step === 0
    ? schedule
    : {
        kind: 'join',
        schedules: [{ kind: 'constant', value: 0 }, schedule],
        boundaries: [step, Math.max(step + 1, steps)],
      };

export const constant = (value: number): object => ({ kind: 'constant', value });

/** A straight line from a rate at `step` to another one at the end of the run. */
export const line = (first: number, last: number, step: number, steps: number): object =>
  from(step, steps, { kind: 'linear', from: first, to: last, steps: Math.max(1, steps - step) });

export const cosineFall = (max: number, step: number, steps: number): object =>
  from(step, steps, { kind: 'cosine', max, steps: Math.max(1, steps - step) });

/** Cycles between bounds. `stepSize` is half a cycle. With 'triangular2', each cycle is half as high as the one before. */
export const cycles = (
  bounds: { readonly base: number; readonly max: number; readonly stepSize: number },
  mode: 'triangular' | 'triangular2',
  step: number,
  steps: number,
): object => from(step, steps, { kind: 'cyclicLR', ...bounds, mode });
