/** Suites that need a device: skipped by name, with the reason, where there is none. */
import { describe } from 'vitest';
import { BackendError } from '../../../engine/errors.ts';
import { gpu, type GpuOptions } from '../../../engine/backends/gpu/gpu.ts';

/** Runs `suite`, or skips it where there is a reason to. */
export function describeUnless(reason: string | null, name: string, suite: () => void): void {
  describe.skipIf(reason !== null)(`${name}${reason === null ? '' : `, not here: ${reason}`}`, () => {
    suite();
  });
}

/** Runs `suite` where a backend with these options can be made. */
export async function describeWhere(name: string, options: GpuOptions, suite: () => void): Promise<void> {
  const reason = await gpu(options).then(
    async (backend) => {
      await backend.close();
      return null;
    },
    (error: unknown) => {
      if (error instanceof BackendError) return error.message;
      throw error;
    },
  );
  describeUnless(reason, name, suite);
}
