// The GPU backend on WebGPU, wherever there is an adapter: every case and the whole contract.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  // A division may be off by 2.5 units in the last place, and sums of products may be contracted; gradients make much of it.
  describeConformance('webgpu', () => gpu({ mode: 'webgpu' }), { tolerance: 10 });
});
