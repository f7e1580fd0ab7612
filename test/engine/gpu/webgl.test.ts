// The GPU backend on WebGL, wherever there is a context: two cases of every operation, or all, and the whole contract.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';
import { describeWhere } from './available.ts';
import { leftOut, limits } from './limits.ts';

await describeWhere('WebGL', { mode: 'webgl' }, () => {
  describeConformance('webgl', () => gpu({ mode: 'webgl' }), {
    ...limits,
    skip: {
      ...leftOut(),
      ...limits.skip,
      'relu: special values NaN, Infinity, -Infinity, 0, 0, -1, 1':
        'drivers make a maximum of x < 0 ? 0 : x, which is 0 for NaN',
      'log: special values NaN, Infinity, -Infinity, 0, -1, 1, 1e-40': '1e-40 is 0 to many GPUs',
    },
  });
});
