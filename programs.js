// Programs that the build runs, on every system: which module Node was started with, and calls of Node and npm.
import { execFileSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Whether Node was started with a module. Its own path is as it was typed: through links, for instance /tmp of macOS, and on Windows
 * with any case. The URL of a module is that of the real file.
 * @param {string} url `import.meta.url`
 */
export function isMain(url) {
  const started = process.argv[1];
  if (started === undefined) return false;
  return real(started) === real(fileURLToPath(url));
}

/** @param {string} path */
function real(path) {
  try {
    return realpathSync.native(path);
  } catch {
    return path; // what a runner of tests starts need not be a file
  }
}

/**
 * The arguments of `execFileSync` for npm, which on Windows is a script of a shell.
 * @param {readonly string[]} args
 * @param {string} cwd
 * @param {string} platform
 * @returns {[command: string, args: readonly string[], options: { cwd: string, stdio: 'inherit', shell: boolean }]}
 */
export function npmCall(args, cwd, platform = process.platform) {
  const shell = platform === 'win32';
  // Node joins the words without quotes.
  const words = shell
    ? args.map((arg) => (/[\s"]/.test(arg) ? `"${arg.replaceAll('"', '\\"')}"` : arg))
    : args;
  return ['npm', words, { cwd, stdio: 'inherit', shell }];
}

/** @param {readonly string[]} args @param {string} cwd */
export function runNpm(args, cwd) {
  execFileSync(...npmCall(args, cwd));
}

/**
 * Runs this Node, never through a shell: its path may have spaces, as in C:\Program Files.
 * @param {readonly string[]} args
 * @param {string} cwd
 */
export function runNode(args, cwd) {
  execFileSync(process.execPath, args, { cwd, stdio: 'inherit' });
}
