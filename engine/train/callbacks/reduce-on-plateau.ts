/** Lowers the learning rate when a metric stops improving. */
import { plateau, type PlateauOptions, type PlateauState } from '../../../schedulers/index.ts';
import { checkOptions, checkText } from '../../options.ts';
import type { Callback } from '../callbacks.ts';
import { monitorOf, valueOf, type MonitorOptions } from '../monitor.ts';

export interface ReduceOnPlateauOptions extends MonitorOptions, Omit<PlateauOptions, 'start' | 'mode'> {
  /** The hyperparameter to lower. Default 'lr'. */
  readonly hyper?: string;
}

/**
 * A callback that multiplies the learning rate by `factor` when a metric of the evaluations does not improve: `plateau` of
 * cyclegrad/schedulers inside a run. It multiplies the schedule of the rate, so any schedule can be combined with it. A resumed run
 * continues with the factor and the count.
 *
 * Units: `patience` and `cooldown` count evaluations. `min` is the lowest factor. Default metric: the loss of evaluations.
 * Throws as `plateau` does. The run throws RangeError if its evaluations lack the metric, or the optimizer the hyperparameter.
 *
 * @example
 * const reduce = reduceOnPlateau({ factor: 0.1, patience: 3 });
 * await fit({ ...options, eval: { data: test, every: 100 }, callbacks: [reduce] });
 */
export function reduceOnPlateau(options: ReduceOnPlateauOptions = {}): Callback {
  const where = 'reduceOnPlateau';
  checkOptions(where, options, [
    'monitor',
    'mode',
    'hyper',
    'factor',
    'patience',
    'threshold',
    'thresholdMode',
    'cooldown',
    'min',
  ]);
  const { monitor = 'loss', mode, hyper = 'lr', ...rest } = options;
  checkText(where, 'hyper', hyper, 'the name of a hyperparameter');
  const watched = monitorOf(where, { monitor, ...(mode && { mode }) })!;
  const reduce = plateau({ ...rest, start: 1, mode: watched.mode });
  return {
    name: where,
    config: { monitor, hyper, ...reduce.config },
    open(run, saved) {
      let state = (saved?.data ?? reduce.initial) as PlateauState;
      return {
        async on(event) {
          if (event.type !== 'eval') return;
          const before = state.value;
          state = reduce(state, valueOf(where, event, watched));
          if (state.value === before) return;
          await run.scale(hyper, state.value);
          run.notice(
            `${hyper} is multiplied by ${state.value} from step ${run.step} on: no better ${watched.metric}`,
          );
        },
        state: () => ({ data: state }),
      };
    },
  };
}
