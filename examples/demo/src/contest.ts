/** Two networks from the same seed, each trained in a worker of its own, in step with each other. */
import type { TrainEvent } from 'cyclegrad';
import { trainInWorker, type WorkerRun } from 'cyclegrad/worker';
import type { Schedule } from 'cyclegrad/schedulers';
import type { Source } from './pictures.ts';
import type { Guesses, Input, Sample } from './train.worker.ts';

export const SIDES = ['cyclical', 'fixed'] as const;
export type Side = (typeof SIDES)[number];

export interface Options {
  readonly source: Source;
  readonly steps: number;
  readonly seed: number;
  readonly rates: Readonly<Record<Side, Schedule>>;
  readonly onEvent: (side: Side, event: TrainEvent) => void;
  readonly onSample: (sample: Sample) => void;
  readonly onGuesses: (side: Side, guesses: Guesses) => void;
  readonly onEnd: () => void;
  readonly onError: (error: Error) => void;
}

/** Threads of each of `runs` networks that train at the same time. Without isolation, a browser gives each one. */
export const threadsFor = (runs: number): number =>
  crossOriginIsolated ? Math.max(1, Math.floor(navigator.hardwareConcurrency / runs)) : 1;

/** Steps that one network may be ahead of the other. */
const AHEAD = 2;

const newWorker = (): Worker => new Worker(new URL('./train.worker.ts', import.meta.url), { type: 'module' });

/** The workers live as long as the page, because they keep the pictures. */
const workers: Partial<Record<Side, Worker>> = {};

interface Entry {
  readonly run: WorkerRun;
  step: number;
  waits: boolean;
  ended: boolean;
}

export class Contest {
  readonly #options: Options;
  readonly #entries: Record<Side, Entry>;
  readonly #threads = threadsFor(SIDES.length);
  readonly #release = new AbortController();
  readonly #pending: Partial<Record<Side, Schedule>> = {};
  #paused = false;
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
    this.#entries = { cyclical: this.#start('cyclical'), fixed: this.#start('fixed') };
    const runs = SIDES.map((side) => this.#entries[side].run.result);
    Promise.all(runs).then(
      () => this.#closed || options.onEnd(),
      (error: Error) => {
        if (this.#closed) return;
        this.close();
        options.onError(error);
      },
    );
  }

  get paused(): boolean {
    return this.#paused;
  }

  pause(): void {
    this.#paused = true;
    this.#balance();
  }

  resume(): void {
    this.#paused = false;
    this.#balance();
  }

  /** Changes a schedule from the next step on. While one change is under way, only the last of the others is kept. */
  reschedule(side: Side, lr: Schedule): void {
    const busy = this.#pending[side] !== undefined;
    this.#pending[side] = lr;
    if (!busy) void this.#change(side);
  }

  async #change(side: Side): Promise<void> {
    for (;;) {
      const lr = this.#pending[side];
      if (lr === undefined || this.#closed) return;
      await this.#entries[side].run.reschedule('lr', lr).catch(() => undefined); // the run has ended
      if (this.#pending[side] === lr) delete this.#pending[side];
    }
  }

  /** Ends both runs. Their workers end, too, unless they are between two runs. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#release.abort();
    for (const side of SIDES) {
      const { run, ended } = this.#entries[side];
      run.result.catch(() => undefined);
      if (ended) continue;
      run.terminate();
      delete workers[side];
    }
  }

  #start(side: Side): Entry {
    const { source, steps, seed, rates, onEvent, onSample, onGuesses } = this.#options;
    const worker = (workers[side] ??= newWorker());
    const { signal } = this.#release;
    worker.addEventListener(
      'message',
      ({ data }: MessageEvent<Sample | Guesses | { readonly type: 'other' }>) => {
        if (data.type === 'sample') onSample(data);
        if (data.type === 'guesses') onGuesses(side, data);
      },
      { signal },
    );
    const listener = (event: TrainEvent): void => {
      if (this.#closed) return;
      if (event.type === 'step') entry.step = event.step + 1;
      onEvent(side, event);
      this.#balance();
    };
    const input: Input = { source, steps, seed, threads: this.#threads, lr: rates[side].config };
    const run = trainInWorker<Input>(worker, { input, listeners: [listener] });
    const entry: Entry = { run, step: 0, waits: false, ended: false };
    run.result.then(
      () => (entry.ended = true),
      () => undefined,
    );
    return entry;
  }

  /** Lets the network that is ahead wait for the other one. */
  #balance(): void {
    if (this.#closed || this.#entries === undefined) return;
    const { cyclical, fixed } = this.#entries;
    for (const [own, other] of [
      [cyclical, fixed],
      [fixed, cyclical],
    ] as const) {
      if (own.ended) continue;
      const waits = this.#paused || own.step > other.step + (own.waits ? 0 : AHEAD);
      if (waits === own.waits) continue;
      own.waits = waits;
      (waits ? own.run.pause() : own.run.resume()).catch(() => undefined); // the run has ended
    }
  }
}
