/** The side of the worker: it trains when the page starts a run, and posts the events. */
import { scheduleFromJSON, type ScheduleConfig } from '../../schedulers/index.ts';
import { EngineError } from '../errors.ts';
import type { Match } from '../match.ts';
import type { Named, Types } from '../named.ts';
import { checkFunction, checkKind, checkOptions, isRecord, show } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { State, TensorType } from '../types.ts';
import type { RunHandle } from '../train/callbacks.ts';
import type { TrainEvent } from '../train/events.ts';
import { train, type TrainRun } from '../train/train.ts';
import type { TrainOptions } from '../train/settings.ts';
import { buffersOf, encodeError, listen, post, type Port, type ToWorker } from './messages.ts';

/** The options of `train` for an input, the plain data that the page sends. The page has the signal and the bytes to resume from. */
export type TrainingFor<
  Input,
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O extends Named<Tensor> = Tensor,
> = (input: Input) => TrainingOptions<X, Y, O> | Promise<TrainingOptions<X, Y, O>>;

type TrainingOptions<X extends Types, Y extends Types, O extends Named<Tensor>> = Omit<
  TrainOptions<X, Y, O>,
  'resumeFrom' | 'signal'
>;

export interface ServeOptions {
  /** Where the page is. Default: the worker's own scope. */
  readonly port?: Port;
}

/**
 * Serves training to the page that started this worker. `trainInWorker` is the other side. A worker trains one run at a time, and any
 * number of them one after another, so what they share is best made once, outside of the function.
 *
 * Throws TypeError unless `training` is a function, and EngineError outside of a worker. Errors of the function and of the run go to the
 * page.
 *
 * @example
 * const { port1: port } = new MessageChannel();
 * serveTraining(
 *   async ({ steps, lr }: { steps: number; lr: number }) => ({ model, backend, data, steps, optimizer: sgd({ lr }) }),
 *   { port },
 * );
 * port.close();
 */
export function serveTraining<Input, X extends Types, Y extends Types, O extends Named<Tensor>>(
  training: TrainingFor<Input, X, Y, O>,
  options: ServeOptions = {},
): void {
  const where = 'serveTraining';
  checkFunction(where, 'training', training, 'a function from the input to the options of train');
  checkOptions(where, options, ['port']);
  if (options.port !== undefined) {
    checkKind(where, 'port', options.port, 'postMessage', 'a MessagePort, for instance that of a channel');
  }
  const port = options.port ?? ownScope(where);
  let current: Served<Input, X, Y, O> | null = null;
  listen<ToWorker>(port, (message) => {
    switch (message.type) {
      case 'hello':
        return post(port, { type: 'ready' });
      case 'start': {
        const { run, resumeFrom } = message;
        if (current !== null) {
          const error = new EngineError(
            'trainInWorker: the worker is training another run (await its result, or start another worker)',
          );
          return post(port, { type: 'failure', run, error: encodeError(error) });
        }
        const served = new Served(port, run, training);
        current = served;
        void served.train(message.input as Input, resumeFrom).finally(() => (current = null));
        return undefined;
      }
      case 'abort':
        return current?.run === message.run ? current.abort() : undefined;
      case 'call':
        if (current?.run === message.run) return current.call(message);
        return refuse(port, message, new EngineError('trainInWorker: the run has ended'));
      default:
        throw new EngineError(`${where}: unknown message ${show((message as ToWorker).type)}`);
    }
  });
  post(port, { type: 'ready' });
}

/** The scope of this worker. Throws EngineError on a page and in Node. */
function ownScope(where: string): Port {
  const scope = globalThis as unknown as Partial<Port> & { readonly document?: unknown };
  if (typeof scope.postMessage === 'function' && scope.document === undefined) return scope as Port;
  throw new EngineError(
    `${where}: this is not a worker (call it in the file of new Worker(url, { type: 'module' }), or pass a port)`,
  );
}

type Call = Extract<ToWorker, { readonly type: 'call' }>;

const refuse = (port: Port, { run, id }: Call, error: unknown): void =>
  post(port, { type: 'refusal', run, id, error: encodeError(error) });

/** The milliseconds that the events of fast steps are collected for: a frame of 60 Hz. */
const FRAME = 16;

