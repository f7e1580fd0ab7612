/** Runs a limited number of tasks at a time, in the order of the calls. */
export class Turns {
  /** What begins the tasks that wait. A set keeps its order, and its first element can be removed at once. */
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** The result of `act`, which begins when it is its turn. */
  async take<T>(act: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((begin) => this.#waiting.add(begin));
    try {
      return await act();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#free++;
      else {
        this.#waiting.delete(next);
        next();
      }
    }
  }
}
