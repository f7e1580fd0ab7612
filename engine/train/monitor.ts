/** Which of two evaluations is better, by a metric of the user's choice. */
import { checkOneOf, checkText } from '../options.ts';
import { isBetter } from './evaluate.ts';
import type { EvalEvent } from './events.ts';

export interface MonitorOptions {
  /** The metric of evaluations to compare, or 'loss'. Default: `accuracy`, or the loss if there is no accuracy. */
  readonly monitor?: string;
  /** Whether lower or higher is better. Default: 'min' for the loss and 'max' for the accuracy. Other metrics require it. */
  readonly mode?: 'min' | 'max';
}

export interface Monitor {
  readonly metric: string;
  readonly mode: 'min' | 'max';
}

/** Null without `monitor`. Throws TypeError or RangeError for options that are wrong or do not fit. */
export function monitorOf(where: string, { monitor, mode }: MonitorOptions): Monitor | null {
  if (monitor === undefined) {
    if (mode === undefined) return null;
    throw new TypeError(`${where}: mode needs monitor (pass monitor, or omit mode)`);
  }
  checkText(where, 'monitor', monitor, 'the name of a metric');
  const usual = monitor === 'loss' ? 'min' : monitor === 'accuracy' ? 'max' : undefined;
  checkOneOf(where, 'mode', mode ?? usual, ['min', 'max']);
  return { metric: monitor, mode: (mode ?? usual)! };
}

/** The monitored value of an evaluation. Throws RangeError for a metric that it does not have. */
export function valueOf(where: string, { loss, metrics }: EvalEvent, { metric }: Monitor): number {
  const value = metric === 'loss' ? loss : metrics[metric];
  if (value !== undefined) return value;
  const known = ['loss', ...Object.keys(metrics)].join(', ');
  throw new RangeError(`${where}: monitor: evaluations have no metric '${metric}' (they have: ${known})`);
}

/** The monitor of an evaluation without options. */
export const usualMonitor = ({ metrics }: EvalEvent): Monitor =>
  metrics['accuracy'] === undefined ? { metric: 'loss', mode: 'min' } : { metric: 'accuracy', mode: 'max' };

/** Whether an evaluation is better than the best before, or the first that can be compared. */
export function isImprovement(
  where: string,
  event: EvalEvent,
  best: EvalEvent | null,
  monitor: Monitor | null,
): boolean {
  if (monitor === null) return best === null || isBetter(event, best);
  const value = valueOf(where, event, monitor);
  const before =
    best === null ? undefined : monitor.metric === 'loss' ? best.loss : best.metrics[monitor.metric];
  if (before === undefined) return true;
  return monitor.mode === 'min' ? value < before : value > before;
}
