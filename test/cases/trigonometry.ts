import { acos, acosh, asin, asinh, atanh, tan } from '../../engine/ops/index.ts';
import type { Case } from './case.ts';
import { range, special, unaryCases } from './elementwise-inputs.ts';
import { uniform } from './case.ts';

/** The tangent and the inverse functions, with the ends of their domains. */
export const trigonometry = {
  tan: [
    ...unaryCases(tan, (shape) => uniform(shape, -1.4, 1.4), 1e-6),
    range(tan, 'around 0', -1e-3, 1e-3),
    range(tan, 'around a pole', 1.56, 1.58, 2e-6),
    range(tan, 'many turns', -1000, 1000, 3e-6),
    special(tan, [NaN, Infinity, -Infinity, 0, -0], 0),
  ],
  asin: [
    ...unaryCases(asin, (shape) => uniform(shape, -0.9, 0.9), 2e-6),
    range(asin, 'around 0', -1e-3, 1e-3),
    range(asin, 'near 1', 0.999, 1),
    special(asin, [NaN, Infinity, -Infinity, 0, -0, 1, -1, 1.0000001], 1e-6),
  ],
  acos: [
    ...unaryCases(acos, (shape) => uniform(shape, -0.9, 0.9), 2e-6),
    range(acos, 'near 1', 0.9999, 1),
    range(acos, 'near -1', -1, -0.9999),
    special(acos, [NaN, Infinity, -Infinity, 0, 1, -1, 1.0000001], 1e-6),
  ],
  asinh: [
    ...unaryCases(asinh, uniform, 1e-6),
    range(asinh, 'around 0', -1e-3, 1e-3),
    range(asinh, 'large arguments', -1e30, 1e30),
    special(asinh, [NaN, Infinity, -Infinity, 0, -0, 3e38, -1e-40, 1e9, 1.1e9], 1e-6),
  ],
  acosh: [
    ...unaryCases(acosh, (shape) => uniform(shape, 1.1, 4), 2e-6),
    range(acosh, 'near 1', 1, 1.001),
    range(acosh, 'large arguments', 1, 1e30),
    special(acosh, [NaN, Infinity, -Infinity, 1, 0.99999994, -1, 3e38, 1e9, 1.1e9], 1e-6),
  ],
  atanh: [
    ...unaryCases(atanh, (shape) => uniform(shape, -0.9, 0.9), 2e-6),
    range(atanh, 'around 0', -1e-3, 1e-3),
    range(atanh, 'near 1', 0.999, 0.9999999),
    special(atanh, [NaN, Infinity, -Infinity, 0, -0, 1, -1, 1.0000001], 1e-6),
  ],
} satisfies Record<string, readonly Case[]>;
