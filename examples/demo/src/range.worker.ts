/** Runs the range test: a short run whose rate rises. */
import { lrRangeTest, suggestBounds, wasm } from 'cyclegrad';
import type { Source } from './pictures.ts';
import { RANGE_STEPS } from './schedule.ts';
import { optimizerOf, taskOf } from './task.ts';

export interface RangeInput {
  readonly source: Source;
  readonly seed: number;
  readonly threads: number;
}
export type RangeMessage =
  | { readonly type: 'point'; readonly lr: number; readonly loss: number }
  | {
      readonly type: 'done';
      readonly rates: readonly number[];
      readonly losses: readonly number[];
      readonly base: number | null;
      readonly max: number | null;
      readonly why: string | null;
    }
  | { readonly type: 'failed'; readonly message: string };

const send = (message: RangeMessage): void => postMessage(message);

async function test({ source, seed, threads }: RangeInput): Promise<void> {
  const backend = await wasm({ threads });
  const { model, data } = await taskOf(source);
  const { curves } = await lrRangeTest({
    model,
    backend,
    data,
    from: 1e-4,
    to: 1,
    steps: RANGE_STEPS,
    sweep: 'exponential',
    seeds: [seed],
    optimizer: optimizerOf,
    smoothing: 0.9,
    listeners: [
      (event) => {
        if (event.type === 'step')
          send({
            type: 'point',
            lr: event.hyper['lr'],
            loss: event.loss,
          });
      },
    ],
  });
  const [curve] = curves;
  const { minimum } = suggestBounds(curve);
  // The suggestion is a tenth of the rate with the lowest loss.
  const base = minimum.lr;
  send({
    type: 'done',
    rates: curve.points.map(({ lr }) => lr),
    losses: curve.points.map(({ smoothed }) => smoothed),
    base,
    max: base === null ? null : 10 * base,
    why: minimum.why ?? null,
  });
}

addEventListener('message', ({ data }: MessageEvent<RangeInput>) => {
  test(data).catch((error: Error) => send({ type: 'failed', message: error.message }));
});
