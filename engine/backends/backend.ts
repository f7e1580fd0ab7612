/**
 * The whole boundary between the engine and a backend. A backend sees plans, buffers and bytes: no autograd, no layers,
 * no broadcasting of its own invention. Adding one is: implement `Backend`, satisfy `KernelTable`, pass the conformance
 * suite.
 */
import { DataError, PlanError } from '../errors.ts';
import { checkArrays, holds, showData, typedArrayName } from '../host.ts';
import { show } from '../options.ts';
import type { FusedName } from '../plan/fuse.ts';
import type { KernelName, Plan, Step, StepNote } from '../plan/plan.ts';
import { formatType, sameShape, sizeOf } from '../shape.ts';
import type { HostData, HostTensor, State, TensorType } from '../types.ts';
import { allocate } from '../ops/create.ts';
import type { Report } from './report.ts';

/** Values for one run by name: typed arrays, host tensors, or numbers for scalars. */
export type Feeds = Readonly<Record<string, number | HostData | HostTensor>>;

/** Results of one run by name. */
export type Outputs = Readonly<Record<string, HostTensor>>;

export interface Backend {
  readonly name: string;
  /** The fusions it has kernels for. */
  readonly fusions: ReadonlySet<FusedName>;
  /** How many runs a call of `runMany` is best given; 1 where it is a loop. */
  readonly runsPerCall: number;
  /** Allocates named arrays and fills them. */
  createStore(initial: State): Promise<Store>;
  /** Makes a plan runnable on a store of this backend; several executables may share one store. */
  load(plan: Plan, store: Store): Promise<Executable>;
  /** Ends the backend's workers. Throws BackendError while stores are open. */
  close(): Promise<void>;
}

/** Owns named arrays on one backend. */
export interface Store {
  readonly backend: Backend;
  readonly types: ReadonlyMap<string, TensorType>;
  /** Copies arrays to the host: those named, or all. */
  read(names?: readonly string[]): Promise<State>;
  /** Replaces the contents of existing arrays; shapes and dtypes must agree. All or nothing. */
  write(state: State): Promise<void>;
  /** Throws BackendError while an executable uses the store. */
  close(): Promise<void>;
}

/** How long one step of a plan took. */
export interface StepTime {
  readonly step: Step;
  readonly ms: number;
}

export interface Executable {
  /** Its text has the backend's notes in it. */
  readonly plan: Plan;
  /** Of the steps that there is something to say about: those with a choice of method, and the heavy ones. */
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly report: Report;
  /** Copies feeds before it returns; runs queue in call order. A run that throws has written no state, unless the backend itself broke. */
  run(feeds: Feeds): Promise<Outputs>;
  /**
   * Every feed has a leading axis of the same length K; equals K runs bit for bit, outputs stacked likewise. The first run
   * that throws ends the call with its error, of which `outputsBefore` tells what the runs before it gave.
   */
  runMany(feeds: Feeds): Promise<Outputs>;
  /** One run (it writes state like any other) with the time of each step of the plan, in order. */
  profile(feeds: Feeds): Promise<readonly StepTime[]>;
  close(): Promise<void>;
}

/** One kernel for every name: a backend that lacks one does not compile. */
export type KernelTable<K> = { readonly [N in KernelName]: K };

/**
 * Feeds in the dtypes and order of the plan, every one checked.
 * Throws PlanError for a missing or unknown name, or a shape or dtype that differs.
 */
export function checkFeeds(plan: Plan, feeds: Feeds): Map<string, HostData> {
  for (const name of Object.keys(feeds)) {
    if (!plan.inputs.has(name)) {
      throw new PlanError(
        `run: there is no input called '${name}' (inputs: ${[...plan.inputs.keys()].join(', ')})`,
      );
    }
  }
  const checked = new Map<string, HostData>();
  for (const [name, v] of plan.inputs) {
    const feed = feeds[name];
    if (feed === undefined) {
      const given = Object.keys(feeds).join(', ');
      throw new PlanError(`run: input '${name}' is missing (given: ${given === '' ? 'nothing' : given})`);
    }
    checked.set(name, checkFeed(name, plan.values[v], feed));
  }
  return checked;
}

function checkFeed(name: string, type: TensorType, feed: number | HostData | HostTensor): HostData {
  if (typeof feed === 'number') {
    if (type.shape.length !== 0) {
      throw new PlanError(`run: input '${name}' is ${formatType(type)} but a single number was fed`);
    }
    const data = allocate(type.dtype, 1);
    if (type.dtype === 'f32') return Float64Array.of(feed);
    data[0] = feed;
    if (data[0] !== feed)
      throw new PlanError(`run: input '${name}' is ${type.dtype}, which does not hold ${feed}`);
    return data;
  }
  const given: unknown = feed;
  if (typeof given !== 'object' || given === null) {
    throw new PlanError(`run: input '${name}' is ${formatType(type)} but ${show(given)} was fed`);
  }
  const data = 'data' in feed ? feed.data : feed;
  if ('data' in feed && !(feed.dtype === type.dtype && sameShape(feed.shape, type.shape))) {
    throw new PlanError(`run: input '${name}' is ${formatType(type)} but ${formatType(feed)} was fed`);
  }
  if (!holds(type.dtype, data) || data.length !== sizeOf(type.shape)) {
    throw new PlanError(
      `run: input '${name}' is ${formatType(type)}, ${sizeOf(type.shape)} elements, but ${showData(data)} was fed`,
    );
  }
  return data;
}

