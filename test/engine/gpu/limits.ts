/** Where kernels in single precision end, on every GPU: cases by name, with the reason or with what they reach. */
import { cases } from '../../cases/index.ts';
import { allButTwo } from '../../forms.ts';

const named = <T>(pattern: RegExp, value: T): Record<string, T> =>
  Object.fromEntries(cases.filter(({ name }) => pattern.test(name)).map(({ name }) => [name, value]));

export const limits = {
  // A division may be off by 2.5 units in the last place, and sums of products may be contracted; gradients make much of it.
  tolerance: 10,
  // Defined in double precision, which GPUs do not have here.
  inexact: named(/^random(: normal|Normal:)/, 1e-6),
};

/**
 * Cases that are left out on WebGL, whose kernels take Mesa several minutes to compile: all but the first two of each operation.
 * CYCLEGRAD_GPU_CASES=all runs every one.
 */
export const leftOut = (): Readonly<Record<string, string>> =>
  process.env['CYCLEGRAD_GPU_CASES'] === 'all' ? {} : allButTwo('CYCLEGRAD_GPU_CASES=all runs it');
