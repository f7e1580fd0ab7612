/** The training loop, as a generator of events and as a promise. */
import { EngineError } from '../errors.ts';
import type { Report } from '../backends/report.ts';
import type { Named, Types } from '../named.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import type { RunHandle } from './callbacks.ts';
import type { CheckpointEvent, EndEvent, EvalEvent, Listener, Notice, TrainEvent } from './events.ts';
import { openSession } from './open.ts';
import type { Session } from './session.ts';
import { settingsOf, type Settings, type TrainOptions } from './settings.ts';

/**
 * Trains a model as an async generator of events: one `start`, then any number of `step`, `eval`, `checkpoint` and `notice`, then one
 * `end`. A `break` ends the run and closes its resources. With `checkpoint`, a `break` and an abort save the progress. The results
 * depend only on the options: stopping at any step and resuming gives the same bytes as an uninterrupted run.
 *
 * Throws TypeError, RangeError or ShapeError at once for invalid options. Errors of the run are thrown in the loop, after an `end`
 * with reason 'error', for instance EngineError for a loss that is not finite, or CheckpointError for a checkpoint of another model.
 *
 * @example
 * const evaluation = { data: test, every: 500 };
 * for await (const event of train({ model, backend, data, optimizer, steps: 25_000, eval: evaluation })) {
 *   if (event.type === 'eval' && (event.metrics['accuracy'] ?? 0) > 0.8) break;
 * }
 */
export function train<X extends Types, Y extends Types, O extends Named<Tensor>>(
  options: TrainOptions<X, Y, O>,
): TrainRun {
  const settings = settingsOf('train', options);
  const outcome = new Outcome(settings);
  return Object.defineProperties(run(settings, outcome), {
    run: { get: () => outcome.handle },
    result: { value: () => outcome.result() },
  }) as TrainRun;
}

/** The events of a run, and in `run` what the loop can do with it. */
export interface TrainRun extends AsyncGenerator<TrainEvent, void, undefined> {
  /** Reads and changes the state, evaluates, saves, stops. Throws EngineError before the first event, and after the last. */
  readonly run: RunHandle;
  /** The result of the run after its end, as that of `fit`. Throws EngineError before the end, and after an error. */
  result(): Result;
}

/** The result of `fit`. */
export interface Result {
  /** The accuracy of the last evaluation. Null without evaluations, or without this metric. */
  readonly accuracy: number | null;
  /** The loss of the last evaluation, or of the last batch without evaluations. Null before the first step. */
  readonly loss: number | null;
  /** The last evaluation. Null without evaluations. */
  readonly last: EvalEvent | null;
  /**
   * The best evaluation: with the highest accuracy, or with the lowest loss if there is no accuracy, unless `monitor` of the checkpoints
   * names another metric. Null without evaluations.
   */
  readonly best: EvalEvent | null;
  /** Parameters, statistics and the arrays of the optimizer, for `evaluate`, `predict` and `saveCheckpoint`. */
  readonly state: State;
  /** Updates done. */
  readonly step: number;
  /** 'done': all steps ran. 'stop': a callback stopped the run. 'abort': the AbortSignal aborted. 'break': the loop over `train` ended. */
  readonly reason: 'done' | 'stop' | 'abort' | 'break';
  /** Why a callback stopped the run. Null unless it did. */
  readonly stopped: string | null;
  /** The report of the backend. */
  readonly report: Report;
  /** Wall time in milliseconds. */
  readonly ms: number;
}

/**
 * Trains a model to the end, or until `signal` aborts.
 *
 * Throws as `train` does.
 *
 * @example
 * const evaluation = { data: test, every: 1000 };
 * const { accuracy, state } = await fit({ model, backend, data, optimizer, steps: 25_000, eval: evaluation });
 */
export async function fit<X extends Types, Y extends Types, O extends Named<Tensor>>(
  options: TrainOptions<X, Y, O>,
): Promise<Result> {
  const settings = settingsOf('fit', options);
  const outcome = new Outcome(settings);
  const events = run(settings, outcome);
  while ((await events.next()).done !== true);
  return outcome.result();
}

/** What a run gives besides its events. */
class Outcome {
  readonly #where: string;
  #session: Session | null = null;
  #state: State | null = null;
  #end: EndEvent | null = null;

  constructor({ where }: Settings) {
    this.#where = where;
  }

  opened(session: Session): void {
    this.#session = session;
  }

  /** Called at the end of a run without an error, while its arrays still exist. */
  async closing(session: Session): Promise<void> {
    this.#state = await session.state();
  }

  ended(end: EndEvent): void {
    this.#end = end;
  }

