/** A run that trains in this process: its events and views for the page, and the calls of the page for the run. */
import type { Callback, Listener, RunHandle, RangeTest, TrainEvent } from '../../engine/index.ts';
import { scheduleFromJSON, type Schedule, type ScheduleConfig } from '../../schedulers/index.ts';
import { History } from './history.ts';
import { Meter } from './meter.ts';
import type { CallName, Command, Message, PageEvent, ViewName } from './protocol.ts';
import { CallError, type Source } from './server.ts';
import { profileView } from './views/profile.ts';
import { rangeView, sweepCopy, type Sweep } from './views/range.ts';
import { ViewStore } from './views/store.ts';
import { Watched, type AnyTrainOptions } from './watched.ts';

/** Messages of several events are sent together, at most this often. */
const SEND_MS = 150;
/** The page gets its turn between two steps at least this often, also on a backend without threads. */
const TURN_MS = 30;
/** Updates that are measured for a profile. The first ones warm up the measuring form of the kernels. */
const WARMUP = 3;
const PROFILED = 10;

const HOLD_MS = 60_000;

const LIVE = 'live';

/** A call that waits for the next event of the run. */
interface Waiting {
  readonly execute: (run: RunHandle) => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

export class LiveRun implements Source {
  readonly #title: string;
  readonly #command: Command;
  readonly #history = new History();
  readonly #meter = new Meter();
  readonly #views = new ViewStore();
  readonly #pages = new Set<(message: Message) => void>();
  readonly #abort = new AbortController();
  readonly #waiting: Waiting[] = [];
  #watched: Watched | null = null;
  #wake: () => void = () => undefined;
  #unsent: PageEvent[] = [];
  #timer: NodeJS.Timeout | null = null;
  #state: 'waiting' | 'running' | 'ended' = 'waiting';
  #acting = false;
  #turn = 0;
  /** The step of the last evaluation, and that of the predictions that the page has. */
  #evaluated: number | null = null;
  #examined: number | null = null;
  #doing: string | null = null;
  #sentVersions: unknown = null;

  constructor(title: string, command: Command) {
    this.#title = title;
    this.#command = command;
  }

  /** What the run needs: a signal that stops it, a callback that acts on it, and a listener for its events. */
  watch(
    options: AnyTrainOptions,
    names: readonly string[],
  ): {
    readonly signal: AbortSignal;
    readonly callback: Callback;
    readonly listener: Listener;
  } {
    this.#watched = new Watched(options, names);
    // Whether the run can save was not known before.
    for (const send of this.#pages) send(this.#hello());
    const { signal } = options;
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

  /** Shows a range test that ran before. */
  async showRange(test: RangeTest): Promise<void> {
    await this.#views.set('range', rangeView(test, 0));
    this.#send();
  }

  /** Shows what the program does before the run begins. Null: nothing. */
  say(doing: string | null): void {
    this.#doing = doing;
    this.#sendSoon();
  }

  connect(send: (message: Message) => void): () => void {
    send(this.#hello());
    send({ type: 'live', id: LIVE, events: this.#history.events });
    send(this.#listing());
    send({ type: 'status', status: this.#status });
    this.#pages.add(send);
    return () => void this.#pages.delete(send);
  }

  read(id: string): Promise<readonly PageEvent[] | null> {
    return Promise.resolve(id === LIVE ? this.#history.events : null);
  }

  view(id: string, name: ViewName): Promise<unknown> {
    return Promise.resolve(id === LIVE ? this.#views.get(name) : null);
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
      case 'range': {
        const sweep = sweepOf(options);
        return this.#busy('Range test…', (run) => this.#sweep(run, sweep));
      }
      case 'profile':
        return this.#busy('Measuring the next step…', (run) => this.#profile(run));
    }
  }

  #calls(): readonly CallName[] {
    const canSave = this.#watched?.options.checkpoint !== undefined;
    return [
      'stop',
      'pause',
      'schedule',
      'scale',
      'range',
      'profile',
      ...(canSave ? (['save'] as const) : []),
    ];
  }

  #hello(): Message {
    return { type: 'hello', title: this.#title, calls: this.#calls() };
  }

  get #status(): Extract<Message, { type: 'status' }>['status'] {
    return { ...this.#meter.status, doing: this.#doing };
  }

  #listing(): Message {
    const views = this.#views.versions;
    this.#sentVersions = views;
    const run = { id: LIVE, name: this.#title, version: 0, views, command: this.#command };
    return { type: 'runs', runs: [run] };
  }

  /** Changes the rest of the run. A checkpoint is saved at once, so that a resumed run cannot miss the change. */
  #change(what: string, change: (run: RunHandle) => Promise<void>): Promise<unknown> {
    return this.#later(async (run) => {
      await change(run).catch(asCallError);
      run.notice(`${what} from step ${run.step} on`);
      if (this.#watched!.options.checkpoint !== undefined) await run.save();
      return { step: run.step };
    });
  }

  /** Executes a call that takes time, during which the page says so. */
  #busy(what: string, act: (run: RunHandle) => Promise<void>): Promise<null> {
    return this.#later(async (run) => {
      this.say(what);
      try {
        await act(run).catch(asCallError);
      } finally {
        this.say(null);
      }
      return null;
    }) as Promise<null>;
  }

  async #sweep(run: RunHandle, sweep: Sweep): Promise<void> {
    const { signal } = this.#abort;
    const view = await sweepCopy(this.#watched!.options, run, sweep, signal, async (event) => {
      if (event.type !== 'step') return;
      this.say(`Range test: step ${event.step + 1} of ${sweep.steps}`);
      await this.#giveTurn();
    });
    if (view.end !== 'abort') await this.#views.set('range', view);
  }

  async #profile(run: RunHandle): Promise<void> {
    await run.profile(WARMUP);
    await this.#views.set('profile', profileView(await run.profile(PROFILED), run.step));
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
      if (event.type === 'start') await this.#open(event.step > 0);
      else await this.#work(event, run);
      await this.#giveTurn();
    } finally {
      this.#meter.finish();
      this.#acting = false;
    }
  }

