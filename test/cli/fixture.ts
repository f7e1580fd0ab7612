/** A host for the command that remembers what was written, keeps to a folder of its own, and has tiny data. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach } from 'vitest';
import { commandFor, type Host, type Output, type StopSignal } from '../../cli/host.ts';
import type { GpuFinding } from '../../cli/probe.ts';
import { runCli } from '../../cli/program.ts';
import { synthetic } from 'cyclegrad/datasets';

const NO_GPU: GpuFinding = {
  run: { works: false, reason: 'no GPU is tested', fix: 'none' },
  report: null,
};

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

export async function tempDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'cyclegrad-cli-'));
  cleanups.push(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));
  return dir;
}

export function collector(properties: Partial<Output> = {}): Output & { readonly text: () => string } {
  let text = '';
  const stream = new Writable({
    write(chunk, _encoding, done) {
      text += String(chunk);
      done();
    },
  });
  return Object.assign(stream, properties, { text: () => text });
}

export interface TestHost extends Host {
  readonly out: () => string;
  readonly err: () => string;
  /** What Ctrl-C does. */
  readonly press: (signal?: StopSignal) => void;
  /** The signals of `quit`. */
  readonly quits: StopSignal[];
}

export async function testHost(change: Partial<Host> = {}): Promise<TestHost> {
  const [stdout, stderr] = [collector(), collector()];
  const listeners = new Set<(signal: StopSignal) => void>();
  const quits: StopSignal[] = [];
  const cwd = change.cwd ?? (await tempDir());
  return {
    stdout,
    stderr,
    cwd,
    env: {},
    command: (subcommand) => commandFor(subcommand, join(cwd, 'main.js'), cwd, {}),
    onStop(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    quit: (signal) => void quits.push(signal),
    cifar10: () =>
      Promise.resolve({
        train: synthetic({ kind: 'images', n: 40, seed: 1 }),
        test: synthetic({ kind: 'images', n: 20, seed: 2 }),
      }),
    diagnoseGpu: () => Promise.resolve({ webgpu: NO_GPU, webgl: NO_GPU }),
    examples: join(cwd, 'no examples'),
    browserBuild: join(cwd, 'no build'),
    ...change,
    out: stdout.text,
    err: stderr.text,
    press: (signal = 'SIGINT') => [...listeners].forEach((listener) => listener(signal)),
    quits,
  };
}

/** The words of a command line, split at spaces. */
export const run = (host: Host, line: string): Promise<number> =>
  runCli(
    line.split(' ').filter((word) => word !== ''),
    host,
  );

/** Small enough for a test: milliseconds a step. */
export const SMALL = '--net quick --batch-size 4 --threads 1';
