/** Where kernels in single precision end, on every GPU: cases by name, with the reason or with what they reach. */
import { cases } from '../../cases/index.ts';

const named = <T>(pattern: RegExp, value: T): Record<string, T> =>
  Object.fromEntries(cases.filter(({ name }) => pattern.test(name)).map(({ name }) => [name, value]));

export const limits = {
  // A division may be off by 2.5 units in the last place, and sums of products may be contracted; gradients make much of it.
  tolerance: 10,
  skip: named(
    /^(sin|cos): (far away|special values)/,
    'beyond 8192 the sine is the driver’s own, which WGSL and GLSL leave open',
  ),
  // Defined in double precision, which GPUs do not have here.
  inexact: named(/^random(: normal|Normal:)/, 1e-6),
};