  async #open(isResumed: boolean): Promise<void> {
    const dir = this.#watched!.options.checkpoint?.dir;
    if (dir !== undefined) await this.#views.open(dir, isResumed);
  }

  async #giveTurn(): Promise<void> {
    const now = performance.now();
    if (now - this.#turn < TURN_MS) return;
    this.#turn = now;
    await new Promise((turn) => setImmediate(turn));
  }

  async #work(event: TrainEvent, run: RunHandle): Promise<void> {
    if (event.type === 'eval') this.#evaluated = event.step;
    for (;;) {
      if (this.#abort.signal.aborted) return;
      const next = this.#waiting.shift();
      if (next !== undefined) {
        await next.execute(run).then(next.resolve, next.reject);
        continue;
      }
      await this.#examine(run);
      if (!this.#meter.paused || this.#abort.signal.aborted) return;
      // A program that waits must not end because nothing else is to do.
      const hold = setInterval(() => undefined, HOLD_MS);
      await new Promise<void>((wake) => (this.#wake = wake));
      clearInterval(hold);
    }
  }

  /**
   * Predicts after an evaluation, while a page is open. After the last evaluation of a run with a folder it always does, so that
   * `cyclegrad ui` can show it later.
   */
  async #examine(run: RunHandle): Promise<void> {
    const watched = this.#watched!;
    if (this.#evaluated === null || this.#evaluated === this.#examined) return;
    const isLast = run.step === run.steps && watched.options.checkpoint !== undefined;
    if (this.#pages.size === 0 && !isLast) return;
    this.#examined = this.#evaluated;
    const state = await run.state();
    const filters = watched.filters(state, run.step);
    if (filters !== null) await this.#views.set('filters', filters);
    try {
      const predictions = await watched.predictions(state, run.step);
      if (predictions !== null) await this.#views.set('predictions', predictions);
    } catch (error) {
      // A model with other outputs, such as boxes, has no classes to show.
      if ((error as Error).name !== 'ShapeError') throw error;
    }
    this.#sendSoon();
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
    const status = this.#status;
    const listing = this.#views.versions === this.#sentVersions ? null : this.#listing();
    for (const send of this.#pages) {
      if (events.length > 0) send({ type: 'events', events });
      if (listing !== null) send(listing);
      send({ type: 'status', status });
    }
  }
}

/** Throws CallError, which the page shows. */
function asCallError(error: unknown): never {
  throw new CallError(error instanceof Error ? error.message : String(error), { cause: error });
}

/** Throws CallError for what is no schedule. */
function scheduleOf(config: unknown): Schedule {
  try {
    return scheduleFromJSON(config as ScheduleConfig);
  } catch (error) {
    return asCallError(error);
  }
}

/** More steps would keep the run from training for long. */
const MOST_STEPS = 10_000;

/** Throws CallError for what is no sweep. */
function sweepOf({ from, to, steps }: Record<string, unknown>): Sweep {
  if (typeof from !== 'number' || typeof to !== 'number' || !(from > 0 && to > from && Number.isFinite(to))) {
    throw new CallError(
      `the rates must be above 0, and the last above the first, got ${String(from)} and ${String(to)}`,
    );
  }
  if (typeof steps !== 'number' || !Number.isInteger(steps) || steps < 10 || steps > MOST_STEPS) {
    throw new CallError(`the steps must be a whole number from 10 to ${MOST_STEPS}, got ${String(steps)}`);
  }
  return { from, to, steps };
}
