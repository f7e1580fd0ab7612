/** Damaged and renamed checkpoints: which array is damaged, and from which file a run resumes. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  bestPath,
  CheckpointError,
  checkpointPath,
  DamagedFileError,
  fit,
  loadCheckpoint,
  loadMetadata,
  loadTensors,
  saveTensors,
  type NoticeEvent,
} from 'cyclegrad';
import { sgd } from 'cyclegrad/optim';
import { bytes, eventsOf, folder, held, tinyRun } from './fixture.ts';

/** A finished run with the checkpoints of steps 5 and 10. */
async function finished(): Promise<{ dir: string; first: string; last: string }> {
  const dir = folder();
  await fit(tinyRun({ checkpoint: { dir, every: 5 } }));
  return { dir, first: checkpointPath(dir, 5), last: checkpointPath(dir, 10) };
}

/** The parts of a file, to put other ones together. */
function partsOf(path: string): { header: Record<string, unknown>; data: Buffer } {
  const file = readFileSync(path);
  const end = 8 + Number(file.readBigUInt64LE());
  return {
    header: JSON.parse(file.toString('utf8', 8, end)) as Record<string, unknown>,
    data: file.subarray(end),
  };
}

function join8(header: unknown, data: Buffer): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

type Metadata = Record<string, string>;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const sorted = (metadata: Metadata): [string, string][] =>
  Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));

describe('a checkpoint', () => {
  test('has a digest of each array and one of the metadata', async () => {
    const { last } = await finished();
    const metadata = await loadMetadata(last);
    const { state } = await loadCheckpoint(last);
    const { digest, ...rest } = metadata;
    expect(metadata['version']).toBe('2');
    expect(digest).toBe(sha256(JSON.stringify(sorted(rest))));
    const digests = JSON.parse(metadata['digests']) as Metadata;
    expect(Object.keys(digests)).toEqual(Object.keys(state));
    const { shape, dtype, data } = state['fc.bias'];
    const hash = createHash('sha256').update(JSON.stringify(['fc.bias', shape, dtype]));
    expect(digests['fc.bias']).toBe(hash.update(Buffer.from(data.buffer)).digest('hex'));
  });

  test('names the array that is damaged', async () => {
    const { last } = await finished();
    const whole = readFileSync(last);
    const { header, data } = partsOf(last);
    const entries = Object.entries(header).filter(([name]) => name !== '__metadata__') as [
      string,
      { data_offsets: [number, number] },
    ][];
    expect(entries.length).toBeGreaterThan(10);
    for (const [name, { data_offsets: at }] of entries) {
      const changed = Buffer.from(whole);
      changed[whole.length - data.length + at[0] + 2] ^= 1;
      writeFileSync(last, changed);
      const loaded = loadCheckpoint(last);
      await expect(loaded).rejects.toThrow(DamagedFileError);
      await expect(loaded).rejects.toThrow(
        new RegExp(
          `^${last}: '${name}' changed after saving: its SHA-256 begins with [0-9a-f]{12}, but [0-9a-f]{12} was saved \\(the file is damaged\\)$`,
        ),
      );
    }
  });

  test('with any bit of its header changed is refused, or has the same contents', async () => {
    const { last } = await finished();
    const whole = readFileSync(last);
    const saved = await loadCheckpoint(last);
    const end = 8 + Number(whole.readBigUInt64LE());
    const text = whole.toString('latin1');
    const words = ['"digest"', '"digests"', '"version"', '"2"', '__metadata__', 'cyclegrad'];
    const places = words.flatMap((word) =>
      Array.from({ length: word.length }, (_, i) => text.indexOf(word) + i),
    );
    for (let at = 0; at < end; at += 61) places.push(at);
    for (const [k, at] of places.entries()) {
      const changed = Buffer.from(whole);
      changed[at] ^= 1 << (k % 8);
      writeFileSync(last, changed);
      const outcome = await loadCheckpoint(last).catch((error: unknown) =>
        error instanceof DamagedFileError ? 'refused' : error,
      );
      expect(outcome).toEqual(outcome === 'refused' ? 'refused' : saved);
    }
  });

  test('of version 1 is read and verified', async () => {
    const { last } = await finished();
    const { header, data } = partsOf(last);
    const saved = await loadCheckpoint(last);
    const { digest: _, digests: _digests, ...rest } = header['__metadata__'] as Metadata;
    const metadata: Metadata = { ...rest, version: '1' };
    const hash = createHash('sha256').update(JSON.stringify(sorted(metadata)));
    for (const name of Object.keys(saved.state).sort()) {
      const { shape, dtype, data: values } = saved.state[name];
      hash.update(JSON.stringify([name, shape, dtype])).update(Buffer.from(values.buffer));
    }
    const file = join8({ ...header, __metadata__: { ...metadata, digest: hash.digest('hex') } }, data);
    writeFileSync(last, file);
    expect(await loadCheckpoint(last)).toEqual(saved);
    file[file.length - 6] ^= 1;
    writeFileSync(last, file);
    await expect(loadCheckpoint(last)).rejects.toThrow(`${last}: the file changed after saving`);
    writeFileSync(last, join8({ ...header, __metadata__: metadata }, data)); // the first files had no digest
    expect(await loadCheckpoint(last)).toEqual(saved);
  });

  test('that is something else, or newer, is told', async () => {
    const { dir, last } = await finished();
    const { header, data } = partsOf(last);
    const write = (changes: Metadata): void => {
      const { digest: _, ...rest } = { ...(header['__metadata__'] as Metadata), ...changes };
      const digest = sha256(JSON.stringify(sorted(rest)));
      writeFileSync(last, join8({ ...header, __metadata__: { ...rest, digest } }, data));
    };
    write({ version: '7' });
    const newer = loadCheckpoint(last);
    await expect(newer).rejects.toThrow(
      `${last}: the file has version 7 of the format, but this program reads versions up to 2 (update cyclegrad)`,
    );
    await expect(newer).rejects.not.toThrow(DamagedFileError);
    // A newer program may have written it: nothing is renamed.
    await expect(fit(tinyRun({ checkpoint: { dir, every: 5, resume: true } }))).rejects.toThrow(
      'update cyclegrad',
    );
    expect(existsSync(last)).toBe(true);
    write({ format: 'otherwise' });
    await expect(loadCheckpoint(last)).rejects.toThrow(
      'the file is not a checkpoint of cyclegrad: its metadata has the format otherwise',
    );
    write({ seed: 'x' });
    await expect(loadCheckpoint(last)).rejects.toThrow("the metadata has no valid 'seed': x");
    write({ digests: '{}' });
    await expect(loadCheckpoint(last)).rejects.toThrow(/changed after saving: .* but no digest was saved/);
    write({
      digests: JSON.stringify({ ...JSON.parse((header['__metadata__'] as Metadata)['digests']), gone: '' }),
    });
    await expect(loadCheckpoint(last)).rejects.toThrow("'gone' is missing (the file is damaged)");
    await expect(loadCheckpoint(join(dir, 'none'))).rejects.toThrow(/none: cannot be read: ENOENT/);
  });
});

