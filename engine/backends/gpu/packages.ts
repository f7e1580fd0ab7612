/** The optional packages, imported only for a GPU: training on the CPU needs none of them. */
import type * as gpujs from 'gpu.js';
import type * as webgpu from 'webgpu';
import { BackendError } from '../../errors.ts';

/** The versions that the backend is written for and tested with. */
export const PACKAGES = { 'gpu.js': '2.24.1', webgpu: '0.6.2' } as const;

export async function loadPackage<T>(name: keyof typeof PACKAGES, importing: () => Promise<T>): Promise<T> {
  try {
    return await importing();
  } catch (error) {
    const install = `npm install ${name}@${PACKAGES[name]}`;
    const missing = (error as { readonly code?: unknown }).code === 'ERR_MODULE_NOT_FOUND';
    throw new BackendError(
      missing
        ? `gpu: the package ${name} is not installed (${install})`
        : `gpu: the package ${name} does not load here: ${error instanceof Error ? error.message : String(error)} (${install})`,
      { cause: error },
    );
  }
}

export type GpuJs = typeof gpujs;

/** gpu.js is a CommonJS module: some loaders find its names on the default export alone. */
export async function loadGpuJs(): Promise<GpuJs> {
  const module = await loadPackage<GpuJs | { readonly default: GpuJs }>('gpu.js', () => import('gpu.js'));
  return 'GPU' in module ? module : module.default;
}

export const loadWebGpu = (): Promise<typeof webgpu> => loadPackage('webgpu', () => import('webgpu'));
