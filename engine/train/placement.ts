/** Where the examples of a run are: resident in the store of the backend, or fed batch by batch. */
import type { Store } from '../backends/backend.ts';
import { BackendError } from '../errors.ts';
import type { State } from '../types.ts';
import { keptArrays } from './calls.ts';
import {
  checkReads,
  fedExamples,
  residentArrays,
  residentBytes,
  residentExamples,
  type Examples,
} from './examples.ts';
import type { Notice } from './events.ts';
import type { Settings } from './settings.ts';

/** The maximum size of resident data by default. CIFAR-10 takes 0.18 GiB. */
const RESIDENT_BYTES = 2 ** 30;
/** The maximum size of an array. */
const MOST_BYTES = 2 ** 32;

export interface Placement {
  /** Holds the state, and the examples if they are resident. */
  readonly store: Store;
  readonly training: Examples;
  /** The examples of evaluations. */
  readonly evaluation: Examples;
  /** The maximum number of runs in one call. */
  readonly runsPerCall: number;
  readonly notices: readonly Notice[];
}

/**
 * Creates the store of a run. The examples become resident if `resident` and the memory of the backend allow it. Otherwise, a notice
 * has the reason.
 */
export async function placeExamples(settings: Settings, state: State): Promise<Placement> {
  const { where, data, evaluation, resident } = settings;
  const datasets = new Set([data.dataset, evaluation?.data ?? data.dataset]);
  let isAsynchronous = false;
  for (const dataset of datasets) if (await checkReads(dataset)) isAsynchronous = true;
  // Data that is read during training is meant to stay outside of the memory.
  if (isAsynchronous && resident === 'auto') return placeFed(settings, state, []);
  const bytes = [...datasets].reduce((sum, dataset) => sum + residentBytes(dataset), 0);
  if (resident === true && bytes > MOST_BYTES) {
    throw new RangeError(
      `${where}: resident: true: the data takes ${(bytes / 2 ** 30).toFixed(2)} GiB, more than ${MOST_BYTES / 2 ** 30} ` +
        `(omit resident: batches are then fed one by one)`,
    );
  }
  let reason = bytes <= RESIDENT_BYTES ? null : `the data takes ${(bytes / 2 ** 30).toFixed(1)} GiB`;
  if (resident === true || (resident === 'auto' && reason === null)) {
    try {
      return await placeResident(settings, state);
    } catch (error) {
      if (resident === true || !(error instanceof BackendError)) throw error;
      reason = error.message;
    }
  }
  const notice: Notice = {
    code: 'data-fed',
    message:
      `${reason}, so batches are fed one by one ` +
      `(resident: true keeps the data in the memory of the backend, or throws if it does not fit)`,
  };
  return placeFed(settings, state, resident === 'auto' ? [notice] : []);
}

async function placeResident(settings: Settings, state: State): Promise<Placement> {
  const { data, evaluation, backend } = settings;
  const training = data.dataset;
  const held = evaluation?.data ?? training;
  const heldName = held === training ? 'data/train' : 'data/eval';
  const runsPerCall = callSize(settings, backend.runsPerCall);
  const store = await backend.createStore({
    ...stateArrays(state, runsPerCall),
    ...(await residentArrays(training, 'data/train')),
    ...(held !== training && (await residentArrays(held, heldName))),
  });
  return {
    store,
    training: residentExamples(training, 'data/train'),
    evaluation: residentExamples(held, heldName),
    runsPerCall,
    notices: [],
  };
}

async function placeFed(settings: Settings, state: State, notices: readonly Notice[]): Promise<Placement> {
  const { data, evaluation, backend } = settings;
  // A call of several runs would need all their batches at once, and copying the batches dominates the time.
  const runsPerCall = callSize(settings, 1);
  return {
    store: await backend.createStore(stateArrays(state, runsPerCall)),
    training: fedExamples(data.dataset),
    evaluation: fedExamples(evaluation?.data ?? data.dataset),
    runsPerCall,
    notices,
  };
}

const callSize = ({ stepsPerCall }: Settings, auto: number): number =>
  stepsPerCall === 'auto' ? auto : stepsPerCall;

/** The state, with a second copy if calls have several runs. */
const stateArrays = (state: State, runsPerCall: number): State =>
  runsPerCall > 1 ? { ...state, ...keptArrays(state) } : state;
