/** Callbacks: what they can do with a run, and that they resume. */
import { describe, expect, test } from 'vitest';
import {
  evaluate,
  fit,
  latestCheckpoint,
  loadCheckpoint,
  bestPath,
  max,
  reference,
  train,
  type Callback,
  type CallbackFunction,
  type RunHandle,
  type StepProfile,
  type TrainEvent,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cosine, custom, linear } from 'cyclegrad/schedulers';
import { summarizeProfile } from 'cyclegrad/tools';
import { bytes, eventsOf, folder, tinyRun, types } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 });
const run: TrainOptions = {
  model: nn.mlp([2, 8, 3]),
  backend: reference(),
  optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  data: loader(points, { batchSize: 8 }),
  steps: 6,
};
/** Acts after `step` updates. */
const after =
  (step: number, act: (...args: Parameters<CallbackFunction>) => void | Promise<void>): CallbackFunction =>
  (event, handle) =>
    event.type === 'step' && handle.step === step ? act(event, handle) : undefined;
const steps = (events: readonly TrainEvent[]) => events.filter((event) => event.type === 'step');

describe('a callback', () => {
  test('gets every event but the end, before the listeners', async () => {
    const log: string[] = [];
    await fit({
      ...run,
      steps: 1,
      eval: { data: points, every: 1 },
      callbacks: [(event, { step, steps: all }) => void log.push(`call ${event.type} ${step}/${all}`)],
      listeners: [(event) => void log.push(`hear ${event.type}`)],
    });
    const calls = log.filter((line) => line.startsWith('call'));
    expect(calls).toEqual(['call start 0/1', 'call eval 0/1', 'call step 1/1', 'call eval 1/1']);
    expect(log.filter((line) => line.startsWith('hear'))).toEqual(
      ['start', 'eval', 'step', 'eval', 'end'].map((type) => `hear ${type}`),
    );
    expect(log.slice(0, 2)).toEqual(['call start 0/1', 'hear start']);
  });

  test.each([1, 4])(
    'measures the next update, which changes nothing, %d steps per call',
    async (stepsPerCall) => {
      const profiles: StepProfile[] = [];
      const errors: string[] = [];
      const act: CallbackFunction = async (event, handle) => {
        if (event.type !== 'step') return;
        if (handle.step === 2) profiles.push(await handle.profile(2));
        if (handle.step === 6) await handle.profile().catch((error: Error) => errors.push(error.message));
        if (handle.step === 3) await handle.profile(0).catch((error: Error) => errors.push(error.message));
      };
      const { state } = await fit({ ...run, stepsPerCall, callbacks: [act] });
      expect(state).toEqual((await fit({ ...run, stepsPerCall })).state);
      const [{ plan, profiles: times }] = profiles;
      const summary = summarizeProfile(plan, times);
      expect(summary.runs).toBe(2);
      expect(summary.rows.map(({ path }) => path)).toContain('fc2');
      expect(errors).toEqual([
        'fit: profile: runs must be an integer >= 1, got 0',
        'fit: profile: all 6 updates are done (act on an earlier event)',
      ]);
    },
  );

  test.each([1, 4])('reads and writes the state, %d steps per call', async (stepsPerCall) => {
    const zero = Float32Array.of(0, 0, 0);
    const bias = { 'fc2.bias': { shape: [3], dtype: 'f32', data: zero } } as const;
    let seen: unknown = null;
    const write = after(3, async (_, handle) => {
      await handle.write(bias);
      seen = [...(await handle.state())['fc2.bias'].data];
    });
    const { state } = await fit({ ...run, stepsPerCall, callbacks: [write] });
    expect(seen).toEqual([0, 0, 0]);
    const first = await fit({ ...run, steps: 3 });
    const rest = await fit({
      ...run,
      // The same batches as steps 3 to 5.
      data: { ...run.data, withSeed: () => later },
      steps: 3,
      initial: { ...first.state, ...bias },
    });
    expect(bytes(state)).toEqual(bytes(rest.state));
  });
  const later = { ...run.data, batch: (step: number) => run.data.batch(step + 3) };

  test('stops the run, which keeps its state', async () => {
    const stop = after(3, (_, handle) => handle.stop('enough'));
    const { reason, stopped, step, state } = await fit({ ...run, callbacks: [stop] });
    expect([reason, stopped, step]).toEqual(['stop', 'enough', 3]);
    expect(bytes(state)).toEqual(bytes((await fit({ ...run, steps: 3 })).state));
    const { events } = await eventsOf({ ...run, callbacks: [stop] });
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'stop', stopped: 'enough', step: 3 });
    const done = await fit(run);
    expect([done.reason, done.stopped]).toEqual(['done', null]);
  });

  test.each([1, 4])('scales a rate from the next step on, %d steps per call', async (stepsPerCall) => {
    const half = after(2, (_, handle) => handle.scale('lr', 0.5));
    const { events } = await eventsOf({ ...run, stepsPerCall, callbacks: [half] });
    expect(steps(events).map(({ hyper }) => hyper['lr'])).toEqual([0.1, 0.1, 0.05, 0.05, 0.05, 0.05]);
    const { state } = await fit({ ...run, stepsPerCall, callbacks: [half] });
    const lr = custom({ name: 'half', fn: (t) => (t < 2 ? 0.1 : 0.05) });
    const scheduled = await fit({ ...run, optimizer: sgd({ lr, momentum: 0.9 }) });
    expect(bytes(state)).toEqual(bytes(scheduled.state));
  });

  test.each([1, 4])('replaces a schedule from the next step on, %d steps per call', async (stepsPerCall) => {
    const falling = linear({ from: 0.6, to: 0, steps: 6 });
    const change = after(2, (_, handle) => handle.reschedule('lr', falling));
    const { events } = await eventsOf({ ...run, stepsPerCall, callbacks: [change] });
    const rates = [0.1, 0.1, ...[2, 3, 4, 5].map((t) => falling(t))];
    expect(steps(events).map(({ hyper }) => hyper['lr'])).toEqual(rates);
    const { state } = await fit({ ...run, stepsPerCall, callbacks: [change] });
    const lr = custom({ name: 'change', fn: (t) => (t < 2 ? 0.1 : falling(t)) });
    const scheduled = await fit({ ...run, optimizer: sgd({ lr, momentum: 0.9 }) });
    expect(bytes(state)).toEqual(bytes(scheduled.state));
  });

  test.each([1, 4])('freezes parameters and trains them again, %d steps per call', async (stepsPerCall) => {
    const seen: Record<number, readonly number[]> = {};
    const watch: CallbackFunction = async (event, handle) => {
      if (event.type !== 'step') return;
      const { data } = (await handle.state())['fc1.weight'];
      seen[handle.step] = [...data];
      if (handle.step === 2) await handle.freeze('fc1');
      if (handle.step === 4) await handle.unfreeze(/^fc1/);
    };
    const { state } = await fit({ ...run, stepsPerCall, callbacks: [watch] });
    expect(seen[4]).toEqual(seen[2]);
    expect(seen[2]).not.toEqual(seen[1]);
    expect(seen[5]).not.toEqual(seen[4]);
    expect(Object.keys(state)).toEqual(Object.keys((await fit(run)).state));
  });

  test('acts once more before the result, on an evaluation of its own', async () => {
    const zeros: Callback = {
      name: 'zeros',
      open: (handle) => ({
        async finish() {
          const { data, ...type } = (await handle.state())['fc2.weight'];
          await handle.write({ 'fc2.weight': { ...type, data: new Float32Array(data.length) } });
        },
      }),
    };
    const dir = folder();
    const options = { ...run, eval: { data: points, every: 3 }, callbacks: [zeros] };
    const { events } = await eventsOf({ ...options, checkpoint: { dir, every: 6 } });
    expect(types(events).slice(-4)).toEqual(['eval', 'checkpoint', 'eval', 'end']);
    const { state, last } = await fit(options);
    expect([...state['fc2.weight'].data].every((value) => value === 0)).toBe(true);
    expect(last!.loss).toBeGreaterThan(1);
    // The checkpoint has the state of training.
    const whole = await fit(run);
    const saved = await loadCheckpoint(`${dir}/step-00000006.safetensors`);
    expect(bytes(saved.state)).toEqual(bytes(whole.state));
  });

  test('sends notices', async () => {
    const { events } = await eventsOf({ ...run, callbacks: [after(1, (_, handle) => handle.notice('one'))] });
    expect(events.filter(({ type }) => type === 'notice')).toEqual([
      { type: 'notice', step: 1, code: 'callback 0', message: 'one' },
    ]);
  });

  test('that fails ends the run like a listener, with a checkpoint', async () => {
    const dir = folder();
    const fail = after(3, () => {
      throw new Error('broken');
    });
    const { events, error } = await eventsOf({ ...run, callbacks: [fail], checkpoint: { dir, every: 6 } });
    expect(String(error)).toBe('Error: broken');
    expect(types(events).slice(-2)).toEqual(['checkpoint', 'end']);
  });
});

