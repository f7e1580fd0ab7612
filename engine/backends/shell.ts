/**
 * The common part of all backends. Calls wait in one queue. A store does not close while executables use it, and a backend does not
 * close while stores are open. Closed objects throw. Each backend implements a `Driver`.
 */
import { BackendError, DataError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import type { FusedName } from '../plan/fusions/index.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { formatType, sameShape } from '../shape.ts';
import type { HostTensor, State, TensorType } from '../types.ts';
import type { Backend, Executable, Feeds, Outputs, StepTime, Store } from './backend.ts';
import { checkFeeds, RunsError, splitRuns, stackRuns, type CheckedFeeds, type Ran } from './runs.ts';

/**
 * The specific part of a backend, with memory of type `M` and staged feeds of type `F`. The shell makes one call at a time.
 */
export interface Driver<M, F> {
  readonly name: string;
  readonly fusions: ReadonlySet<FusedName>;
  readonly runsPerCall: number;
  /** Allocates and fills an array of a store. Throws BackendError if the memory is too small. */
  place(value: HostTensor, name: string): M | Promise<M>;
  free(memory: M): void;
  /** Copies arrays to the host. */
  read(arrays: readonly Placed<M>[]): readonly HostTensor[] | Promise<readonly HostTensor[]>;
  /** Replaces the contents of an array, in place or in new memory. */
  write(memory: Map<string, M>, name: string, value: HostTensor): void;
  /** Makes a plan executable on the arrays of a store. A run may replace their memory. */
  load(plan: Plan, memory: Map<string, M>): Program<F> | Promise<Program<F>>;
  close(): void | Promise<void>;
}

/** An array of a store. */
export interface Placed<M> {
  readonly type: TensorType;
  readonly memory: M;
}

/** A loaded plan. */
export interface Program<F> extends Pick<Executable, 'plan' | 'notes' | 'report'> {
  /**
   * Copies the feeds of runs before the caller can change them. The shell calls this at once, outside the queue. It may write to memory
   * of runs only if the queue is `idle`.
   */
  stage(runs: readonly CheckedFeeds[], idle: boolean): F;
  /** Executes the staged runs, one after another. */
  run(feeds: F): Promise<Ran>;
  /** Executes one staged run. Returns the milliseconds of each step, in the order of the plan. */
  profile(feeds: F): readonly number[] | Promise<readonly number[]>;
  close(): void;
}

/** Makes a backend from its driver. */
export function openShell<M, F>(driver: Driver<M, F>): Backend {
  return new ShellBackend(driver);
}

/** Calls that run one at a time, in order. */
class Queue {
  #tail: Promise<unknown> = Promise.resolve();
  #length = 0;

  get idle(): boolean {
    return this.#length === 0;
  }

  add<T>(act: () => T | Promise<T>): Promise<T> {
    this.#length++;
    const turn = this.#tail.then(act).finally(() => {
      this.#length--;
    });
    this.#tail = turn.catch(() => undefined); // the caller gets the error, and the next call runs
    return turn;
  }
}

class ShellBackend<M, F> implements Backend {
  readonly name: string;
  readonly fusions: ReadonlySet<FusedName>;
  readonly runsPerCall: number;
  readonly #driver: Driver<M, F>;
  readonly #queue = new Queue();
  readonly #stores = new Set<ShellStore<M>>();
  #closed = false;

  constructor(driver: Driver<M, F>) {
    this.name = driver.name;
    this.fusions = driver.fusions;
    this.runsPerCall = driver.runsPerCall;
    this.#driver = driver;
  }

  createStore(initial: State): Promise<Store> {
    return this.#queue.add(async () => {
      this.#expectOpen('createStore');
      checkArrays('createStore', initial);
      const store: ShellStore<M> = new ShellStore(this, this.#driver, this.#queue, () => {
        this.#stores.delete(store);
      });
      await store.fill(initial);
      this.#stores.add(store);
      return store;
    });
  }

  load(plan: Plan, store: Store): Promise<Executable> {
    return this.#queue.add(async () => {
      this.#expectOpen('load');
      const own = this.#ownStore(store);
      own.expectAgreement(plan);
      const program = await this.#driver.load(plan, own.memory);
      own.users.add(program);
      return new ShellExecutable(program, this.#queue, () => {
        own.users.delete(program);
      });
    });
  }

  close(): Promise<void> {
    return this.#queue.add(async () => {
      if (this.#closed) return;
      if (this.#stores.size > 0) {
        const { size } = this.#stores;
        const open =
          size === 1
            ? 'a compiled step or store is still open (close it first: await compiled.close())'
            : `${size} compiled steps or stores are still open (close them first: await compiled.close())`;
        throw new BackendError(`${this.name}: close: ${open}`);
      }
      this.#closed = true;
      await this.#driver.close();
    });
  }

  #expectOpen(call: string): void {
    if (this.#closed) throw new BackendError(`${this.name}: ${call}: the backend is closed (open a new one)`);
  }

  #ownStore(store: Store): ShellStore<M> {
    for (const own of this.#stores) if (own === store) return own;
    throw new BackendError(
      store.backend === this
        ? `${this.name}: load: the store is closed (create a new one)`
        : `${this.name}: load: the store belongs to another backend (create one on this backend)`,
    );
  }
}

class ShellStore<M> implements Store {
  readonly backend: Backend;
  readonly types = new Map<string, TensorType>();
  readonly memory = new Map<string, M>();
  /** Executables that are open. */
  readonly users = new Set<Pick<Executable, 'plan'>>();
  readonly #driver: Driver<M, unknown>;
  readonly #queue: Queue;
  readonly #onClose: () => void;
  #closed = false;

