/** evaluate, predict and forward. */
import { describe, expect, test } from 'vitest';
import { evaluate, fit, forward, predict, reference, type EvaluateOptions } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { take } from 'cyclegrad/datasets';
import { held, tinyModel, tinyRun } from './fixture.ts';

describe('evaluation and prediction', () => {
  test('padded examples do not count: any batch size gives the same means', async () => {
    const { state } = await fit(tinyRun());
    const shared = { model: tinyModel(), state, data: held, backend: reference() };
    const whole = await evaluate({ ...shared, batchSize: 7 });
    for (const batchSize of [1, 2, 3, 4, 100]) {
      const part = await evaluate({ ...shared, batchSize });
      expect(part.examples).toBe(7);
      expect(part.loss).toBeCloseTo(whole.loss, 6);
      expect(part.metrics).toEqual(whole.metrics);
    }
    const one = await evaluate({ ...shared, data: take(held, 1), batchSize: 5 });
    expect(one.examples).toBe(1);
  });

  test('predicts 7 images with batches of 4, from a data set or an array, as evaluate counts', async () => {
    const { state } = await fit(tinyRun());
    const shared = { model: tinyModel(), state, backend: reference() };
    const { classes, probabilities, logits } = await predict({ ...shared, data: held, batchSize: 4 });
    expect(logits.shape).toEqual([7, 3]);
    expect(classes.length).toBe(7);
    for (let i = 0; i < 7; i++) {
      const row = [...probabilities.data.subarray(3 * i, 3 * i + 3)];
      expect(row.reduce((a, b) => a + b)).toBeCloseTo(1, 6);
      expect(row.indexOf(Math.max(...row))).toBe(classes[i]);
    }
    const x = new Uint8Array(7 * 72);
    const y = new Int32Array(7);
    held.read(
      Uint32Array.from({ length: 7 }, (_, i) => i),
      x,
      y,
    );
    const again = await predict({
      ...shared,
      data: { shape: [7, 6, 6, 2], dtype: 'u8', data: x },
      batchSize: 3,
    });
    expect(again.classes).toEqual(classes);
    const { metrics } = await evaluate({ ...shared, data: held });
    expect(metrics['accuracy']).toBeCloseTo(classes.filter((c, i) => c === y[i]).length / 7, 12);
    const none = await predict({
      ...shared,
      data: { shape: [0, 6, 6, 2], dtype: 'u8', data: new Uint8Array() },
    });
    expect(none.logits.shape).toEqual([0, 3]);
  });

  test('a row with a logit that is not a number is of that class, as argMax has it', async () => {
    const model = nn.sequential({ input: nn.normalize(0), rest: nn.relu() });
    const rows = Float32Array.of(1, 3, 3, NaN, 7, 1, 5, NaN, 9, Infinity, 1, 1);
    const data = { shape: [4, 3], dtype: 'f32', data: rows } as const;
    const state = nn.initState(model, null, 0);
    const { classes } = await predict({ model, state, backend: reference(), data });
    expect([...classes]).toEqual([1, 0, 1, 0]);
  });

  test('forward gives outputs as they are, of any shape; a single example is a batch of one', async () => {
    const { state } = await fit(tinyRun({ steps: 2 }));
    const shared = { model: tinyModel(), state, backend: reference(), data: held };
    expect((await forward(shared)).data).toEqual((await predict(shared)).logits.data);
    const maps = nn.sequential({ input: nn.normalize(0), pool: nn.maxPool2d(2) });
    const asState = nn.initState(maps, null, 0);
    const { shape, data } = await forward({
      model: maps,
      state: asState,
      backend: reference(),
      data: held,
      batchSize: 3,
    });
    expect(shape).toEqual([7, 3, 3, 2]);
    const one = await forward({ model: maps, state: asState, backend: reference(), data: take(held, 1) });
    expect(one.data).toEqual(data.slice(0, 18));
    const all = nn.sequential({ input: nn.normalize(0), total: nn.activation((x) => x.mean()) });
    await expect(
      forward({ model: all, state: nn.initState(all, null, 0), backend: reference(), data: held }),
    ).rejects.toThrow("forward: the model's output must have one row per example, [7, ...], got f32 []");
    await expect(predict({ model: maps, state: asState, backend: reference(), data: held })).rejects.toThrow(
      "predict: the model's output must be logits [N, classes], got f32 [7,3,3,2] (forward returns outputs of any shape)",
    );
  });

  test('say what does not fit', async () => {
    const backend = reference();
    const shared = { model: tinyModel(), state: {}, data: held, backend };
    const calls: ((options: EvaluateOptions) => Promise<unknown>)[] = [predict, evaluate, forward];
    for (const act of calls) {
      const bad = (change: object, message: string) =>
        expect(act({ ...shared, ...change })).rejects.toThrow(message);
      await bad(
        { backend: Promise.resolve(backend) },
        'backend must be a backend, for instance await wasm(); got a promise (is an await missing?)',
      );
      await bad({ state: undefined }, 'state must be the arrays of the model by name');
      await bad({ data: null }, 'data must be a data set; got null');
      await bad({ model: 3 }, 'model must be a layer');
    }
    await expect(fit(tinyRun({ initial: null as never }))).rejects.toThrow(
      'initial: must be a plain object of arrays by name, got null',
    );
    await expect(fit(tinyRun({ initial: { foo: 1 } as never }))).rejects.toThrow(
      "initial: 'foo' must be an array { shape, dtype, data }, got 1",
    );
    await expect(predict({ model: tinyModel(), state: {}, data: held, backend })).rejects.toThrow(
      "predict: the state has no 'input.mean' (it is empty; pass the state of this model, for instance result.state of fit)",
    );
    const data = { shape: [2, 6, 6, 2], dtype: 'u8', data: new Uint8Array(3) } as const;
    await expect(predict({ model: tinyModel(), state: {}, data, backend })).rejects.toThrow(
      'predict: data is u8 [2,6,6,2], 144 elements, but its data is Uint8Array (3)',
    );
    await backend.close();
  });
});
