/** Elementwise operations, whose values come from their declarations, and `checkFinite`. */
import { NonFiniteError } from '../../../errors.ts';
import type { ElementFunction } from '../../../op.ts';
import { elementwiseOps } from '../../../ops/primitives/elementwise.ts';
import { broadcastStrides, mergeAxes } from '../../../shape.ts';
import type { DType } from '../../../types.ts';
import type { KernelTable } from '../../backend.ts';
import type { Call, Nd, ReferenceKernel } from './call.ts';
import { copy } from './layout.ts';

/** An operand: its elements, the index at which the next run begins, and the step from one element of a run to the next. */
interface Walk {
  readonly data: Nd['data'];
  at: number;
  readonly step: number;
}

/** Computes a run of results: y[from] to y[to − 1]. */
function computeRun(f: ElementFunction, y: Nd['data'], from: number, to: number, [a, b, c]: Walk[]): void {
  let i = a.at;
  if (b === undefined) {
    for (let e = from; e < to; e++, i += a.step) y[e] = f(a.data[i]);
    return;
  }
  let j = b.at;
  if (c === undefined) {
    for (let e = from; e < to; e++, i += a.step, j += b.step) y[e] = f(a.data[i], b.data[j]);
    return;
  }
  let k = c.at;
  for (let e = from; e < to; e++, i += a.step, j += b.step, k += c.step) {
    y[e] = f(a.data[i], b.data[j], c.data[k]);
  }
}

/**
 * Applies a function to the elements of one to three inputs, which broadcast to the result. The result may share an input's buffer,
 * because element i is read before it is written.
 */
function compute(f: ElementFunction, out: Nd, inputs: readonly Nd[]): void {
  const strides = inputs.map((x) => broadcastStrides(x.shape, out.shape));
  const axes = mergeAxes(out.shape, strides);
  const [n, ...steps] = axes.pop()!;
  const walks = inputs.map(({ data }, x) => ({ data, at: 0, step: steps[x] }));
  const index = axes.map(() => 0);
  for (let from = 0; from < out.size; from += n) {
    computeRun(f, out.data, from, from + n, walks);
    // Move to the next run: count the last axis up, and carry over at its end.
    for (let d = axes.length - 1; d >= 0; d--) {
      const size = axes[d][0];
      const carry = ++index[d] === size;
      walks.forEach((walk, x) => (walk.at += axes[d][1 + x] * (carry ? 1 - size : 1)));
      if (!carry) break;
      index[d] = 0;
    }
  }
}

const kernelOf =
  (elementwise: (result: DType) => ElementFunction): ReferenceKernel =>
  ({ inputs, outputs: [out], results: [{ dtype }] }) =>
    compute(elementwise(dtype), out, inputs);

type ElementwiseKernels = { readonly [N in keyof typeof elementwiseOps]: ReferenceKernel };

export const elementwiseKernels = {
  ...(Object.fromEntries(
    Object.entries(elementwiseOps).map(([name, { elementwise }]) => [name, kernelOf(elementwise)]),
  ) as ElementwiseKernels),

  checkFinite(call) {
    const [x] = call.inputs;
    for (let i = 0; i < x.size; i++) {
      if (!Number.isFinite(x.data[i])) {
        throw new NonFiniteError(call.attrs.label, x.data[i], i);
      }
    }
    copy(call);
  },
} satisfies Partial<KernelTable<Call>>;
