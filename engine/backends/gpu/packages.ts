/** The optional packages, imported only for a GPU: training on the CPU needs none of them. */
import type * as gpujs from 'gpu.js';
import type * as webgpu from 'webgpu';
import { BackendError } from '../../errors.ts';

/** The versions that the backend is written for and tested with. */
export const PACKAGES = { 'gpu.js': '2.24.1', webgpu: '0.6.2' } as const;

/** The error for a package that does not load, with the command that installs it. */
export function loadingError(name: keyof typeof PACKAGES, cause: unknown): BackendError {
  const install = `npm install ${name}@${PACKAGES[name]}`;
  const { code, message } = cause as { readonly code?: unknown; readonly message?: unknown };
  // Node's code, or what a bundle throws that was built without the package.
  const missing =
    code === 'ERR_MODULE_NOT_FOUND' ||
    code === 'MODULE_NOT_FOUND' ||
    /cannot find (module|package)/i.test(String(message));
  return new BackendError(
    missing
      ? `gpu: the package ${name} is not installed (${install})`
      : `gpu: the package ${name} does not load here: ${String(message ?? cause)} (${install})`,
    { cause },
  );
}

export type GpuJs = typeof gpujs;

// Bundlers accept an import of a package that is not installed only directly inside try.

/** gpu.js is a CommonJS module: some loaders find its names on the default export alone. */
export async function loadGpuJs(): Promise<GpuJs> {
  try {
    const module = (await import('gpu.js')) as GpuJs | { readonly default: GpuJs };
    return 'GPU' in module ? module : module.default;
  } catch (error) {
    throw loadingError('gpu.js', error);
  }
}

export async function loadWebGpu(): Promise<typeof webgpu> {
  try {
    return await import('webgpu');
  } catch (error) {
    throw loadingError('webgpu', error);
  }
}
