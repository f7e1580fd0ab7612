/** Adapts a service that tracks experiments, with the calls init, log and finish. */
import { checkFunction, checkInteger, checkOptions, isPromise, isRecord, show } from '../../options.ts';
import type { EndEvent, Listener, StartEvent, TrainEvent } from '../events.ts';
import { recordInterval, StepMeans, type StepRecord } from './run-record.ts';

/** What a run gives to a tracker at its start. */
export interface TrackedRun {
  /** Lengths and seed of the run, how the backend runs, and `TrackerOptions.config`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Updates already done: 0, or the step at which the run resumes. */
  readonly step: number;
}

/** The calls of a service that tracks experiments. The run waits for their promises. */
export interface TrackerClient {
  /** Called at the start of a run. Default: nothing. */
  init?(run: TrackedRun): unknown;
  /** Called with numbers by name, for instance `{ 'train/loss': 1.2, lr: 0.01 }`, and the number of updates done. */
  log(values: Readonly<Record<string, number>>, step: number): unknown;
  /** Called at the end of a run, also after an error. Default: nothing. */
  finish?(end: EndEvent): unknown;
}

export interface TrackerOptions {
  /** Additional JSON data for `init`. Default: none. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Steps between calls of `log` about training, whose numbers are means. Default: a thousandth of the run. */
  readonly every?: number;
}

/**
 * A listener that sends a run to a service that tracks experiments: Weights & Biases, MLflow, Trackio and others have the calls `init`,
 * `log` and `finish`. Training has the names `train/loss`, `train/accuracy`, `lr` and those of the other hyperparameters, and evaluations
 * have `eval/loss`, `eval/accuracy`.
 *
 * Throws TypeError or RangeError for invalid arguments. An error of a call ends the run.
 *
 * @example
 * const lines: string[] = [];
 * const client = { log: (values: object, step: number) => lines.push(`${step}: ${JSON.stringify(values)}`) };
 * await fit({ ...options, listeners: [tracker(client)] });
 */
export function tracker(client: TrackerClient, options: TrackerOptions = {}): Listener {
  if (!isRecord(client) || isPromise(client)) {
    throw new TypeError(
      `tracker: the client must be an object with the functions init, log and finish, got ${show(client)}`,
    );
  }
  checkFunction('tracker', 'log', client['log']);
  for (const name of ['init', 'finish'] as const) {
    if (client[name] !== undefined) checkFunction('tracker', name, client[name]);
  }
  checkOptions('tracker', options, ['config', 'every']);
  const { config, every } = options;
  if (every !== undefined) checkInteger('tracker', 'every', every, 1);
  if (config !== undefined && (!isRecord(config) || isPromise(config))) {
    throw new TypeError(`tracker: config must be an object of plain data, got ${show(config)}`);
  }
  let means = new StepMeans();
  let interval = 1;
  const log = async (record: StepRecord | null): Promise<void> => {
    if (record === null) return;
    await client.log({ ...named('train', record), ...record.hyper }, record.step + 1);
  };
  const begin = async (start: StartEvent): Promise<void> => {
    means = new StepMeans();
    interval = every ?? recordInterval(start);
    const { steps, stepsPerEpoch, batchSize, seed, step, report } = start;
    await client.init?.({ config: { steps, stepsPerEpoch, batchSize, seed, report, ...config }, step });
  };
  return async (event: TrainEvent) => {
    switch (event.type) {
      case 'start':
        return begin(event);
      case 'step':
        means.add(event);
        if ((event.step + 1) % interval === 0) await log(means.take());
        return;
      case 'eval':
        // Services expect steps that ascend.
        await log(means.take());
        await client.log(named('eval', event), event.step);
        return;
      case 'end':
        await log(means.take());
        await client.finish?.(event);
        return;
      case 'checkpoint':
      case 'notice':
        return;
    }
  };
}

const named = (
  prefix: string,
  { loss, metrics }: { readonly loss: number; readonly metrics: Readonly<Record<string, number>> },
): Readonly<Record<string, number>> =>
  Object.fromEntries(
    Object.entries({ loss, ...metrics }).map(([name, value]) => [`${prefix}/${name}`, value]),
  );
