/** What has been measured of one network, as columns of a plot. */
import type { TrainEvent } from 'cyclegrad';

type Column = (number | null)[];

/** Decay of the moving average of the loss. */
const DECAY = 0.93;

export class Record {
  /** The rate and the smoothed loss of each step. */
  readonly rates: Column;
  readonly losses: Column;
  /** Test accuracy in percent by the number of steps done. */
  readonly accuracies: Column;
  step = 0;
  accuracy: number | null = null;
  best: number | null = null;
  msPerStep: number | null = null;
  #average = 0;

  constructor(steps: number) {
    const column = (): Column => Array.from({ length: steps + 1 }, () => null);
    [this.rates, this.losses, this.accuracies] = [column(), column(), column()];
  }

  add(event: TrainEvent): void {
    if (event.type === 'step') {
      const { step, hyper, loss, ms } = event;
      this.#average = DECAY * this.#average + (1 - DECAY) * loss;
      this.rates[step] = hyper['lr'] ?? null;
      this.losses[step] = this.#average / (1 - DECAY ** (step + 1));
      this.step = step + 1;
      this.msPerStep = this.msPerStep === null ? ms : 0.95 * this.msPerStep + 0.05 * ms;
    }
    if (event.type === 'eval') {
      this.accuracy = 100 * (event.metrics['accuracy'] ?? 0);
      this.accuracies[event.step] = this.accuracy;
      if (event.step > 0) this.best = Math.max(this.best ?? 0, this.accuracy);
    }
  }
}
