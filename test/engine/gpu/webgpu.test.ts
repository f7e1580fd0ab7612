// The GPU backend on WebGPU, wherever there is an adapter: the whole table and the whole contract.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';
import { limits } from './limits.ts';

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  describeConformance('webgpu', () => gpu({ mode: 'webgpu' }), limits);
});
