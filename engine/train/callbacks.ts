/** Callbacks: functions of the events of a run that may act on it, and whose state checkpoints store. */
import type { Schedule } from '../../schedulers/index.ts';
import type { StepTime } from '../backends/backend.ts';
import type { Match } from '../match.ts';
import { checkFunction, checkText, isPromise, isRecord, show } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import type { State } from '../types.ts';
import type { EvalEvent, TrainEvent } from './events.ts';

/** What a callback, or the loop over `train`, can do with a run. Changes take effect at the next update. */
export interface RunHandle {
  /** Updates done. */
  readonly step: number;
  /** Total number of updates of the run. */
  readonly steps: number;
  /** The last evaluation. Null before the first. */
  readonly last: EvalEvent | null;
  /** The best evaluation. Null before the first. */
  readonly best: EvalEvent | null;
  /** A copy of parameters, statistics and arrays of the optimizer, as in `Result.state`. */
  state(): Promise<State>;
  /** Replaces arrays of the state. Throws DataError for unknown names and other shapes. */
  write(state: State): Promise<void>;
  /**
   * Evaluates now, unless this state was evaluated. Listeners and callbacks get the event, the loop over `train` gets it only from here.
   * Null if the signal aborted it. Throws EngineError without `eval`.
   */
  evaluate(): Promise<EvalEvent | null>;
  /** Saves a checkpoint now and returns its path. Throws EngineError without `checkpoint`. */
  save(): Promise<string>;
  /**
   * The bytes of a checkpoint file of this moment, which `resumeFrom` and `loadCheckpoint` read. It needs no files. Throws EngineError
   * for a state that is not finite.
   */
  checkpoint(): Promise<Uint8Array<ArrayBuffer>>;
  /** Ends the run after this event with the reason 'stop'. With `checkpoint`, the progress is saved. */
  stop(reason: string): void;
  /** Multiplies a hyperparameter by a factor that replaces the one before: 'lr', or 'head/lr' of a partition; 'lr' is then all rates. */
  scale(name: string, factor: number): Promise<void>;
  /**
   * Replaces the schedule of a hyperparameter from the next update on: 'lr', or 'head/lr' of a partition. As in the optimizer, the
   * schedule is a function of the step of the run, from 0. Checkpoints store its config, and a resumed run continues with it. Throws
   * TypeError for a schedule with a function of your own, and RangeError if a value of the rest of the run is negative.
   */
  reschedule(name: string, schedule: Schedule): Promise<void>;
  /** Freezes the trained parameters that match. They keep their arrays in the optimizer. The step is compiled again. */
  freeze(match: Match): Promise<void>;
  /** Trains frozen parameters again, unless the model itself freezes them. */
  unfreeze(match: Match): Promise<void>;
  /**
   * Computes the next update `runs` times and measures each step of its plan. The state is then as before, so the run continues with the
   * same bytes. `summarizeProfile` of cyclegrad/tools takes the result. Default 1 run. Throws EngineError after the last update.
   */
  profile(runs?: number): Promise<StepProfile>;
  /** Sends a notice, whose code is the name of the callback. */
  notice(message: string): void;
}

/** The plan of an update, and the times of its steps in one run or more. */
export interface StepProfile {
  readonly plan: Plan;
  readonly profiles: readonly (readonly StepTime[])[];
}

/** What a callback stores in a checkpoint. */
export interface CallbackState {
  /** Plain data. */
  readonly data: unknown;
  /** Arrays by name. Default: none. */
  readonly arrays?: State;
}

/** A callback in one run. */
export interface OpenCallback {
  /** Called with each event before listeners are. The run waits for its promise. */
  on?(event: TrainEvent): void | Promise<void>;
  /**
   * Called when the run is complete or stopped, after the last checkpoint. If it writes to the state, the run evaluates once more. It
   * is not called for an abort, a break or an error.
   */
  finish?(): void | Promise<void>;
  /** What the rest of the run depends on. Default: nothing. */
  state?(): CallbackState;
}

