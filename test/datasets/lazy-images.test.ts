/** Image folders that are read during training. */
import { readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { DataError, evaluate, fit, predict, reference, train, type TrainOptions } from 'cyclegrad';
import {
  channelStats,
  imageFolder,
  inMemory,
  loader,
  split,
  targets,
  type DataEvent,
  type Dataset,
  type LazyOptions,
} from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { plainPng } from '../png.ts';
import { bytes } from '../train/fixture.ts';
import { folder } from './image-fixture.ts';

const SIZE = { height: 4, width: 4 };
const pictures = (count = 12): string =>
  folder(
    Object.fromEntries(
      Array.from({ length: count }, (_, i) => [
        `${'abc'[i % 3]}/${10 + i}.png`,
        plainPng(5 + (i % 3), 6, 20 * i, 255 - 20 * i, (i * 50) % 256),
      ]),
    ),
  );

async function pixels(dataset: Dataset): Promise<number[]> {
  const { whole } = await inMemory(dataset);
  return [...whole!.x];
}

const model = nn.sequential({
  input: nn.normalize(128, { std: 64 }),
  flat: nn.flatten(),
  out: nn.dense(48, 3),
});
const runOf = (dataset: Dataset, changes: Partial<TrainOptions> = {}): TrainOptions => {
  const [part, rest] = split(dataset, 9, { seed: 2 });
  return {
    model,
    backend: reference(),
    data: loader(part, { batchSize: 4, augment: { crop: 1, flip: true } }),
    steps: 8,
    optimizer: sgd({ lr: 0.01, momentum: 0.9 }),
    eval: { data: rest, every: 4, batchSize: 2 },
    ...changes,
  };
};

/** Options of lazy reading. Shards get a folder of their own. */
const WAYS: Readonly<Record<string, () => true | LazyOptions>> = {
  'the defaults': () => true,
  'no memory': () => ({ memory: 0, workers: 1 }),
  'memory for a few images': () => ({ memory: 150, workers: 3 }),
  shards: () => ({ shards: folder({}), memory: 0 }),
};

test.each(Object.entries(WAYS))(
  'with %s, values and training are those of images in memory',
  async (_, way) => {
    const dir = pictures();
    const resident = await imageFolder(dir, SIZE);
    const lazy = await imageFolder(dir, { ...SIZE, lazy: way() });
    const { name, length, x, y, classes, skipped } = resident;
    expect(lazy).toMatchObject({ name, length, x, y, classes, skipped });
    expect(lazy.whole).toBeUndefined();
    expect(await pixels(lazy)).toEqual([...resident.whole!.x]);
    expect([...targets(lazy)]).toEqual([...targets(resident)]);
    const [want, got] = [await fit(runOf(resident)), await fit(runOf(lazy))];
    expect(bytes(got.state)).toEqual(bytes(want.state));
    expect(got.loss).toBe(want.loss);
    const using = { model, state: got.state, backend: reference(), batchSize: 5 };
    const { ms: __, ...evaluation } = await evaluate({ ...using, data: resident });
    expect(await evaluate({ ...using, data: lazy })).toMatchObject(evaluation);
    expect(await predict({ ...using, data: lazy })).toEqual(await predict({ ...using, data: resident }));
  },
);

test('statistics need a part in memory', async () => {
  const lazy = await imageFolder(pictures(), { ...SIZE, lazy: true });
  expect(() => channelStats(lazy)).toThrow(/read must be synchronous, .* pass await inMemory\(dataset\)/);
  expect(channelStats(await inMemory(lazy)).mean.length).toBe(3);
});

test('a picture that vanishes or is damaged during training is named, and the run can be resumed', async () => {
  const dir = pictures();
  const want = await fit(runOf(await imageFolder(dir, SIZE)));
  const lost = join(dir, 'b/14.png');
  const checkpoint = { dir: folder({}), every: 100, resume: true };
  const lazy = { memory: 0 };
  const run = runOf(await imageFolder(dir, { ...SIZE, lazy }), { checkpoint });
  const good = readFileSync(lost);
  const breaks = [() => rmSync(lost), () => writeFileSync(lost, good.subarray(0, 40))];
  for (const [k, act] of breaks.entries()) {
    const failing = async (): Promise<void> => {
      for await (const event of train(run)) if (event.type === 'step' && event.step === 2 + k) act();
    };
    const error: unknown = await failing().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toMatch(
      /b.14\.png: (cannot be read: ENOENT|the PNG file cannot be decoded).*\(repair it; a run with checkpoints can then be resumed\)$/,
    );
    writeFileSync(lost, good);
  }
  const { state } = await fit(run);
  expect(bytes(state)).toEqual(bytes(want.state));
});

describe('shards', () => {
  const shardOf = (cache: string): string => {
    const [inner] = readdirSync(cache);
    const names = readdirSync(join(cache, inner));
    expect(names).toHaveLength(1);
    return join(cache, inner, names[0]);
  };

  test('are used by later runs until an image changes', async () => {
    const [dir, cache] = [pictures(), folder({})];
    const options = { ...SIZE, lazy: { shards: cache } };
    const file = join(dir, 'a/10.png');
    utimesSync(file, 1e9, 1e9);
    const want = await pixels(await imageFolder(dir, options));
    const shard = shardOf(cache);
    // The same size and time: the image is not read again.
    writeFileSync(file, Buffer.alloc(statSync(file).size));
    utimesSync(file, 1e9, 1e9);
    expect(await pixels(await imageFolder(dir, options))).toEqual(want);
    writeFileSync(file, plainPng(2, 2, 1, 2, 3));
    const events: DataEvent[] = [];
    const changed = await imageFolder(dir, { ...options, onProgress: (event) => events.push(event) });
    expect((await pixels(changed)).slice(0, 3)).toEqual([1, 2, 3]);
    expect(events).toEqual([{ phase: 'convert', source: dir, done: 12, total: 12 }]);
    expect(shardOf(cache)).not.toBe(shard);
    // Other options have a folder of their own.
    await imageFolder(dir, { ...options, height: 3 });
    expect(readdirSync(cache)).toHaveLength(2);
  });

  test.each([
    ['the magic', 3],
    ['the length of the header', 20],
    ['the header', 60],
  ])('with damage in %s are written again', async (_, at) => {
    const [dir, cache] = [pictures(3), folder({})];
    const events: DataEvent[] = [];
    const options = {
      ...SIZE,
      lazy: { shards: cache },
      onProgress: (event: DataEvent) => events.push(event),
    };
    const want = await pixels(await imageFolder(dir, options));
    const damaged = readFileSync(shardOf(cache));
    damaged[at] ^= 1;
    writeFileSync(shardOf(cache), damaged);
    events.length = 0;
    expect(await pixels(await imageFolder(dir, options))).toEqual(want);
    expect(events[0]).toEqual({
      phase: 'notice',
      message: `${shardOf(cache)}: the shard is damaged, so it is written again`,
    });
  });

  test('with damage in an image, cut off or gone, are named when they are read', async () => {
    const [dir, cache] = [pictures(3), folder({})];
    const options = { ...SIZE, lazy: { shards: cache } };
    const want = await pixels(await imageFolder(dir, options));
    const path = shardOf(cache);
    for (const damage of [
      (file: Buffer) => file.map((byte, i) => (i === file.length - 5 ? byte ^ 1 : byte)),
      (file: Buffer) => file.subarray(0, -1),
    ]) {
      const opened = await imageFolder(dir, options);
      writeFileSync(path, damage(readFileSync(path)));
      await expect(inMemory(opened)).rejects.toThrow(
        `${path}: the shard is damaged at the image ${join(dir, 'c/12.png')}; it was removed, and imageFolder writes it again (repair it`,
      );
      expect(await pixels(await imageFolder(dir, options))).toEqual(want);
    }
    const opened = await imageFolder(dir, options);
    renameSync(path, `${path}.away`);
    await expect(inMemory(opened)).rejects.toThrow(`${path}: the shard cannot be read: ENOENT`);
  });

  test('remember files that cannot be used', async () => {
    const dir = pictures(6);
    writeFileSync(join(dir, 'b/00.png'), 'text');
    const options = { ...SIZE, lazy: { shards: folder({}) } };
    for (let run = 0; run < 2; run++) {
      await expect(imageFolder(dir, options)).rejects.toThrow(
        /00\.png: the file is not PNG, .*onError: 'skip'/,
      );
      await expect(imageFolder(dir, { ...options, onError: 'stop' })).rejects.toThrow(
        /00\.png: the file is not/,
      );
      const skipping = await imageFolder(dir, { ...options, onError: 'skip' });
      expect(skipping.skipped.map(({ path }) => path)).toEqual([join(dir, 'b/00.png')]);
      const resident = await imageFolder(dir, { ...SIZE, onError: 'skip' });
      expect(await pixels(skipping)).toEqual([...resident.whole!.x]);
    }
  });

  test('cannot be written where the disk refuses it', async () => {
    const lazy = { shards: join(folder({ file: 'x' }), 'file') };
    await expect(imageFolder(pictures(3), { ...SIZE, lazy })).rejects.toThrow(
      /\.shard: the shard cannot be written: .* \(free space there, or pass another folder as shards\)/,
    );
  });
});

test('wrong options', async () => {
  const dir = pictures(3);
  for (const [options, message] of [
    [{ lazy: 1 }, 'imageFolder: lazy must be true, false or { memory, shards, workers }, got 1'],
    [{ lazy: { cache: 1 } }, "imageFolder: lazy: unknown option 'cache'"],
    [{ lazy: { memory: -1 } }, 'imageFolder: lazy: memory must be an integer'],
    [{ lazy: { workers: 0 } }, 'imageFolder: lazy: workers must be an integer from 1 to 1024, got 0'],
    [{ lazy: { shards: '' } }, 'imageFolder: lazy: shards must be true, false or the path of a folder'],
    [{ lazy: true, onError: 'skip' }, "imageFolder: onError: 'skip' needs all files to be read, but lazy"],
  ] as const)
    await expect(imageFolder(dir, { ...SIZE, ...options } as never)).rejects.toThrow(message);
});
