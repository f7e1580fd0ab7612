/** The declarations of the public entries compile where only the dependencies of the package are installed, without skipLibCheck. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, expect, it } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-declarations-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>;
}

const tsc = async (...args: readonly string[]): Promise<string> => {
  const program = resolve('node_modules/.bin/tsc');
  return promisify(execFile)(program, args, { cwd: process.cwd() }).then(
    ({ stdout }) => stdout,
    (error: { readonly stdout: string }) => error.stdout,
  );
};

it('compile without skipLibCheck', { timeout: 180_000 }, async () => {
  const { dependencies, exports } = JSON.parse(readFileSync('package.json', 'utf8')) as Manifest;
  // Node's own types come from the user's project.
  for (const name of [...Object.keys(dependencies), '@types/node', 'undici-types']) {
    const link = join(folder, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(resolve('node_modules', name), link, 'junction');
  }
  const emit = ['-p', 'tsconfig.build.json', '--emitDeclarationOnly', '--outDir', join(folder, 'dist')];
  expect(await tsc(...emit)).toBe('');
  const entries = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [] : [entry.types]));
  expect(entries).toContain('./dist/engine/index.d.ts');
  const lines = entries.map((path) => `export type * from '${path.replace(/\.d\.ts$/, '.js')}';\n`);
  lines.forEach((line, i) => writeFileSync(join(folder, `entry${i}.ts`), line));
  const files = lines.map((_, i) => join(folder, `entry${i}.ts`));
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    'false',
    '--preserveSymlinks',
    '--types',
    'node',
  ];
  expect(
    await tsc(
      ...files,
      '--ignoreConfig',
      '--module',
      'nodenext',
      '--target',
      'es2023',
      ...options,
      '--typeRoots',
      join(folder, 'node_modules/@types'),
    ),
  ).toBe('');
});
