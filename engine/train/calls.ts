/**
 * Calls of several runs, for backends whose calls cost as much as several runs. The updates run ahead of their events. If the run ends
 * between two updates of a call, the state is restored. The results do not depend on the size of calls.
 */
import type { Backend, Executable, Feeds, Outputs, StepTime, Store } from '../backends/backend.ts';
import { RunsError } from '../backends/runs.ts';
import { compile } from '../compile.ts';
import type { Hyper } from '../nn/optimizer.ts';
import type { State } from '../types.ts';
import type { Batches } from './batches.ts';
import type { StepProfile } from './callbacks.ts';

/** The maximum time of a call of several runs, in milliseconds. Events and stopping are delayed by up to this time. */
const CALL_MS = 100;

/** The size of calls. */
export class Pace {
  readonly #most: number;
  readonly #fixed: boolean;
  #size: number;

  /** At most `most` runs in a call. Unless `fixed`, fewer if they would take more than CALL_MS. */
  constructor(most: number, fixed: boolean) {
    this.#most = most;
    this.#fixed = fixed;
    this.#size = fixed ? most : 1;
  }

  get size(): number {
    return this.#size;
  }

  /** Updates the size after a call. It at most doubles, because the first runs are slower than later ones. */
  took(runs: number, ms: number): void {
    if (this.#fixed) return;
    const fitting = Math.floor((CALL_MS * runs) / ms);
    this.#size = Math.max(1, Math.min(this.#most, 2 * this.#size, fitting));
  }
}

/** The outputs of several runs. Throws the error of the run that fails. */
export async function runTogether(run: () => Promise<Outputs>): Promise<Outputs> {
  try {
    return await run();
  } catch (error) {
    throw error instanceof RunsError ? error.cause : error;
  }
}

/** The prefix of the arrays that hold the state before a call. */
const KEPT = 'kept/';

/** The additional arrays of a store for calls of several updates. */
export const keptArrays = (state: State): State =>
  Object.fromEntries(Object.entries(state).map(([name, value]) => [KEPT + name, value]));

export interface UpdatesSpec {
  readonly backend: Backend;
  /** Includes `keptArrays` if calls have several updates. */
  readonly store: Store;
  /** The arrays of the state. */
  readonly names: readonly string[];
  /** The outputs are scalars. */
  readonly update: Executable;
  readonly pace: Pace;
  readonly batches: Batches;
  /** The hyperparameters of a step. */
  readonly hyper: (step: number) => Hyper;
}

/** The updates of a training run. */
export class Updates {
  readonly #spec: UpdatesSpec;
  #update: Executable;
  /** Copies the state to the kept arrays, and back. Compiled when first needed. */
  #keep: Executable | null = null;
  #restore: Executable | null = null;
  /** The last call: its first update, the outputs of its updates, milliseconds of each, and the error of the update after them. */
  #first = 0;
  #done: readonly Readonly<Record<string, number>>[] = [];
  #ms = 0;
  #failure: { readonly error: unknown } | null = null;

  constructor(spec: UpdatesSpec) {
    this.#spec = spec;
    this.#update = spec.update;
  }

  /** Takes another executable for later updates. Only the updates that have events may have run. */
  async replace(make: () => Promise<Executable>): Promise<void> {
    // First frees the memory of the one before.
    await this.#update.close();
    this.#update = await make();
  }

  /** The outputs of update `step`. Updates before `until` may run in the same call. Throws the error of the run. */
  async next(step: number, until: number): Promise<{ values: Readonly<Record<string, number>>; ms: number }> {
    if (step - this.#first >= this.#done.length && this.#failure === null) {
      await this.#call(step, Math.min(this.#spec.pace.size, until - step));
    }
    const values = this.#done[step - this.#first];
    if (values === undefined) throw this.#failure!.error;
    return { values, ms: this.#ms };
  }

  /** Restores the state after `step` updates, if more have run. */
  async settle(step: number): Promise<void> {
    const count = step - this.#first;
    if (count >= this.#done.length) return;
    this.#restore ??= await this.#copy(KEPT, '');
    await this.#restore.run({});
    if (count > 0) await runTogether(() => this.#run(this.#first, count));
    this.#done = this.#done.slice(0, count);
    this.#failure = null;
  }

  /** The plan of an update, and the times of its steps in `runs` runs. The state changes. */
  async profile(step: number, runs: number, batch: Feeds): Promise<StepProfile> {
    const feeds = { ...batch, ...this.#spec.hyper(step), step: Int32Array.of(step) };
    const profiles: (readonly StepTime[])[] = [];
    for (let k = 0; k < runs; k++) profiles.push(await this.#update.profile(feeds));
    return { plan: this.#update.plan, profiles };
  }

  async close(): Promise<void> {
    await this.#keep?.close();
    await this.#restore?.close();
    await this.#update.close();
  }

  async #call(step: number, count: number): Promise<void> {
    const { pace } = this.#spec;
    const begin = performance.now();
    let outputs: Outputs;
    this.#failure = null;
    try {
      if (count > 1) {
        this.#keep ??= await this.#copy('', KEPT);
        await this.#keep.run({});
      }
      outputs = await this.#run(step, count);
    } catch (error) {
      const several = error instanceof RunsError;
      outputs = several ? error.before : {};
      this.#failure = { error: several ? error.cause : error };
    }
    const ms = performance.now() - begin;
    const columns = Object.entries(outputs);
    const done = columns[0]?.[1].data.length ?? 0;
    // An error of a schedule or data set at a later step must not prevent the updates before it.
    if (done === 0 && count > 1) return this.#call(step, 1);
    this.#first = step;
    this.#done = Array.from({ length: done }, (_, k) =>
      Object.fromEntries(columns.map(([name, { data }]) => [name, data[k]])),
    );
    this.#ms = ms / Math.max(1, done);
    pace.took(count, ms);
  }

  /** Runs `count` updates. Throws RunsError if one of several fails. */
  #run(first: number, count: number): Promise<Outputs> {
    const { batches, hyper } = this.#spec;
    return batches.run(this.#update, first, count, (step) => ({ ...hyper(step), step: Int32Array.of(step) }));
  }

  #copy(from: string, to: string): Promise<Executable> {
    const { backend, store, names } = this.#spec;
    return compile(backend, {
      state: store,
      build: (_, state) => ({
        outputs: {},
        next: Object.fromEntries(names.map((name) => [to + name, state[from + name]])),
      }),
    });
  }
}