  get handle(): RunHandle {
    if (this.#session !== null) return this.#session.handle(null);
    throw new EngineError(`${this.#where}: the run has not started (use it inside the loop)`);
  }

  result(): Result {
    const [session, end, state] = [this.#session, this.#end, this.#state];
    if (session === null || end === null || state === null || end.reason === 'error') {
      const what = end === null ? 'has not ended' : 'has failed';
      throw new EngineError(`${this.#where}: the run ${what}, so it has no result`);
    }
    const { last, best, step, batchLoss, report, stopped } = session;
    const accuracy = last?.metrics['accuracy'] ?? null;
    const { reason, ms } = end;
    return { accuracy, loss: last?.loss ?? batchLoss, last, best, state, step, report, reason, stopped, ms };
  }
}

/** The events of a run. */
export async function* run(
  settings: Settings,
  outcome = new Outcome(settings),
): AsyncGenerator<TrainEvent, void, undefined> {
  const begin = performance.now();
  let session: Session;
  try {
    session = await openSession(settings);
  } catch (error) {
    const ms = performance.now() - begin;
    const { steps, listeners } = settings;
    const end: EndEvent = {
      type: 'end',
      reason: 'error',
      step: 0,
      steps,
      last: null,
      best: null,
      ms,
      error,
    };
    outcome.ended(end);
    await notify(listeners, end).catch(() => undefined); // the first error is thrown
    yield end;
    throw error;
  }
  outcome.opened(session);
  yield* runSession(session, settings, begin, outcome);
}

async function* runSession(
  session: Session,
  { listeners, signal, steps, seed, data }: Settings,
  begin: number,
  outcome: Outcome,
): AsyncGenerator<TrainEvent, void, undefined> {
  // If nothing sets another reason, the consumer left the loop at a `yield`.
  let reason: EndEvent['reason'] = 'break';
  let failure: { readonly error: unknown } | null = null;
  let end: EndEvent | null = null;

  const emit = async <E extends TrainEvent>(event: E): Promise<E> => {
    if (event.type !== 'end') await session.callbacks.notify(event);
    await notify(listeners, event);
    return event;
  };
  const saved = (path: string): Promise<CheckpointEvent> =>
    emit({ type: 'checkpoint', path, step: session.step });
  const send = (notice: Notice): Promise<TrainEvent> =>
    emit({ type: 'notice', step: session.step, ...notice });
  const save = async (): Promise<CheckpointEvent> => {
    await each(listeners, (listener) => listener.flush?.());
    const event = await saved(await session.save());
    await session.prune();
    return event;
  };
  session.announce = { emit, save };
  /** Saves the state after an error, if it is good and not saved. The error is thrown, so another one is only a notice. */
  const rescue = async (): Promise<TrainEvent | null> => {
    if (!session.canRescue) return null;
    await attempt(() => each(listeners, (listener) => listener.flush?.()));
    let event: TrainEvent;
    const { step } = session;
    try {
      event = { type: 'checkpoint', path: await session.save(), step };
    } catch (error) {
      event = { type: 'notice', step, code: 'checkpoint-failed', message: messageOf(error) };
    }
    await attempt(() => emit(event));
    return event;
  };
  const attempt = async (action: () => Promise<unknown>): Promise<void> => {
    try {
      await action();
    } catch (error) {
      failure ??= { error };
    }
  };
  /** Closes everything and emits `end`. Throws only if no code after the `finally` of the generator runs. */
  const finish = async (): Promise<void> => {
    const left = reason === 'break';
    if (left && session.isDirty) await attempt(save);
    if (failure === null) await attempt(() => outcome.closing(session));
    await attempt(() => session.close());
    const { step, last, best } = session;
    if (failure !== null) reason = 'error';
    const { stopped } = session;
    const ms = performance.now() - begin;
    const final: EndEvent = {
      type: 'end',
      reason,
      step,
      steps,
      last,
      best,
      ms,
      ...(reason === 'stop' && { stopped: stopped! }),
      ...(failure !== null && { error: failure.error }),
    };
    end = final;
    outcome.ended(final);
    await attempt(() => emit(final));
    await attempt(() => session.unlock());
    if (left && failure !== null) throw failure.error;
  };

  try {
    const { stepsPerEpoch, batchSize } = data;
    const { step, report } = session;
    yield await emit({ type: 'start', step, steps, stepsPerEpoch, batchSize, seed, report });
    for (const notice of session.notices) yield await send(notice);
    for (;;) {
      for (const notice of [
        ...listeners.flatMap((listener) => listener.takeNotices?.() ?? []),
        ...session.takeNotices(),
      ]) {
        yield await send(notice);
      }
      if (session.evalDue) {
        const event = await session.evaluate();
        if (event !== null) yield await emit(event);
      }
      if (session.bestDue) yield await saved(await session.saveBest());
      if (session.saveDue) yield await save();
      if (session.step === steps || signal?.aborted === true || session.stopped !== null) break;
      yield await emit(await session.next());
    }
    // An evaluation that the signal aborted is still due, also after the last step.
    const early = session.step < steps || session.evalDue;
    if (early && session.isDirty) yield await save();
    reason = session.stopped !== null ? 'stop' : early ? 'abort' : 'done';
    if (reason !== 'abort') {
      await session.callbacks.finish();
      const event = session.needsEvaluation ? await session.evaluate() : null;
      if (event !== null) yield await emit(event);
      if (session.bestDue) yield await saved(await session.saveBest());
    }
  } catch (error) {
    reason = 'error';
    failure = { error };
    const rescued = await rescue();
    if (rescued !== null) yield rescued;
  } finally {
    await finish();
  }
  yield end!;
  if (failure !== null) throw failure.error;
}

/** Sends an event to every listener, one after another. Throws the first error when all have received it. */
const notify = (listeners: readonly Listener[], event: TrainEvent): Promise<void> =>
  each(listeners, (listener) => listener(event));

/** Calls every listener, one after another. Throws the first error when all were called. */
async function each(
  listeners: readonly Listener[],
  call: (listener: Listener) => void | Promise<void>,
): Promise<void> {
  let failure: { readonly error: unknown } | null = null;
  for (const listener of listeners) {
    try {
      await call(listener);
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== null) throw failure.error;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
