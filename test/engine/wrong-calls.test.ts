/**
 * Wrong calls from plain JavaScript: every function that the package exports is called with each argument and each option missing,
 * misspelled and replaced by a value of another kind. Each call throws one of our errors, or the table of its entry says that it is
 * accepted. The tables are in `wrong-calls/`; `npx vitest run test/engine/wrong-calls.test.ts -u` writes them.
 */
import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Tensor, tensor } from 'cyclegrad';
import { entries } from '../../docs/reference/entries.js';
import { complaint, lineOf, outcomeOf, tableOf, wrongCalls } from './wrong-calls/derive.ts';
import { dir, table } from './wrong-calls/rows.ts';

const cwd = process.cwd();
const { stackTraceLimit } = Error;
type Call = (...args: readonly unknown[]) => unknown;

// A wrong path is relative to the working folder. Thousands of stacks would take seconds.
beforeAll(() => {
  process.chdir(dir);
  Error.stackTraceLimit = 0;
});
afterAll(() => {
  Error.stackTraceLimit = stackTraceLimit;
  process.chdir(cwd);
  rmSync(dir, { recursive: true, force: true });
});

const isClass = (value: unknown): boolean => /^class\b/.test(String(value));

/** A member of a module by its path: 'init.normal'. */
const memberOf = (module: unknown, path: string): unknown =>
  path.split('.').reduce((at, name) => (at as Readonly<Record<string, unknown>>)[name], module);

const file = (entry: string): string => `./wrong-calls/${entry.replace('cyclegrad/', '')}.txt`;

it('has a table for every entry', () => {
  expect(Object.keys(table).sort()).toEqual(entries.map(({ name }) => name).sort());
});

describe.each(Object.entries(table))('%s', (entry, rows) => {
  it('has a row for every function', async () => {
    const module = (await import(entry)) as Readonly<Record<string, unknown>>;
    const init = Object.entries(module['init'] ?? {}).map(
      ([name, member]) => [`init.${name}`, member] as const,
    );
    const functions = [...Object.entries(module), ...init].flatMap(([name, member]) =>
      typeof member === 'function' && !isClass(member) ? [name] : [],
    );
    // `init.zeros` and `init.ones` are initializers: training calls them, not people.
    const expected = functions.filter((name) => !['init.zeros', 'init.ones'].includes(name));
    expect(
      Object.keys(rows)
        .filter((name) => name !== 'Evaluator')
        .sort(),
    ).toEqual(expected.sort());
  });

  it('answers each wrong call as its table says', { timeout: 120_000 }, async () => {
    const module: unknown = await import(entry);
    const complaints: string[] = [];
    const sections: string[] = [];
    for (const [name, row] of Object.entries(rows)) {
      const call = (row.call ?? memberOf(module, name)) as Call;
      if (row.skip?.['right'] === undefined) {
        const { error } = await outcomeOf(() => call(...row.args));
        if (error !== null) complaints.push(`${name}: the right call fails: ${(error as Error).message}`);
      }
      const lines: { at: string; what: string; line: string }[] = [];
      for (const wrong of wrongCalls(row)) {
        if (row.skip?.[wrong.what === 'missing' ? wrong.at : `${wrong.at} ${wrong.what}`] !== undefined)
          continue;
        const outcome = await outcomeOf(() => call(...wrong.args));
        const why = complaint(name, row.places ?? [], outcome, wrong);
        if (why !== null) complaints.push(`${name} ${wrong.at} ${wrong.what}: ${why}`);
        lines.push({
          at: wrong.at,
          what: wrong.what,
          line: lineOf(outcome, wrong).replaceAll(dir, '<folder>'),
        });
      }
      sections.push(tableOf(name, lines));
    }
    expect(complaints).toEqual([]);
    await expect(sections.join('\n')).toMatchFileSnapshot(file(entry));
  });
});

it('methods of tensors refuse what their functions refuse', async () => {
  const methods = Tensor.prototype as unknown as Readonly<Record<string, Call>>;
  const rows = Object.entries(table['cyclegrad']).filter(([name]) => typeof methods[name] === 'function');
  expect(rows.length).toBeGreaterThan(80);
  const module = (await import('cyclegrad')) as unknown as Readonly<Record<string, Call>>;
  for (const [name, row] of rows) {
    const [first] = row.args;
    const self = first instanceof Tensor ? first : tensor(first as never);
    for (const { at, args } of wrongCalls(row)) {
      if (at === '0') continue;
      const rest = args.slice(1);
      const byMethod = await outcomeOf(() => methods[name].apply(self, [...rest]));
      const byFunction = await outcomeOf(() => module[name](self, ...rest));
      expect(byMethod.error).toEqual(byFunction.error);
    }
  }
});
