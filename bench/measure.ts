/** Timing of two things against each other, and numbers made of times. Knows nothing of what is timed. */

/** Something whose steps are timed, here or in another process. */
export interface Arm {
  readonly name: string;
  /** Does `skip` steps that do not count, then `count` that do, and returns their times in milliseconds. */
  turn(skip: number, count: number): Promise<readonly number[]>;
}

export interface PairOptions {
  readonly pairs: number;
  /** Steps of each turn that count. */
  readonly steps: number;
  /** Steps before them, which wake sleeping threads and fill caches again. Default 1. */
  readonly skip?: number;
  /** Rest between turns in milliseconds, in which spinning threads fall asleep: OpenBLAS's after 20. Default 30. */
  readonly pauseMs?: number;
}

/** Turns of both arms, one after the other. A pair's time is the mean over the steps of a turn. */
export interface Pairs {
  readonly steps: number;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
}

/** What pairs come to. Ratios are our time over theirs: below 1 we are faster. */
export interface Comparison {
  readonly pairs: number;
  /** Steps of a turn. */
  readonly steps: number;
  readonly oursMs: Summary;
  readonly theirsMs: Summary;
  /** The median over pairs of the ratio of each pair: what slows both for a while drops out. */
  readonly ratio: number;
  /** Its lower and upper quartile. */
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

/** Turns of two arms. */
export async function alternate(ours: Arm, theirs: Arm, options: PairOptions): Promise<Pairs> {
  const [first, second] = await takeTurns([ours, theirs], options);
  return { steps: options.steps, ours: first, theirs: second };
}

/**
 * Runs `pairs` rounds, in each of which every arm has its turn. Who begins changes, and every other round goes backwards, as a turn
 * may find what the one before left. Returns the times of each arm.
 */
export async function takeTurns(arms: readonly Arm[], options: PairOptions): Promise<number[][]> {
  const { pairs, steps, skip = 1, pauseMs = 30 } = options;
  const times = arms.map((): number[] => []);
  for (let round = 0; round < pairs; round++) {
    const order = arms.map((_, i) => (i + (round >> 1)) % arms.length);
    for (const who of round % 2 === 0 ? order : order.toReversed()) {
      await rest(pauseMs);
      const ms = await arms[who].turn(skip, steps);
      if (ms.length !== steps)
        throw new Error(
          `${arms[who].name}: ${steps} steps were to be timed, but ${ms.length} times came back`,
        );
      times[who].push(mean(ms));
    }
  }
  return times;
}

const rest = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Steps for a turn of about `ms` milliseconds, from the time of one. */
export function stepsFor(ms: number, stepMs: number): number {
  return Math.min(1000, Math.max(1, Math.round(ms / Math.max(stepMs, 1e-3))));
}

export function compare({ ours, theirs, steps }: Pairs): Comparison {
  if (ours.length !== theirs.length || ours.length === 0) {
    throw new RangeError(`compare: ${ours.length} and ${theirs.length} times are no pairs`);
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

/** Both comparisons of the same thing as one. */
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

/** Between neighbours, linear. Throws RangeError without values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('quantile: there are no values');
  const sorted = values.toSorted((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.ceil(at)] - sorted[low]) * (at - low);
}

/** Rounded to what the clock can tell. */
export const micros = (ms: number): number => Math.round(ms * 1000) / 1000;

/** Three digits that mean something; two of a small fraction. */
export function short(value: number): string {
  if (value > 0 && value < 0.01) return value.toPrecision(2);
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** Columns aligned: the first `left` of them at their left, the others at their right. */
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
