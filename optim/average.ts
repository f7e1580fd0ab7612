/** A moving average of the weights, around any optimizer. */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptions } from '../engine/options.ts';
import { add, mul } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor, State } from '../engine/types.ts';
import { refuseTwice, zero } from './optimizer.ts';

export interface AverageOptions {
  /** What the average keeps of itself at an update. Default 0.999. */
  readonly decay?: number;
}

const AVERAGE = 'average/';
const WEIGHT = 'averageWeight';

/**
 * The optimizer with an exponential moving average of the weights beside them, which often classifies better than the weights at
 * the end. Training does not see it: `averagedState` gives it, for `evaluate` and `predict`. It takes one array more for
 * each parameter.
 *
 *   A ← decay · A + (1 − decay) · w,  c ← decay · c + (1 − decay), both from 0;  average = A / c
 *
 * With `accumulateGradients` it goes inside, around the optimizer itself: outside, it would decay at every batch, not at every update.
 * Throws RangeError unless 0 <= decay < 1, and around an optimizer that has an average or accumulates.
 * Source: B. Polyak and A. Juditsky, 1992; torch.optim.swa_utils.AveragedModel, but for the start, which c corrects.
 *
 * @example averageWeights(adamw({ lr: 0.001 }), { decay: 0.999 })
 */
export function averageWeights(optimizer: Optimizer, options: AverageOptions = {}): Optimizer {
  checkOptions('averageWeights', options, ['decay']);
  const { decay = 0.999 } = options;
  checkNumber('averageWeights', 'decay', decay, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  refuseTwice('averageWeights', optimizer, ['averageDecay'], 'one average has one decay');
  if ('batches' in optimizer.config) {
    throw new RangeError(
      'averageWeights: around accumulateGradients the average would decay at every batch, not at every update ' +
        '(nest them the other way: accumulateGradients(averageWeights(optimizer), batches))',
    );
  }
  const follow = (average: Tensor, value: Tensor | number): Tensor =>
    add(mul(average, decay), mul(value, 1 - decay));
  return {
    ...optimizer,
    config: { ...optimizer.config, averageDecay: decay },
    init(specs) {
      const averages = Object.entries(specs).map(([name, { shape }]) => [AVERAGE + name, zero(shape)]);
      return { ...optimizer.init(specs), ...(Object.fromEntries(averages) as State), [WEIGHT]: zero([]) };
    },
    update(at) {
      const { params, state } = optimizer.update(at);
      const next: Record<string, Tensor> = { ...state, [WEIGHT]: follow(at.state[WEIGHT], 1) };
      for (const [name, value] of Object.entries(params)) {
        next[AVERAGE + name] = follow(at.state[AVERAGE + name], value);
      }
      return { params, state: next };
    },
  };
}

/**
 * A run's state with the averages of `averageWeights` in place of the weights; what was not trained is as it was: statistics of batch
 * normalization are those of the raw weights. Evaluations during training, and so `best`, go by the raw weights as well.
 * Throws RangeError for a state without averages, or from before the first update.
 *
 * @example await evaluate({ model, state: averagedState(result.state), data: test, backend });
 */
export function averagedState(state: State): State {
  const weight = state[`optimizer/${WEIGHT}`]?.data[0];
  if (weight === undefined || weight === 0) {
    throw new RangeError(
      `averagedState: the state has no averages${weight === 0 ? ' yet: it had no update' : ''} ` +
        `(train with averageWeights(optimizer))`,
    );
  }
  const averaged: Record<string, HostTensor> = { ...state };
  for (const [name, value] of Object.entries(state)) {
    const average = state[`optimizer/${AVERAGE}${name}`];
    if (average !== undefined) averaged[name] = { ...value, data: average.data.map((a) => a / weight) };
  }
  return averaged;
}
