/** What the command needs from the process around it. Tests bring their own. */
import { basename, dirname, relative, sep } from 'node:path';
import type { Writable } from 'node:stream';
import { cifar10 } from '../datasets/index.ts';

export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

export interface Host {
  /** Results. With --json: events only. */
  readonly stdout: Output;
  /** Everything else that people read. */
  readonly stderr: Output;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What people type to run a subcommand once more, for instance `npx cyclegrad train`. */
  command(subcommand: string): string;
  /** Calls back whenever the user or the system asks to stop. Returns how to stop listening. */
  onStop(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once. */
  quit(code: number): void;
  readonly cifar10: typeof cifar10;
}

export type StopSignal = 'SIGINT' | 'SIGTERM';

/** The exit status of a process that a signal ended, as shells report it. */
export const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const satisfies Record<StopSignal, number>;

/** This process. */
export function processHost(): Host {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    cwd: process.cwd(),
    env: process.env,
    command: (subcommand) => commandFor(subcommand, process.argv[1] ?? '', process.cwd(), process.env),
    onStop(listener) {
      const listeners = (['SIGINT', 'SIGTERM'] as const).map((signal) => {
        const heard = (): void => listener(signal);
        process.on(signal, heard);
        return () => void process.off(signal, heard);
      });
      return () => listeners.forEach((off) => off());
    },
    quit: (code) => process.exit(code),
    cifar10,
  };
}

/** The words that start `subcommand` the way this process was started. */
export function commandFor(subcommand: string, script: string, cwd: string, env: Host['env']): string {
  if (subcommand === 'train' && env['npm_lifecycle_event'] === 'start') return 'npm start --';
  if (basename(script).startsWith('cyclegrad')) {
    const local = dirname(script).endsWith(`node_modules${sep}.bin`);
    return `${local ? 'npx ' : ''}cyclegrad ${subcommand}`;
  }
  return `node ${shellWord(relative(cwd, script))} ${subcommand}`;
}

/** A word as a shell reads it back: as it is, or quoted the way this system's shell does. */
export function shellWord(word: string, platform: string = process.platform): string {
  if (/^[\w@%+=:,./-]+$/.test(word) || (platform === 'win32' && /^[\w@+=:,./\\-]+$/.test(word))) return word;
  if (platform === 'win32') return `"${word.replaceAll('"', '\\"')}"`;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