describe('metadata of other files', () => {
  test('is written and read, and missing where there is none', async () => {
    const path = join(folder(), 'weights.safetensors');
    const tensors = { a: { shape: [1], dtype: 'f32', data: Float32Array.of(7) } } as const;
    await saveTensors(path, tensors);
    expect(Object.keys(partsOf(path).header)).toEqual(['a']);
    expect(await loadMetadata(path)).toEqual({});
    await saveTensors(path, tensors, { metadata: { format: 'pt', note: 'ünï' } });
    expect(partsOf(path).header['__metadata__']).toEqual({ format: 'pt', note: 'ünï' });
    expect(await loadMetadata(path)).toEqual({ format: 'pt', note: 'ünï' });
    expect(await loadTensors(path)).toEqual(tensors);
    await expect(loadMetadata(join(path, 'none'))).rejects.toThrow(CheckpointError);
  });

  test.each([
    [{ a: 1 }, "saveTensors: metadata: 'a' must be a string, got 1 (convert it: JSON.stringify)"],
    [['a'], 'saveTensors: metadata must be an object of strings, got an array'],
    [null, 'saveTensors: metadata must be an object of strings, got null'],
    [JSON.parse('{"__proto__":"a"}'), "saveTensors: '__proto__' cannot name metadata (rename it)"],
  ])('%j is refused before anything is written', async (metadata, message) => {
    const dir = folder();
    const saved = saveTensors(join(dir, 'x.safetensors'), {}, { metadata: metadata as never });
    await expect(saved).rejects.toThrow(message);
    expect(readdirSync(dir)).toEqual([]);
  });
});

