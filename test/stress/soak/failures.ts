/**
 * Runs that fail or stop in every phase. Each must throw its own error, close everything, leave the backend usable, and leave
 * checkpoints from which the run resumes to the same bytes as an undisturbed one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import {
  fit,
  latestCheckpoint,
  loadCheckpoint,
  train,
  wasm,
  type Backend,
  type Listener,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import { loader, type Dataset, type Loader } from 'cyclegrad/datasets';
import { adam } from 'cyclegrad/optim';
import type { Schedule } from 'cyclegrad/schedulers';
import { digestOf, examples, held, smallRun, triangular } from './network.ts';
import { noneOf, type Part } from './part.ts';

const FAILURE = new Error('a failure of the soak test');

/** A run that goes wrong. Returns the error that it ended with, or null. */
type Disturbed = (options: TrainOptions) => Promise<unknown>;

interface Case {
  readonly name: string;
  readonly run: Disturbed;
  /** What the run must end with. */
  readonly ends: 'error' | 'stop';
}

const errorOf = async (running: Promise<unknown>): Promise<unknown> =>
  running.then(
    () => null,
    (error: unknown) => error,
  );

/** The events of the run at which something happens. A notice comes from a schedule that outlasts the run. */
const PHASES: readonly (readonly [string, (event: TrainEvent) => boolean])[] = [
  ['start', ({ type }) => type === 'start'],
  ['notice', ({ type }) => type === 'notice'],
  ['first step', ({ type, step }) => type === 'step' && step === 0],
  ['step 4', ({ type, step }) => type === 'step' && step === 4],
  ['last step', ({ type, step }) => type === 'step' && step === 7],
  ['first eval', ({ type, step }) => type === 'eval' && step === 0],
  ['eval', ({ type, step }) => type === 'eval' && step === 4],
  ['checkpoint', ({ type }) => type === 'checkpoint'],
  ['end', ({ type }) => type === 'end'],
];

/** A run with one more listener, which acts at a phase. */
const listening =
  (
    matches: (event: TrainEvent) => boolean,
    act: (stop: AbortController) => void | Promise<void>,
  ): Disturbed =>
  (options) => {
    const stop = new AbortController();
    const listener: Listener = (event) => (matches(event) ? act(stop) : undefined);
    return errorOf(
      fit({ ...options, signal: stop.signal, listeners: [...(options.listeners ?? []), listener] }),
    );
  };

const fail = (): never => {
  throw FAILURE;
};

/** Failures in a listener. */
const listenerCases = PHASES.flatMap(([phase, matches]): Case[] => [
  { name: `listener throws at ${phase}`, run: listening(matches, fail), ends: 'error' },
  {
    name: `listener rejects at ${phase}`,
    run: listening(matches, async () => {
      await Promise.resolve();
      fail();
    }),
    ends: 'error',
  },
  { name: `listener aborts at ${phase}`, run: listening(matches, (stop) => stop.abort()), ends: 'stop' },
  {
    name: `listener aborts and throws at ${phase}`,
    run: listening(matches, (stop) => {
      stop.abort();
      fail();
    }),
    ends: 'error',
  },
]);

/** Loops over the events that are left, with `return` and with `throw`. */
const loopCases = PHASES.flatMap(([phase, matches]): Case[] => {
  const leave: Disturbed = async (options) => {
    const run = async (): Promise<void> => {
      for await (const event of train(options)) if (matches(event)) break;
    };
    return errorOf(run());
  };
  const inject: Disturbed = async (options) => {
    const events = train(options);
    const run = async (): Promise<void> => {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if (matches(next.value)) await events.throw(FAILURE);
      }
    };
    return errorOf(run());
  };
  return [
    { name: `loop left at ${phase}`, run: leave, ends: 'stop' },
    { name: `throw() into the loop at ${phase}`, run: inject, ends: 'error' },
  ];
});

/** A loader whose batch fails from a step on. */
const failingLoader = (data: Loader, from: number): Loader => ({
  ...data,
  withSeed: (seed) => failingLoader(data.withSeed(seed), from),
  batch(step) {
    if (step >= from) throw FAILURE;
    return data.batch(step);
  },
});

/** A data set whose read fails at a call. */
function failingDataset(data: Dataset, at: number): Dataset {
  let calls = 0;
  const { whole: _, ...rest } = data;
  return {
    ...rest,
    read(indices, x, y) {
      if (calls++ === at) throw FAILURE;
      data.read(indices, x, y);
    },
  };
}

