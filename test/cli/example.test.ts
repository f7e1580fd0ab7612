import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { writeExamples } from '../../bundle.js';
import { entries } from '../../docs/reference/entries.js';
import { buildSources } from '../setup/build.ts';
import { run, tempDir, testHost, type TestHost } from './fixture.ts';

const built = buildSources();
const examples = join(built, 'shipped-examples');
const sources = fileURLToPath(new URL('../../examples', import.meta.url));

beforeAll(async () => {
  await writeExamples(examples);
  // The built sources as an installed package.
  const entries = { '.': 'engine', './nn': 'engine/nn', './tools': 'engine/tools' };
  const others = ['optim', 'schedulers', 'datasets'].map((name) => [`./${name}`, name]);
  const exported = [...Object.entries(entries), ...others].map(([name, folder]) => [
    name,
    `./${folder}/index.js`,
  ]);
  writeFileSync(
    join(built, 'package.json'),
    JSON.stringify({
      name: 'cyclegrad',
      version: '1.2.3',
      type: 'module',
      exports: Object.fromEntries(exported) as object,
    }),
  );
});

async function exampleHost(): Promise<TestHost> {
  const cwd = await tempDir();
  mkdirSync(join(cwd, 'node_modules'));
  symlinkSync(built, join(cwd, 'node_modules', 'cyclegrad'), 'junction');
  return testHost({ cwd, examples });
}

describe('shipped examples', () => {
  const names = readdirSync(sources)
    .filter((file) => file.endsWith('.ts') && file !== 'run.ts')
    .map((file) => file.replace(/\.ts$/, ''));

  it.each(names)('%s imports public names only, and keeps comments and blank lines', (name) => {
    const source = readFileSync(join(sources, `${name}.ts`), 'utf8');
    const text = readFileSync(join(examples, `${name}.mjs`), 'utf8');
    const imported = [...text.matchAll(/^import .* from '(.*)';$|^} from '(.*)';$/gm)].map(
      ([, one, other]) => one ?? other,
    );
    expect(imported.length).toBeGreaterThan(0);
    // sharp is a dependency of the package.
    const known = ['sharp', ...entries.map((entry) => entry.name)];
    expect(imported.filter((path) => !/^node:\w+$/.test(path) && !known.includes(path))).toEqual([]);
    const comments = (code: string): number => code.match(/^ *(\/\/|\/\*\*| \*)/gm)!.length;
    const blanks = (code: string): number => code.match(/\n\n/g)!.length;
    expect([comments(text), blanks(text)]).toEqual([comments(source), blanks(source)]);
    expect(text).not.toContain('//blank');
  });

  it.each(names)('%s begins with a description of one line', (name) => {
    const [first] = readFileSync(join(examples, `${name}.mjs`), 'utf8').split('\n', 1);
    expect(first).toMatch(/^\/\/ [A-Z].{20,120}\.$/);
  });
});

it('lists the examples, one line each', async () => {
  const host = await exampleHost();
  expect(await run(host, 'example')).toBe(0);
  const lines = host.out().split('\n');
  expect(lines.filter((line) => line.startsWith('  '))).toHaveLength(readdirSync(examples).length);
  expect(host.out()).toMatch(/^ {2}mlp {2,}A multilayer perceptron/m);
  expect(host.out()).toContain('node main.js example NAME writes one into the current folder.');
});

it('writes an example, prints the command that runs it, and overwrites nothing', async () => {
  const host = await exampleHost();
  expect(await run(host, 'example explore')).toBe(0);
  expect(host.out()).toBe('node explore.mjs\n');
  expect(host.err()).toBe('wrote explore.mjs\n');
  const path = join(host.cwd, 'explore.mjs');
  expect(readFileSync(path, 'utf8')).toBe(readFileSync(join(examples, 'explore.mjs'), 'utf8'));
  writeFileSync(path, '// mine\n');
  expect(await run(host, 'example explore --run')).toBe(2);
  expect(host.err()).toContain(
    'error: explore.mjs already exists in this folder (rename or delete it first)\n',
  );
  expect(readFileSync(path, 'utf8')).toBe('// mine\n');
});

it.each([
  ['mpl', 'did you mean mlp? '],
  ['resdual', 'did you mean residual? '],
  ['trans', 'did you mean transfer? '],
  ['custom', ''],
  ['zebra', ''],
])('does not know %s', async (name, hint) => {
  const host = await exampleHost();
  expect(await run(host, `example ${name}`)).toBe(2);
  expect(host.err()).toBe(
    `error: there is no example '${name}' (${hint}node main.js example lists the examples)\n`,
  );
  expect(readdirSync(host.cwd)).toEqual(['node_modules']);
});

it('rejects arguments that would not be used', async () => {
  const host = await exampleHost();
  expect(await run(host, 'example mlp 100')).toBe(2);
  expect(host.err()).toContain('error: 100: arguments of an example are only used with --run\n');
  expect(await run(host, 'example --run')).toBe(2);
  expect(host.err()).toContain('error: --run: pass the name of an example\n');
});

it('names the package where it is not installed, and does not run then', async () => {
  const host = await testHost({ examples });
  expect(await run(host, 'example explore')).toBe(0);
  expect(host.err()).toContain(
    'cyclegrad is not installed in this folder; install it first:\n  npm install cyclegrad\n',
  );
  const other = await testHost({ examples });
  expect(await run(other, 'example explore --run')).toBe(1);
  expect(other.err()).toContain('error: explore.mjs cannot run without cyclegrad in its folder\n');
});

it('--run runs it with its arguments, and ends with its exit status', async () => {
  const host = await exampleHost();
  expect(await run(host, 'example logistic 5 --run')).toBe(0);
  expect(host.err()).toContain('wrote logistic.mjs\nnode logistic.mjs 5\n');
  const failing = await tempDir();
  writeFileSync(join(failing, 'failing.mjs'), '// An example that fails.\nprocess.exitCode = 3;\n');
  const other = await exampleHost();
  expect(await run({ ...other, examples: failing }, 'example failing --run')).toBe(3);
});
