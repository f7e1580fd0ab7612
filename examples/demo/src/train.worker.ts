/** Trains one of the two networks. */
import { predict, wasm, type CallbackFunction } from 'cyclegrad';
import { scheduleFromJSON, type ScheduleConfig } from 'cyclegrad/schedulers';
import { serveTraining } from 'cyclegrad/worker';
import { BYTES, SIZE, type Pictures, type Source } from './pictures.ts';
import { optimizerOf, taskOf } from './task.ts';

export interface Input {
  readonly source: Source;
  readonly steps: number;
  readonly seed: number;
  readonly threads: number;
  readonly lr: ScheduleConfig;
}

/** What the worker sends besides the events. */
export interface Sample {
  readonly type: 'sample';
  readonly classes: readonly string[];
  readonly pixels: Uint8Array;
  readonly labels: readonly number[];
}
export interface Guesses {
  readonly type: 'guesses';
  readonly step: number;
  readonly classes: readonly number[];
  /** The probability of each guess. */
  readonly sure: readonly number[];
}

/** Pictures whose predictions are shown. */
const SHOWN = 12;
const EVALUATE_EVERY = 20;

let backend: ReturnType<typeof wasm> | null = null;

serveTraining(async ({ source, steps, seed, threads, lr }: Input) => {
  backend ??= wasm({ threads });
  const own = await backend;
  const { pictures, model, data, test } = await taskOf(source);
  const sample = sampleOf(pictures);
  postMessage(sample);
  const shape = [sample.labels.length, SIZE, SIZE, 3];
  const guess: CallbackFunction = async (event, run) => {
    if (event.type !== 'eval') return;
    const shown = { shape, dtype: 'u8', data: sample.pixels } as const;
    const { classes, probabilities } = await predict({
      model,
      state: await run.state(),
      backend: own,
      data: shown,
    });
    const width = pictures.classes.length;
    const message: Guesses = {
      type: 'guesses',
      step: event.step,
      classes: [...classes],
      sure: Array.from(classes, (label, i) => probabilities.data[i * width + label]),
    };
    postMessage(message);
  };
  return {
    model,
    backend: own,
    data,
    steps,
    seed,
    eval: { data: test, every: EVALUATE_EVERY, batchSize: Math.min(100, test.length) },
    callbacks: [guess],
    optimizer: optimizerOf(scheduleFromJSON(lr)),
  };
});

/** Test pictures of as many classes as possible. */
function sampleOf({ classes, test }: Pictures): Sample {
  const chosen: number[] = [];
  for (let round = 0; chosen.length < SHOWN && round < test.labels.length; round++) {
    for (let label = 0; label < classes.length && chosen.length < SHOWN; label++) {
      let seen = 0;
      const index = test.labels.findIndex((one) => one === label && seen++ === round);
      if (index >= 0) chosen.push(index);
    }
  }
  const pixels = new Uint8Array(chosen.length * BYTES);
  chosen.forEach((index, i) =>
    pixels.set(test.pixels.subarray(index * BYTES, (index + 1) * BYTES), i * BYTES),
  );
  return { type: 'sample', classes, pixels, labels: chosen.map((index) => test.labels[index]) };
}
