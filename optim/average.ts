/** Averages of the weights, around any optimizer. */
import { AVERAGE, averagesIn, WEIGHT, withAverages } from '../engine/average.ts';
import { PlanError } from '../engine/errors.ts';
import { checkArrays } from '../engine/host.ts';
import type { Optimizer, Tree, UpdateArguments } from '../engine/nn/optimizer.ts';
import { checkBoolean, checkInteger, checkNumber, checkOptimizer, checkOptions } from '../engine/options.ts';
import { add, div, equal, minimum, mul, sub, where } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { HostTensor, State } from '../engine/types.ts';
import type { Json } from '../schedulers/index.ts';
import { wrapConfig, zero } from './optimizer.ts';

export interface AverageOptions {
  /** Decay of the average, per averaging. Default 0.999. */
  readonly decay?: number;
  /** Whether to begin with a smaller decay: min(decay, (1 + n) / (10 + n)) after n averagings. Default false. */
  readonly warmup?: boolean;
  /** Updates between two averagings. Default 1. */
  readonly every?: number;
  /** Whether to average the statistics of batch normalization too. Default false. */
  readonly statistics?: boolean;
}

/** Number of averagings, and updates until the next one. */
const COUNT = 'averages';
const WAIT = 'averageWait';

/**
 * Keeps an exponential moving average of the weights, which often generalizes better than the final weights. It does not affect
 * training. `averagedState` returns it for `evaluate` and `predict`, and `eval: { averaged: true }` evaluates it during the run. It
 * needs one additional array for each parameter.
 *
 *   A ← decay · A + (1 − decay) · w,  c ← decay · c + (1 − decay), both from 0;  average = A / c
 *
 * With `every`, the average follows each k-th update. With `warmup`, it forgets the first weights sooner. With `statistics`, it has
 * the statistics of batch normalization that belong to it; `updateBatchNorm` computes them exactly.
 *
 * To combine it with gradient accumulation, write `accumulateGradients(averageWeights(optimizer), batches)`. In the other order,
 * the average would decay at every batch, so it throws.
 *
 * Throws RangeError unless 0 <= decay < 1 and every >= 1, for an optimizer that already keeps an average, and for one that accumulates
 * gradients.
 * Source: B. Polyak and A. Juditsky, 1992; torch.optim.swa_utils.AveragedModel, except for the start, which c corrects; TensorFlow,
 * ExponentialMovingAverage (`num_updates`) for the warm-up.
 *
 * @example
 * const optimizer = averageWeights(adamw({ lr: 0.001 }), { decay: 0.99 });
 * const { state } = await fit({ model, backend, data, optimizer, steps: 5000 });
 * await evaluate({ model, state: averagedState(state), data: test, backend });
 */
export function averageWeights(optimizer: Optimizer, options: AverageOptions = {}): Optimizer {
  const at = 'averageWeights';
  checkOptimizer(at, optimizer);
  checkOptions(at, options, ['decay', 'warmup', 'every', 'statistics']);
  const { decay = 0.999, warmup = false, every = 1, statistics = false } = options;
  checkNumber(at, 'decay', decay, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);
  checkBoolean(at, 'warmup', warmup);
  checkInteger(at, 'every', every, 1);
  checkBoolean(at, 'statistics', statistics);
  const config = {
    averageDecay: decay,
    ...(warmup && { averageWarmup: true }),
    ...(every > 1 && { averageEvery: every }),
    ...(statistics && { averageStatistics: true }),
  };
  const toward = (average: Tensor, value: Tensor | number, d: Tensor | number): Tensor =>
    add(mul(average, d), mul(value, typeof d === 'number' ? 1 - d : sub(1, d)));
  return averaging(at, optimizer, config, { first: every, every, statistics, counts: warmup }, (n) => {
    const d = n === null ? decay : minimum(decay, div(add(n, 1), add(n, 10)));
    return { average: (old, value) => toward(old, value, d), weight: (old) => toward(old, 1, d) };
  });
}

export interface SwaOptions {
  /** Updates before the first weights that are averaged. */
  readonly start: number;
  /** Updates between two averagings: the length of a cycle of the learning rate. */
  readonly every: number;
  /** Whether to average the statistics of batch normalization too. Default false. */
  readonly statistics?: boolean;
}

/**
 * Stochastic weight averaging: the mean of the weights after `start` updates, and after every `every` updates from there. It does not
 * affect training. `averagedState` and `eval: { averaged: true }` work as for `averageWeights`.
 *
 *   A ← A + (w − A) / n, for the n-th weights
 *
 * With a cyclical rate, average at the ends of cycles. The statistics of batch normalization do not belong to the mean of the weights:
 * use `updateBatchNorm` on the averaged state.
 *
 * Throws RangeError unless start >= 1 and every >= 1, and as `averageWeights` does.
 * Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, 2018.
 *
 * @example
 * const lr = cyclicLR({ base: 0.001, max: 0.05, stepSize: 500 });
 * const optimizer = swa(sgd({ lr, momentum: 0.9 }), { start: 4000, every: 1000 });
 */
export function swa(optimizer: Optimizer, options: SwaOptions): Optimizer {
  checkOptimizer('swa', optimizer);
  checkOptions('swa', options, ['start', 'every', 'statistics']);
  const { start, every, statistics = false } = options;
  checkInteger('swa', 'start', start, 1);
  checkInteger('swa', 'every', every, 1);
  checkBoolean('swa', 'statistics', statistics);
  const config = { averageStart: start, averageEvery: every, ...(statistics && { averageStatistics: true }) };
  return averaging('swa', optimizer, config, { first: start, every, statistics, counts: true }, (n) => {
    const share = div(1, add(n!, 1));
    return { average: (old, value) => add(old, mul(sub(value, old), share)), weight: () => 1 };
  });
}

