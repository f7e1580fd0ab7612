// The thread team in processes of their own, under the conditions of the soak test: more threads than cores, one core, a loaded machine, and
// processes that are stopped and continued.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { isLong, LONG } from '../forms.ts';
import { buildSources } from '../setup/build.ts';
import {
  CONDITIONS,
  faultsUnder,
  KINDS,
  undisturbed,
  type Condition,
  type Kind,
} from '../stress/soak/threads.ts';

const team = join(buildSources(), 'test', 'stress', 'soak', 'team.js');

let expected: Readonly<Record<Kind, string>>;
beforeAll(async () => {
  expected = await undisturbed(team);
}, 120_000);

it('the results with one thread are digests and a loss', () => {
  expect(expected.train).toMatch(/^[0-9a-f]{64}$/);
  expect(expected.sort).toMatch(/^[0-9a-f]{64}$/);
  expect(Number(expected.evaluate)).toBeGreaterThan(0);
});

/** What the short form runs: conditions by name, and the work that is most sensitive to each. */
const SHORT: Readonly<Record<string, Kind>> = {
  'cores + 1 threads': 'sort',
  '2 × cores threads': 'train',
  'one core': 'train',
  'stopped and continued': 'train',
  'stopped and continued, 2 × cores threads': 'train',
};

const faults = (condition: Condition, kinds: readonly Kind[]): Promise<readonly string[]> =>
  faultsUnder(team, condition, expected, kinds, 1);

const reasonOf = ({ missing }: Condition): string => (missing === undefined ? '' : ` (${missing})`);

describe('a process has the bytes of one thread', () => {
  for (const condition of CONDITIONS) {
    const { name, missing } = condition;
    if (!Object.hasOwn(SHORT, name)) continue;
    it.skipIf(missing)(`${name}${reasonOf(condition)}`, async () => {
      expect(await faults(condition, [SHORT[name]])).toEqual([]);
    });
  }
});

describe.runIf(isLong)(`every kind of work under every condition (${LONG})`, () => {
  for (const condition of CONDITIONS) {
    it.skipIf(condition.missing)(
      `${condition.name}${reasonOf(condition)}`,
      async () => {
        expect(await faults(condition, KINDS)).toEqual([]);
      },
      180_000,
    );
  }
});
