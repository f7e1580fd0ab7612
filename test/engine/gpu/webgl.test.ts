// The GPU backend on WebGL, wherever there is a context: every case and the whole contract.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';

await describeWhere('WebGL', { mode: 'webgl' }, () => {
  describeConformance('webgl', () => gpu({ mode: 'webgl' }), { tolerance: 10 });
});
