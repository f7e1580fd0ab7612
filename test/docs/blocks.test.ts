// The code in README.md and on the pages of the site: all of it has right types, and all of it runs as it is shown. The blocks of a
// page run in order in one folder. docs/README.md says what a fence may say about its block.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { entries } from '../../docs/reference/entries.js';
import type * as Engine from 'cyclegrad';
import * as schedulers from 'cyclegrad/schedulers';
import { pages, ROOT, type Page } from './pages.ts';
import { cifar10, standIns, writePictures } from './stand-ins.ts';

/** Blocks that do not run, each with its reason. This number only falls. */
const NOT_RUN = 0;

vi.doMock('cyclegrad', async (load) => {
  const engine = await load<typeof Engine>();
  return { ...engine, ...standIns(engine) };
});
vi.doMock('../../datasets/index.ts', async (load) => ({ ...(await load<object>()), cifar10 }));

/** One file: a block, with those that continue it. */
interface Program {
  readonly at: string;
  readonly file: string;
  readonly kind: 'run' | 'schedule' | 'no-run';
  /** Of each line, the place in the page. */
  readonly lines: { readonly text: string; readonly at: string }[];
  /** What the block of output below it shows. */
  output: string | null;
}

/** What may be said after `ts` or `js`. docs/README.md explains it. */
const INFO = /^(?:|continued|schedule steps=\d+|no-run: .+)$/;

function programsOf({ blocks }: Page): Program[] {
  const programs: Program[] = [];
  for (const { at, language, info, code } of blocks) {
    const last = programs.at(-1);
    if (language === 'text' && info === 'output') {
      if (last === undefined) throw new Error(`${at}: an output needs a block of code before it`);
      last.output = code;
    }
    if (language !== 'ts' && language !== 'js') continue;
    if (!INFO.test(info)) {
      throw new Error(`${at}: '${info}' is not known after a fence (docs/README.md lists what is)`);
    }
    const [page, line] = at.split(':');
    const lines = code.split('\n').map((text, i) => ({ text, at: `${page}:${Number(line) + 1 + i}` }));
    if (info === 'continued') {
      if (last === undefined) throw new Error(`${at}: a continued block needs a block before it`);
      last.lines.push(...lines);
      continue;
    }
    const file = /^\/\/ file: (\S+)\n/.exec(code)?.[1] ?? `line-${line}.${language}`;
    if (info.startsWith('schedule')) {
      const expression = code.trimEnd().replace(/;$/, '').split('\n');
      const text = [...moduleHead(code), ...expression, ');'];
      programs.push({
        at,
        file,
        kind: 'schedule',
        lines: text.map((one) => ({ text: one, at })),
        output: null,
      });
    } else {
      programs.push({ at, file, kind: info === '' ? 'run' : 'no-run', lines, output: null });
    }
  }
  return programs;
}

/** What makes a module of an expression with schedules. */
function moduleHead(code: string): string[] {
  const names = Object.keys(schedulers).filter((name) => new RegExp(`\\b${name}\\(`).test(code));
  return [
    `import { asSchedule, ${names.join(', ')} } from 'cyclegrad/schedulers';`,
    'export default asSchedule(',
  ];
}

const temporary = realpathSync(mkdtempSync(join(tmpdir(), 'cyclegrad-docs-')));
afterAll(() => rmSync(temporary, { recursive: true, force: true, maxRetries: 3 }));

const runs = pages.map((page) => {
  const folder = page.path.replace(/\W+/g, '-');
  mkdirSync(join(temporary, folder));
  const programs = programsOf(page);
  for (const { file, lines } of programs) {
    writeFileSync(join(temporary, folder, file), lines.map(({ text }) => text).join('\n'));
  }
  return { path: page.path, folder, programs };
});

/** Stricter than the repository is with itself. */
const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2024', 'dom'],
  module: 'nodenext',
  noEmit: true,
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  noImplicitOverride: true,
  noImplicitReturns: true,
  noFallthroughCasesInSwitch: true,
  verbatimModuleSyntax: true,
  isolatedModules: true,
  moduleDetection: 'force',
  allowImportingTsExtensions: true,
  allowJs: true,
  checkJs: true,
  skipLibCheck: true,
  types: ['node'],
  typeRoots: [join(ROOT, 'node_modules/@types')],
  paths: Object.fromEntries(entries.map(({ name, source }) => [name, [join(ROOT, source)]])),
};

it('has right types', async () => {
  const files = runs.flatMap(({ folder, programs }) => programs.map(({ file }) => `${folder}/${file}`));
  writeFileSync(join(temporary, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(temporary, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files }),
  );
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '--pretty', 'false'], {
    cwd: temporary,
    maxBuffer: 1 << 26,
  }).catch((error: { readonly stdout: string }) => error);
  const errors = stdout.matchAll(/^([\w-]+)\/([\w.-]+)\((\d+),\d+\): (error .*(?:\n .*)*)/gm);
  // The sources are compiled along, under options that are not theirs: their errors are no matter here.
  const found = [...errors].flatMap(([, folder, file, line, message]) => {
    const programs = runs.find((run) => run.folder === folder)?.programs ?? [];
    const program = programs.findLast((one) => one.file === file);
    return program === undefined ? [] : [`${program.lines[Number(line) - 1]?.at}: ${message}`];
  });
  expect(found).toEqual([]);
  expect(stdout).not.toMatch(/^error/m);
});

describe.each(runs.filter(({ programs }) => programs.length > 0))('$path', ({ folder, programs }) => {
  const dir = join(temporary, folder);
  const before = process.cwd();
  let printed: string[] = [];
  beforeAll(() => writePictures(dir));
  beforeEach(() => {
    printed = [];
    process.chdir(dir);
    vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(values.join(' ')));
    // Progress bars wait until what they write is written.
    vi.spyOn(process.stderr, 'write').mockImplementation((_, ...[encoding, done = encoding]: unknown[]) => {
      if (typeof done === 'function') done();
      return true;
    });
  });
  afterEach(() => {
    process.chdir(before);
    vi.restoreAllMocks();
  });

  it.each(programs.filter(({ kind }) => kind !== 'no-run'))('$at', async ({ file, kind, output }) => {
    const module = (await import(pathToFileURL(join(dir, file)).href)) as { readonly default?: unknown };
    const shown = `${printed.join('\n')}\n`;
    expect({ isSchedule: schedulers.isSchedule(module.default), shown }).toEqual({
      isSchedule: kind === 'schedule',
      shown: output ?? shown,
    });
  });
});

it('runs nearly all blocks', () => {
  const left = runs.flatMap(({ programs }) => programs.filter(({ kind }) => kind === 'no-run'));
  expect(left.slice(NOT_RUN).map(({ at }) => at)).toEqual([]);
});

it('draws every kind of schedule in the gallery', () => {
  const drawn = runs
    .flatMap(({ programs }) => programs.filter(({ kind }) => kind === 'schedule'))
    .map(({ lines }) => lines.map(({ text }) => text).join('\n'))
    .join('\n');
  expect(schedulers.scheduleKinds.filter((kind) => !drawn.includes(`${kind}(`))).toEqual([]);
});
