/** A moving average of the weights, around any optimizer. */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptions } from '../engine/options.ts';
import { add, mul } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor, State } from '../engine/types.ts';
import { wrapConfig, zero } from './optimizer.ts';

export interface AverageOptions {
  /** The fraction of the average that an update keeps. Default 0.999. */
  readonly decay?: number;
}

const AVERAGE = 'average/';
const WEIGHT = 'averageWeight';

/**
 * The optimizer with an exponential moving average of the weights. The average often classifies better than the final weights.
 * It does not affect training. `averagedState` returns it for `evaluate` and `predict`. It takes one additional array for each
 * parameter.
 *
 *   A ← decay · A + (1 − decay) · w,  c ← decay · c + (1 − decay), both from 0;  average = A / c
 *
 * With `accumulateGradients`, wrap the inner optimizer: around the accumulation, the average would decay at every batch and not
 * at every update.
 * Throws RangeError unless 0 <= decay < 1, and around an optimizer that already has an average or that takes several steps for
 * an update.
 * Source: B. Polyak and A. Juditsky, 1992; torch.optim.swa_utils.AveragedModel, except for the start, which c corrects.
 *
 * @example averageWeights(adamw({ lr: 0.001 }), { decay: 0.999 })
 */
export function averageWeights(optimizer: Optimizer, options: AverageOptions = {}): Optimizer {
  checkOptions('averageWeights', options, ['decay']);
  const { decay = 0.999 } = options;
  checkNumber('averageWeights', 'decay', decay, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  const config = wrapConfig(
    'averageWeights',
    optimizer,
    { averageDecay: decay },
    'one average has one decay',
  );
  const { stepsPerUpdate = 1 } = optimizer;
  if (stepsPerUpdate > 1) {
    throw new RangeError(
      `averageWeights: the optimizer takes ${stepsPerUpdate} steps for an update, and the average would decay at every step ` +
        '(nest them the other way: accumulateGradients(averageWeights(optimizer), batches))',
    );
  }
  const decayToward = (average: Tensor, value: Tensor | number): Tensor =>
    add(mul(average, decay), mul(value, 1 - decay));
  return {
    ...optimizer,
    config,
    init(specs) {
      const averages = Object.entries(specs).map(([name, { shape }]) => [AVERAGE + name, zero(shape)]);
      return { ...optimizer.init(specs), ...(Object.fromEntries(averages) as State), [WEIGHT]: zero([]) };
    },
    update(at) {
      const { params, state } = optimizer.update(at);
      const next: Record<string, Tensor> = { ...state, [WEIGHT]: decayToward(at.state[WEIGHT], 1) };
      for (const [name, value] of Object.entries(params)) {
        next[AVERAGE + name] = decayToward(at.state[AVERAGE + name], value);
      }
      return { params, state: next };
    },
  };
}

/**
 * The state of a run with the averages of `averageWeights` in place of the weights. Everything else is unchanged: the statistics
 * of batch normalization are those of the raw weights. Evaluations during training, and so `best`, also use the raw weights.
 * Throws RangeError for a state without averages, or from before the first update.
 *
 * @example await evaluate({ model, state: averagedState(result.state), data: test, backend });
 */
export function averagedState(state: State): State {
  // The arrays of the optimizer have a prefix in the state of a run, which this name reveals.
  const key = Object.keys(state).find((name) => name.split('/').at(-1) === WEIGHT);
  const weight = key === undefined ? undefined : state[key].data[0];
  if (key === undefined || weight === undefined || weight === 0) {
    throw new RangeError(
      `averagedState: the state has no averages${weight === 0 ? ' yet: it had no update' : ''} ` +
        `(train with averageWeights(optimizer))`,
    );
  }
  const prefix = key.slice(0, -WEIGHT.length) + AVERAGE;
  const averaged: Record<string, HostTensor> = { ...state };
  for (const [name, value] of Object.entries(state)) {
    const average = state[prefix + name];
    if (average !== undefined) averaged[name] = { ...value, data: average.data.map((a) => a / weight) };
  }
  return averaged;
}
