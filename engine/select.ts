/** Opening backends by name, and the default backend of `await t.data()`. */
import type { Backend } from './backends/backend.ts';
import { gpu } from './backends/gpu/gpu.ts';
import { reference } from './backends/reference/reference.ts';
import { wasm, wasmWith, type WasmOptions } from './backends/wasm/wasm.ts';
import { BackendError } from './errors.ts';
import { Evaluator } from './evaluate.ts';
import { checkFunction, checkKind, checkOptions, show } from './options.ts';

/** The names that `openBackend` accepts. */
export const BACKENDS = ['auto', 'wasm', 'gpu', 'reference'] as const;
/** A name that `openBackend` accepts. */
export type BackendName = (typeof BACKENDS)[number];

export interface OpenOptions extends Pick<WasmOptions, 'threads' | 'simd'> {
  /** Receives a message if a slower backend replaces the expected one. Default: no messages. */
  readonly log?: (message: string) => void;
}

/**
 * Opens a backend by its name.
 *
 * - 'auto': WebGPU on a hardware GPU. Without one, wasm, whose report has the reason as `noGpu`. Without WebAssembly, the reference
 *   backend. With an option for wasm, 'auto' does not try a GPU.
 * - 'gpu': WebGPU, on hardware or software. Without it, WebGL.
 * - 'wasm': the CPU backend.
 * - 'reference': the reference backend.
 *
 * Throws BackendError if the named backend does not run, for 'gpu' with the reasons of WebGPU and WebGL. Throws RangeError for an
 * unknown name.
 *
 * @example const backend = await openBackend('auto');
 */
export async function openBackend(name: BackendName, options: OpenOptions = {}): Promise<Backend> {
  checkOptions('openBackend', options, ['threads', 'simd', 'log']);
  const { log = () => undefined, ...rest } = options;
  checkFunction('openBackend', 'log', log);
  switch (name) {
    case 'wasm':
      return wasm(rest);
    case 'reference':
      return reference();
    case 'gpu':
      return openGpu(log);
    case 'auto':
      return openFastest(rest, log);
    default:
      throw new RangeError(
        `openBackend: unknown backend ${show(name satisfies never)} (known: ${BACKENDS.join(', ')})`,
      );
  }
}

const messageOf = (error: unknown): string => {
  if (error instanceof BackendError) return error.message;
  throw error;
};

async function openGpu(log: (message: string) => void): Promise<Backend> {
  const reasons: string[] = [];
  for (const mode of ['webgpu', 'webgl'] as const) {
    try {
      // oxlint-disable-next-line no-await-in-loop -- the second is needed only if the first fails
      const backend = await gpu({ mode });
      if (reasons.length > 0) log(`WebGPU is not available: ${reasons[0]}\nUsing WebGL, which is slower.`);
      return backend;
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  throw new BackendError(
    `openBackend: neither WebGPU nor WebGL is available (use 'auto' or 'wasm'):\n  ${reasons.join('\n  ')}`,
  );
}

async function openFastest(
  options: Pick<WasmOptions, 'threads' | 'simd'>,
  log: (message: string) => void,
): Promise<Backend> {
  const { threads, simd = 'auto' } = options;
  let noGpu: string | null = null;
  if (threads === undefined && simd === 'auto') {
    const hardware = await gpu({ mode: 'hardware' }).catch(messageOf);
    if (typeof hardware !== 'string') return hardware;
    noGpu = hardware;
  }
  try {
    return await wasmWith({ noGpu }, options);
  } catch (error) {
    log(
      `The wasm backend is not available: ${messageOf(error)}\n` +
        'Using the reference backend, which is much slower.',
    );
    return reference();
  }
}

let evaluator: Promise<Evaluator> | null = null;

/** The evaluator of `await t.data()`, created when first used. */
export function defaultEvaluator(): Promise<Evaluator> {
  evaluator ??= chooseDefault().then((backend) => new Evaluator(backend));
  return evaluator;
}

/**
 * Sets the backend of `await t.data()` and the other methods that evaluate tensors. Default: wasm, or the reference backend without
 * WebAssembly. Closes the executables of the previous backend, but not the backend itself.
 *
 * @example await setDefaultBackend(await wasm({ threads: 1 }));
 */
export async function setDefaultBackend(backend: Backend): Promise<void> {
  checkKind('setDefaultBackend', 'backend', backend, 'load', 'a backend, for instance await wasm()');
  const former = evaluator;
  evaluator = Promise.resolve(new Evaluator(backend));
  if (former !== null) await (await former).close();
}

/** The CPU backend, or the reference backend, which is slow but runs everywhere. */
async function chooseDefault(): Promise<Backend> {
  try {
    return await wasm();
  } catch (error) {
    if (error instanceof BackendError) return reference();
    throw error;
  }
}
