/** The batches of a sequence of runs. While the backend computes, the next batches are read. */
import type { Executable, Feeds, Outputs } from '../backends/backend.ts';
import { stackFeeds } from '../backends/runs.ts';
import type { Examples } from './examples.ts';

/**
 * The number of batches that are read ahead. With a single one, the decoders of images would pause between its last image and the next
 * run.
 */
const AHEAD = 2;

export class Batches {
  readonly #examples: Pick<Examples, 'reuse'>;
  readonly #count: number;
  readonly #read: (step: number) => Feeds | Promise<Feeds>;
  /** Batches that were read before their run, or are being read. */
  readonly #pending = new Map<number, Promise<Feeds>>();

  /** `read` gives the batch of a step from 0 to `count` − 1, which depends on the step alone. */
  constructor(
    examples: Pick<Examples, 'reuse'>,
    count: number,
    read: (step: number) => Feeds | Promise<Feeds>,
  ) {
    this.#examples = examples;
    this.#count = count;
    this.#read = read;
  }

  /**
   * Runs the steps from `first` to `first + count − 1` in one call, with the batch and `more` feeds of each. The outputs of several are
   * stacked. An error of a batch that was read ahead is thrown here, by the call with its step. Throws RunsError if one of several runs
   * fails.
   */
  async run(
    executable: Executable,
    first: number,
    count = 1,
    more: (step: number) => Feeds = () => ({}),
  ): Promise<Outputs> {
    if (count > 1) {
      const stacked = await stackFeeds(count, async (k) => ({
        ...(await this.#take(first + k)),
        ...more(first + k),
      }));
      return executable.runMany(stacked);
    }
    const batch = await this.#take(first);
    // A run copies its feeds before it returns.
    const running = executable.run({ ...batch, ...more(first) });
    this.#examples.reuse(batch);
    this.#readAhead(first + 1);
    return running;
  }

  #take(step: number): Promise<Feeds> {
    const batch = this.#pending.get(step) ?? this.#start(step);
    this.#pending.delete(step);
    return batch;
  }

  #readAhead(first: number): void {
    for (const step of this.#pending.keys()) if (step < first) this.#pending.delete(step);
    for (let step = first; step < Math.min(first + AHEAD, this.#count); step++) {
      if (!this.#pending.has(step)) this.#pending.set(step, this.#start(step));
    }
  }

  #start(step: number): Promise<Feeds> {
    const batch = (async () => this.#read(step))();
    batch.catch(() => undefined); // thrown when the step is run, if it ever is
    return batch;
  }
}
