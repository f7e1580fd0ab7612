/** The tests have two forms: `npm test` is short, and with CYCLEGRAD_TESTS=all, as in continuous integration, it is long. */
import { cases } from './cases/index.ts';

export const isLong = process.env['CYCLEGRAD_TESTS'] === 'all';

/** Ends the name of a test that only the long form runs. */
export const LONG = 'CYCLEGRAD_TESTS=all runs it';

/** All cases but the first two of each operation, each with the reason why it is left out. */
export function allButTwo(reason: string): Readonly<Record<string, string>> {
  const seen = new Map<string, number>();
  const rest = cases.filter(({ name }) => {
    const operation = name.slice(0, name.indexOf(':'));
    const before = seen.get(operation) ?? 0;
    seen.set(operation, before + 1);
    return before >= 2;
  });
  return Object.fromEntries(rest.map(({ name }) => [name, reason]));
}

/** Cases that the short form leaves out of suites that repeat what another suite computes. */
export const leftOut = (): Readonly<Record<string, string>> => (isLong ? {} : allButTwo(LONG));
