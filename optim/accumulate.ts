/** Gradient accumulation: one update from the gradients of several batches, around any optimizer. */
import type { Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkInteger, checkOptimizer } from '../engine/options.ts';
import { add, and, div, less, mul, not, where } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { State } from '../engine/types.ts';
import { wrapConfig, zero } from './optimizer.ts';

const SUM = 'gradients/';
const COUNT = 'gradientsHeld';

/**
 * Gradient accumulation: one update for every `batches` batches, from the mean of their gradients. The update equals that of one
 * large batch, but the memory is that of a small one, plus one array for each parameter.
 *
 * Steps and schedules still count batches. An update uses the hyperparameters of its last batch. Batch normalization uses the
 * statistics of single batches. An evaluation uses the weights of the last update. If the steps of a run are not a multiple of
 * `batches`, the last step applies the mean of the remaining gradients. Checkpoints store the sums, so a stopped run continues
 * with them.
 *
 * Throws RangeError unless `batches` is an integer >= 1, and for an optimizer that already accumulates.
 *
 * @example
 * const optimizer = accumulateGradients(sgd({ lr: 0.1, momentum: 0.9 }), 4);
 * optimizer.stepsPerUpdate // 4
 */
export function accumulateGradients(optimizer: Optimizer, batches: number): Optimizer {
  checkOptimizer('accumulateGradients', optimizer);
  checkInteger('accumulateGradients', 'batches', batches, 1);
  const config = wrapConfig('accumulateGradients', optimizer, { batches }, 'multiply the numbers of batches');
  return {
    ...optimizer,
    config,
    stepsPerUpdate: batches * (optimizer.stepsPerUpdate ?? 1),
    init(specs, statistics) {
      const sums = Object.entries(specs).map(([name, { shape }]) => [SUM + name, zero(shape)]);
      return {
        ...optimizer.init(specs, statistics),
        ...(Object.fromEntries(sums) as State),
        [COUNT]: zero([]),
      };
    },
    update(at) {
      const count = add(at.state[COUNT], 1);
      const isShort = less(count, batches);
      const isWaiting = at.last === undefined ? isShort : and(isShort, not(at.last));
      const sums = Object.fromEntries(
        Object.entries(at.grads).map(([name, g]) => [name, add(at.state[SUM + name], mul(g, 1 / batches))]),
      );
      /** 1, except for the last update of a run, which may have fewer batches. */
      const correction = div(batches, count);
      const grads = Object.fromEntries(
        Object.entries(sums).map(([name, sum]) => [name, at.last === undefined ? sum : mul(sum, correction)]),
      );
      const updated = optimizer.update({ ...at, grads });
      /** The new values if the update is due, else the old ones. */
      const select = (old: Tree, next: Tree): Record<string, Tensor> =>
        Object.fromEntries(Object.keys(next).map((name) => [name, where(isWaiting, old[name], next[name])]));
      const state = select(at.state, updated.state);
      for (const [name, sum] of Object.entries(sums)) state[SUM + name] = where(isWaiting, sum, 0);
      state[COUNT] = where(isWaiting, count, 0);
      const params = select(at.params, updated.params);
      if (updated.statistics === undefined) return { params, state };
      return { params, state, statistics: select(at.statistics?.after ?? {}, updated.statistics) };
    },
  };
}
