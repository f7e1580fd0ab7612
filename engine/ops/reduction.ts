/** The reduction of losses and metrics over the examples of a batch. */
import { checkOneOf } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import { mean, sum } from './reduce.ts';

export interface ReductionOptions {
  /** 'mean' or 'sum' over the examples, or 'none' for one number for each example, [N]. Default 'mean'. */
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** Reduces the losses of the examples, [N]. */
export function reduced(where: string, perExample: Tensor, { reduction = 'mean' }: ReductionOptions): Tensor {
  checkOneOf(where, 'reduction', reduction, ['mean', 'sum', 'none']);
  if (reduction === 'none') return perExample;
  return reduction === 'sum' ? sum(perExample) : mean(perExample);
}