/** A callback with a state. */
export interface Callback {
  /** Different for each callback of a run. Checkpoints store it. */
  readonly name: string;
  /** The options as plain data. A resumed run reports a change. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Called when a run opens. `saved` is what `state` returned for the checkpoint that the run resumes from, or null. */
  open(run: RunHandle, saved: CallbackState | null): OpenCallback;
}

/** A callback without a state. */
export type CallbackFunction = (event: TrainEvent, run: RunHandle) => void | Promise<void>;

/** What a checkpoint stores of callbacks, by their names. */
export type CallbacksRecord = Readonly<
  Record<string, { readonly config: Readonly<Record<string, unknown>>; readonly data: unknown }>
>;

/** The prefix of arrays of callbacks in a checkpoint. */
const PREFIX = 'callbacks/';

/** Throws TypeError unless the option is an array of callbacks with different names. Functions get names. */
export function callbacksOf(where: string, given: unknown): readonly Callback[] {
  if (given === undefined) return [];
  if (!Array.isArray(given)) {
    throw new TypeError(`${where}: callbacks must be an array, got ${show(given)}`);
  }
  const callbacks = (given as readonly unknown[]).map((one, i): Callback => {
    if (typeof one === 'function') {
      const call = one as CallbackFunction;
      return { name: `callback ${i}`, open: (run) => ({ on: (event) => call(event, run) }) };
    }
    if (!isRecord(one) || isPromise(one)) {
      throw new TypeError(
        `${where}: callbacks must be functions or callbacks, for instance earlyStopping({ patience: 5 }), got ${show(one)}`,
      );
    }
    checkText(`${where}: callbacks`, 'name', one['name']);
    checkFunction(`${where}: callbacks: ${one['name'] as string}`, 'open', one['open']);
    return one as unknown as Callback;
  });
  const names = callbacks.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice === undefined) return callbacks;
  throw new TypeError(`${where}: callbacks: two are called '${twice}' (give each another name)`);
}

/** The arrays of a checkpoint without those of callbacks. */
export const withoutCallbacks = (state: State): State =>
  Object.fromEntries(Object.entries(state).filter(([name]) => !name.startsWith(PREFIX)));

/** What a run resumes from. */
interface Saved {
  readonly state: State;
  readonly trainer?: { readonly callbacks?: CallbacksRecord };
}

/** The callbacks of one run. */
export class Callbacks {
  readonly #open: readonly (readonly [Callback, OpenCallback])[];

  constructor(callbacks: readonly Callback[], saved: Saved | null, handle: (by: string) => RunHandle) {
    this.#open = callbacks.map((callback) => {
      const { name } = callback;
      const record = saved?.trainer?.callbacks?.[name];
      const own = record && { data: record.data, arrays: arraysUnder(saved.state, `${PREFIX}${name}/`) };
      return [callback, callback.open(handle(name), own ?? null)];
    });
  }

  /** Sends an event to every callback, one after another. */
  async notify(event: TrainEvent): Promise<void> {
    for (const [, open] of this.#open) await open.on?.(event);
  }

  /** Lets every callback act once more. */
  async finish(): Promise<void> {
    for (const [, open] of this.#open) await open.finish?.();
  }

  /** What a checkpoint stores. Null if no callback has a state. */
  record(): CallbacksRecord | null {
    const entries = this.#open.flatMap(([{ name, config = {} }, open]) =>
      open.state === undefined ? [] : [[name, { config, data: open.state().data }] as const],
    );
    return entries.length === 0 ? null : Object.fromEntries(entries);
  }

  /** The arrays that a checkpoint stores. */
  arrays(): State {
    const entries = this.#open.flatMap(([{ name }, open]) =>
      Object.entries(open.state?.().arrays ?? {}).map(
        ([key, value]) => [`${PREFIX}${name}/${key}`, value] as const,
      ),
    );
    return Object.fromEntries(entries);
  }
}

const arraysUnder = (state: State, prefix: string): State =>
  Object.fromEntries(
    Object.entries(state).flatMap(([name, value]) =>
      name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [],
    ),
  );
