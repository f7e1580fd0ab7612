/** Runs cases in order, while PyTorch computes the next ones. */
import { begin, type Outcome, type Pending, type Target } from './check.ts';
import type { Case } from './case.ts';
import { drawCase, FAMILIES, type Family } from './draw.ts';
import { Report } from './report.ts';
import type { Torch } from './torch.ts';

export interface RunOptions {
  readonly cases: number;
  readonly seed: number;
  /** The number of the only case to run, on all backends. */
  readonly only?: number;
  readonly family?: Family;
  /** Stop after so many failed cases. */
  readonly stopAfter: number;
  /** Gets failures and progress as they come. */
  readonly print: (text: string) => void;
}

/** Cases that PyTorch computes while this process compares others. */
const AHEAD = 6;

export async function runCases(
  options: RunOptions,
  torch: Torch,
  targets: readonly Target[],
): Promise<Report> {
  const report = new Report(options.seed, options.family, options.print);
  const { only, seed } = options;
  const [first, end] = only === undefined ? [0, options.cases] : [only, only + 1];
  const chosen = options.family === undefined ? FAMILIES : [options.family];
  const ahead: { readonly number: number; readonly pending: Pending }[] = [];
  let next = first;
  while (next < end || ahead.length > 0) {
    while (next < end && ahead.length < AHEAD) {
      const number = next++;
      ahead.push({
        number,
        pending: started(drawCase(seed, number, chosen), only === undefined ? number : 0, torch),
      });
    }
    const { number, pending } = ahead.shift()!;
    // oxlint-disable-next-line no-await-in-loop -- one case after the other
    report.add(number, pending.item, await outcomeOf(pending, targets));
    if (report.failures.length >= options.stopAfter) break;
  }
  await Promise.allSettled(ahead.map(({ pending }) => pending.finish([])));
  return report;
}

/** As `begin`. A graph that throws while it is built is a failure of its case. */
function started(item: Case, number: number, torch: Torch): Pending {
  try {
    return begin(item, number, torch);
  } catch (error) {
    return { item, finish: () => Promise.reject(error) };
  }
}

/** A case that throws has failed. */
async function outcomeOf(pending: Pending, targets: readonly Target[]): Promise<Outcome> {
  try {
    return await pending.finish(targets);
  } catch (error) {
    const failure = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    return { comparisons: 0, worst: Infinity, unjudged: 0, failures: [failure] };
  }
}
