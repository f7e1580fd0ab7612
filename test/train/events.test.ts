/** The events of a run, and how it ends. */
import { describe, expect, test } from 'vitest';
import { fit, reference, train, type Listener, type TrainEvent, type TrainOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { eventsOf, held, tinyRun, types } from './fixture.ts';

describe('events', () => {
  test('are start, an evaluation before the first step, steps with their rates, one end', async () => {
    const { events } = await eventsOf(tinyRun({ steps: 5, eval: { data: held, every: 2 } }));
    expect(types(events)).toEqual([
      'start',
      'notice',
      'eval',
      'step',
      'step',
      'eval',
      'step',
      'step',
      'eval',
      'step',
      'eval',
      'end', // prettier-ignore
    ]);
    const [start, notice] = events as [TrainEvent, TrainEvent];
    expect(start).toMatchObject({ step: 0, steps: 5, stepsPerEpoch: 3, batchSize: 8, seed: 5 });
    expect(notice).toMatchObject({
      code: 'stops-mid-cycle',
      message: 'lr: training stops at step 5, in the middle of a cycle (the first ends at step 10)',
    });
    const step = events.find(({ type }) => type === 'step')!;
    expect(step).toMatchObject({ step: 0, hyper: { lr: 0.001, beta1: 0.9 } });
    const evals = events.filter((event) => event.type === 'eval');
    expect(evals.map((event) => event.step)).toEqual([0, 2, 4, 5]);
    expect(evals[0]).toMatchObject({ examples: 7 });
    const end = events.at(-1)!;
    expect(end).toMatchObject({ type: 'end', reason: 'done', step: 5, last: evals[3] });
    const accuracies = evals.map((event) => event.metrics['accuracy']);
    expect(end.type === 'end' && end.best!.metrics['accuracy']).toBe(Math.max(...accuracies));
  });

  test('reach every listener, awaited, before the loop', async () => {
    const log: string[] = [];
    const slow: Listener = async (event) => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      log.push(`slow ${event.type}`);
    };
    const fast: Listener = (event) => void log.push(`fast ${event.type}`);
    for await (const event of train(tinyRun({ steps: 1, listeners: [slow, fast] })))
      log.push(`loop ${event.type}`);
    expect(log.slice(0, 3)).toEqual(['slow start', 'fast start', 'loop start']);
    expect(log.slice(-3)).toEqual(['slow end', 'fast end', 'loop end']);
  });

  /** Runs with a listener that counts ends, on a backend that must be free of stores afterwards. */
  async function watched(changes: Partial<TrainOptions>, use: (options: TrainOptions) => Promise<void>) {
    const ends: TrainEvent[] = [];
    const backend = reference();
    const listeners = [
      ...(changes.listeners ?? []),
      (event: TrainEvent) => void (event.type === 'end' && ends.push(event)),
    ];
    await use(tinyRun({ ...changes, backend, listeners }));
    await backend.close(); // throws while a store is open
    expect(ends.length).toBe(1);
    return ends[0];
  }

  test('break: one end, everything is given back', async () => {
    const end = await watched({}, async (options) => {
      for await (const event of train(options)) if (event.type === 'step' && event.step === 3) break;
    });
    expect(end).toMatchObject({ reason: 'break', step: 4 });
  });

  test('an error in the loop is a break', async () => {
    const end = await watched({}, async (options) => {
      const loop = async () => {
        for await (const event of train(options)) if (event.type === 'step') throw new Error('mine');
      };
      await expect(loop()).rejects.toThrow('mine');
    });
    expect(end).toMatchObject({ reason: 'break', step: 1 });
  });

  test('abort: ends between two steps and resolves', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 2 && control.abort());
    const end = await watched({ listeners: [abort], signal: control.signal }, async (options) => {
      expect(await fit(options)).toMatchObject({ reason: 'abort', step: 3 });
    });
    expect(end).toMatchObject({ reason: 'abort', step: 3 });
    const { events } = await eventsOf(tinyRun({ signal: AbortSignal.abort() }));
    expect(types(events)).toEqual(['start', 'end']);
  });

  test('abort during an evaluation: no half evaluation', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 1 && control.abort());
    const { events } = await eventsOf(
      tinyRun({ listeners: [abort], signal: control.signal, eval: { data: held, every: 2 } }),
    );
    expect(types(events)).toEqual(['start', 'eval', 'step', 'step', 'end']);
  });

  test('abort during the last evaluation: the run is not done', async () => {
    const control = new AbortController();
    const abort: Listener = (event) => void (event.type === 'step' && event.step === 9 && control.abort());
    const options = { listeners: [abort], signal: control.signal, eval: { data: held, every: 5 } };
    const { reason, step, last } = await fit(tinyRun(options));
    expect([reason, step, last?.step]).toEqual(['abort', 10, 5]);
  });

  test.each(['start', 'step', 'eval'] as const)('a listener that throws at %s ends the run', async (type) => {
    const bad: Listener = (event) => {
      if (event.type === type) throw new Error(`listener at ${type}`);
    };
    const end = await watched({ listeners: [bad], eval: { data: held, every: 4 } }, async (options) => {
      await expect(fit(options)).rejects.toThrow(`listener at ${type}`);
    });
    expect(end).toMatchObject({ reason: 'error', error: new Error(`listener at ${type}`) });
  });

  test('a listener that throws at the end rejects, after the others got theirs', async () => {
    const bad: Listener = (event) => {
      if (event.type === 'end') throw new Error('cannot close');
    };
    const end = await watched({ listeners: [bad] }, async (options) => {
      await expect(fit(options)).rejects.toThrow('cannot close');
    });
    expect(end).toMatchObject({ reason: 'done', step: 10 });
    await watched({ listeners: [bad] }, async (options) => {
      const leave = async () => {
        for await (const event of train(options)) if (event.type === 'step') break;
      };
      await expect(leave()).rejects.toThrow('cannot close');
    });
  });

  test('what fails before the start has an end too', async () => {
    const end = await watched({ model: nn.sequential({ fc: nn.dense(5, 3) }) }, async (options) => {
      await expect(fit(options)).rejects.toThrow('fc / dense: expects [N, ..., 5] but got u8 [8,6,6,2]');
    });
    expect(end).toMatchObject({ reason: 'error', step: 0 });
  });

  test('a generator that nobody starts does nothing', async () => {
    const events = train(tinyRun({ listeners: [() => expect.unreachable()] }));
    await events.return();
  });
});
