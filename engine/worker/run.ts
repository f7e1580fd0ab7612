/** The side of the page: a run that a worker trains, with the events and operations of a run of `train`. */
import { isSchedule, type Schedule } from '../../schedulers/index.ts';
import { EngineError } from '../errors.ts';
import { checkKind, checkOptions, checkText, isRecord, show } from '../options.ts';
import type { Match } from '../match.ts';
import type { State } from '../types.ts';
import type { RunHandle } from '../train/callbacks.ts';
import type { EvalEvent, Listener, TrainEvent } from '../train/events.ts';
import type { Result } from '../train/train.ts';
import {
  decodeError,
  listen,
  post,
  type Operation,
  type Port,
  type SentError,
  type ToPage,
  type ToWorker,
} from './messages.ts';

export interface WorkerRunOptions<Input> {
  /** What the worker's functions get: plain data and typed arrays, which are copied. */
  readonly input: Input;
  /** Functions that receive every event, in this order. Training does not wait for them. An error aborts the run. Default: none. */
  readonly listeners?: readonly Listener[];
  /** Aborting it ends the run between two steps. Default: none. */
  readonly signal?: AbortSignal;
  /** The bytes of a checkpoint to resume from. Default: none. */
  readonly resumeFrom?: Uint8Array;
}

/**
 * A run in a worker. The operations are those of `RunHandle`. They take effect between two steps, and throw EngineError after the end of
 * the run. A loop over the run gets the events from its first iteration on.
 */
export interface WorkerRun extends AsyncIterable<TrainEvent, void, undefined> {
  /** The result, as that of `fit`. Rejects with the error of the run. */
  readonly result: Promise<Result>;
  /** Stops after the current step until `resume`. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Ends the run with the reason 'stop'. */
  stop(reason: string): Promise<void>;
  /** The schedule travels as its config, so it cannot have a function of your own. */
  reschedule: RunHandle['reschedule'];
  /** The bytes of a checkpoint file, to save, to download, or for `resumeFrom`. */
  checkpoint(): Promise<Uint8Array<ArrayBuffer>>;
  /** A copy of parameters, statistics and arrays of the optimizer. */
  state(): Promise<State>;
  write: RunHandle['write'];
  evaluate(): Promise<EvalEvent | null>;
  scale: RunHandle['scale'];
  freeze(match: Match): Promise<void>;
  unfreeze(match: Match): Promise<void>;
  /** Ends the worker at once. `result` rejects if the run has not ended. */
  terminate(): void;
}

/** The workers that train. */
const busy = new WeakSet<Port>();
let count = 0;

/**
 * Trains in a worker whose file calls `serveTraining`. The page gets the events and the operations of the run, and stays responsive. The
 * worker stays open after the run, for other runs.
 *
 * Throws TypeError for invalid options and for an input that cannot be sent, and EngineError for a worker that trains another run.
 * Errors of the run, with their classes, and of a worker that does not start, reject `result`.
 *
 * @example
 * const { port1, port2 } = new MessageChannel();
 * serveTraining((lr: number) => ({ model, backend, data, optimizer: sgd({ lr }), steps: 2 }), { port: port2 });
 * const run = trainInWorker(port1, { input: 0.1 }); // on a page: new Worker(new URL('./train.ts', import.meta.url), { type: 'module' })
 * for await (const event of run) if (event.type === 'step') console.log(event.loss);
 * (await run.result).step // 2
 * port1.close();
 */
export function trainInWorker<Input>(worker: Port, options: WorkerRunOptions<Input>): WorkerRun {
  const where = 'trainInWorker';
  checkKind(
    where,
    'worker',
    worker,
    'postMessage',
    "a worker, for instance new Worker(url, { type: 'module' })",
  );
  checkOptions(where, options, ['input', 'listeners', 'signal', 'resumeFrom']);
  const { listeners = [], signal } = options;
  if (!Array.isArray(listeners) || listeners.some((one) => typeof one !== 'function')) {
    throw new TypeError(`${where}: listeners must be an array of functions, got ${show(listeners)}`);
  }
  if (signal !== undefined) {
    checkKind(where, 'signal', signal, 'aborted', "an AbortSignal, for instance an AbortController's signal");
  }
  if (options.resumeFrom !== undefined) {
    checkKind(
      where,
      'resumeFrom',
      options.resumeFrom,
      'byteLength',
      'a Uint8Array, the bytes of a checkpoint',
    );
  }
  if (busy.has(worker)) {
    throw new EngineError(
      `${where}: the worker is training another run (await its result, or start another worker)`,
    );
  }
  return new RemoteRun(worker, options);
}

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

