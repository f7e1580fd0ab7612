/** The highest learning rate of a run, by a range test. */
import type { Loader } from '../../datasets/index.ts';
import {
  lossTrend,
  lrRangeTest,
  meanCurve,
  progressBar,
  suggestBounds,
  type Backend,
  type Listener,
  type RangeCurve,
  type RangeTest,
  type State,
} from '../../engine/index.ts';
import type * as nn from '../../engine/nn/index.ts';
import { sgd, type Optimizer } from '../../optim/index.ts';
import type { Schedule } from '../../schedulers/index.ts';
import type { Host } from '../host.ts';
import { plotText, widthOf } from '../terminal/plot.ts';

/** The sweep of fastai's `lr_find`, but up to a rate at which any network with batch normalization diverges or forgets. */
const SWEEP = { from: 1e-4, to: 3, steps: 100, sweep: 'exponential' } as const;

/** Sweeps whose mean is taken: with small batches, the curve of one is mostly noise. */
const SWEEPS = 2;

/** The rate if the test shows none, and the limits of the rate. Networks with batch normalization train with all of these. */
const USUAL = { rate: 0.05, low: 0.02, high: 0.3 } as const;

/** The optimizer of the command for images. */
export const optimizerOf = (lr: Schedule, momentum: number | Schedule = 0.9): Optimizer =>
  sgd({ lr, momentum, nesterov: true, weightDecay: 5e-4 });

export interface FoundRate {
  readonly max: number;
  readonly why: string;
  /** Milliseconds of a training step. */
  readonly stepMs: number;
  readonly test: RangeTest;
}

export interface FindOptions {
  readonly model: nn.Layer;
  readonly backend: Backend;
  readonly data: Loader;
  readonly initial: State;
  readonly seed: number;
  readonly signal: AbortSignal;
  readonly watch: Listener;
}

/** Runs the test and shows it. Null if the signal aborted it. */
export async function findRate(host: Host, options: FindOptions): Promise<FoundRate | null> {
  const { model, backend, data, initial, seed, signal, watch } = options;
  const times: number[] = [];
  const test = await lrRangeTest({
    model,
    backend,
    data,
    initial,
    signal,
    ...SWEEP,
    seeds: Array.from({ length: SWEEPS }, (_, i) => seed + i),
    optimizer: (lr) => optimizerOf(lr),
    listeners: [
      progressBar({ stream: host.stderr }),
      (event) => void (event.type === 'step' && times.push(event.ms)),
      watch,
    ],
  });
  if (signal.aborted) return null;
  const curve = meanCurve(test.curves);
  const stepMs = times.sort((a, b) => a - b)[times.length >> 1] ?? 0;
  const { max, why } = choose(curve);
  host.stderr.write(plot(curve, max, widthOf(host.stderr, host.env)));
  return { max, why, stepMs, test };
}

/** The middle of the fall of the loss, or what else the curve shows. */
function choose(curve: RangeCurve): { readonly max: number; readonly why: string } {
  const { valley, minimum } = suggestBounds(curve);
  const found = valley.lr ?? minimum.lr;
  if (found === null) {
    return { max: USUAL.rate, why: `a usual rate, because the range test shows none: ${valley.why}` };
  }
  const why =
    valley.lr === null ? 'a tenth of the rate with the lowest loss' : 'the middle of the fall of the loss';
  const limited = Math.min(USUAL.high, Math.max(USUAL.low, found));
  const rounded = Number(limited.toPrecision(2));
  if (limited === found) return { max: rounded, why: `${why} in the range test` };
  const bound = found < limited ? 'lowest' : 'highest';
  return {
    max: rounded,
    why: `the range test suggests ${short(found)} (${why}), and ${limited} is the ${bound} rate that this command takes from it`,
  };
}

function plot(curve: RangeCurve, max: number, width: number): string {
  const trend = lossTrend(curve);
  const points = trend.length > 1 ? trend : curve.points;
  if (points.length < 2) return '';
  const [first, last] = [points[0], points[points.length - 1]];
  const at = Math.log(max / first.lr) / Math.log(last.lr / first.lr);
  const text = plotText(
    points.map(({ loss }) => loss),
    {
      from: short(first.lr),
      to: short(last.lr),
      width,
      format: (x) => x.toFixed(3),
      marks: [{ label: `${short(max)}`, at }],
    },
  );
  return `loss against the learning rate, mean of ${SWEEPS} sweeps\n${text}`;
}

const short = (x: number): string => Number(x.toPrecision(2)).toString();
