/** Interleaved timing of several arms, and statistics of their times. */

/** An implementation whose steps are timed, in this or another process. */
export interface Arm {
  readonly name: string;
  /** Runs `skip` untimed steps, then `count` timed ones, and returns their times in milliseconds. */
  turn(skip: number, count: number): Promise<readonly number[]>;
}

export interface PairOptions {
  readonly pairs: number;
  /** Timed steps of a turn. */
  readonly steps: number;
  /** Untimed steps before them, which wake threads and fill caches. Default 1. */
  readonly skip?: number;
  /** Pause between turns in milliseconds, in which spinning threads go to sleep. Those of OpenBLAS do after 20. Default 30. */
  readonly pauseMs?: number;
}

/** The times of both arms. The time of a turn is the mean over its steps. */
export interface Pairs {
  readonly steps: number;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** Statistics of pairs. Ratios are our time divided by theirs, so below 1 we are faster. */
export interface Comparison {
  readonly pairs: number;
  /** Steps of a turn. */
  readonly steps: number;
  readonly oursMs: Summary;
  readonly theirsMs: Summary;
  /** The median over pairs of the ratio of each pair, which cancels what slows both arms for a while. */
  readonly ratio: number;
  /** The lower and upper quartile of the ratio. */
  readonly ratioQuartiles: readonly [number, number];
  readonly ratioOfMedians: number;
  readonly ratioOfMinima: number;
  readonly oursMsPerPair: readonly number[];
  readonly theirsMsPerPair: readonly number[];
}

export interface Summary {
  readonly min: number;
  readonly median: number;
}

/** Interleaves the turns of two arms. */
export async function alternate(ours: Arm, theirs: Arm, options: PairOptions): Promise<Pairs> {
  const [first, second] = await takeTurns([ours, theirs], options);
  return { steps: options.steps, ours: first, theirs: second };
}

/**
 * Runs `pairs` rounds, with one turn of every arm in each. The order rotates, and every other round is reversed, because a turn may
 * affect the next one. Returns the times of each arm.
 */
export async function takeTurns(arms: readonly Arm[], options: PairOptions): Promise<number[][]> {
  const { pairs, steps, skip = 1, pauseMs = 30 } = options;
  const times = arms.map((): number[] => []);
  for (let round = 0; round < pairs; round++) {
    const order = arms.map((_, i) => (i + (round >> 1)) % arms.length);
    for (const index of round % 2 === 0 ? order : order.toReversed()) {
      await pause(pauseMs);
      const ms = await arms[index].turn(skip, steps);
      if (ms.length !== steps)
        throw new Error(`${arms[index].name}: expected the times of ${steps} steps, got ${ms.length}`);
      times[index].push(mean(ms));
    }
  }
  return times;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The number of steps in a turn of about `ms` milliseconds. */
export function stepsFor(ms: number, stepMs: number): number {
  return Math.min(1000, Math.max(1, Math.round(ms / Math.max(stepMs, 1e-3))));
}

export function compare({ ours, theirs, steps }: Pairs): Comparison {
  if (ours.length !== theirs.length || ours.length === 0) {
    throw new RangeError(`compare: ${ours.length} and ${theirs.length} times are not pairs`);
  }
  const ratios = ours.map((ms, i) => ms / theirs[i]);
  const [oursMs, theirsMs] = [summary(ours), summary(theirs)];
  return {
    pairs: ours.length,
    steps,
    oursMs,
    theirsMs,
    ratio: median(ratios),
    ratioQuartiles: [quantile(ratios, 0.25), quantile(ratios, 0.75)],
    ratioOfMedians: oursMs.median / theirsMs.median,
    ratioOfMinima: oursMs.min / theirsMs.min,
    oursMsPerPair: ours.map(micros),
    theirsMsPerPair: theirs.map(micros),
  };
}

/** Merges two comparisons of the same work. */
export const joined = (a: Comparison, b: Comparison): Comparison =>
  compare({
    steps: a.steps,
    ours: [...a.oursMsPerPair, ...b.oursMsPerPair],
    theirs: [...a.theirsMsPerPair, ...b.theirsMsPerPair],
  });

export const summary = (values: readonly number[]): Summary => ({
  min: micros(Math.min(...values)),
  median: micros(median(values)),
});

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The quantile, linearly interpolated. Throws RangeError without values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('quantile: there are no values');
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

/** Rounds to microseconds, the resolution of the clock. */
export const micros = (ms: number): number => Math.round(ms * 1000) / 1000;

/** Three significant digits, or two for a value below 0.01. */
export function short(value: number): string {
  if (value > 0 && value < 0.01) return value.toPrecision(2);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** A text table. The first `left` columns are aligned left, the others right. */
export function table(head: readonly string[], rows: readonly (readonly string[])[], left = 1): string {
  const widths = head.map((_, i) => Math.max(...[head, ...rows].map((row) => row[i].length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, i) => (i < left ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
