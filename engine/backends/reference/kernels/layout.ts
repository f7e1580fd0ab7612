/** Operations that move elements. */
import ndarray from 'ndarray';
import ndops from 'ndarray-ops';
import type { KernelTable } from '../../backend.ts';
import { broadcast, type Call, type Nd, type ReferenceKernel } from './call.ts';

/** A view of every step-th element of each axis from `begin` on. */
function walk(x: Nd, shape: readonly number[], begin: readonly number[], step: readonly number[]): Nd {
  const first = begin.reduce((sum, b, axis) => sum + b * x.stride[axis], x.offset);
  return ndarray(
    x.data,
    [...shape],
    x.stride.map((stride, axis) => stride * step[axis]),
    first,
  );
}

export const copy: ReferenceKernel = ({ inputs: [x], outputs: [y] }) => {
  ndops.assign(y, x);
};

export const layoutKernels = {
  copy,

  transpose({ inputs: [x], outputs: [y], attrs: { perm } }) {
    ndops.assign(y, x.transpose(...perm));
  },

  broadcastTo({ inputs: [x], outputs: [y] }) {
    ndops.assign(y, broadcast(x, y.shape));
  },

  slice({ inputs: [x], outputs: [y], attrs: { begin, step } }) {
    ndops.assign(y, walk(x, y.shape, begin, step));
  },

  pad({ inputs: [x], outputs: [y], attrs: { begin, step, value } }) {
    ndops.assigns(y, value);
    ndops.assign(walk(y, x.shape, begin, step), x);
  },

  concat({ inputs, outputs: [y], attrs: { axis } }) {
    const begin = y.shape.map(() => 0);
    const step = y.shape.map(() => 1);
    for (const x of inputs) {
      ndops.assign(walk(y, x.shape, begin, step), x);
      begin[axis] += x.shape[axis];
    }
  },
} satisfies Partial<KernelTable<Call>>;
