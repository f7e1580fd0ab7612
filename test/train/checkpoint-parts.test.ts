/** The parts of a checkpoint besides its arrays: what cannot be read is not saved, and what is damaged is not read. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CheckpointError, loadCheckpoint, saveCheckpoint, type Checkpoint } from 'cyclegrad';
import { folder } from './fixture.ts';

const checkpoint = {
  step: 3,
  steps: 10,
  seed: 1,
  state: { w: { shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) } },
  model: { kind: 'dense', inputs: 2 },
  optimizer: { kind: 'sgd', hyper: { lr: 0.1 } },
  data: { batchSize: 2 },
  examples: '0123456789abcdef',
  report: { backend: 'reference', threads: 1 },
  last: null,
  best: null,
} as unknown as Checkpoint;

const WRONG: readonly (readonly [name: keyof Checkpoint, value: unknown, message: string])[] = [
  ['step', -1, 'step must be an integer >= 0, got -1'],
  ['step', Infinity, 'step must be an integer >= 0, got Infinity'],
  ['steps', '10', "steps must be an integer >= 0, got '10'"],
  ['seed', 0.5, 'seed must be an integer >= 0, got 0.5'],
  ['seed', undefined, 'seed must be an integer >= 0, got undefined'],
  ['model', 'dense', "model must be an object of plain data, got 'dense'"],
  ['optimizer', 1, 'optimizer must be an object of plain data, got 1'],
  ['data', [], 'data must be an object of plain data, got an array'],
  ['report', null, 'report must be an object of plain data, got null'],
  ['last', [1], 'last must be an evaluation or null, got an array'],
  ['best', 0.9, 'best must be an evaluation or null, got 0.9'],
  ['examples', 7, 'examples must be a hexadecimal digest or null, got 7'],
  ['examples', 'null', "examples must be a hexadecimal digest or null, got 'null'"],
];

describe('saveCheckpoint', () => {
  test.each(WRONG)('refuses %s: %j', async (name, value, message) => {
    const path = join(folder(), 'a.safetensors');
    const saving = saveCheckpoint(path, { ...checkpoint, [name]: value });
    await expect(saving).rejects.toThrow(`saveCheckpoint: ${message}`);
    expect(existsSync(path)).toBe(false);
  });

  test('refuses data that JSON does not have, and unknown parts', async () => {
    const path = join(folder(), 'a.safetensors');
    await expect(saveCheckpoint(path, { ...checkpoint, model: { kind: 'x', size: 1n } })).rejects.toThrow(
      'saveCheckpoint: model must be plain data: Do not know how to serialize a BigInt (use numbers, strings, arrays and objects)',
    );
    await expect(saveCheckpoint(path, { ...checkpoint, note: 1 } as never)).rejects.toThrow(
      "saveCheckpoint: unknown option 'note'",
    );
    await expect(saveCheckpoint(path, Promise.resolve() as never)).rejects.toThrow('(is an await missing?)');
  });

  test('writes what loadCheckpoint reads', async () => {
    const path = join(folder(), 'a.safetensors');
    for (const examples of [checkpoint.examples, null]) {
      await saveCheckpoint(path, { ...checkpoint, examples });
      expect(await loadCheckpoint(path)).toEqual({ ...checkpoint, examples });
    }
  });
});

describe('loadCheckpoint', () => {
  /** Writes a checkpoint of version 1 without a digest, whose metadata has this text. */
  const withPart = async (name: string, text: string | undefined): Promise<string> => {
    const path = join(folder(), 'a.safetensors');
    await saveCheckpoint(path, checkpoint);
    const file = readFileSync(path);
    const length = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.subarray(8, 8 + length).toString()) as Record<
      string,
      Record<string, string>
    >;
    const { digest: _, digests: __, [name]: ___, ...metadata } = header['__metadata__'];
    header['__metadata__'] = { ...metadata, version: '1', ...(text !== undefined && { [name]: text }) };
    const changed = Buffer.from(JSON.stringify(header));
    const prefix = Buffer.alloc(8);
    prefix.writeBigUInt64LE(BigInt(changed.length));
    writeFileSync(path, Buffer.concat([prefix, changed, file.subarray(8 + length)]));
    return path;
  };

  test.each([
    ['step', '-1', 'step must be an integer >= 0, got -1 (the file is damaged)'],
    ['seed', '0.5', 'seed must be an integer >= 0, got 0.5 (the file is damaged)'],
    ['steps', '"10"', "steps must be an integer >= 0, got '10' (the file is damaged)"],
    ['optimizer', '1', 'optimizer must be an object of plain data, got 1 (the file is damaged)'],
    ['report', '[]', 'report must be an object of plain data, got an array (the file is damaged)'],
    ['last', 'true', 'last must be an evaluation or null, got true (the file is damaged)'],
    ['best', undefined, "the metadata has no valid 'best': undefined (the file is damaged)"],
    ['model', '{', "the metadata has no valid 'model': { (the file is damaged)"],
    ['examples', 'x', "examples must be a hexadecimal digest or null, got 'x' (the file is damaged)"],
  ])('refuses %s: %s', async (name, text, message) => {
    const path = await withPart(name, text);
    const error: unknown = await loadCheckpoint(path).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toBe(`${path}: ${message}`);
  });

  test('reads a file without a digest, and one without examples', async () => {
    expect((await loadCheckpoint(await withPart('examples', undefined))).examples).toBe(null);
  });
});
