// The engine's operations and their gradients against PyTorch's: an oracle that shares no line of code with us.

import { describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { oracle } from '../oracle/load.ts';
import { describeOracle } from './oracle.ts';

// The oracle has 9 significant digits.
const double = reference({ precision: 'f64' });
describeOracle('reference f64', () => double, 6e-9);
const single = reference();
describeOracle('reference f32', () => single, 2e-6);

describe('the oracle', () => {
  it('is not empty', () => {
    expect(oracle.cases.length).toBeGreaterThan(200);
  });
});
