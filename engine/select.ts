/** Which backends are available here, and the one that exploring uses. */
import type { Backend } from './backends/backend.ts';
import { gpu } from './backends/gpu/gpu.ts';
import { reference } from './backends/reference/reference.ts';
import { wasm, wasmWith, type WasmOptions } from './backends/wasm/wasm.ts';
import { BackendError } from './errors.ts';
import { Evaluator } from './evaluate.ts';

/** What `openBackend` takes: where to compute. */
export const BACKENDS = ['auto', 'wasm', 'gpu', 'reference'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface OpenOptions extends Pick<WasmOptions, 'threads' | 'simd'> {
  /** Called with a message when the backend is not the expected one. Default: does nothing. */
  readonly log?: (message: string) => void;
}

/**
 * Opens a backend by its name.
 *
 * - 'auto': a hardware GPU, never a program that imitates one; else wasm, whose report has the reason as `noGpu`; else the
 *   reference backend. Options of wasm rule out a GPU.
 * - 'gpu': WebGPU, also in software; else WebGL.
 *
 * Throws BackendError when the named backend does not run; for 'gpu' with the reasons of WebGPU and WebGL.
 *
 * @example const backend = await openBackend('auto');
 */
export async function openBackend(
  name: BackendName,
  { log = () => undefined, ...options }: OpenOptions = {},
): Promise<Backend> {
  switch (name) {
    case 'wasm':
      return wasm(options);
    case 'reference':
      return reference();
    case 'gpu':
      return openGpu(log);
    case 'auto':
      return openFastest(options, log);
    default:
      throw new RangeError(
        `openBackend: there is no backend ${JSON.stringify(name satisfies never)} (there are: ${BACKENDS.join(', ')})`,
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
      // oxlint-disable-next-line no-await-in-loop -- the second only where the first fails
      const backend = await gpu({ mode });
      if (reasons.length > 0)
        log(`WebGPU does not run here: ${reasons[0]}\nComputing with WebGL, which is slower.`);
      return backend;
    } catch (error) {
      reasons.push(messageOf(error));
    }
  }
  throw new BackendError(`neither WebGPU nor WebGL runs here:\n  ${reasons.join('\n  ')}`);
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
      `The wasm backend does not run here: ${messageOf(error)}\n` +
        'Computing on the reference backend, which is very much slower.',
    );
    return reference();
  }
}

let evaluator: Promise<Evaluator> | null = null;

/** The evaluator behind `await t.data()`. Made on first use. */
export function defaultEvaluator(): Promise<Evaluator> {
  evaluator ??= chooseDefault().then((backend) => new Evaluator(backend));
  return evaluator;
}

/** Uses another backend for `await t.data()` from now on; returns when the former one's executables are closed. */
export async function setDefaultBackend(backend: Backend): Promise<void> {
  const former = evaluator;
  evaluator = Promise.resolve(new Evaluator(backend));
  if (former !== null) await (await former).close();
}

/** The CPU backend where it runs, else the reference backend, which is slow but runs anywhere. */
async function chooseDefault(): Promise<Backend> {
  try {
    return await wasm();
  } catch (error) {
    if (error instanceof BackendError) return reference();
    throw error;
  }
}