interface Times {
  /** Updates until the first averaging. */
  readonly first: number;
  readonly every: number;
  readonly statistics: boolean;
  /** Whether the rule needs the number of averagings. */
  readonly counts: boolean;
}

/** The new average of an array, and the new weight. */
interface AverageRule {
  average(old: Tensor, value: Tensor): Tensor;
  weight(old: Tensor): Tensor | number;
}

/** Keeps averages by a rule, which gets the number of averagings so far if it counts them. */
function averaging(
  name: string,
  optimizer: Optimizer,
  options: Readonly<Record<string, Json>>,
  { first, every, statistics, counts }: Times,
  ruleOf: (n: Tensor | null) => AverageRule,
): Optimizer {
  if (Object.keys(optimizer.config).some((key) => key.startsWith('average'))) {
    wrapConfig('averageWeights', optimizer, { averageDecay: 0 }, 'one average has one decay');
    throw new RangeError(`${name}: the optimizer already keeps an average (use one of them)`);
  }
  const config = wrapConfig(name, optimizer, options, 'one average has one decay');
  refuseAccumulation(name, optimizer, 'the average would decay');
  const waits = first > 1 || every > 1;
  return {
    ...optimizer,
    config,
    ...(statistics && { usesStatistics: true }),
    init(specs, statisticSpecs = {}) {
      const state: Record<string, HostTensor> = { ...optimizer.init(specs, statisticSpecs) };
      for (const [key, { shape }] of Object.entries({ ...specs, ...(statistics && statisticSpecs) }))
        state[AVERAGE + key] = zero(shape);
      state[WEIGHT] = zero([]);
      if (counts) state[COUNT] = zero([]);
      if (waits) state[WAIT] = { ...zero([]), data: Float32Array.of(first) };
      return state;
    },
    update(at) {
      const updated = optimizer.update(at);
      const state: Record<string, Tensor> = { ...updated.state };
      // The average of a parameter that was frozen during the run goes on toward its value.
      const frozen = Object.entries(at.frozen ?? {}).filter(([key]) => AVERAGE + key in at.state);
      const values = {
        ...Object.fromEntries(frozen),
        ...updated.params,
        ...(statistics && statisticsOf(name, at, AVERAGE, updated.statistics)),
      };
      const wait = waits ? sub(at.state[WAIT], 1) : null;
      const isDue = wait === null ? null : equal(wait, 0);
      const ifDue = (next: Tensor | number, old: Tensor): Tensor | number =>
        isDue === null ? next : where(isDue, next, old);
      const rule = ruleOf(counts ? at.state[COUNT] : null);
      for (const [key, value] of Object.entries(values)) {
        const old = at.state[AVERAGE + key];
        state[AVERAGE + key] = ifDue(rule.average(old, value), old) as Tensor;
      }
      state[WEIGHT] = add(ifDue(rule.weight(at.state[WEIGHT]), at.state[WEIGHT]), 0);
      if (counts) state[COUNT] = add(at.state[COUNT], isDue === null ? 1 : where(isDue, 1, 0));
      if (wait !== null && isDue !== null) state[WAIT] = where(isDue, every, wait);
      return { ...updated, state };
    },
  };
}

/** Throws RangeError for an optimizer that accumulates gradients. */
export function refuseAccumulation(name: string, { stepsPerUpdate = 1 }: Optimizer, because: string): void {
  if (stepsPerUpdate <= 1) return;
  throw new RangeError(
    `${name}: the optimizer accumulates ${stepsPerUpdate} steps for an update, but ${because} at every step ` +
      `(swap the wrappers: accumulateGradients(${name}(optimizer), batches))`,
  );
}

/** The new statistics of a step that have an array with a prefix. Throws PlanError if an array has no statistic and is not frozen. */
export function statisticsOf(
  name: string,
  { state, specs, statistics, frozen = {} }: UpdateArguments,
  prefix: string,
  replaced: Tree = {},
): Tree {
  const kept = Object.keys(state).flatMap((key) =>
    key.startsWith(prefix) ? [key.slice(prefix.length)] : [],
  );
  const after: Tree = { ...statistics?.after, ...replaced };
  return Object.fromEntries(
    kept
      .filter((key) => !(key in specs) && !(key in frozen))
      .map((key) => {
        if (after[key] === undefined) {
          throw new PlanError(
            `${name}: the step has no new value of '${key}' (pass the updates of bind to applyGradients)`,
          );
        }
        return [key, after[key]];
      }),
  );
}

/**
 * The state of a run with the averages of `averageWeights` or `swa` in place of the weights, and of the statistics if they are
 * averaged. All other arrays are unchanged. `updateBatchNorm` computes statistics that belong to the averages.
 *
 * Throws RangeError for a state without averages, or from before the first averaging.
 *
 * @example
 * const optimizer = averageWeights(sgd({ lr: 0.01 }), { decay: 0.99 });
 * const { state } = await fit({ model, backend, data, optimizer, steps: 5000 });
 * const averaged = averagedState(state);
 */
export function averagedState(state: State): State {
  checkArrays('averagedState', state);
  const weights = new Set(Object.values(averagesIn(Object.keys(state))).map(({ weight }) => weight));
  const isEarly = [...weights].some((name) => state[name].data[0] === 0);
  if (isEarly || weights.size === 0) {
    throw new RangeError(
      `averagedState: the state has no averages${isEarly ? ' yet: it had no update' : ''} ` +
        `(train with averageWeights(optimizer))`,
    );
  }
  return withAverages(state, (average, { data: [weight] }, value) => ({
    ...value,
    data: average.data.map((a) => a / weight),
  }));
}
