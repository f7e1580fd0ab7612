/** A run that trains in this process: its events for the page, and the calls of the page for the run. */
import type { Callback, Listener, RunHandle, TrainEvent } from '../../engine/index.ts';
import { History } from './history.ts';
import { Meter } from './meter.ts';
import type { CallName, Message, PageEvent } from './protocol.ts';
import { CallError, type Source } from './server.ts';
import { scheduleFromJSON, type Schedule, type ScheduleConfig } from '../../schedulers/index.ts';

/** Messages of several events are sent together, at most this often. */
const SEND_MS = 150;
/** The page gets its turn between two steps at least this often, also on a backend without threads. */
const TURN_MS = 30;

const LIVE = 'live';

/** A call that waits for the next event of the run. */
interface Waiting {
  readonly execute: (run: RunHandle) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class LiveRun implements Source {
  readonly #title: string;
  readonly #history = new History();
  readonly #meter = new Meter();
  readonly #pages = new Set<(message: Message) => void>();
  readonly #abort = new AbortController();
  readonly #waiting: Waiting[] = [];
  #wake: () => void = () => undefined;
  #unsent: PageEvent[] = [];
  #timer: NodeJS.Timeout | null = null;
  #state: 'waiting' | 'running' | 'ended' = 'waiting';
  #hasFolder = false;
  #acting = false;
  #turn = 0;

  constructor(title: string) {
    this.#title = title;
  }

  /** What the run needs: a signal that stops it, a callback that acts on it, and a listener for its events. */
  parts(
    signal: AbortSignal | undefined,
    hasFolder: boolean,
  ): {
    readonly signal: AbortSignal;
    readonly callback: Callback;
    readonly listener: Listener;
  } {
    this.#hasFolder = hasFolder;
    const stop = (): void => {
      this.#abort.abort();
      this.#wake();
    };
    if (signal?.aborted === true) stop();
    signal?.addEventListener('abort', stop, { once: true });
    return {
      signal: this.#abort.signal,
      callback: { name: 'page', open: (run) => ({ on: (event) => this.#act(event, run) }) },
      listener: (event) => {
        this.#take(event);
        if (event.type === 'end') signal?.removeEventListener('abort', stop);
      },
    };
  }

  connect(send: (message: Message) => void): () => void {
    send({ type: 'hello', title: this.#title, calls: this.#calls() });
    send({ type: 'runs', runs: [{ id: LIVE, name: this.#title, version: 0 }] });
    send({ type: 'live', id: LIVE, events: this.#history.events });
    send({ type: 'status', status: this.#meter.status });
    this.#pages.add(send);
    return () => void this.#pages.delete(send);
  }

  read(id: string): Promise<readonly PageEvent[] | null> {
    return Promise.resolve(id === LIVE ? this.#history.events : null);
  }

  async call(name: string, args: unknown): Promise<unknown> {
    if (!this.#calls().includes(name as CallName)) throw new CallError(`there is no call '${name}'`);
    if (this.#state === 'ended') throw new CallError('the run has ended');
    const options = typeof args === 'object' && args !== null ? (args as Record<string, unknown>) : {};
    switch (name as CallName) {
      case 'stop':
        this.#abort.abort();
        this.#wake();
        return null;
      case 'pause':
        this.#meter.paused = options['paused'] === true;
        this.#wake();
        this.#sendSoon();
        return null;
      case 'save':
        return this.#later(async (run) => ({ path: await run.save() }));
      case 'schedule': {
        const schedule = scheduleOf(options['config']);
        const text = JSON.stringify(schedule.config);
        return this.#change(`the learning rate follows ${text}`, (run) => run.reschedule('lr', schedule));
      }
      case 'scale': {
        const factor = options['factor'];
        if (typeof factor !== 'number') throw new CallError('the factor must be a number');
        return this.#change(`the learning rate is multiplied by ${factor}`, (run) => run.scale('lr', factor));
      }
    }
  }

  #calls(): readonly CallName[] {
    return ['stop', 'pause', 'schedule', 'scale', ...(this.#hasFolder ? (['save'] as const) : [])];
  }

  /** Changes the rest of the run. A checkpoint is saved at once, so that a resumed run cannot miss the change. */
  #change(what: string, change: (run: RunHandle) => Promise<void>): Promise<unknown> {
    return this.#later(async (run) => {
      try {
        await change(run);
      } catch (error) {
        throw new CallError(error instanceof Error ? error.message : String(error));
      }
      run.notice(`${what} from step ${run.step} on`);
      if (this.#hasFolder) await run.save();
      return { step: run.step };
    });
  }

  /** Executes a call at the next event of the run. */
  #later(execute: Waiting['execute']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ execute, resolve, reject });
      this.#wake();
    });
  }

  /** The callback: executes waiting calls, waits while the run is paused, and gives the page its turn. */
  async #act(event: TrainEvent, run: RunHandle): Promise<void> {
    // A call that saves or evaluates makes events itself.
    if (this.#acting) return;
    this.#acting = true;
    this.#meter.begin();
    try {
      if (event.type !== 'start') await this.#work(run);
      const now = performance.now();
      if (now - this.#turn > TURN_MS) {
        this.#turn = now;
        await new Promise((turn) => setImmediate(turn));
      }
    } finally {
      this.#meter.finish();
      this.#acting = false;
    }
  }

  async #work(run: RunHandle): Promise<void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) {
        await next.execute(run).then(next.resolve, next.reject);
        continue;
      }
      if (!this.#meter.paused || this.#abort.signal.aborted) return;
      await new Promise<void>((wake) => (this.#wake = wake));
    }
  }

  #take(event: TrainEvent): void {
    this.#meter.take(event);
    this.#unsent.push(...this.#history.take(event));
    this.#state = event.type === 'end' ? 'ended' : 'running';
    if (event.type !== 'end') return this.#sendSoon();
    for (const { reject } of this.#waiting.splice(0)) reject(new CallError('the run has ended'));
    this.#send();
  }

  #sendSoon(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => this.#send(), SEND_MS);
    this.#timer.unref();
  }

  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const events = this.#unsent;
    this.#unsent = [];
    const { status } = this.#meter;
    for (const send of this.#pages) {
      if (events.length > 0) send({ type: 'events', events });
      send({ type: 'status', status });
    }
  }
}

/** Throws CallError for what is no schedule. */
function scheduleOf(config: unknown): Schedule {
  try {
    return scheduleFromJSON(config as ScheduleConfig);
  } catch (error) {
    throw new CallError(error instanceof Error ? error.message : String(error));
  }
}
