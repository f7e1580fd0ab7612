/** Updates from the gradients of several batches, around any optimizer. */
import type { Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkInteger } from '../engine/options.ts';
import { add, and, div, less, mul, not, where } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { State } from '../engine/types.ts';
import { refuseTwice, zero } from './optimizer.ts';

const SUM = 'gradients/';
const COUNT = 'gradientsHeld';

/**
 * The optimizer with one update for every `batches` batches, from the mean of their gradients: what a batch as large as all of them
 * would do, in the memory of one. Steps still count batches, in schedules too, and an update has the hyper-parameters of its
 * last batch; batch normalisation still sees single batches. It takes one array more for each parameter.
 *
 * Where the steps of a run are no multiple of `batches`, its last step has an update from the mean of those that are left. A run
 * that stops in between keeps its sums in the checkpoint and goes on with them; an evaluation sees the weights of the last update.
 *
 * Throws RangeError unless `batches` is an integer >= 1, and around an optimizer that accumulates already.
 *
 * @example accumulateGradients(sgd({ lr: 0.1, momentum: 0.9 }), 4)
 */
export function accumulateGradients(optimizer: Optimizer, batches: number): Optimizer {
  checkInteger('accumulateGradients', 'batches', batches, 1);
  refuseTwice('accumulateGradients', optimizer, ['batches'], 'multiply the numbers of batches');
  return {
    ...optimizer,
    config: { ...optimizer.config, batches },
    init(specs) {
      const sums = Object.entries(specs).map(([name, { shape }]) => [SUM + name, zero(shape)]);
      return { ...optimizer.init(specs), ...(Object.fromEntries(sums) as State), [COUNT]: zero([]) };
    },
    update(at) {
      const count = add(at.state[COUNT], 1);
      const short = less(count, batches);
      const waiting = at.last === undefined ? short : and(short, not(at.last));
      const sums = Object.fromEntries(
        Object.entries(at.grads).map(([name, g]) => [name, add(at.state[SUM + name], mul(g, 1 / batches))]),
      );
      /** 1 but for the last update of a run, which may have fewer batches. */
      const missing = div(batches, count);
      const grads = Object.fromEntries(
        Object.entries(sums).map(([name, sum]) => [name, at.last === undefined ? sum : mul(sum, missing)]),
      );
      const updated = optimizer.update({ ...at, grads });
      /** The new values where the update is due, else the old ones. */
      const chosen = (old: Tree, next: Tree): Record<string, Tensor> =>
        Object.fromEntries(Object.keys(next).map((name) => [name, where(waiting, old[name], next[name])]));
      const state = chosen(at.state, updated.state);
      for (const [name, sum] of Object.entries(sums)) state[SUM + name] = where(waiting, sum, 0);
      state[COUNT] = where(waiting, count, 0);
      return { params: chosen(at.params, updated.params), state };
    },
  };
}
