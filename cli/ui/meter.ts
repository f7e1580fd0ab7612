/** The speed of a live run and the time left. */
import type { TrainEvent } from '../../engine/index.ts';
import type { Status } from './protocol.ts';

/** The number of steps over which the speed is smoothed. */
const SMOOTH_STEPS = 50;

export class Meter {
  paused = false;
  readonly #now: () => number;
  #step = 0;
  #steps = 0;
  #batchSize = 0;
  #stepsHere = 0;
  #msPerStep = 0;
  /** Time outside steps, in evaluations and checkpoints. */
  #otherMs = 0;
  #started = 0;
  #mark = 0;
  #pausedAt = 0;
  #ended = false;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  take(event: TrainEvent): void {
    const now = this.#now();
    if (event.type === 'start') {
      this.#started = now;
      [this.#step, this.#steps, this.#batchSize] = [event.step, event.steps, event.batchSize];
    } else if (event.type === 'step') {
      this.#step = event.step + 1;
      this.#stepsHere++;
      // First a plain mean, then an exponential one, which avoids a bias at the start.
      const weight = 1 / Math.min(this.#stepsHere, SMOOTH_STEPS);
      this.#msPerStep += (now - this.#mark - this.#msPerStep) * weight;
    } else if (this.#stepsHere > 0) {
      this.#otherMs += now - this.#mark;
    }
    if (event.type === 'end') this.#ended = true;
    this.#mark = now;
  }

  /** The time of a pause, or of a computation for the page, is not that of a step. */
  begin(): void {
    this.#pausedAt = this.#now();
  }

  finish(): void {
    const ms = this.#now() - this.#pausedAt;
    this.#started += ms;
    this.#mark += ms;
  }

  get status(): Omit<Status, 'doing'> {
    const msPerStep = this.#msPerStep;
    const others = this.#stepsHere === 0 ? 0 : this.#otherMs / this.#stepsHere;
    return {
      step: this.#step,
      steps: this.#steps,
      msPerStep,
      examplesPerSecond: msPerStep > 0 ? (this.#batchSize * 1000) / msPerStep : 0,
      elapsed: this.#started === 0 ? 0 : this.#now() - this.#started,
      left: this.#stepsHere === 0 ? null : (msPerStep + others) * (this.#steps - this.#step),
      paused: this.paused,
      ended: this.#ended,
    };
  }
}
