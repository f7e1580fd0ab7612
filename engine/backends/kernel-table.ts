/** Looks up kernels in the tables of backends. */
import { BackendError } from '../errors.ts';
import type { Attrs } from '../op.ts';
import { isFusion, type FusedName } from '../plan/fusions/index.ts';
import type { Step } from '../plan/plan.ts';
import type { FusedTable, KernelTable } from './backend.ts';

/**
 * The kernel for steps of this name, which is called with the attributes of such a step.
 * Throws BackendError for a fusion without a kernel in the table.
 */
export function kernelOf<S>(
  backend: string,
  kernels: KernelTable<S> & Partial<FusedTable<S>>,
  op: Step['op'],
): (context: S & { readonly attrs: Attrs }) => void {
  const kernel = kernels[op];
  if (kernel === undefined) {
    throw new BackendError(
      `${backend}: there is no kernel for ${op} (remove it from the fusions of the backend)`,
    );
  }
  // The name ties kernel and attributes together, which the union of all kernels cannot say.
  return kernel as (context: S & { readonly attrs: Attrs }) => void;
}

/** The fusions that a table has kernels for. */
export const fusionsOf = (kernels: object): ReadonlySet<FusedName> =>
  new Set(Object.keys(kernels).filter(isFusion));
