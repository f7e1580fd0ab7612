/** Checkpoint files: their contents, their errors, and which are kept. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import {
  bestPath,
  CheckpointError,
  checkpointPath,
  evaluate,
  fit,
  latestCheckpoint,
  loadCheckpoint,
  loadTensors,
  reference,
  saveCheckpoint,
  saveTensors,
  train,
  type State,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { bytes, eventsOf, folder, held, tinyModel, tinyRun, types } from './fixture.ts';

const augment = { crop: 1, flip: true };

const names = (dir: string): string[] => readdirSync(dir).sort();

describe('checkpoints', () => {
  test('come after every so many steps and at the end; the last two are kept', async () => {
    const dir = join(folder(), 'new', 'folders');
    const { events } = await eventsOf(tinyRun({ checkpoint: { dir, every: 3 } }));
    const saved = events.filter((event) => event.type === 'checkpoint');
    expect(saved.map(({ step }) => step)).toEqual([3, 6, 9, 10]);
    expect(saved[3].path).toBe(join(dir, 'step-00000010.safetensors'));
    expect(names(dir)).toEqual(['step-00000009.safetensors', 'step-00000010.safetensors']);
    expect(await latestCheckpoint(dir)).toBe(saved[3].path);
    expect(await latestCheckpoint(join(dir, 'missing'))).toBe(null);
  });

  test('hold what is needed to go on, and the model', async () => {
    const dir = folder();
    const options = tinyRun({ checkpoint: { dir, every: 10 }, eval: { data: held, every: 5 } });
    const { state, last, best } = await fit(options);
    const path = checkpointPath(dir, 10);
    const checkpoint = await loadCheckpoint(path);
    expect(bytes(checkpoint.state)).toEqual(bytes(state));
    const evaluations = { last: { ...last, ms: 0 }, best: { ...best, ms: 0 } };
    expect(checkpoint).toMatchObject({ step: 10, steps: 10, seed: 5, ...evaluations });
    expect(checkpoint.optimizer).toMatchObject({ kind: 'adam', hyper: { lr: { kind: 'cyclicLR' } } });
    expect(checkpoint.data).toMatchObject({ batchSize: 8, augment });
    expect(Object.keys(checkpoint.state)).toContain('norm.variance');
    expect(Object.keys(checkpoint.state)).toContain('optimizer/m/conv.weight');
    expect(Object.keys(checkpoint.state).filter((name) => name.startsWith('data/'))).toEqual([]);
    const again = await evaluate({
      model: tinyModel(),
      state: checkpoint.state,
      data: held,
      backend: reference(),
      batchSize: 8,
    });
    expect(again.loss).toBe(last!.loss);
    const copy = join(dir, 'copy.safetensors');
    await saveCheckpoint(copy, checkpoint);
    expect(readFileSync(copy).equals(readFileSync(path))).toBe(true);
  });

  test('of the best evaluation are kept beside those to go on from', async () => {
    const dir = folder();
    const options = tinyRun({ optimizer: sgd({ lr: 0.5 }), eval: { data: held, every: 1 } });
    const { events } = await eventsOf({ ...options, checkpoint: { dir, every: 4, best: true } });
    const evals = events.filter((event) => event.type === 'eval');
    const { best } = await fit(options);
    const saved = events.filter((event) => event.type === 'checkpoint' && event.path === bestPath(dir));
    expect(saved.at(-1)).toMatchObject({ step: best!.step });
    expect(best!.step).toBeGreaterThan(0);
    expect(best!.metrics['accuracy']).toBe(Math.max(...evals.map(({ metrics }) => metrics['accuracy'])));
    expect(names(dir)).toEqual([
      'best.safetensors',
      'step-00000008.safetensors',
      'step-00000010.safetensors',
    ]);
    const { state, step } = await loadCheckpoint(bestPath(dir));
    expect(step).toBe(best!.step);
    const again = await evaluate({
      model: tinyModel(),
      state,
      data: held,
      backend: reference(),
      batchSize: 8,
    });
    expect(again.loss).toBe(best!.loss);
    expect(() => train(tinyRun({ checkpoint: { dir, every: 4, best: true } }))).toThrow(
      'train: checkpoint: best needs evaluations (pass eval, or omit best)',
    );
  });

  test('weights by themselves, for other programs and from them', async () => {
    const dir = folder();
    const { state } = await fit(tinyRun());
    const path = join(dir, 'a', 'weights.safetensors');
    const weights = Object.fromEntries(nn.parameters(tinyModel()).map(({ name }) => [name, state[name]]));
    await saveTensors(path, weights);
    expect(bytes(await loadTensors(path))).toEqual(bytes(weights));
    const next = await fit(
      tinyRun({ steps: 1, optimizer: sgd({ lr: 0 }), initial: await loadTensors(path) }),
    );
    expect(bytes(next.state)['conv.weight']).toBe(bytes(state)['conv.weight']);
    await expect(loadTensors(join(dir, 'none'))).rejects.toThrow(/none: cannot be read: ENOENT/);
    await expect(loadCheckpoint(path)).rejects.toThrow('the file is not a checkpoint of cyclegrad');
  });

  test('writes what it was given: parts of arrays, shared memory, double precision', async () => {
    const path = join(folder(), 'weights.safetensors');
    const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
    shared.set([1, 2]);
    const doubles = new Float64Array(new SharedArrayBuffer(16), 8);
    doubles.set([0.1]);
    const given: State = {
      shared: { shape: [2], dtype: 'f32', data: shared },
      view: { shape: [1, 2], dtype: 'i32', data: Int32Array.of(9, 3, 4, 9).subarray(1, 3) },
      odd: { shape: [3], dtype: 'u8', data: new Uint8Array(Uint8Array.of(9, 5, 6, 7).buffer, 1) },
      double: { shape: [1], dtype: 'f32', data: doubles },
      limits: { shape: [3], dtype: 'f32', data: Float64Array.of(3.4028234e38, -Infinity, NaN) },
      foreign: { shape: [1], dtype: 'f32', data: runInNewContext('Float64Array.of(0.5)') as Float64Array },
    };
    const read = {
      shared: { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) },
      view: { shape: [1, 2], dtype: 'i32', data: Int32Array.of(3, 4) },
      odd: { shape: [3], dtype: 'u8', data: Uint8Array.of(5, 6, 7) },
      double: { shape: [1], dtype: 'f32', data: Float32Array.of(0.1) },
      limits: { shape: [3], dtype: 'f32', data: Float32Array.of(3.4028234e38, -Infinity, NaN) },
      foreign: { shape: [1], dtype: 'f32', data: Float32Array.of(0.5) },
    };
    await saveTensors(path, given);
    expect(await loadTensors(path)).toEqual(read);
    await saveTensors(path, {});
    expect(await loadTensors(path)).toEqual({});
    const { state: _, ...rest } = await loadCheckpointOf(tinyRun());
    await saveCheckpoint(path, { ...rest, state: read as State });
    expect((await loadCheckpoint(path)).state).toEqual(read);
  });

  test('refuses to write what a file cannot hold, and writes nothing', async () => {
    const dir = folder();
    const path = join(dir, 'weights.safetensors');
    const { state: _, ...rest } = await loadCheckpointOf(tinyRun());
    const one = { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) } as const;
    const cases: [State, string][] = [
      [
        { a: { ...one, shape: [4] }, b: one },
        "'a' is f32 [4], 4 elements, but its data is Float32Array (2) (use a Float32Array or Float64Array of length 4)",
      ],
      [
        { a: { ...one, data: Int32Array.of(1, 2) } },
        "'a' is f32 [2], 2 elements, but its data is Int32Array (2)",
      ],
      [{ a: { ...one, data: [1, 2] as never } }, "'a' is f32 [2], 2 elements, but its data is an array"],
      [{ a: { ...one, dtype: 'f16' as never } }, "'a' has dtype 'f16' (use 'f32', 'i32' or 'u8')"],
      [{ a: { ...one, dtype: undefined as never } }, "'a' has dtype undefined"],
      [
        { __metadata__: one },
        "'__metadata__' cannot name an array: the format reserves it for metadata (rename the array)",
      ],
      [Object.fromEntries([['__proto__', one]]), "'__proto__' cannot name an array (rename it)"],
      [
        { a: { ...one, data: Float64Array.of(1, 1e39) } },
        "'a' is f32, whose largest number is 3.4028235e+38, but element 1 is 1e+39 (scale it)",
      ],
    ];
    for (const [state, message] of cases) {
      await expect(saveTensors(path, state)).rejects.toThrow(`saveTensors: ${message}`);
      await expect(saveCheckpoint(path, { ...rest, state })).rejects.toThrow(`saveCheckpoint: ${message}`);
    }
    expect(names(dir)).toEqual([]);
  });

  test('a finished run that is run again does nothing, and knows its result', async () => {
    const options = tinyRun({
      checkpoint: { dir: folder(), every: 5, resume: true },
      eval: { data: held, every: 4 },
    });
    const first = await fit(options);
    const { events } = await eventsOf(options);
    expect(types(events)).toEqual(['start', 'notice', 'end']);
    const second = await fit(options);
    expect(second).toMatchObject({ step: 10, reason: 'done', accuracy: first.accuracy, loss: first.loss });
    expect(second.best).toEqual({ ...first.best, ms: 0 });
    expect(bytes(second.state)).toEqual(bytes(first.state));
  });

  test('cannot be written: the run ends, nothing is left behind', async () => {
    const file = join(folder(), 'file');
    writeFileSync(file, '');
    const { events, error } = await eventsOf(tinyRun({ checkpoint: { dir: join(file, 'runs'), every: 5 } }));
    expect(error).toBeInstanceOf(CheckpointError);
    expect(String(error)).toContain('cannot be');
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'error' });
    const dir = folder();
    mkdirSync(checkpointPath(dir, 3), { recursive: true }); // a folder where the file belongs
    const { state: _, ...rest } = await loadCheckpointOf(tinyRun());
    await expect(saveCheckpoint(checkpointPath(dir, 3), { ...rest, state: {} })).rejects.toThrow(
      /step-00000003\.safetensors: cannot be written: .*\(is the disk full, or the folder not writable\?\)$/,
    );
    expect(names(dir)).toEqual(['step-00000003.safetensors']);
  });

  async function loadCheckpointOf(options: TrainOptions) {
    const dir = folder();
    await fit({ ...options, checkpoint: { dir, every: 100 } });
    return loadCheckpoint((await latestCheckpoint(dir))!);
  }
});
