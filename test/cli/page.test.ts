import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { run, testHost } from './fixture.ts';

/** The sections of docs/cli.md by their anchors. */
const sections = new Map<string, string>();
for (const part of readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8').split(
  /^(?=#{2,3} )/m,
)) {
  const [heading] = part.split('\n', 1);
  const anchor =
    /\{#([\w-]+)\}/.exec(heading)?.[1] ?? heading.replace(/^#+ /, '').toLowerCase().replaceAll(' ', '-');
  sections.set(anchor, part);
}

/** The options in the tables of a section and of the shared sections that it takes. */
function optionsOf(anchor: string): string[] {
  const text = sections.get(anchor)!;
  const [, taken = ''] = /^It also takes ([^]*?)\.$/m.exec(text) ?? [];
  const shared = [...taken.matchAll(/\(#([\w-]+)\)/g)].flatMap(([, other]) => optionsOf(other));
  const rows = text.split('\n').filter((line) => line.startsWith('| `--'));
  return [...rows.map((row) => /--[\w-]+/.exec(row)![0]), ...shared];
}

const NAMES = [
  'train',
  'evaluate',
  'predict',
  'export',
  'ui',
  'find-lr',
  'schedule',
  'profile',
  'data',
  'doctor',
  'example',
];
/** `train` has a section for images and one for CIFAR-10. */
const sectionsOf = (name: string): readonly string[] =>
  name === 'train' ? ['cyclegrad-train', 'cyclegrad-train-path'] : [`cyclegrad-${name}`];

it.each(NAMES)('docs/cli.md has the options of %s', async (name) => {
  const host = await testHost();
  await run(host, name === 'data' ? 'data cifar10 --help' : `${name} --help`);
  const [own] = host.out().split('Global Options:');
  const options = [...own.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]
    .map((match) => match[1])
    .filter((option) => option !== '--help');
  const documented = new Set(sectionsOf(name).flatMap(optionsOf));
  expect([...documented].sort()).toEqual(options.sort());
});

it('docs/cli.md has every command', async () => {
  const host = await testHost();
  await run(host, '--help');
  const [, commands] = host.out().split('Commands:');
  const names = [...commands.matchAll(/^ {2}([\w-]+)/gm)].map((match) => match[1]);
  expect(names.filter((name) => name !== 'help').sort()).toEqual([...NAMES].sort());
});