/** One run in the worker. */
class Served<Input, X extends Types, Y extends Types, O extends Named<Tensor>> {
  readonly run: string;
  readonly #port: Port;
  readonly #training: TrainingFor<Input, X, Y, O>;
  readonly #controller = new AbortController();
  /** Calls that wait until the step has ended. */
  readonly #calls: Call[] = [];
  #paused = false;
  #wake: () => void = () => undefined;
  #events: TrainEvent[] = [];
  #posted = -Infinity;

  constructor(port: Port, run: string, training: TrainingFor<Input, X, Y, O>) {
    this.#port = port;
    this.run = run;
    this.#training = training;
  }

  call(call: Call): void {
    this.#calls.push(call);
    this.#wake();
  }

  abort(): void {
    this.#controller.abort();
    this.#wake();
  }

  /** Trains and posts events and the result, or the error. */
  async train(input: Input, resumeFrom: Uint8Array | null): Promise<void> {
    const { run } = this;
    try {
      const events = await this.#open(input, resumeFrom);
      for await (const event of events) {
        this.#emit(event);
        await this.#act(events);
      }
      const result = events.result();
      post(this.#port, { type: 'result', run, result }, buffersOf(result.state));
    } catch (error) {
      this.#flush();
      post(this.#port, { type: 'failure', run, error: encodeError(error) });
    }
    for (const call of this.#calls) {
      refuse(this.#port, call, new EngineError('trainInWorker: the run has ended'));
    }
  }

  async #open(input: Input, resumeFrom: Uint8Array | null): Promise<TrainRun> {
    const options: unknown = await this.#training(input);
    if (!isRecord(options)) {
      throw new TypeError(`serveTraining: training must return the options of train, got ${show(options)}`);
    }
    for (const name of ['signal', 'resumeFrom']) {
      if (name in options) {
        throw new TypeError(`serveTraining: training must not return ${name} (pass it to trainInWorker)`);
      }
    }
    return train({
      ...(options as unknown as TrainingOptions<X, Y, O>),
      signal: this.#controller.signal,
      ...(resumeFrom !== null && { resumeFrom }),
    });
  }

  #emit(event: TrainEvent): void {
    const isError = event.type === 'end' && event.error !== undefined;
    this.#events.push(isError ? { ...event, error: encodeError(event.error) } : event);
    if (event.type !== 'step' || performance.now() - this.#posted >= FRAME) this.#flush();
  }

  #flush(): void {
    if (this.#events.length === 0) return;
    post(this.#port, { type: 'events', run: this.run, events: this.#events });
    this.#events = [];
    this.#posted = performance.now();
  }

  /** Executes the calls of the page, between two events. Waits while the run is paused. */
  async #act(events: TrainRun): Promise<void> {
    for (;;) {
      for (let call = this.#calls.shift(); call !== undefined; call = this.#calls.shift()) {
        await this.#execute(call, events.run);
      }
      if (!this.#paused || this.#controller.signal.aborted) return;
      this.#flush();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async #execute(call: Call, handle: RunHandle): Promise<void> {
    const { run, id } = call;
    try {
      const [value, transfer] = await this.#result(call, handle);
      this.#flush(); // the page gets the events before the reply first
      post(this.#port, { type: 'reply', run, id, value }, transfer);
    } catch (error) {
      refuse(this.#port, call, error);
    }
  }

  /** The value of a call, and the memory to move. */
  async #result(
    { operation, args: [first, second] }: Call,
    handle: RunHandle,
  ): Promise<[value: unknown, transfer: ArrayBuffer[]]> {
    switch (operation) {
      case 'checkpoint': {
        const bytes = await handle.checkpoint();
        return [bytes, [bytes.buffer]];
      }
      case 'evaluate':
        return [await handle.evaluate(), []];
      case 'freeze':
        return [await handle.freeze(first as Match), []];
      case 'pause':
        this.#paused = true;
        return [undefined, []];
      case 'reschedule':
        return [await handle.reschedule(first as string, scheduleFromJSON(second as ScheduleConfig)), []];
      case 'resume':
        this.#paused = false;
        return [undefined, []];
      case 'scale':
        return [await handle.scale(first as string, second as number), []];
      case 'state': {
        const state = await handle.state();
        return [state, buffersOf(state)];
      }
      case 'stop':
        // A run that is paused ends, too.
        this.#paused = false;
        return [handle.stop(first as string), []];
      case 'unfreeze':
        return [await handle.unfreeze(first as Match), []];
      case 'write':
        return [await handle.write(first as State), []];
      default:
        throw new EngineError(`trainInWorker: unknown operation ${show(operation satisfies never)}`);
    }
  }
}