test('the loop over `train` has the same handle', async () => {
  const events = train({ ...run, steps: 6 });
  expect(() => events.run).toThrow('train: the run has not started (use it inside the loop)');
  const seen: unknown[] = [];
  for await (const event of events) {
    if (event.type === 'step' && event.step === 1) {
      seen.push(bytes(await events.run.state()));
      events.run.stop('seen enough');
    }
    if (event.type === 'end') seen.push(event.reason, event.stopped);
  }
  const short = await fit({ ...run, steps: 2 });
  expect(seen).toEqual([bytes(short.state), 'stop', 'seen enough']);
  await expect(events.run.state()).rejects.toThrow('train: the run has ended');
});

const { model, backend } = run;

test('a loop of one’s own evaluates, saves, and has the result', async () => {
  const dir = folder();
  const heard: string[] = [];
  const events = train({
    ...run,
    eval: { data: points, every: 6 },
    checkpoint: { dir, every: 6, resume: true },
    listeners: [(event) => void heard.push(`${event.type} ${event.step}`)],
  });
  expect(() => events.result()).toThrow('train: the run has not ended, so it has no result');
  await events.next();
  for (const first of ['eval', 'step', 'step']) expect((await events.next()).value!.type).toBe(first);
  const { state } = await fit({ ...run, steps: 2 });
  const event = await events.run.evaluate();
  const { loss } = await evaluate({ model, backend, state, data: points, batchSize: 8 });
  expect(event).toMatchObject({ type: 'eval', step: 2, loss });
  expect(await events.run.evaluate()).toBe(event); // nothing changed since
  const path = await events.run.save();
  expect(bytes((await loadCheckpoint(path)).state)).toEqual(bytes(state));
  expect(heard).toEqual(['start 0', 'eval 0', 'step 0', 'step 1', 'eval 2', 'checkpoint 2']);
  await events.return();
  expect(events.result()).toMatchObject({ reason: 'break', step: 2, loss, last: event });
  expect(bytes(events.result().state)).toEqual(bytes(state));

  const bare = train(run);
  await bare.next();
  await expect(bare.run.evaluate()).rejects.toThrow('train: the run has no evaluations (pass eval)');
  await expect(bare.run.save()).rejects.toThrow('train: the run has no checkpoint folder (pass checkpoint)');
  await bare.return();
});

