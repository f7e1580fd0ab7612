import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { DataError } from 'cyclegrad';
import { imageFolder, type DataEvent, type ImageFolderOptions, type OnData } from 'cyclegrad/datasets';
import { plainPng } from '../png.ts';
import { folder, painted } from './image-fixture.ts';

const SIZE = { height: 2, width: 2 };
const good = plainPng(2, 2, 1, 2, 3);
const labels = async (dir: string, options: Partial<ImageFolderOptions> = {}): Promise<number[]> => [
  ...(await imageFolder(dir, { ...SIZE, ...options })).whole!.y,
];

test('classes and images come in the order of their names', async () => {
  const dir = folder({
    'b/2.png': plainPng(3, 3, 20, 21, 22),
    'b/10.PNG': plainPng(5, 3, 10, 11, 12),
    'a/more/x.png': plainPng(1, 1, 200),
    'a/first.png': plainPng(2, 2, 1, 2, 3, 255),
  });
  const events: DataEvent[] = [];
  const data = await imageFolder(dir, { ...SIZE, onProgress: (event) => events.push(event) });
  expect(data).toMatchObject({
    length: 4,
    classes: ['a', 'b'],
    x: { shape: [2, 2, 3], dtype: 'u8' },
    y: { shape: [], dtype: 'i32' },
    skipped: [],
  });
  expect([...data.whole!.y]).toEqual([0, 0, 1, 1]);
  const first = Array.from({ length: 4 }, (_, i) => [...data.whole!.x.subarray(i * 12, i * 12 + 3)]);
  expect(first).toEqual([
    [1, 2, 3],
    [200, 200, 200],
    [10, 11, 12],
    [20, 21, 22],
  ]);
  expect(events.map((event) => event.phase !== 'notice' && [event.phase, event.done, event.total])).toEqual(
    [1, 2, 3, 4].map((done) => ['read', done, 4]),
  );
});

test('hidden files and what systems leave in folders are ignored', async () => {
  const dir = folder({
    'a/x.png': good,
    'a/.hidden': 'x',
    'a/._x.png': 'x',
    'a/Thumbs.db': 'x',
    'a/desktop.ini': 'x',
    'a/@eaDir/x.png/thumb.jpg': 'x',
    'a/.ipynb_checkpoints/x-checkpoint.png': good,
    '.git/config': 'x',
    '__MACOSX/a/._x.png': 'x',
    '$RECYCLE.BIN/x': 'x',
    'System Volume Information/x': 'x',
    'lost+found/x': 'x',
    '.DS_Store': 'x',
    'Thumbs.db': 'x',
  });
  expect(await imageFolder(dir, SIZE)).toMatchObject({ length: 1, classes: ['a'] });
});

test('the contents determine the format, not the extension', async () => {
  const dir = folder({
    'a/1.jpg': good,
    'a/2': good,
    'a/3.webp': await painted(2, 2, () => [1, 2, 3])
      .webp({ lossless: true })
      .toBuffer(),
  });
  const { whole } = await imageFolder(dir, { height: 1, width: 1 });
  expect([...whole!.x]).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3]);
});

test('many files keep their order, whichever is decoded first', async () => {
  const large = await painted(300, 300, () => [0, 0, 0])
    .png()
    .toBuffer();
  const names = Array.from({ length: 30 }, (_, i) => `a/${String(i).padStart(2, '0')}`);
  const files = names.map((name, i) => [name, i % 7 === 0 ? large : plainPng(1, 1, i)] as const);
  const { whole } = await imageFolder(folder(Object.fromEntries(files)), {
    height: 1,
    width: 1,
    channels: 1,
  });
  expect([...whole!.x]).toEqual(names.map((_, i) => (i % 7 === 0 ? 0 : i)));
});

