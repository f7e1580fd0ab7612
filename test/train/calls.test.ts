// Several updates in one call of the backend: what a run tells and leaves is as with one, wherever it ends.
import { describe, expect, test, vi } from 'vitest';
import {
  fit,
  latestCheckpoint,
  loadCheckpoint,
  reference,
  train,
  type Backend,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import type { Loader } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { custom } from 'cyclegrad/schedulers';
import { Pace } from '../../engine/train/calls.ts';
import { bytes, eventsOf, folder, held, tinyRun } from './fixture.ts';

/** Without wall times, reports and folders, which differ from run to run. */
const told = (events: readonly TrainEvent[]): unknown[] =>
  JSON.parse(
    JSON.stringify(events, (key, value: unknown) =>
      ['ms', 'report', 'path', 'error'].includes(key) ? undefined : value,
    ),
  ) as unknown[];

/** How many runs each call of `runMany` had. */
function countingCalls(backend: Backend): number[] {
  const calls: number[] = [];
  const load = backend.load.bind(backend);
  vi.spyOn(backend, 'load').mockImplementation(async (plan, store) => {
    const executable = await load(plan, store);
    const runMany = executable.runMany.bind(executable);
    vi.spyOn(executable, 'runMany').mockImplementation((feeds) => {
      calls.push((feeds['lr'] as Float64Array).length);
      return runMany(feeds);
    });
    return executable;
  });
  return calls;
}

const SIZES = [1, 4, 8];

describe('calls of several updates', () => {
  test('tell the same events and leave the same bytes as calls of one', async () => {
    const all: unknown[] = [];
    for (const stepsPerCall of SIZES) {
      const dir = folder();
      const evaluation = { data: held, every: 5, batchSize: 2 };
      const options = tinyRun({ stepsPerCall, eval: evaluation, checkpoint: { dir, every: 3 }, steps: 13 });
      const { events, error } = await eventsOf(options);
      expect(error).toBeNull();
      const { state } = await loadCheckpoint((await latestCheckpoint(dir))!);
      all.push([told(events), bytes(state)]);
    }
    expect(all[1]).toEqual(all[0]);
    expect(all[2]).toEqual(all[0]);
  });

  test('end where something else is due', async () => {
    const backend = reference();
    const calls = countingCalls(backend);
    const evaluation = { data: held, every: 5, batchSize: held.length };
    await fit(tinyRun({ backend, stepsPerCall: 4, eval: evaluation, steps: 13 }));
    expect(calls).toEqual([4, 4, 3]); // with single updates after the first two, to 5 and 10
  });

  test.each(SIZES)(
    'of %i: leaving the loop, resuming and aborting go on from the step that was told',
    async (stepsPerCall) => {
      const expected = bytes((await fit(tinyRun())).state);
      for (const resident of [true, false]) {
        const dir = folder();
        const options = tinyRun({ stepsPerCall, resident, checkpoint: { dir, every: 100, resume: true } });
        for await (const event of train(options)) if (event.type === 'step' && event.step === 1) break;
        expect((await loadCheckpoint((await latestCheckpoint(dir))!)).step).toBe(2);
        const controller = new AbortController();
        const listeners = [
          (event: TrainEvent): void => void (event.type === 'step' && event.step === 6 && controller.abort()),
        ];
        const stopped = await fit({ ...options, signal: controller.signal, listeners });
        expect([stopped.step, stopped.reason]).toEqual([7, 'abort']);
        expect(bytes(stopped.state)).toEqual(bytes((await fit(tinyRun({ steps: 7 }))).state));
        const { state, step } = await fit(options);
        expect(step).toBe(10);
        expect(bytes(state)).toEqual(expected);
      }
    },
  );

  test.each(SIZES)(
    'of %i: a failure comes after the events of the updates before it',
    async (stepsPerCall) => {
      const options: Partial<TrainOptions> = {
        optimizer: sgd({ lr: custom({ name: 'cliff', fn: (step) => (step < 3 ? 1e-6 : 1e30) }) }),
      };
      const one = await eventsOf(tinyRun(options));
      const many = await eventsOf(tinyRun({ ...options, stepsPerCall }));
      expect(told(many.events)).toEqual(told(one.events));
      expect(many.events.filter(({ type }) => type === 'step').length).toBe(4);
      expect((many.error as Error).message).toMatch(/^train: the loss is not finite at step 4 /);
      expect((many.error as Error).message).toBe((one.error as Error).message);
    },
  );

  test.each(SIZES)(
    'of %i: a batch that cannot be made comes after the updates before it',
    async (stepsPerCall) => {
      const { data } = tinyRun();
      const short = (whole: Loader): Loader => ({
        ...whole,
        withSeed: (seed) => short(whole.withSeed(seed)),
        batch(step) {
          if (step === 6) throw new Error('no batch 6');
          return whole.batch(step);
        },
      });
      const { events, error } = await eventsOf(tinyRun({ data: short(data), stepsPerCall }));
      expect(events.filter(({ type }) => type === 'step').length).toBe(6);
      expect((error as Error).message).toBe('no batch 6');
    },
  );

  test('a listener that throws ends the run at its event', async () => {
    const ended: unknown[] = [];
    for (const stepsPerCall of SIZES) {
      const listeners = [
        (event: TrainEvent): void => {
          if (event.type === 'step' && event.step === 2) throw new Error('enough');
        },
      ];
      const { events, error } = await eventsOf(tinyRun({ stepsPerCall, listeners }));
      ended.push([told(events), (error as Error).message]);
    }
    expect(ended[1]).toEqual(ended[0]);
    expect(ended[2]).toEqual(ended[0]);
  });

  test('by themselves where the backend says that they pay, and the data is resident', async () => {
    const backend = Object.assign(reference(), { runsPerCall: 4 });
    const calls = countingCalls(backend);
    const expected = bytes((await fit(tinyRun())).state);
    expect(bytes((await fit(tinyRun({ backend }))).state)).toEqual(expected);
    expect(Math.max(...calls)).toBeGreaterThan(1);
    calls.length = 0;
    expect(bytes((await fit(tinyRun({ backend, resident: false }))).state)).toEqual(expected);
    expect(calls).toEqual([]);
  });

  test('a size that is none is refused', () => {
    expect(() => train(tinyRun({ stepsPerCall: 0 }))).toThrow('train: stepsPerCall must be');
  });
});

describe('the pace', () => {
  test('doubles up to what takes a tenth of a second', () => {
    const pace = new Pace(32, false);
    const sizes = Array.from({ length: 7 }, () => {
      const { size } = pace;
      pace.took(size, size * 4);
      return size;
    });
    expect(sizes).toEqual([1, 2, 4, 8, 16, 25, 25]);
    pace.took(25, 5000);
    expect(pace.size).toBe(1);
    pace.took(1, 0.5);
    expect(pace.size).toBe(2);
  });

  test('stays what it was given', () => {
    const pace = new Pace(8, true);
    pace.took(8, 1e6);
    expect(pace.size).toBe(8);
  });
});
