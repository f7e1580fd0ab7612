// The code in README.md and on the pages of the site has right types and runs as shown. The blocks of a page run in order in one
// folder. docs/README.md explains the words after a fence.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import * as schedulers from 'cyclegrad/schedulers';
import { pages, type Page } from './pages.ts';
import { runIn, temporaryFolder, typeErrors, writeFiles, type Line } from './programs.ts';
import { shortenTraining, standInWorkers, writePictures } from './stand-ins.ts';

/** Blocks that do not run, each with its reason. This number only falls. */
const NOT_RUN = 0;

shortenTraining();
standInWorkers();

/** One file: a block, with those that continue it. */
interface Program {
  readonly at: string;
  /** Its path in the temporary folder. */
  readonly path: string;
  readonly kind: 'run' | 'schedule' | 'no-run';
  readonly lines: Line[];
  /** What the block of output below it shows. */
  output: string | null;
}

/** The words after `ts` or `js`. docs/README.md explains them. */
const INFO = /^(?:|continued|schedule steps=\d+|no-run: .+)$/;

function programsOf({ blocks }: Page, folder: string): Program[] {
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
    const path = `${folder}/${/^\/\/ file: (\S+)\n/.exec(code)?.[1] ?? `line-${line}.${language}`}`;
    if (info.startsWith('schedule')) {
      const expression = code.trimEnd().replace(/;$/, '').split('\n');
      const text = [...moduleHead(code), ...expression, ');'];
      programs.push({
        at,
        path,
        kind: 'schedule',
        lines: text.map((one) => ({ text: one, at })),
        output: null,
      });
    } else {
      programs.push({ at, path, kind: info === '' ? 'run' : 'no-run', lines, output: null });
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

const temporary = temporaryFolder();
const runs = pages.map((page) => {
  const folder = page.path.replace(/\W+/g, '-');
  return { path: page.path, folder, programs: programsOf(page, folder) };
});
const all = runs.flatMap(({ programs }) => programs);
writeFiles(temporary, all);

it('has right types', async () => {
  expect(await typeErrors(temporary, all)).toEqual([]);
});

describe.each(runs.filter(({ programs }) => programs.length > 0))('$path', ({ folder, programs }) => {
  const dir = join(temporary, folder);
  const printed = runIn(dir);
  beforeAll(() => writePictures(dir));

  it.each(programs.filter(({ kind }) => kind !== 'no-run'))('$at', async ({ path, kind, output }) => {
    const url = pathToFileURL(join(temporary, path)).href;
    const module = (await import(url)) as { readonly default?: unknown };
    const shown = printed();
    expect({ isSchedule: schedulers.isSchedule(module.default), shown }).toEqual({
      isSchedule: kind === 'schedule',
      shown: output ?? shown,
    });
  });
});

it('runs nearly all blocks', () => {
  const left = all.filter(({ kind }) => kind === 'no-run');
  expect(left.slice(NOT_RUN).map(({ at }) => at)).toEqual([]);
});

it('draws every kind of schedule in the gallery', () => {
  const drawn = all
    .filter(({ kind }) => kind === 'schedule')
    .map(({ lines }) => lines.map(({ text }) => text).join('\n'))
    .join('\n');
  expect(schedulers.scheduleKinds.filter((kind) => !drawn.includes(`${kind}(`))).toEqual([]);
});
