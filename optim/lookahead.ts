/** Lookahead: slow weights that follow the weights of any optimizer. */
import type { Optimizer, Tree } from '../engine/nn/optimizer.ts';
import { checkBoolean, checkInteger, checkOptimizer, checkOptions } from '../engine/options.ts';
import { add, equal, greaterEqual, mul, sub, where } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor } from '../engine/types.ts';
import type { Schedule } from '../schedulers/index.ts';
import { refuseAccumulation, statisticsOf } from './average.ts';
import { hyperParameter, wrapConfig, zero } from './optimizer.ts';

export interface LookaheadOptions {
  /** Updates between two synchronizations. Default 5. */
  readonly every?: number;
  /** Step of the slow weights toward the weights, from 0 to 1: a number or a schedule. Default 0.5. */
  readonly alpha?: number | Schedule;
  /** Whether the statistics of batch normalization are synchronized too. Default true. */
  readonly statistics?: boolean;
}

const SLOW = 'slow/';
const COUNT = 'slowCount';
const ALPHA = 'lookahead/alpha';

/**
 * Lookahead: every `every` updates, slow weights make a step toward the weights, and the weights continue from there. The run ends with
 * the slow weights.
 *
 *   s ← s + alpha · (w − s);  w ← s
 *
 * The slow weights begin as the initial weights. A parameter that is frozen during the run keeps its value. airbench's lookahead has `alpha: custom({ name, fn: (t) => 1 − 0.95⁵ · (t / T)³ })`,
 * because its decay is 1 − alpha. Events have alpha as 'lookahead/alpha'.
 *
 * Throws RangeError unless every >= 1 and 0 <= alpha <= 1, and for an optimizer that accumulates gradients: write
 * `accumulateGradients(lookahead(optimizer), batches)`.
 * Source: M. Zhang et al., Lookahead Optimizer: k steps forward, 1 step back, 2019; K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a
 * Single GPU, 2024, for the statistics and the schedule.
 *
 * @example lookahead(sgd({ lr: 0.1, momentum: 0.9 }), { every: 6, alpha: 0.5 })
 */
export function lookahead(optimizer: Optimizer, options: LookaheadOptions = {}): Optimizer {
  const name = 'lookahead';
  checkOptimizer(name, optimizer);
  checkOptions(name, options, ['every', 'alpha', 'statistics']);
  const { every = 5, alpha = 0.5, statistics = true } = options;
  checkInteger(name, 'every', every, 1);
  checkBoolean(name, 'statistics', statistics);
  const range = { words: 'a number from 0 to 1', holds: (x: number): boolean => x >= 0 && x <= 1 };
  const { schedule } = hyperParameter(name, 'alpha', alpha, range);
  refuseAccumulation(name, optimizer, 'the slow weights would be synchronized');
  const own = { lookaheadEvery: every, lookaheadStatistics: statistics };
  const config = wrapConfig(name, optimizer, own, 'nested slow weights have no use');
  const alphaConfig = typeof alpha === 'number' ? alpha : schedule.config;
  return {
    ...optimizer,
    config: { ...config, hyper: { ...config.hyper, [ALPHA]: alphaConfig } },
    schedules: { ...optimizer.schedules, [ALPHA]: schedule },
    ...(statistics && { usesStatistics: true }),
    at(step) {
      const value = hyperParameter(name, `alpha at step ${step}`, schedule(step), range).schedule(0);
      return { ...optimizer.at(step), [ALPHA]: value };
    },
    init(specs, statisticSpecs = {}) {
      const state: Record<string, HostTensor> = { ...optimizer.init(specs, statisticSpecs) };
      for (const [key, { shape }] of Object.entries({ ...specs, ...(statistics && statisticSpecs) }))
        state[SLOW + key] = zero(shape);
      state[COUNT] = zero([]);
      return state;
    },
    update(at) {
      const updated = optimizer.update(at);
      const state: Record<string, Tensor> = { ...updated.state };
      // The count is 0 before the first update, then goes from 1 to `every`, again and again.
      const before = at.state[COUNT];
      const count = where(greaterEqual(before, every), 1, add(before, 1));
      state[COUNT] = count;
      const [isFirst, isDue] = [equal(before, 0), equal(count, every)];
      /** Synchronizes arrays. `old` has their values before the update, with which the slow ones begin. */
      const synchronize = (old: Tree, values: Tree): Tree =>
        Object.fromEntries(
          Object.entries(values).map(([key, fast]) => {
            const slow = where(isFirst, old[key], at.state[SLOW + key]);
            const next = where(isDue, add(slow, mul(sub(fast, slow), at.hyper[ALPHA])), slow);
            state[SLOW + key] = next;
            const synchronized = where(isDue, next, fast);
            return [key, at.last === undefined ? synchronized : where(at.last, next, synchronized)];
          }),
        );
      const params = synchronize(at.params, updated.params);
      if (!statistics) return { ...updated, params, state };
      const after = statisticsOf(name, at, SLOW, updated.statistics);
      const replaced = synchronize(at.statistics?.before ?? {}, after);
      return { params, state, statistics: { ...updated.statistics, ...replaced } };
    },
  };
}