class RemoteRun implements WorkerRun {
  readonly result: Promise<Result>;
  readonly #id = `${Date.now()}.${count++}`;
  readonly #worker: Port;
  readonly #listeners: readonly Listener[];
  readonly #replies = new Map<number, Waiting>();
  readonly #loops = new Set<Loop>();
  readonly #ends: (() => void)[] = [];
  readonly #settle: Waiting;
  /** Messages that wait until the worker is ready. Null after the start. */
  #unsent: ToWorker[] | null = [];
  #calls = 0;
  #ended = false;

  constructor(worker: Port, { input, listeners = [], signal, resumeFrom }: WorkerRunOptions<unknown>) {
    this.#worker = worker;
    this.#listeners = listeners;
    let settle: Waiting | null = null;
    this.result = new Promise<Result>((resolve, reject) => {
      settle = { resolve, reject };
    });
    this.#settle = settle!;
    // The input is copied now, so that changes of it before the worker is ready have no effect.
    const copied = copyOf(input);
    const start = (): void => {
      if (this.#unsent === null) return;
      post(worker, { type: 'start', run: this.#id, input: copied, resumeFrom: resumeFrom ?? null });
      for (const message of this.#unsent) post(worker, message);
      this.#unsent = null;
    };
    const onError = (event: Event): void => {
      const { message, filename, lineno } = event as Partial<ErrorEvent>;
      // A worker whose file is missing, or that a policy refuses, ends with a plain Event.
      const what = message ?? 'its file is missing, or a content security policy refuses it';
      const at = filename ? ` (${filename}:${lineno ?? 0})` : '';
      this.#fail(new EngineError(`trainInWorker: the worker failed: ${what}${at}`));
    };
    const onAbort = (): void => this.#abort();
    if (signal?.aborted === true) onAbort();
    busy.add(worker);
    this.#ends.push(listen<ToPage>(worker, (message) => this.#receive(message, start)));
    worker.addEventListener('error', onError);
    worker.addEventListener('messageerror', onError);
    signal?.addEventListener('abort', onAbort);
    this.#ends.push(() => {
      worker.removeEventListener('error', onError);
      worker.removeEventListener('messageerror', onError);
      signal?.removeEventListener('abort', onAbort);
      busy.delete(worker);
    });
    post(worker, { type: 'hello' });
  }

  pause(): Promise<void> {
    return this.#call('pause');
  }

  resume(): Promise<void> {
    return this.#call('resume');
  }

  stop(reason: string): Promise<void> {
    checkText('trainInWorker: stop', 'the reason', reason);
    return this.#call('stop', reason);
  }

  reschedule(name: string, schedule: Schedule): Promise<void> {
    if (!isSchedule(schedule)) {
      throw new TypeError(
        `trainInWorker: reschedule: it must be a schedule, for instance cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), got ${show(schedule)}`,
      );
    }
    return this.#call('reschedule', name, schedule.config);
  }

  checkpoint(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call('checkpoint');
  }

  state(): Promise<State> {
    return this.#call('state');
  }

  write(state: State): Promise<void> {
    return this.#call('write', state);
  }

  evaluate(): Promise<EvalEvent | null> {
    return this.#call('evaluate');
  }

  scale(name: string, factor: number): Promise<void> {
    return this.#call('scale', name, factor);
  }

  freeze(match: Match): Promise<void> {
    return this.#call('freeze', match);
  }

  unfreeze(match: Match): Promise<void> {
    return this.#call('unfreeze', match);
  }

  terminate(): void {
    this.#worker.terminate?.();
    this.#fail(new EngineError('trainInWorker: the worker was terminated'));
  }

  [Symbol.asyncIterator](): AsyncIterator<TrainEvent, void, undefined> {
    // The loop throws the error of the run, so nobody has to look at the result, too.
    this.result.catch(() => undefined);
    const loop = new Loop(() => this.#loops.delete(loop), this.#ended ? this.result : null);
    this.#loops.add(loop);
    return loop;
  }

  #abort(): void {
    this.#send({ type: 'abort', run: this.#id });
  }

  #call<T>(operation: Operation, ...args: readonly unknown[]): Promise<T> {
    if (this.#ended) return Promise.reject(new EngineError(`trainInWorker: ${operation}: the run has ended`));
    const id = this.#calls++;
    return new Promise<T>((resolve, reject) => {
      this.#replies.set(id, { resolve, reject });
      this.#send({ type: 'call', run: this.#id, id, operation, args });
    });
  }

  /** Sends a message to the run, at once or after its start. */
  #send(message: ToWorker): void {
    if (this.#unsent !== null) this.#unsent.push(message);
    else if (!this.#ended) post(this.#worker, message);
  }

  #receive(message: ToPage, start: () => void): void {
    if (message.type === 'ready') return start();
    if (message.run !== this.#id) return;
    switch (message.type) {
      case 'events':
        for (const event of message.events) this.#emit(event);
        return;
      case 'reply':
        this.#replies.get(message.id)?.resolve(message.value as never);
        this.#replies.delete(message.id);
        return;
      case 'refusal':
        this.#replies.get(message.id)?.reject(decodeError(message.error));
        this.#replies.delete(message.id);
        return;
      case 'result':
        this.#settle.resolve(message.result as never);
        return this.#end(null);
      case 'failure':
        return this.#fail(decodeError(message.error));
    }
  }

  #emit(received: TrainEvent): void {
    const event: TrainEvent =
      received.type === 'end' && received.error !== undefined
        ? { ...received, error: decodeError(received.error as SentError) }
        : received;
    for (const listener of this.#listeners) {
      // A function that throws and a promise that rejects end the run alike.
      new Promise<void>((resolve) => resolve(listener(event))).catch((error: Error) => {
        this.#abort();
        this.#fail(error);
      });
    }
    for (const loop of this.#loops) loop.push(event);
  }

  #fail(error: Error): void {
    this.#settle.reject(error);
    this.#end(error);
  }

  #end(error: Error | null): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const act of this.#ends) act();
    const late = new EngineError('trainInWorker: the run has ended');
    for (const { reject } of this.#replies.values()) reject(late);
    this.#replies.clear();
    for (const loop of this.#loops) loop.end(error);
  }
}

/** The events of a loop over a run. */
class Loop implements AsyncIterator<TrainEvent, void, undefined> {
  readonly #events: TrainEvent[] = [];
  readonly #onReturn: () => void;
  #next: { resolve(next: IteratorResult<TrainEvent, void>): void; reject(error: Error): void } | null = null;
  #end: { readonly error: Error | null } | null = null;

  /** `over` is the result of a run that has ended. */
  constructor(onReturn: () => void, over: Promise<unknown> | null) {
    this.#onReturn = onReturn;
    void over?.then(
      () => this.end(null),
      (error: Error) => this.end(error),
    );
  }

  push(event: TrainEvent): void {
    if (this.#next === null) return void this.#events.push(event);
    this.#next.resolve({ done: false, value: event });
    this.#next = null;
  }

  end(error: Error | null): void {
    this.#end = { error };
    const waiting = this.#next;
    this.#next = null;
    if (waiting === null) return;
    if (error === null) waiting.resolve({ done: true, value: undefined });
    else waiting.reject(error);
  }

  next(): Promise<IteratorResult<TrainEvent, void>> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve({ done: false, value: event });
    if (this.#end === null) {
      return new Promise((resolve, reject) => {
        this.#next = { resolve, reject };
      });
    }
    const { error } = this.#end;
    this.#end = { error: null };
    return error === null ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
  }

  return(): Promise<IteratorResult<TrainEvent, void>> {
    this.#onReturn();
    return Promise.resolve({ done: true, value: undefined });
  }
}

/** A copy of what the page sends. Throws TypeError if it cannot be sent. */
function copyOf<T>(input: T): T {
  try {
    return structuredClone(input);
  } catch (cause) {
    const at = functionIn('input', input);
    const what =
      at === null
        ? `input cannot be sent to a worker: ${(cause as Error).message}`
        : `${at} is a function, which cannot be sent to a worker`;
    throw new TypeError(
      `trainInWorker: ${what} (send plain data, for instance the config of a schedule, and build functions in the worker)`,
      { cause },
    );
  }
}

/** Where plain data has a function. Null if it has none. */
function functionIn(at: string, value: unknown): string | null {
  if (typeof value === 'function') return at;
  if (!isRecord(value) && !Array.isArray(value)) return null;
  for (const [name, entry] of Object.entries(value)) {
    const found = functionIn(`${at}.${name}`, entry);
    if (found !== null) return found;
  }
  return null;
}
