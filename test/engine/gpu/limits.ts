/** Where kernels in single precision end, on every GPU: cases by name, with the reason or with what they reach. */
import { cases } from '../../cases/index.ts';

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
export function leftOut(): Readonly<Record<string, string>> {
  if (process.env['CYCLEGRAD_GPU_CASES'] === 'all') return {};
  const seen = new Map<string, number>();
  const rest = cases.filter(({ name }) => {
    const operation = name.slice(0, name.indexOf(':'));
    const before = seen.get(operation) ?? 0;
    seen.set(operation, before + 1);
    return before >= 2;
  });
  return Object.fromEntries(rest.map(({ name }) => [name, 'CYCLEGRAD_GPU_CASES=all runs it']));
}