/** A schedule that fails from a step on. */
const failingSchedule = (from: number): Schedule =>
  Object.assign((step: number) => (step >= from ? fail() : triangular(step)), {
    config: triangular.config,
    toJSON: () => triangular.config,
    cycles: () => triangular.cycles(),
  });

const failing =
  (change: (options: TrainOptions) => Partial<TrainOptions>): Disturbed =>
  (options) =>
    errorOf((async () => fit({ ...options, ...change(options) }))());

const sourceCases: readonly Case[] = [
  ...[0, 1, 4, 7].map((step): Case => ({
    name: `loader throws at step ${step}`,
    run: failing(({ data }) => ({ data: failingLoader(data, step) })),
    ends: 'error',
  })),
  {
    name: "loader's withSeed throws",
    run: failing(({ data }) => ({ data: { ...data, withSeed: fail } })),
    ends: 'error',
  },
  ...[0, 1].map((call): Case => ({
    name: `resident data set throws at read ${call}`,
    run: failing(() => ({ data: loader(failingDataset(examples, call), { batchSize: 4 }), resident: true })),
    // The first read is that of the resident data, the next one that of the digest in the first checkpoint.
    ends: 'error',
  })),
  ...[0, 1, 4].map((call): Case => ({
    name: `fed data set throws at read ${call}`,
    run: failing(() => ({ data: loader(failingDataset(examples, call), { batchSize: 4 }), resident: false })),
    ends: 'error',
  })),
  ...[0, 6].map((call): Case => ({
    name: `evaluated data set throws at read ${call}`,
    run: failing(() => ({ eval: { data: failingDataset(held, call), every: 4 }, resident: false })),
    ends: 'error',
  })),
  ...[1, 4, 7].map((step): Case => ({
    name: `schedule throws at step ${step}`,
    run: failing(() => ({
      optimizer: adam({ lr: failingSchedule(step) }),
    })),
    ends: 'error',
  })),
  {
    name: 'signal aborted before the run',
    run: (options) => errorOf(fit({ ...options, signal: AbortSignal.abort() })),
    ends: 'stop',
  },
];

export const CASES: readonly Case[] = [...listenerCases, ...loopCases, ...sourceCases];

/** What is wrong after a disturbed run. Null if nothing is. */
async function faultOf({ run, ends }: Case, backend: Backend, straight: string): Promise<string | null> {
  const dir = await mkdtemp(join(tmpdir(), 'cyclegrad-soak-'));
  const options: TrainOptions = {
    ...smallRun(backend),
    eval: { data: held, every: 4 },
    checkpoint: { dir, every: 3, resume: true },
  };
  try {
    let reached = 0;
    const watch = (event: TrainEvent): void => {
      if (event.type === 'step') reached = event.step + 1;
    };
    const error = await run({ ...options, listeners: [watch] });
    if (ends === 'error' && error !== FAILURE) return `ended with ${inspect(error)}`;
    if (ends === 'stop' && error !== null) return `threw ${inspect(error)}`;
    const path = await latestCheckpoint(dir);
    const saved = path === null ? 0 : (await loadCheckpoint(path)).step;
    if (saved !== reached) return `saved step ${saved}, expected ${reached}`;
    const { state } = await fit(options);
    return digestOf(state) === straight ? null : 'resumed to other bytes';
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

export const failures: Part = async () => {
  const rejections: string[] = [];
  const onRejection = (error: unknown): void => void rejections.push(String(error));
  process.on('unhandledRejection', onRejection);
  const faults: string[] = [];
  try {
    const first = await wasm({ threads: 1, workers: false });
    const straight = digestOf((await fit(smallRun(first))).state);
    await first.close();
    for (const one of CASES) {
      const backend = await wasm({ threads: 1, workers: false });
      const fault = await faultOf(one, backend, straight);
      if (fault !== null) faults.push(`${one.name}: ${fault}`);
      // Closing fails if the run left a store or an executable open.
      await backend.close().catch((error: unknown) => faults.push(`${one.name}: ${String(error)}`));
    }
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    process.off('unhandledRejection', onRejection);
  }
  return [
    noneOf('runs that fail or stop', faults, CASES.length),
    noneOf('unhandled rejections', rejections, CASES.length),
  ];
};
