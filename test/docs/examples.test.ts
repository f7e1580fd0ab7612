// The examples in the docstrings of everything that the package exports: they have right types, they run, and the values that their
// comments state are right. docs/README.md documents the convention, prelude.ts what examples use without declaring it.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exampleModules, examplesIn, expectShown } from './examples.ts';
import { runIn, temporaryFolder, typeErrors, writeFiles } from './programs.ts';
import { shortenTraining } from './stand-ins.ts';

shortenTraining();

const temporary = temporaryFolder();
const modules = exampleModules(temporary);
writeFiles(temporary, modules);
/** The working folder of the examples. */
const folder = join(temporary, 'files');
mkdirSync(folder);

it('have right types', async () => {
  expect(await typeErrors(temporary, modules)).toEqual([]);
});

describe.each(modules)('$source', ({ path, examples }) => {
  runIn(folder);
  it.each(examples)('$at', async ({ name }) => {
    const url = pathToFileURL(join(temporary, path)).href;
    const module = (await import(url)) as Readonly<Record<string, () => Promise<void>>>;
    await expect(module[name]()).resolves.toBeUndefined();
  });
});

describe('the convention', () => {
  it('takes the text after the tag, up to the next tag or the end', () => {
    const text = [
      '/** One. */',
      'const a = 1;',
      '/**',
      ' * Two.',
      ' *',
      ' * @example f(1) // 2',
      ' * @example',
      ' * const a = 1;',
      ' * g(a)',
      ' * @throws nothing',
      ' */',
      '/** @example h() */',
    ].join('\n');
    const found = examplesIn('a.ts', text).map(({ at, lines }) => [at, lines.map((line) => line.text)]);
    expect(found).toEqual([
      ['a.ts:6', ['f(1) // 2']],
      ['a.ts:7', ['', 'const a = 1;', 'g(a)']],
      ['a.ts:12', ['h()']],
    ]);
  });

  it.each([
    [1 / 3, '0.333', '0.334'],
    [2, '2', '3'],
    [2.4, '2.4', '2'],
    [8e-5, '0.00008', '7e-5'],
    [[Float32Array.of(0.1, -0.2)], '[[0.1, -0.2]]', '[[0.1, 0.2]]'],
    [
      { base: 0.002, reason: 'done', best: null },
      "{ base: 0.002, reason: 'done', best: null }",
      '{ base: 0.002 }',
    ],
    [-Infinity, '-Infinity', 'NaN'],
  ])('compares %j to the digits shown', async (value, right, wrong) => {
    await expectShown(value, right);
    await expect(expectShown(value, wrong)).rejects.toThrow(/to (deeply )?equal/);
  });
});
