// The GPU backend on WebGPU, wherever there is an adapter: two cases of every operation, or all, and the whole contract.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';
import { leftOut, limits } from './limits.ts';

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  describeConformance('webgpu', () => gpu({ mode: 'webgpu' }), {
    ...limits,
    skip: { ...leftOut(), ...limits.skip },
  });
});
