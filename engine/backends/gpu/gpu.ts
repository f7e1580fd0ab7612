/**
 * The GPU backend: kernels in gpu.js's language on WebGPU, WebGL or gpu.js's own interpreter. Its code is loaded on first use, so
 * that programs without a GPU do not carry it.
 */
import { checkOneOf, checkOptions } from '../../options.ts';
import type { Backend } from '../backend.ts';

const MODES = ['hardware', 'webgpu', 'webgl', 'cpu'] as const;

export interface GpuOptions {
  /**
   * What runs the kernels.
   * - 'hardware': WebGPU, never on a software adapter. The default.
   * - 'webgpu': WebGPU, also on a software adapter.
   * - 'webgl': WebGL: WebGL 2 in browsers, gpu.js's headless-gl in Node (the package gl, and an X server).
   * - 'cpu': gpu.js's own interpreter of them, for checking; it is slower than the wasm backend.
   */
  readonly mode?: (typeof MODES)[number];
  /** False computes everything with the portable kernels, one result a thread, for comparisons. Default true. */
  readonly overrides?: boolean;
  /** Flags of Dawn, in Node: for instance 'backend=null', which runs nothing, to measure what submitting costs. */
  readonly dawn?: readonly string[];
}

/**
 * Makes a GPU backend. Needs the package gpu.js, and `webgpu` for WebGPU in Node.
 * Throws BackendError where a package or the GPU is missing, with the command that helps.
 *
 * @example const backend = await gpu();
 */
export async function gpu(options: GpuOptions = {}): Promise<Backend> {
  checkOptions('gpu', options, ['mode', 'overrides', 'dawn']);
  checkOneOf('gpu', 'mode', options.mode ?? 'hardware', MODES);
  const { gpuOn, openDevice } = await import('./driver.ts');
  return gpuOn(await openDevice(options));
}