/** Throws DataError unless each array exists in the store with the same type. */
export function checkWrite(types: ReadonlyMap<string, TensorType>, state: State): void {
  checkArrays('store.write', state);
  for (const [name, value] of Object.entries(state)) {
    const own = types.get(name);
    if (own === undefined) throw new DataError(`store.write: there is no array called '${name}'`);
    if (own.dtype !== value.dtype || !sameShape(own.shape, value.shape)) {
      throw new DataError(`store.write: '${name}' is ${formatType(own)} but ${formatType(value)} was given`);
    }
  }
}

/** The feeds of K runs, taken apart. Throws PlanError unless every feed has a leading axis of the same length. */
export function splitRuns(
  plan: Plan,
  feeds: Feeds,
): { readonly count: number; readonly feedsOf: (run: number) => Feeds } {
  const lists = new Map<string, HostData>();
  let count: number | null = null;
  for (const [name, feed] of Object.entries(feeds)) {
    const v = plan.inputs.get(name);
    if (v === undefined || typeof feed === 'number') {
      throw new PlanError(`runMany: '${name}' must be an input with a leading axis of runs`);
    }
    const data = typeof feed === 'object' && feed !== null && 'data' in feed ? feed.data : feed;
    if (typedArrayName(data) === undefined) {
      throw new PlanError(
        `runMany: '${name}' must be a typed array, or a tensor with one; got ${show(data)}`,
      );
    }
    const each = sizeOf(plan.values[v].shape);
    const runs = data.length / each;
    if (!Number.isInteger(runs) || (count !== null && runs !== count)) {
      throw new PlanError(
        `runMany: '${name}' holds ${data.length} elements: with ${each} for one run that is ${runs} runs` +
          (count === null ? '' : `, but the others have ${count}`),
      );
    }
    count = runs;
    lists.set(name, data);
  }
  if (count === null || count === 0) throw new PlanError('runMany: there are no runs in the feeds');
  const runs = count;
  return {
    count,
    feedsOf: (run) =>
      Object.fromEntries(
        [...lists].map(([name, data]) => {
          const each = data.length / runs;
          return [name, data.subarray(run * each, (run + 1) * each)];
        }),
      ),
  };
}

/** The outputs of K runs as one value for each name, with a leading axis of runs. */
export function stackRuns(runs: readonly Outputs[]): Outputs {
  const stacked: Record<string, HostTensor> = {};
  runs.forEach((outputs, k) => {
    for (const [name, { shape, dtype, data }] of Object.entries(outputs)) {
      const Kind = data.constructor as Float32ArrayConstructor; // as precise as one run's
      stacked[name] ??= {
        shape: [runs.length, ...shape],
        dtype,
        data: new Kind(runs.length * data.length) as HostData,
      };
      stacked[name].data.set(data, k * data.length);
    }
  });
  return stacked;
}

/** The feeds of `count` runs as those of one call of `runMany`; a single number is an f32. */
export function stackFeeds(count: number, feedsOf: (run: number) => Feeds): Feeds {
  const stacked: Record<string, HostData> = {};
  for (let k = 0; k < count; k++) {
    for (const [name, feed] of Object.entries(feedsOf(k))) {
      const data = typeof feed === 'number' ? Float64Array.of(feed) : 'data' in feed ? feed.data : feed;
      const Kind = data.constructor as Float32ArrayConstructor;
      stacked[name] ??= new Kind(count * data.length);
      stacked[name].set(data, k * data.length);
    }
  }
  return stacked;
}

const finished = new WeakMap<object, readonly Outputs[]>();

/** Throws the error of a run of a `runMany`, after which `outputsBefore` knows those of the runs before it. */
export function stopRuns(before: readonly Outputs[], error: unknown): never {
  if (typeof error === 'object' && error !== null) finished.set(error, before);
  throw error;
}

/** What the runs of a `runMany` gave before one of them threw this error, stacked as its outputs are; {} where none did. */
export const outputsBefore = (error: unknown): Outputs => stackRuns(finished.get(error as object) ?? []);

/** `runMany` for backends without a faster way: K runs, one after the other. */
export async function runEach(executable: Executable, feeds: Feeds): Promise<Outputs> {
  const { count, feedsOf } = splitRuns(executable.plan, feeds);
  const runs: Outputs[] = [];
  try {
    // oxlint-disable-next-line no-await-in-loop -- runs depend on each other through the state
    for (let k = 0; k < count; k++) runs.push(await executable.run(feedsOf(k)));
  } catch (error) {
    stopRuns(runs, error);
  }
  return stackRuns(runs);
}