test.each([1, 4])('an evaluation between two updates of a call, %d steps per call', async (stepsPerCall) => {
  let seen: unknown = null;
  const look = after(2, async (_, handle) => {
    seen = (await handle.evaluate())!.loss;
  });
  const result = await fit({ ...run, stepsPerCall, eval: { data: points, every: 6 }, callbacks: [look] });
  const { state } = await fit({ ...run, steps: 2 });
  expect(seen).toBe((await evaluate({ model, backend, state, data: points, batchSize: 8 })).loss);
  expect(bytes(result.state)).toEqual(bytes((await fit(run)).state));
});

test('factors, frozen parameters and the states of callbacks resume to the same bytes', async () => {
  const counter: Callback = {
    name: 'counter',
    open: (handle, saved) => {
      let count = (saved?.data ?? 0) as number;
      let sums = saved?.arrays?.['sums'] ?? { shape: [1], dtype: 'f32' as const, data: new Float32Array(1) };
      return {
        async on(event) {
          if (event.type !== 'step') return;
          count++;
          sums = { ...sums, data: Float32Array.of(sums.data[0] + event.loss) };
          if (count === 2) await handle.scale('lr', 0.5);
          if (count === 3) await handle.freeze('conv');
          if (count === 7) await handle.unfreeze('conv');
          // Depends on everything before.
          if (count === 8) await handle.scale('lr', 1 / (1 + sums.data[0]));
        },
        state: () => ({ data: count, arrays: { sums } }),
      };
    },
  };
  const options = tinyRun({ callbacks: [counter] });
  const whole = await fit(options);
  const plain = await fit(tinyRun());
  expect(bytes(whole.state)).not.toEqual(bytes(plain.state));
  for (const stop of [1, 2, 3, 5, 7, 8]) {
    const checkpoint = { dir: folder(), every: 3, resume: true };
    await fit({ ...options, steps: stop, checkpoint });
    const resumed = await fit({ ...options, checkpoint });
    expect(bytes(resumed.state)).toEqual(bytes(whole.state));
  }
});

test('a replaced schedule resumes to the same bytes, and a notice names it', async () => {
  const change: CallbackFunction = after(3, async (_, handle) => {
    await handle.reschedule('lr', cosine({ max: 0.05, steps: 9 }));
    await handle.scale('lr', 0.5);
  });
  const options = tinyRun({ callbacks: [change] });
  const whole = await fit(options);
  for (const stop of [2, 3, 5]) {
    const checkpoint = { dir: folder(), every: 3, resume: true };
    await fit({ ...options, steps: stop, checkpoint });
    const { events } = await eventsOf({ ...options, checkpoint });
    const codes = events.flatMap((event) => (event.type === 'notice' ? [event.code] : []));
    expect(codes.includes('rescheduled')).toBe(stop >= 3);
    const { state } = await loadCheckpoint((await latestCheckpoint(checkpoint.dir))!);
    expect(bytes(state)).toEqual(bytes(whole.state));
  }
});

