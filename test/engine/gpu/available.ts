/** Suites that need a device: skipped by name, with the reason, where there is none. */
import { spawnSync } from 'node:child_process';
import { assert, describe } from 'vitest';
import type { Backend } from '../../../engine/backends/backend.ts';
import { BackendError } from '../../../engine/errors.ts';
import { gpuOn, openDevice } from '../../../engine/backends/gpu/driver.ts';
import { gpu, type GpuOptions } from '../../../engine/backends/gpu/gpu.ts';
import { WebGpuDevice } from '../../../engine/backends/gpu/webgpu/device.ts';

/** Runs `suite`, or skips it where there is a reason to. */
export function describeUnless(reason: string | null, name: string, suite: () => void): void {
  describe.skipIf(reason !== null)(`${name}${reason === null ? '' : `, not here: ${reason}`}`, () => {
    suite();
  });
}

/** Runs `suite` where a backend with these options can be made. */
export async function describeWhere(name: string, options: GpuOptions, suite: () => void): Promise<void> {
  const reason = needsAdapter(options) && !hasAdapter() ? 'WebGPU finds no adapter' : await reasonOf(options);
  describeUnless(reason, name, suite);
}

/** Why a backend with these options cannot be made. Null if it can. */
const reasonOf = (options: GpuOptions): Promise<string | null> =>
  gpu(options).then(
    async (backend) => {
      await backend.close();
      return null;
    },
    (error: unknown) => {
      if (error instanceof BackendError) return error.message;
      throw error;
    },
  );

const needsAdapter = ({ mode, dawn = [] }: GpuOptions): boolean => mode === 'webgpu' && dawn.length === 0;

let adapter: boolean | null = null;

/** Whether Dawn finds an adapter, in a process of its own: in this one, its warnings would be amid the output of the tests. */
export function hasAdapter(): boolean {
  const program = `const { create } = await import('webgpu');
process.exit((await create([]).requestAdapter()) === null ? 1 : 0);`;
  adapter ??=
    spawnSync(process.execPath, ['--input-type=module', '--eval', program], { stdio: 'ignore' }).status === 0;
  return adapter;
}

/** Every way to run kernels. */
export const MODES: readonly (readonly [string, GpuOptions])[] = [
  ["gpu.js's cpu mode", { mode: 'cpu' }],
  ['WebGPU', { mode: 'webgpu' }],
  ['WebGPU without hand-written kernels', { mode: 'webgpu', overrides: false }],
  ['WebGL', { mode: 'webgl' }],
];

/** A backend on WebGPU, and its device. */
export async function openWebGpu(): Promise<{ readonly backend: Backend; readonly device: WebGpuDevice }> {
  const device = await openDevice({ mode: 'webgpu' });
  assert(device instanceof WebGpuDevice);
  return { backend: gpuOn(device), device };
}

export async function withBackend(
  options: GpuOptions,
  act: (backend: Backend) => Promise<void>,
): Promise<void> {
  const backend = await gpu(options);
  await act(backend);
  await backend.close(); // which fails where stores are open: not after a failure, whose error it would hide
}
