// The GPU backend on WebGPU, wherever there is an adapter: every case and the whole contract.

import { describe, it } from 'vitest';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { describeConformance } from './conformance.ts';

const reason = await gpu({ mode: 'webgpu' }).then(
  (backend) => backend.close().then(() => null),
  (error: unknown) => (error instanceof Error ? error.message : String(error)),
);

if (reason === null) {
  // A division may be off by 2.5 units in the last place, and sums of products may be contracted.
  describeConformance('webgpu', () => gpu({ mode: 'webgpu' }), { tolerance: 4 });
} else {
  describe('webgpu: conformance', () => {
    it('needs an adapter', ({ skip }) => skip(reason));
  });
}