test('the best evaluation by a metric of the user’s choice', async () => {
  const dir = folder();
  const options: TrainOptions = {
    ...run,
    steps: 3,
    eval: {
      data: points,
      every: 1,
      metrics: { score: (output) => max(output, 1) },
    },
    checkpoint: { dir: folder(), every: 3, best: true, monitor: 'score', mode: 'max' },
  };
  const result = await fit(options);
  const { events } = await eventsOf({ ...options, checkpoint: { ...options.checkpoint!, dir: folder() } });
  const evals = events.filter((event) => event.type === 'eval');
  const score = (event: (typeof evals)[number]) => event.metrics['score'];
  const best = evals.reduce((a, b) => (score(b) > score(a) ? b : a));
  expect(result.best!.step).toBe(best.step);
  const low = await fit({
    ...options,
    checkpoint: { dir, every: 3, best: true, monitor: 'score', mode: 'min' },
  });
  expect(low.best!.step).not.toBe(best.step);
  expect((await loadCheckpoint(bestPath(dir))).step).toBe(low.best!.step);
  const missing = fit({ ...options, checkpoint: { dir: folder(), every: 3, monitor: 'iou', mode: 'max' } });
  await expect(missing).rejects.toThrow(
    "fit: monitor: evaluations have no metric 'iou' (they have: loss, score)",
  );
});

test.each<[Partial<TrainOptions> | Record<string, unknown>, string]>([
  [{ callbacks: {} }, 'fit: callbacks must be an array, got an object'],
  [
    { callbacks: [3] },
    'fit: callbacks must be functions or callbacks, for instance earlyStopping({ patience: 5 }), got 3',
  ],
  [{ callbacks: [{ open: () => ({}) }] }, 'fit: callbacks: name must be a text, got undefined'],
  [{ callbacks: [{ name: 'a' }] }, 'fit: callbacks: a: open must be a function, got undefined'],
  [
    {
      callbacks: [
        { name: 'a', open: () => ({}) },
        { name: 'a', open: () => ({}) },
      ],
    },
    "fit: callbacks: two are called 'a' (give each another name)",
  ],
  [
    {
      eval: { data: points, every: 6 },
      callbacks: [
        {
          name: 'early',
          open: (r: RunHandle) => {
            const early = r.evaluate();
            return { on: async () => void (await early) };
          },
        },
      ],
    },
    'fit: the run has not started (act on an event)',
  ],
  [{ callbacks: [after(1, (_, r) => r.stop(''))] }, "fit: stop: the reason must be a text, got ''"],
  [
    { callbacks: [after(1, (_, r) => r.scale('lr', -1))] },
    'fit: scale: the factor must be a number >= 0, got -1',
  ],
  [
    { callbacks: [after(1, (_, r) => r.scale('rate', 1))] },
    "fit: scale: there is no hyperparameter 'rate' (the optimizer has: lr, momentum)",
  ],
  [
    { callbacks: [after(1, (_, r) => r.reschedule('rate', cosine({ max: 1, steps: 6 })))] },
    "fit: reschedule: there is no hyperparameter 'rate' (the optimizer has: lr, momentum)",
  ],
  [
    { callbacks: [after(1, (_, r) => r.reschedule('lr', 0.1 as never))] },
    'fit: reschedule: it must be a schedule, for instance cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 }), got 0.1',
  ],
  [
    { callbacks: [after(1, (_, r) => r.reschedule('lr', custom({ name: 'own', fn: () => 1 })))] },
    'fit: reschedule: a checkpoint stores the schedule as JSON, but it cannot be read back: ',
  ],
  [
    { callbacks: [after(1, (_, r) => r.reschedule('lr', linear({ from: 1, to: -1, steps: 6 })))] },
    'fit: reschedule: the value at step 4 must be a number >= 0, got',
  ],
  [
    { callbacks: [after(1, (_, r) => r.freeze('fc7'))] },
    'fit: freeze: no trained parameter matches fc7 (the model has: fc1.weight, fc1.bias',
  ],
  [{ callbacks: [after(1, (_, r) => r.unfreeze(3 as never))] }, 'fit: unfreeze: a pattern must be a path'],
  [
    { callbacks: [after(1, (_, r) => r.write({ fc7: { shape: [1], dtype: 'f32', data: [1] } } as never))] },
    "fit: write: there is no array called 'fc7' (the run has: fc1.weight",
  ],
  [
    { checkpoint: { dir: 'x', every: 1, mode: 'max' } },
    'fit: checkpoint: mode needs monitor (pass monitor, or omit mode)',
  ],
  [
    { checkpoint: { dir: 'x', every: 1, monitor: 'iou' } },
    "fit: checkpoint: mode must be 'min' or 'max', got undefined",
  ],
])('wrong use throws %#', async (changes, message) => {
  expect(String(await fit({ ...run, ...changes }).then(() => 'trained', String))).toContain(message);
});
