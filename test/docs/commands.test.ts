// Commands in README.md and on the pages of the site: each names a command that exists, with options that it has.
import { readdirSync } from 'node:fs';
import { afterEach, expect, it, vi } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { run, testHost } from '../cli/fixture.ts';
import { pages, ROOT } from './pages.ts';

interface Command {
  readonly at: string;
  readonly words: readonly string[];
}

/** The words of a command line. Quotes hold words together. */
const split = (line: string): string[] =>
  [...line.matchAll(/'[^']*'|"[^"]*"|\S+/g)].map(([word]) => word.replace(/^['"]|['"]$/g, ''));

/** The commands of this project in blocks of sh, and those that stand by themselves in text. */
const commands: readonly Command[] = pages.flatMap(({ path, blocks, prose }) => [
  ...blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ at, code }) =>
      code
        .replaceAll('\\\n', ' ')
        .split(/\n|&&|\|\|?|;/)
        .map((line) => ({ at, words: split(line.replace(/(^|\s)#.*$/, '')) })),
    ),
  ...prose.flatMap((line, index) =>
    [...line.matchAll(/`((?:npx )?cyclegrad [^`]*|npm (?:run |start|test)[^`]*)`/g)].map(([, text = '']) => ({
      at: `${path}:${index + 1}`,
      // Synopses: `cyclegrad data cifar10 [--data DIR]`.
      words: split(text.replace(/[[\]]/g, ' ')),
    })),
  ),
]);

afterEach(() => vi.restoreAllMocks());

/** What `--help` prints after the names of commands. */
type Help = (names: readonly string[]) => Promise<string>;

async function helpOfCyclegrad(names: readonly string[]): Promise<string> {
  const host = await testHost();
  await run(host, [...names, '--help'].join(' '));
  return host.out();
}

/** Of a program that runs when it is imported. */
const helpOf =
  (path: string): Help =>
  async (names) => {
    const { argv, exitCode } = process;
    let out = '';
    vi.resetModules();
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => Boolean((out += String(text))));
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    vi.spyOn(process, 'exit').mockImplementation(() => {
      throw new Error('the help has been printed');
    });
    process.argv = [process.execPath, path, ...names, '--help'];
    await import(ROOT + path).catch(() => undefined);
    process.argv = argv;
    process.exitCode = exitCode;
    vi.restoreAllMocks();
    return out;
  };

/** Scripts of package.json that take the words after `--`. */
const SCRIPTS: Readonly<Record<string, { readonly help: Help; readonly before: readonly string[] }>> = {
  start: { help: helpOfCyclegrad, before: ['train'] },
  bench: { help: helpOf('bench/main.ts'), before: [] },
  reproduce: { help: helpOf('bench/reproduce/main.ts'), before: [] },
};

/** The names that a help has under `Commands:`, or as choices of the first argument. */
function namesIn(help: string): Set<string> {
  const [, commands = ''] = /^Commands:\n((?: {2,}.*\n?)+)/m.exec(help) ?? [];
  const [, choices = ''] = /^Arguments:\n[^]*?\(choices: ([^)]*)\)[^]*^Options:/m.exec(help) ?? [];
  return new Set([
    ...[...commands.matchAll(/^ {2}([\w-]+)/gm)].map(([, name = '']) => name),
    ...[...choices.matchAll(/"([\w-]+)"/g)].map(([, name = '']) => name),
  ]);
}

/** What is wrong with the words after a program, or null. Words in capitals stand for others. */
async function complaint(help: Help, words: readonly string[]): Promise<string | null> {
  const path: string[] = [];
  let text = await help(path);
  for (const word of words) {
    const names = namesIn(text);
    if (names.size === 0 || word.startsWith('-') || /^[A-Z|]+$/.test(word)) break;
    if (!names.has(word)) return `'${word}' is none of ${[...names].join(', ')}`;
    if (!text.includes('Commands:')) break;
    path.push(word);
    text = await help(path);
  }
  const known = new Set(text.match(/--[a-z][\w-]*/g));
  const unknown = words.filter((word) => word.startsWith('--') && !known.has(word.split('=')[0] ?? word));
  return unknown.length === 0 ? null : `${path.join(' ')} has no ${unknown.join(', ')}`;
}

function complaintOfExample(name: string | undefined): string | null {
  const examples = readdirSync(`${ROOT}examples`).map((file) => file.replace(/\.ts$/, ''));
  return name === undefined || /^[A-Z]+$/.test(name) || examples.includes(name)
    ? null
    : `there is no example '${name}'`;
}

async function complaintOfNpm(words: readonly string[]): Promise<string | null> {
  const [verb = '', ...rest] = words.filter((word) => word !== '--silent');
  if (!['run', 'start', 'test'].includes(verb)) return null;
  const [name = '', ...after] = verb === 'run' ? rest : [verb, ...rest];
  if (!Object.hasOwn(manifest.scripts, name)) return `there is no script '${name}' in package.json`;
  const given = after[0] === '--' ? after.slice(1) : [];
  if (name === 'example') return complaintOfExample(given[0]);
  const script = SCRIPTS[name];
  return script === undefined ? null : complaint(script.help, [...script.before, ...given]);
}

/** Null for programs that are not ours, too. */
async function complaintOf([program, ...words]: readonly string[]): Promise<string | null> {
  if (program === 'npx') return complaintOf(words);
  if (program === 'cyclegrad') {
    const example = words[0] === 'example' ? complaintOfExample(words[1]) : null;
    return example ?? complaint(helpOfCyclegrad, words);
  }
  if (program === 'npm') return complaintOfNpm(words);
  if (program === 'node' && words[0] === 'dist/cli/main.js')
    return complaint(helpOfCyclegrad, words.slice(1));
  return null;
}

const ours = commands.filter(({ words: [program = ''] }) => /^(cyclegrad|node|npm|npx)$/.test(program));

it.each(ours.map(({ at, words }) => [`${at}: ${words.join(' ')}`, words] as const))(
  '%s',
  async (_, words) => {
    expect(await complaintOf(words)).toBeNull();
  },
);