  constructor(backend: Backend, driver: Driver<M, unknown>, queue: Queue, onClose: () => void) {
    this.backend = backend;
    this.#driver = driver;
    this.#queue = queue;
    this.#onClose = onClose;
  }

  /** Places the initial arrays. Frees all of them if it throws. */
  async fill(initial: State): Promise<void> {
    try {
      for (const [name, value] of Object.entries(initial)) {
        // oxlint-disable-next-line no-await-in-loop -- a GPU reuses its staging memory for the next array
        this.memory.set(name, await this.#driver.place(value, name));
        this.types.set(name, { shape: value.shape, dtype: value.dtype });
      }
    } catch (error) {
      this.#free();
      throw error;
    }
  }

  read(names: readonly string[] = [...this.types.keys()]): Promise<State> {
    return this.#queue.add(async () => {
      this.#expectOpen('store.read');
      const arrays = names.map((name): Placed<M> => {
        const type = this.types.get(name);
        const memory = this.memory.get(name);
        if (type === undefined || memory === undefined) {
          throw new BackendError(
            `store.read: there is no array '${name}' (arrays: ${[...this.types.keys()].join(', ')})`,
          );
        }
        return { type, memory };
      });
      const values = await this.#driver.read(arrays);
      return Object.fromEntries(names.map((name, i) => [name, values[i]]));
    });
  }

  async write(state: State): Promise<void> {
    checkWrite(this.types, state);
    const copies = Object.entries(state).map(
      ([name, value]) => [name, { ...value, data: value.data.slice() }] as const,
    );
    await this.#queue.add(() => {
      this.#expectOpen('store.write');
      if (this.#isConstant) {
        throw new BackendError(
          'store.write: a step that was compiled with constantState uses the store (close it first, or compile it without constantState)',
        );
      }
      for (const [name, value] of copies) this.#driver.write(this.memory, name, value);
    });
  }

  close(): Promise<void> {
    return this.#queue.add(() => {
      if (this.users.size > 0) {
        throw new BackendError(
          `store.close: ${this.users.size} executables still use the store (close them first)`,
        );
      }
      if (this.#closed) return;
      this.#closed = true;
      this.#free();
      this.#onClose();
    });
  }

  /** Throws BackendError if a plan changes arrays that another one expects to be constant. */
  expectAgreement({ constantState, next }: Plan): void {
    const isChanged = [...this.users].some(({ plan }) => plan.next.size > 0);
    if ((constantState && isChanged) || (next.size > 0 && this.#isConstant)) {
      throw new BackendError(
        'load: one step changes the store, and another one was compiled with constantState (give each of them its own store)',
      );
    }
  }

  get #isConstant(): boolean {
    return [...this.users].some(({ plan }) => plan.constantState);
  }

  #expectOpen(call: string): void {
    if (this.#closed) throw new BackendError(`${call}: the store is closed (create a new one)`);
  }

  #free(): void {
    for (const memory of this.memory.values()) this.#driver.free(memory);
    this.memory.clear();
  }
}

/** Throws DataError unless each array exists in the store with the same type. */
function checkWrite(types: ReadonlyMap<string, TensorType>, state: State): void {
  checkArrays('store.write', state);
  for (const [name, value] of Object.entries(state)) {
    const own = types.get(name);
    if (own === undefined) {
      throw new DataError(
        `store.write: there is no array '${name}' (arrays: ${[...types.keys()].join(', ')})`,
      );
    }
    if (own.dtype !== value.dtype || !sameShape(own.shape, value.shape)) {
      throw new DataError(
        `store.write: '${name}' is ${formatType(own)}, got ${formatType(value)} (both must be equal)`,
      );
    }
  }
}

class ShellExecutable<F> implements Executable {
  readonly plan: Plan;
  readonly notes: Executable['notes'];
  readonly report: Executable['report'];
  readonly #program: Program<F>;
  readonly #queue: Queue;
  readonly #onClose: () => void;
  #closed = false;

  constructor(program: Program<F>, queue: Queue, onClose: () => void) {
    this.plan = program.plan;
    this.notes = program.notes;
    this.report = program.report;
    this.#program = program;
    this.#queue = queue;
    this.#onClose = onClose;
  }

  // The next three functions check and stage the feeds before their first await. The caller may change them afterwards.

  async run(feeds: Feeds): Promise<Outputs> {
    const runs = [checkFeeds(this.plan, feeds)];
    const { results, error } = await this.#enqueue(runs, (staged) => this.#program.run(staged));
    if (error !== null) throw error;
    return results[0];
  }

  async runMany(feeds: Feeds): Promise<Outputs> {
    const runs = splitRuns(this.plan, feeds);
    const { results, error } = await this.#enqueue(runs, (staged) => this.#program.run(staged));
    if (error !== null) throw new RunsError(results, error);
    return stackRuns(results);
  }

  async profile(feeds: Feeds): Promise<readonly StepTime[]> {
    const runs = [checkFeeds(this.plan, feeds)];
    const times = await this.#enqueue(runs, (staged) => this.#program.profile(staged));
    return this.plan.steps.map((step: Step, i) => ({ step, ms: times[i] }));
  }

  close(): Promise<void> {
    return this.#queue.add(() => {
      if (this.#closed) return;
      this.#closed = true;
      this.#program.close();
      this.#onClose();
    });
  }

  #enqueue<T>(runs: readonly CheckedFeeds[], act: (staged: F) => T | Promise<T>): Promise<T> {
    this.#expectOpen();
    const staged = this.#program.stage(runs, this.#queue.idle);
    return this.#queue.add(() => {
      this.#expectOpen(); // a close may come first in the queue
      return act(staged);
    });
  }

  #expectOpen(): void {
    if (this.#closed) throw new BackendError('run: the executable is closed (compile it again)');
  }
}
