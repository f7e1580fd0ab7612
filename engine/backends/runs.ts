/** Feeds and results of runs: checks, splitting and stacking, shared by all backends. */
import { EngineError, PlanError } from '../errors.ts';
import { holderOf, holds, showData, typedArrayName } from '../host.ts';
import { allocate } from '../ops/convert.ts';
import { show } from '../options.ts';
import type { Plan } from '../plan/plan.ts';
import { formatType, sameShape, sizeOf } from '../shape.ts';
import type { HostData, HostTensor, TensorType } from '../types.ts';
import type { Feeds, Outputs } from './backend.ts';

/** The feeds of one run by name, with the dtypes and in the order of the plan. */
export type CheckedFeeds = ReadonlyMap<string, HostData>;

/** Results of consecutive runs. */
export interface Ran {
  /** The outputs of each run before the first failure. */
  readonly results: readonly Outputs[];
  /** The error of the failed run. Null without a failure. */
  readonly error: unknown;
}

/** The error of a call of several runs. `cause` is the error of the failed run, with the same message. */
export class RunsError extends EngineError {
  override readonly name = 'RunsError';
  /** The outputs of the runs before the failed one, stacked as in `runMany`. {} if the first run failed. */
  readonly before: Outputs;

  constructor(before: readonly Outputs[], cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.before = stackRuns(before);
  }
}

/**
 * Checks the feeds and returns them with the dtypes and in the order of the plan.
 * Throws PlanError for a missing or unknown name, and for another shape or dtype.
 */
export function checkFeeds(plan: Plan, feeds: Feeds): CheckedFeeds {
  for (const name of Object.keys(feeds)) {
    if (!plan.inputs.has(name)) {
      throw new PlanError(`run: there is no input '${name}' (inputs: ${[...plan.inputs.keys()].join(', ')})`);
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
      `run: input '${name}' is ${formatType(type)}, ${sizeOf(type.shape)} elements, but ${showData(data)} was fed (expected: ${holderOf(type.dtype)} (${sizeOf(type.shape)}))`,
    );
  }
  return data;
}

/**
 * Checks the feeds of K runs and returns those of each run.
 * Throws PlanError unless all feeds have a first axis of the same length, and as `checkFeeds` does.
 */
export function splitRuns(plan: Plan, feeds: Feeds): readonly CheckedFeeds[] {
  const lists: [name: string, data: HostData, each: number][] = [];
  let count: number | null = null;
  for (const [name, feed] of Object.entries(feeds)) {
    const v = plan.inputs.get(name);
    if (v === undefined || typeof feed === 'number') {
      throw new PlanError(
        `runMany: '${name}' must be an input with a first axis of runs, got ${v === undefined ? 'no such input' : 'a number'} ` +
          `(inputs: ${[...plan.inputs.keys()].join(', ')})`,
      );
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
        `runMany: '${name}' has ${data.length} elements, which are ${runs} runs of ${each} elements` +
          (count === null ? ' (pass a whole number of runs)' : `, but the other feeds have ${count} runs`),
      );
    }
    count = runs;
    lists.push([name, data, each]);
  }
  if (count === null || count === 0)
    throw new PlanError('runMany: the feeds have no runs (pass at least one)');
  return Array.from({ length: count }, (_, k) =>
    checkFeeds(
      plan,
      Object.fromEntries(lists.map(([name, data, each]) => [name, data.subarray(k * each, (k + 1) * each)])),
    ),
  );
}

/** Stacks the outputs of K runs: one value for each name, with a first axis of runs. */
export function stackRuns(runs: readonly Outputs[]): Outputs {
  const stacked: Record<string, HostTensor> = {};
  runs.forEach((outputs, k) => {
    for (const [name, { shape, dtype, data }] of Object.entries(outputs)) {
      const Kind = data.constructor as Float32ArrayConstructor; // keeps double precision
      stacked[name] ??= {
        shape: [runs.length, ...shape],
        dtype,
        data: new Kind(runs.length * data.length),
      };
      stacked[name].data.set(data, k * data.length);
    }
  });
  return stacked;
}

/** Stacks the feeds of `count` runs for one call of `runMany`. Numbers become f32. */
export async function stackFeeds(
  count: number,
  feedsOf: (run: number) => Feeds | Promise<Feeds>,
): Promise<Feeds> {
  const stacked: Record<string, HostData> = {};
  for (let k = 0; k < count; k++) {
    // oxlint-disable-next-line no-await-in-loop -- the arrays of one run can be those of the next
    for (const [name, feed] of Object.entries(await feedsOf(k))) {
      const data = typeof feed === 'number' ? Float64Array.of(feed) : 'data' in feed ? feed.data : feed;
      const Kind = data.constructor as Float32ArrayConstructor;
      stacked[name] ??= new Kind(count * data.length);
      stacked[name].set(data, k * data.length);
    }
  }
  return stacked;
}

/** Feeds that wait for their run. Null if they are already in the memory that the kernels read. */
export type StagedFeeds = CheckedFeeds | null;

/**
 * Copies the feeds of runs, because the caller may change its arrays. If the queue is `idle`, `write` copies those of the first run
 * directly to the memory that the kernels read.
 */
export function stageFeeds(
  runs: readonly CheckedFeeds[],
  idle: boolean,
  write: (feeds: CheckedFeeds) => void,
): readonly StagedFeeds[] {
  return runs.map((feeds, k) => {
    if (!idle || k > 0) return new Map([...feeds].map(([name, data]) => [name, data.slice()]));
    write(feeds);
    return null;
  });
}

/** Runs one after another, up to the first error. */
export async function runInOrder<F>(
  feeds: readonly F[],
  run: (feeds: F) => Outputs | Promise<Outputs>,
): Promise<Ran> {
  const results: Outputs[] = [];
  try {
    // oxlint-disable-next-line no-await-in-loop -- runs depend on each other through the state
    for (const own of feeds) results.push(await run(own));
  } catch (error) {
    return { results, error };
  }
  return { results, error: null };
}
