/** A moving average of the weights, around any optimizer. */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptimizer, checkOptions } from '../engine/options.ts';
import { add, mul } from '../engine/ops/index.ts';
import { checkArrays } from '../engine/host.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor, State } from '../engine/types.ts';
import { wrapConfig, zero } from './optimizer.ts';

export interface AverageOptions {
  /** Decay of the average, per update. Default 0.999. */
  readonly decay?: number;
}

const AVERAGE = 'average/';
const WEIGHT = 'averageWeight';

/**
 * Keeps an exponential moving average of the weights, which often generalizes better than the final weights. It does not affect
 * training. `averagedState` returns it for `evaluate` and `predict`. It needs one additional array for each parameter.
 *
 *   A ← decay · A + (1 − decay) · w,  c ← decay · c + (1 − decay), both from 0;  average = A / c
 *
 * To combine it with gradient accumulation, write `accumulateGradients(averageWeights(optimizer), batches)`. In the other order,
 * the average would decay at every batch, so it throws.
 *
 * Throws RangeError unless 0 <= decay < 1, for an optimizer that already keeps an average, and for one that accumulates gradients.
 * Source: B. Polyak and A. Juditsky, 1992; torch.optim.swa_utils.AveragedModel, except for the start, which c corrects.
 *
 * @example
 * const optimizer = averageWeights(adamw({ lr: 0.001 }), { decay: 0.99 });
 * const { state } = await fit({ model, backend, data, optimizer, steps: 5000 });
 * await evaluate({ model, state: averagedState(state), data: test, backend });
 */
export function averageWeights(optimizer: Optimizer, options: AverageOptions = {}): Optimizer {
  checkOptimizer('averageWeights', optimizer);
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
      `averageWeights: the optimizer accumulates ${stepsPerUpdate} steps for an update, but the average would decay at every step ` +
        '(swap the wrappers: accumulateGradients(averageWeights(optimizer), batches))',
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
 * The state of a run with the averages of `averageWeights` in place of the weights. All other arrays are unchanged, including the
 * statistics of batch normalization. Evaluations during training, and therefore `best`, use the weights, not the averages.
 *
 * Throws RangeError for a state without averages, or from before the first update.
 *
 * @example
 * const optimizer = averageWeights(sgd({ lr: 0.01 }), { decay: 0.99 });
 * const { state } = await fit({ model, backend, data, optimizer, steps: 5000 });
 * const averaged = averagedState(state);
 */
export function averagedState(state: State): State {
  checkArrays('averagedState', state);
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
