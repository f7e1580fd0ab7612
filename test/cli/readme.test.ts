import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { run, testHost } from './fixture.ts';

it("the README's table has the options that train has", async () => {
  const host = await testHost();
  await run(host, 'train --help');
  const own = [...host.out().matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]);
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = readme.split('\n').filter((line) => line.startsWith('| `--'));
  const told = rows.flatMap((row) =>
    [...row.split(/(?<!\\)\|/)[1].matchAll(/`(--[\w-]+)/g)].map((match) => match[1]),
  );
  expect(told.sort()).toEqual(own.filter((name) => name !== '--help' && name !== '--version').sort());
});
