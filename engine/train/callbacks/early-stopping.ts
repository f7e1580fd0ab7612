/** Ends a run that does not improve any more. */
import { checkBoolean, checkInteger, checkNumber, checkOptions } from '../../options.ts';
import type { State } from '../../types.ts';
import type { Callback } from '../callbacks.ts';
import type { EvalEvent } from '../events.ts';
import { monitorOf, usualMonitor, valueOf, type MonitorOptions } from '../monitor.ts';

export interface EarlyStoppingOptions extends MonitorOptions {
  /** The number of evaluations without an improvement that ends the run. */
  readonly patience: number;
  /** An improvement is a change by more than this. Default 0. */
  readonly minDelta?: number;
  /**
   * Whether the run ends with the parameters and statistics of its best evaluation, also if it takes all its steps. Checkpoints have the
   * state of training, so a run that continues is not affected. Default false.
   */
  readonly restoreBest?: boolean;
}

interface Progress {
  readonly best: number | null;
  readonly step: number;
  /** Evaluations since the best one. */
  readonly since: number;
}

/**
 * A callback that ends the run when `patience` evaluations in a row bring no improvement. The reason of the end is 'stop'.
 *
 * Units: `patience` counts evaluations, so its length in steps is `patience` times `eval.every`.
 * Throws RangeError or TypeError for an option out of range. The run throws RangeError if its evaluations lack the metric.
 *
 * @example
 * await fit({ ...options, eval: { data: test, every: 100 }, callbacks: [earlyStopping({ patience: 5 })] });
 */
export function earlyStopping(options: EarlyStoppingOptions): Callback {
  const where = 'earlyStopping';
  checkOptions(where, options, ['monitor', 'mode', 'patience', 'minDelta', 'restoreBest']);
  const { patience, minDelta = 0, restoreBest = false } = options;
  const monitor = monitorOf(where, options);
  checkInteger(where, 'patience', patience, 1);
  checkNumber(where, 'minDelta', minDelta, 'a number >= 0', (x) => x >= 0);
  checkBoolean(where, 'restoreBest', restoreBest);
  return {
    name: where,
    config: {
      monitor: monitor?.metric ?? null,
      mode: monitor?.mode ?? null,
      patience,
      minDelta,
      restoreBest,
    },
    open(run, saved) {
      let progress = (saved?.data ?? { best: null, step: 0, since: 0 }) as Progress;
      let kept: State = saved?.arrays ?? {};
      const onEval = async (event: EvalEvent): Promise<void> => {
        const used = monitor ?? usualMonitor(event);
        const value = valueOf(where, event, used);
        const gain =
          used.mode === 'min' ? (progress.best ?? Infinity) - value : value - (progress.best ?? -Infinity);
        if (gain > minDelta) {
          progress = { best: value, step: event.step, since: 0 };
          if (restoreBest) kept = modelArrays(await run.state());
          return;
        }
        progress = { ...progress, since: progress.since + 1 };
        if (progress.since < patience) return;
        const { best, step, since } = progress;
        run.stop(`no better ${used.metric} in ${since} evaluations: the best is ${best} at step ${step}`);
      };
      return {
        on: (event) => (event.type === 'eval' ? onEval(event) : undefined),
        finish: () => (restoreBest && progress.step !== run.step ? run.write(kept) : undefined),
        state: () => ({ data: progress, arrays: kept }),
      };
    },
  };
}

/** Parameters and statistics. */
const modelArrays = (state: State): State =>
  Object.fromEntries(Object.entries(state).filter(([name]) => !name.includes('/')));
