/** Code from documents as files in a temporary folder: its types are checked, and it runs in a folder without printing. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeEach, vi } from 'vitest';
import { entries } from '../../docs/reference/entries.js';
import { ROOT } from './pages.ts';

/** A line of a file, and its place in the document: `docs/gpu.md:12`. */
export interface Line {
  readonly text: string;
  readonly at: string;
}

/** A file, by its path in the temporary folder. */
export interface SourceFile {
  readonly path: string;
  readonly lines: readonly Line[];
}

/** A folder that exists until the tests have run. */
export function temporaryFolder(): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'cyclegrad-docs-')));
  afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

export function writeFiles(folder: string, files: readonly SourceFile[]): void {
  for (const { path, lines } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), lines.map(({ text }) => text).join('\n'));
  }
}

/** Stricter than the options of the repository. */
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

/** The type errors of files that were written to the folder, each with its place in the document. */
export async function typeErrors(folder: string, files: readonly SourceFile[]): Promise<string[]> {
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: files.map(({ path }) => path) }),
  );
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { stdout } = await promisify(execFile)(process.execPath, [tsc, '--pretty', 'false'], {
    cwd: folder,
    maxBuffer: 1 << 26,
  }).catch((error: { readonly stdout: string }) => error);
  // The compiler also reads the sources of the repository. Their errors do not count: they have other options.
  return [...stdout.matchAll(/^(?:([^\n(]+)\((\d+),\d+\): )?(error .*(?:\n .*)*)/gm)].flatMap(
    ([, path, line, message]) => {
      if (path === undefined) return [message];
      const at = files.findLast((one) => one.path === path)?.lines[Number(line) - 1]?.at;
      return at === undefined ? [] : [`${at}: ${message}`];
    },
  );
}

/** Runs each test of a suite in a folder. Returns what the current test has printed so far. */
export function runIn(folder: string): () => string {
  const before = process.cwd();
  let printed: string[] = [];
  beforeEach(() => {
    printed = [];
    process.chdir(folder);
    vi.spyOn(console, 'log').mockImplementation((...values) => void printed.push(values.join(' ')));
    // Progress bars wait until the stream has taken their text.
    vi.spyOn(process.stderr, 'write').mockImplementation((_, ...[encoding, done = encoding]: unknown[]) => {
      if (typeof done === 'function') done();
      return true;
    });
  });
  afterEach(() => {
    process.chdir(before);
    vi.restoreAllMocks();
  });
  return () => `${printed.join('\n')}\n`;
}
