/** The options that select the backend, shared by several commands, and the backend that they select. */
import { Option, type Command } from 'commander';
import { BackendError, BACKENDS, openBackend, type Backend, type BackendName } from '../../engine/index.ts';
import { SIMD_KINDS, wideSimdUnavailableReason, type Simd } from '../../engine/tools/index.ts';
import { UsageError } from '../failure.ts';
import type { Host } from '../host.ts';
import { whole } from './values.ts';

export interface BackendArguments {
  readonly backend: BackendName;
  readonly threads?: number;
  readonly simd?: Simd | 'auto';
}

/** Adds --backend, --threads and --simd, the options of every command that computes. */
export const addBackendOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--backend <name>', 'backend; auto: a GPU if there is one, else wasm')
        .choices(BACKENDS)
        .default('auto'),
    )
    .option('--threads <n>', 'threads of the wasm backend (default: all cores)', whole(1, 256))
    .addOption(
      new Option('--simd <kind>', 'SIMD instructions of the wasm backend')
        .choices(['auto', ...SIMD_KINDS])
        .default('auto'),
    );

/**
 * Throws UsageError for options that the backend does not have, and BackendError if it does not run. The reference backend, which is a
 * thousand times slower, must be requested.
 */
export async function startBackend(
  host: Host,
  { backend, threads, simd }: BackendArguments,
): Promise<Backend> {
  if (backend === 'reference' && threads !== undefined && threads > 1) {
    throw new UsageError(`--threads ${threads}: the reference backend has only one thread (omit --threads)`);
  }
  if (backend === 'gpu' && threads !== undefined) {
    throw new UsageError(`--threads ${threads}: the gpu backend has no threads (omit --threads)`);
  }
  const options = { ...(threads !== undefined && { threads }), ...(simd !== undefined && { simd }) };
  const notes: string[] = [];
  const opened = await openBackend(backend, { ...options, log: (message) => void notes.push(message) });
  if (backend === 'auto' && opened.name === 'reference') {
    await opened.close();
    const [reason] = notes[0].split('\n');
    throw new BackendError(
      `${reason}\n(${host.command('doctor')} says more; --backend reference runs without it, a thousand times slower)`,
    );
  }
  for (const note of notes) host.stderr.write(`${note}\nSee ${host.command('doctor')}.\n`);
  const slow = simd === 'wide' ? wideSimdUnavailableReason() : null;
  if (slow !== null) {
    host.stderr.write(
      `--simd wide: V8 does not use 256-bit vectors (${slow}), so steps take longer than with --simd relaxed\n`,
    );
  }
  return opened;
}
