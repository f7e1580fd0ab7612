/** The options that select the backend, shared by several commands, and the backend that they select. */
import { Option, type Command } from 'commander';
import { BACKENDS, openBackend, type Backend, type BackendName } from '../engine/index.ts';
import { SIMD_KINDS, type Simd } from '../engine/tools/index.ts';
import { UsageError } from './failure.ts';
import type { Host } from './host.ts';
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

/** Throws UsageError for options that the backend does not have, and BackendError if it does not run. */
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
  return openBackend(backend, {
    ...(threads !== undefined && { threads }),
    ...(simd !== undefined && { simd }),
    log: (message) => void host.stderr.write(`${message}\nSee ${host.command('doctor')}.\n`),
  });
}
