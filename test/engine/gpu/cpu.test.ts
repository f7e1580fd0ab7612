// The GPU backend in gpu.js's CPU mode, which runs on any machine: cases of every operation and the whole contract.
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import { leftOut } from '../../forms.ts';
import { describeConformance } from '../conformance.ts';

describeConformance('gpu.js cpu', () => gpu({ mode: 'cpu' }), { skip: leftOut() });
