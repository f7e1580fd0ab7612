/** Range tests: of a copy of a run, and as the page gets them. */
import {
  lossTrend,
  lrRangeTest,
  meanCurve,
  suggestBounds,
  type Listener,
  type RangeTest,
  type RunHandle,
} from '../../../engine/index.ts';
import type { Optimizer } from '../../../optim/index.ts';
import type { Schedule } from '../../../schedulers/index.ts';
import type { RangeView } from '../protocol.ts';
import type { AnyTrainOptions } from '../watched.ts';

export interface Sweep {
  readonly from: number;
  readonly to: number;
  readonly steps: number;
}

/** Sweeps the rate exponentially from the state of a run, which does not change. */
export async function sweepCopy(
  {
    model,
    backend,
    data,
    optimizer,
    loss,
    metrics,
    step: own,
    seed = 0,
    resident,
    stepsPerCall,
  }: AnyTrainOptions,
  run: RunHandle,
  sweep: Sweep,
  signal: AbortSignal,
  listener: Listener,
): Promise<RangeView> {
  const test = await lrRangeTest({
    model,
    backend,
    data,
    ...(loss !== undefined && { loss }),
    ...(metrics !== undefined && { metrics }),
    ...(own !== undefined && { step: own }),
    ...(resident !== undefined && { resident }),
    ...(stepsPerCall !== undefined && { stepsPerCall }),
    initial: await run.state(),
    optimizer: (lr) => withRate(optimizer, lr, run.step),
    ...sweep,
    sweep: 'exponential',
    seeds: [seed],
    signal,
    listeners: [listener],
  });
  return rangeView(test, run.step);
}

/** The optimizer with another rate, and its other hyperparameters as they are at a step. Several rates keep their ratios. */
function withRate(optimizer: Optimizer, lr: Schedule, step: number): Optimizer {
  const now = optimizer.at(step);
  const rates = Object.keys(now).filter((name) => name === 'lr' || name.endsWith('/lr'));
  const highest = Math.max(...rates.map((name) => now[name]));
  const at = (t: number): Record<string, number> => ({
    ...now,
    ...Object.fromEntries(rates.map((name) => [name, lr(t) * (highest > 0 ? now[name] / highest : 1)])),
  });
  return { ...optimizer, at };
}

/** A range test for the page. Several sweeps become their mean, as far as all of them go. */
export function rangeView({ curves, from, to, sweep }: RangeTest, step: number): RangeView {
  const curve = meanCurve(curves);
  const trend = lossTrend(curve);
  const suggestions = Object.entries(suggestBounds(curve)).map(([name, { lr, why }]) => ({
    name,
    rate: lr,
    why,
  }));
  return {
    step,
    from,
    to,
    sweep,
    end: curve.end,
    rates: curve.points.map(({ lr }) => lr),
    losses: curve.points.map(({ loss }) => loss),
    trend: { rates: trend.map(({ lr }) => lr), losses: trend.map(({ loss }) => loss) },
    suggestions,
  };
}