describe('classes', () => {
  test('of another folder keep their labels and their order', async () => {
    const dir = folder({ '1/x': good, '10/x': good, '2/x': good, '2/y': good });
    expect((await imageFolder(dir, SIZE)).classes).toEqual(['1', '10', '2']);
    expect(await labels(dir)).toEqual([0, 1, 2, 2]);
    expect(await labels(dir, { classes: ['1', '2', '10'] })).toEqual([0, 1, 1, 2]);
    await expect(imageFolder(dir, { ...SIZE, classes: ['1', '2'] })).rejects.toThrow(
      /10: the folder is not one of the classes: 1, 2 \(add it to classes/,
    );
  });

  test('without images are accepted where they are named or allowed', async () => {
    const dir = folder({ 'a/x.png': good, 'b/.keep': '' });
    await expect(imageFolder(dir, SIZE)).rejects.toThrow(
      /the class has no images: b \(add some, remove the folder, or pass allowEmpty: true\)/,
    );
    expect(await imageFolder(dir, { ...SIZE, allowEmpty: true })).toMatchObject({
      length: 1,
      classes: ['a', 'b'],
    });
    expect(await labels(dir, { classes: ['b', 'a', 'c'] })).toEqual([1]);
    const nothing = imageFolder(folder({ 'a/.keep': '' }), { ...SIZE, allowEmpty: true });
    await expect(nothing).rejects.toThrow('there are no images that can be used (add some)');
  });

  test('are sorted as they are read, however the system stores their names', async () => {
    const dir = folder({ 'e\u0301te\u0301/x.png': good, 'fall/x.png': good });
    expect((await imageFolder(dir, SIZE)).classes).toEqual(['fall', '\u00e9t\u00e9']);
  });
});

describe('files that are not images', () => {
  const mixed = {
    'README.md': 'x',
    'a/1.png': good,
    'a/2.png': good.subarray(0, 40),
    'b/1.png': good,
    'b/empty.png': '',
    'b/notes.txt': 'some text',
  };

  test('are reported all at once, after the last file', async () => {
    const dir = folder(mixed);
    const onProgress = vi.fn<OnData>();
    const error: unknown = await imageFolder(dir, { ...SIZE, onProgress }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(DataError);
    const [head, ...lines] = (error as Error).message.split('\n');
    expect(head).toBe(
      `${dir}: 4 of 6 files cannot be used (imageFolder: onError: 'skip' leaves such files out):`,
    );
    expect(lines).toEqual([
      expect.stringContaining(`  ${join(dir, 'README.md')}: the file is not in the folder of a class (`),
      expect.stringContaining(`  ${join(dir, 'a/2.png')}: the PNG file cannot be decoded: `),
      `  ${join(dir, 'b/empty.png')}: the file is empty (remove it)`,
      expect.stringContaining(`  ${join(dir, 'b/notes.txt')}: the file is not PNG, JPEG, `),
    ]);
    expect(onProgress).toHaveBeenCalledTimes(5);
  });

  test('are left out and listed with skip', async () => {
    const dir = folder(mixed);
    const { length, whole, skipped } = await imageFolder(dir, { ...SIZE, onError: 'skip' });
    expect([length, [...whole!.y], whole!.x.length]).toEqual([2, [0, 1], 24]);
    expect([...whole!.x.subarray(12, 15)]).toEqual([1, 2, 3]);
    expect(skipped.map(({ path }) => path)).toEqual(
      ['README.md', 'a/2.png', 'b/empty.png', 'b/notes.txt'].map((name) => join(dir, name)),
    );
    expect(skipped[2].reason).toBe('the file is empty (remove it)');
    const bad = folder({ 'a/1.png': good, 'b/1.png': '' });
    await expect(imageFolder(bad, { ...SIZE, onError: 'skip' })).rejects.toThrow(/no images: b/);
  });

  test('end the reading at the first one with stop', async () => {
    const files = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`a/${i + 10}`, i === 7 ? '' : good]),
    );
    const dir = folder({ ...files, 'a/59': 'x' });
    const onProgress = vi.fn<OnData>();
    const reading = imageFolder(dir, { ...SIZE, onError: 'stop', onProgress });
    await expect(reading).rejects.toThrow(`${join(dir, 'a/17')}: the file is empty (remove it)`);
    expect(onProgress.mock.calls.length).toBeLessThan(20);
    const beside = folder({ 'a/x.png': good, 'z.txt': 'x' });
    await expect(imageFolder(beside, { ...SIZE, onError: 'stop' })).rejects.toThrow(
      /z\.txt: the file is not in/,
    );
  });

  test('are named up to a number', async () => {
    const files = Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a/${i + 10}`, 'x']));
    const error: unknown = await imageFolder(folder(files), SIZE).catch((e: unknown) => e);
    const lines = (error as Error).message.split('\n');
    expect([lines.length, lines.at(-1)]).toEqual([22, '  and 13 more']);
  });

  test.each([
    ['half a PNG', { 'a/x.png': good.subarray(0, 40) }, /x\.png: the PNG file cannot be decoded: /],
    [
      'a damaged PNG',
      { 'a/x.png': good.map((byte, i) => (i === 45 ? byte ^ 1 : byte)) },
      /x\.png: the PNG file cannot be decoded: .* \(imageFolder: onError: 'skip' leaves such files out\)$/,
    ],
    [
      'half a JPEG',
      { 'a/x.jpg': Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16) },
      /x\.jpg: the JPEG file cannot be decoded: /,
    ],
  ])('%s', async (_, files, message) => {
    const reading = imageFolder(folder(files), SIZE);
    await expect(reading).rejects.toThrow(DataError);
    await expect(reading).rejects.toThrow(message);
  });
});

describe('folders that are no data set', () => {
  test('a folder without classes, and none at all', async () => {
    await expect(imageFolder(folder({}), SIZE)).rejects.toThrow(
      /there are no folders of classes \(imageFolder: the layout is .*<class>.*<image>\.png\)/,
    );
    await expect(imageFolder(join(folder({}), 'gone'), SIZE)).rejects.toThrow(
      /gone: cannot be read: .*ENOENT/,
    );
  });

  test('links to files and folders are followed, links into nothing and circles are not', async () => {
    const dir = folder({ 'a/x.png': good, 'b/x.png': good, 'c/more/x.png': good });
    symlinkSync(join(dir, 'c/more'), join(dir, 'a/linked'));
    symlinkSync(join(dir, 'a/x.png'), join(dir, 'a/z.png'));
    expect(await labels(dir)).toEqual([0, 0, 0, 1, 2]);
    symlinkSync(join(dir, 'nothing'), join(dir, 'a/y.png'));
    symlinkSync(join(dir, 'b'), join(dir, 'b/loop'));
    symlinkSync(dir, join(dir, 'b/root'));
    symlinkSync('/', join(dir, 'c/disk'));
    symlinkSync(join(dir, 'c/more'), join(dir, 'c/again'));
    const { length, skipped } = await imageFolder(dir, { ...SIZE, onError: 'skip' });
    expect(length).toBe(5);
    expect(skipped.map(({ path, reason }) => [path.slice(dir.length + 1), reason.slice(0, 12)])).toEqual([
      ['a/y.png', 'cannot be re'],
      ['b/loop', 'its folder /'],
      ['b/root', 'its folder /'],
      ['c/disk', 'its folder /'],
      ['c/more', 'its folder /'],
    ]);
  });

  test('more than 4 GiB of pixels are refused before any file is read', async () => {
    const dir = folder({ 'a/0': 'x' });
    for (let i = 1; i < 90; i++) symlinkSync(join(dir, 'a/0'), join(dir, `a/${i}`));
    await expect(imageFolder(dir, { height: 4096, width: 4096 })).rejects.toThrow(
      /: 90 images of 4096 x 4096 x 3 take 4\.22 GiB, more than 4 \(pass lazy: true, which reads images during training; or use a smaller size\)/,
    );
  });

  test('wrong options', async () => {
    const dir = folder({ 'a/x.png': good });
    for (const [options, message] of [
      [{ width: 0 }, /imageFolder: width/],
      [{ fit: 'contain' }, /fit/],
      [{ channels: 4 }, /channels/],
      [{ sizes: 1 }, /sizes/],
      [{ signal: {} }, 'signal must be an AbortSignal'],
      [{ onProgress: 1 }, 'onProgress must be a function'],
      [{ onError: 'ignore' }, "imageFolder: onError must be 'report' or 'skip' or 'stop', got 'ignore'"],
      [{ allowEmpty: 1 }, 'imageFolder: allowEmpty must be true or false, got 1'],
    ] as const)
      await expect(imageFolder(dir, { ...SIZE, ...options } as never)).rejects.toThrow(message);
    await expect(imageFolder('', SIZE)).rejects.toThrow('imageFolder: dir must be the path of a folder');
    await expect(imageFolder('file:///x', SIZE)).rejects.toThrow(/convert it with fileURLToPath/);
  });

  test('an abort ends the reading with its reason, before and in the middle', async () => {
    const reason = new Error('enough');
    const dir = folder(Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`a/${i}`, good])));
    const signal = AbortSignal.abort(reason);
    await expect(imageFolder(dir, { ...SIZE, signal })).rejects.toBe(reason);
    const stop = new AbortController();
    const onProgress = vi.fn<OnData>((event) => {
      if (event.phase === 'read' && event.done === 10) stop.abort(reason);
    });
    const options = { ...SIZE, signal: stop.signal, onProgress };
    await expect(imageFolder(dir, options)).rejects.toBe(reason);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(onProgress.mock.calls.length).toBeLessThan(20);
  });
});