describe('a run resumes', () => {
  const resume = (dir: string) => tinyRun({ checkpoint: { dir, every: 5, resume: true } });
  /** Without the notice that all steps are done. */
  const noticesOf = async (dir: string): Promise<{ start: number; notices: NoticeEvent[] }> => {
    const { events, error } = await eventsOf(resume(dir));
    expect(error).toBeNull();
    const notices = events.filter(
      (event): event is NoticeEvent => event.type === 'notice' && event.code !== 'complete',
    );
    return { start: events[0].step, notices };
  };

  test.each<readonly [string, (file: Buffer) => Buffer]>([
    ['cut off', (file) => file.subarray(0, file.length - 100)],
    ['empty', () => Buffer.alloc(0)],
    ['changed in an array', (file) => (file.writeUInt8(file[file.length - 6] ^ 1, file.length - 6), file)],
    ['changed in its header', (file) => (file.write('_', file.indexOf('"seed"') + 2), file)],
  ])('from the checkpoint before one that is %s', async (_, damage) => {
    const { dir, first, last } = await finished();
    const whole = readFileSync(last);
    const damaged = damage(Buffer.from(whole));
    writeFileSync(last, damaged);
    const { start, notices } = await noticesOf(dir);
    expect(start).toBe(5);
    expect(notices.map(({ code }) => code)).toEqual(['checkpoint-damaged']);
    expect(notices[0].message.startsWith(`${last}: `)).toBe(true);
    expect(notices[0].message).toContain(`; it is now ${last}.damaged, and the run resumes from ${first}`);
    expect(readFileSync(last).equals(whole)).toBe(true);
    expect(readFileSync(`${last}.damaged`).equals(damaged)).toBe(true);
    // It is not counted: the two checkpoints to keep are there.
    expect(readdirSync(dir).length).toBe(3);
    expect(existsSync(first)).toBe(true);
    expect((await noticesOf(dir)).notices).toEqual([]);
  });

  test('not at all if no checkpoint is undamaged, and all stay', async () => {
    const { dir, first, last } = await finished();
    for (const path of [first, last]) writeFileSync(path, 'none');
    const before = readdirSync(dir);
    const failed = fit(resume(dir));
    await expect(failed).rejects.toThrow(CheckpointError);
    await expect(failed).rejects.toThrow(
      new RegExp(
        `^${dir}: no checkpoint is undamaged: ${first}: .*; ${last}: .* \\(delete them to start over, or use another folder\\)$`,
      ),
    );
    expect(readdirSync(dir)).toEqual(before);
  });

  test('not if a checkpoint cannot be read now: it may be the newest', async () => {
    const { dir, last } = await finished();
    renameSync(last, join(dir, 'away'));
    writeFileSync(join(dir, 'file'), '');
    symlinkSync(join(dir, 'file', 'x'), last);
    await expect(fit(resume(dir))).rejects.toThrow(`${last}: cannot be read: `);
    expect(readdirSync(dir)).toContain('step-00000010.safetensors');
  });

  test('from the step in the file, not from that of its name', async () => {
    const { dir, first, last } = await finished();
    const renamed = checkpointPath(dir, 99);
    renameSync(first, renamed);
    const { start, notices } = await noticesOf(dir);
    expect(start).toBe(10);
    expect(notices).toMatchObject([
      {
        code: 'checkpoint-renamed',
        message: `${renamed} contains step 5, so its name was changed: it is now ${first}`,
      },
    ]);
    expect(readdirSync(dir).sort()).toEqual([first, last].map((path) => path.slice(dir.length + 1)));
    writeFileSync(renamed, readFileSync(first));
    expect((await noticesOf(dir)).notices[0].message).toContain(`it is now ${renamed}.duplicate`);
  });

  test('from a newer file under an older name', async () => {
    const { dir, last } = await finished();
    renameSync(last, checkpointPath(dir, 1));
    const { start } = await noticesOf(dir);
    expect(start).toBe(10);
    expect(existsSync(last)).toBe(true);
  });

  test('and saves the best evaluation that an error kept from being saved', async () => {
    const dir = folder();
    const run = tinyRun({ optimizer: sgd({ lr: 0.5 }), eval: { data: held, every: 1 } });
    const steps = (await fit(run)).best!.step;
    expect(steps).toBeGreaterThan(0);
    const checkpoint = { dir, every: 5, best: true, resume: true };
    const { state } = await fit({ ...run, steps, checkpoint });
    const whole = readFileSync(bestPath(dir));
    writeFileSync(bestPath(dir), whole.subarray(0, 50));
    await fit({ ...run, steps, checkpoint });
    expect(readFileSync(bestPath(dir)).equals(whole)).toBe(true);
    expect(bytes((await loadCheckpoint(bestPath(dir))).state)).toEqual(bytes(state));
  });
});
