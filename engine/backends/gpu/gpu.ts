/**
 * The GPU backend: kernels in gpu.js's language on WebGPU, WebGL or gpu.js's own interpreter. Its code is loaded on first use, so
 * that programs without a GPU do not carry it.
 */
import { checkBoolean, checkOneOf, checkOptions } from '../../options.ts';
import type { Backend } from '../backend.ts';
import { checkList } from '../../shape.ts';

const MODES = ['hardware', 'webgpu', 'webgl', 'cpu'] as const;

export interface GpuOptions {
  /**
   * The API that runs the kernels. Default 'hardware'.
   * - 'hardware': WebGPU, not on a software adapter.
   * - 'webgpu': WebGPU, also on a software adapter.
   * - 'webgl': WebGL 2 in browsers, headless-gl in Node (the package gl, and an X server).
   * - 'cpu': the CPU mode of gpu.js, for tests. It is slower than the wasm backend.
   */
  readonly mode?: (typeof MODES)[number];
  /** Whether optimized kernels replace the portable ones, which compute one result per thread. Default true. */
  readonly overrides?: boolean;
  /** Flags of Dawn in Node, for instance 'backend=null', which executes nothing, to measure the cost of submissions. Default: none. */
  readonly dawn?: readonly string[];
}

/**
 * Makes a GPU backend. It needs the package `gpu.js`, and in Node for WebGPU also `webgpu`.
 *
 * Throws BackendError, with the command to run, if a package or the GPU is missing. Throws RangeError or TypeError for invalid options.
 *
 * @example const backend = await gpu();
 */
export async function gpu(options: GpuOptions = {}): Promise<Backend> {
  checkOptions('gpu', options, ['mode', 'overrides', 'dawn']);
  const { mode = 'hardware', overrides = true, dawn = [] } = options;
  checkOneOf('gpu', 'mode', mode, MODES);
  checkBoolean('gpu', 'overrides', overrides);
  checkList('gpu', 'dawn', dawn);
  const { gpuOn, openDevice } = await import('./driver.ts');
  return gpuOn(await openDevice(options));
}
