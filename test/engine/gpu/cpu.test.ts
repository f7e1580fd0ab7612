// The GPU backend in gpu.js's own cpu mode: every case and the whole contract, on any machine.

import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { describeConformance } from '../conformance.ts';

describeConformance('gpu.js cpu', () => gpu({ mode: 'cpu' }));
