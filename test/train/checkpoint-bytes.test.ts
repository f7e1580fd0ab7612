/** Checkpoints as bytes, for runs without files. */
import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { fit, loadCheckpoint, type CallbackFunction, type TrainOptions } from 'cyclegrad';
import { adam } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import { bytes, eventsOf, folder, tinyRun, types } from './fixture.ts';

/** Acts after `step` updates. */
const after =
  (step: number, act: CallbackFunction): CallbackFunction =>
  (event, handle) =>
    event.type === 'step' && handle.step === step ? act(event, handle) : undefined;
const optimizer = (lr: number) => adam({ lr: cyclicLR({ base: 0.001, max: lr, stepSize: 2 }) });
const run = (changes: Partial<TrainOptions> = {}): TrainOptions =>
  tinyRun({ optimizer: optimizer(0.01), ...changes });
describe('a checkpoint as bytes', () => {
  const saved = async (step: number): Promise<Uint8Array> => {
    let result: Uint8Array = new Uint8Array();
    await fit(
      run({ callbacks: [after(step, async (_, handle) => void (result = await handle.checkpoint()))] }),
    );
    return result;
  };

  test('is the file that the run would write', async () => {
    const path = join(folder(), 'checkpoint.safetensors');
    await writeFile(path, await saved(4));
    expect(await loadCheckpoint(path)).toMatchObject({ step: 4, steps: 10, seed: 5 });
  });

  test('resumes to the same bytes', async () => {
    const whole = await fit(run());
    const rest = await fit(run({ resumeFrom: await saved(4) }));
    expect(bytes(rest.state)).toEqual(bytes(whole.state));
  });

  test('resumes into a folder', async () => {
    const dir = folder();
    const { events, error } = await eventsOf(
      run({ resumeFrom: await saved(4), checkpoint: { dir, every: 3 } }),
    );
    expect(error).toBeNull();
    expect(events.filter(({ type }) => type === 'checkpoint').map(({ step }) => step)).toEqual([6, 9, 10]);
  });

  test('is refused if it is damaged, of another run, or not alone', async () => {
    const good = await saved(4);
    const bad = Uint8Array.from(good);
    bad[bad.length - 1] ^= 1;
    await expect(fit(run({ resumeFrom: bad }))).rejects.toThrow(
      /^fit: resumeFrom: '.+' changed after saving: its SHA-256 begins with/,
    );
    await expect(fit(run({ resumeFrom: good.slice(0, 99) }))).rejects.toThrow(
      /^fit: resumeFrom: the header should/,
    );
    await expect(fit(run({ resumeFrom: good, seed: 6 }))).rejects.toThrow(
      'fit: resumeFrom: cannot resume: it was saved with seed 5, but the run has seed 6',
    );
    await expect(
      fit(run({ resumeFrom: good, checkpoint: { dir: folder(), every: 1, resume: true } })),
    ).rejects.toThrow('fit: the run has two checkpoints to resume from');
    await expect(fit(run({ resumeFrom: 'x' as never }))).rejects.toThrow(
      'fit: resumeFrom must be a Uint8Array',
    );
  });

  test('sends the notices of a run that resumes', async () => {
    const { events } = await eventsOf(run({ resumeFrom: await saved(4), optimizer: optimizer(0.02) }));
    expect(types(events).slice(0, 2)).toEqual(['start', 'notice']);
    expect(events[1]).toMatchObject({ code: 'schedule-changed' });
  });
});
