/** The interface of the command to its process. Tests pass their own. */
import nodePath, { type PlatformPath } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { cifar10 } from '../datasets/index.ts';
import { runtime } from './version.ts';
import { diagnoseGpuApart, type GpuDiagnosis } from './probe.ts';

export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Host {
  /** Results. With --json, events only. */
  readonly stdout: Output;
  /** All other output for people. */
  readonly stderr: Output;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The shell command that runs a subcommand, for instance `npx cyclegrad train`. */
  command(subcommand: string): string;
  /** Calls the listener for every signal to stop. Returns a function that removes it. */
  onStop(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once, as if the signal had ended it. */
  quit(signal: StopSignal): void;
  readonly cifar10: typeof cifar10;
  /** Tries the GPU backend. */
  readonly diagnoseGpu: () => Promise<GpuDiagnosis>;
  /** The folder of the examples as JavaScript. */
  readonly examples: string;
  /** The folder of the packaged engine for browsers. */
  readonly browserBuild: string;
}

/**
 * The signals that stop a command gracefully. SIGHUP comes when a terminal or a connection closes. Others keep the behavior of Node:
 * SIGQUIT and SIGUSR2 end the process at once, SIGUSR1 opens the debugger.
 */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** The exit status of a process that a signal ended, as shells report it. */
export const EXIT_CODES = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
} as const satisfies Record<StopSignal, number>;

const STOP_SIGNALS = Object.keys(EXIT_CODES) as StopSignal[];

/** This process. */
export function processHost(): Host {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    cwd: process.cwd(),
    env: process.env,
    command: (subcommand) => commandFor(subcommand, process.argv[1] ?? '', process.cwd(), process.env),
    onStop(listener) {
      const listeners = STOP_SIGNALS.map((signal) => {
        const handler = (): void => listener(signal);
        process.on(signal, handler);
        return () => void process.off(signal, handler);
      });
      return () => listeners.forEach((off) => off());
    },
    quit(signal) {
      // Not process.exit(), which waits for calls of the file system, and such a call may be what hangs.
      process.removeAllListeners(signal);
      process.kill(process.pid, endingSignal(signal));
    },
    cifar10,
    diagnoseGpu: diagnoseGpuApart,
    examples: fileURLToPath(new URL('../examples', import.meta.url)),
    browserBuild: fileURLToPath(new URL('../lib/browser', import.meta.url)),
  };
}

/** The signal that ends a process like `signal`. Windows has no SIGHUP to send: it throws ENOSYS. */
export const endingSignal = (signal: StopSignal, platform: string = process.platform): StopSignal =>
  platform === 'win32' && signal === 'SIGHUP' ? 'SIGTERM' : signal;

/** The script of the command in an installed package, which npm's scripts on Windows start by its path. */
const INSTALLED = ['node_modules', 'cyclegrad', 'dist', 'cli', 'main.js'];

/** The shell command that starts `subcommand` in the same way as this process. `path` is that of the system. */
export function commandFor(
  subcommand: string,
  script: string,
  cwd: string,
  env: Host['env'],
  path: PlatformPath = nodePath,
): string {
  if (subcommand === 'train' && env['npm_lifecycle_event'] === 'start') return 'npm start --';
  if (path.basename(script).startsWith('cyclegrad')) {
    const local = path.dirname(script).endsWith(`node_modules${path.sep}.bin`);
    return `${local ? 'npx ' : ''}cyclegrad ${subcommand}`;
  }
  if (script.endsWith(path.sep + INSTALLED.join(path.sep))) {
    const local = script === path.join(cwd, ...INSTALLED);
    return `${local ? 'npx ' : ''}cyclegrad ${subcommand}`;
  }
  const start = { node: 'node', bun: 'bun', deno: 'deno run -A' }[runtime().name];
  return `${start} ${shellWord(path.relative(cwd, script), path.sep === '\\' ? 'win32' : 'posix')} ${subcommand}`;
}

/** A word of a shell command, quoted for the shell of this system if necessary. */
export function shellWord(word: string, platform: string = process.platform): string {
  if (/^[\w@%+=:,./-]+$/.test(word) || (platform === 'win32' && /^[\w@+=:,./\\-]+$/.test(word))) return word;
  // Backslashes are doubled before a quote, which they would escape.
  if (platform === 'win32')
    return `"${word.replaceAll(/(\\*)("|$)/g, (_, slashes: string, quote: string) => slashes + slashes + (quote && '\\"'))}"`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
