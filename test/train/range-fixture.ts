/** Made curves of range tests. */
import { stream, type RangeCurve } from 'cyclegrad';

export interface CurveOptions {
  readonly n?: number;
  readonly noise?: number;
  readonly sweep?: 'linear' | 'exponential';
  readonly accuracies?: readonly number[];
  readonly end?: RangeCurve['end'];
  readonly seed?: number;
}

/** A curve from a loss at every share t of the sweep: from 1e-5 to 1 by equal factors, or from 0 to 0.02 in equal steps. */
export function curve(loss: (t: number) => number, options: CurveOptions = {}): RangeCurve {
  const {
    n = 200,
    noise = 0,
    sweep: kind = 'exponential',
    accuracies = [],
    end = 'done',
    seed = 1,
  } = options;
  const draws = stream(seed, 'noise');
  const points = Array.from({ length: n }, (_, step) => {
    const t = step / (n - 1);
    const value = loss(t) + noise * draws.normal();
    return { step, lr: kind === 'linear' ? 0.02 * t : 1e-5 * 1e5 ** t, loss: value, smoothed: value };
  });
  const evaluations = accuracies.map((accuracy, i) => ({ step: i * 10, lr: i / 1000, loss: 1, accuracy }));
  return { seed: seed - 1, points, evaluations, end };
}

/** Level at 2.3, a fall between t = 0.2 and 0.5 that is steepest at 0.35, level at 1.3, and a rise from 0.8 on. */
export const valley = (t: number): number => {
  if (t < 0.2) return 2.3;
  if (t < 0.5) return 1.8 + 0.5 * Math.cos((Math.PI * (t - 0.2)) / 0.3);
  return t < 0.8 ? 1.3 : 1.3 + 20 * (t - 0.8) ** 2;
};
/** What training does under a rate that rises from 0: a fast fall at the beginning, a slow one, a slow rise. */
export const early = (t: number): number =>
  2.3 - Math.min(1, 8 * t) * 0.9 - (t < 0.5 ? 0.3 * t : 0.15 - 0.5 * (t - 0.5));
