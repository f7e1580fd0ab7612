// Lists of image files, their inspection, and images that look alike.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DataError } from 'cyclegrad';
import {
  arrays,
  imageFiles,
  imageFolder,
  inMemory,
  inspectImages,
  similarImages,
  subset,
} from 'cyclegrad/datasets';
import { plainPng } from '../png.ts';
import { folder, orientation, painted, withSegments } from './image-fixture.ts';

const SIZE = { height: 2, width: 2 };

test('a list of files is read in its order, and names the file of each example', async () => {
  const dir = folder({ 'x.png': plainPng(2, 2, 9), 'y.png': plainPng(2, 2, 5), 'z.png': 'text' });
  const list = ['y', 'z', 'x'].map((name, i) => ({ path: join(dir, `${name}.png`), label: i % 2 }));
  await expect(imageFiles(list, { ...SIZE, classes: ['a', 'b'] })).rejects.toThrow(DataError);
  const data = await imageFiles(list, { ...SIZE, classes: ['a', 'b'], onError: 'skip' });
  expect(data.files).toEqual([list[0], list[2]]);
  expect(data.skipped.map(({ path }) => path)).toEqual([list[1].path]);
  expect([...data.whole!.y]).toEqual([0, 0]);
  expect([data.whole!.x[0], data.whole!.x[12]]).toEqual([5, 9]);
  await expect(imageFiles([{ path: 'x', label: 2 }], { ...SIZE, classes: ['a', 'b'] })).rejects.toThrow(
    'imageFiles: files[0]: label must be an integer from 0 to 1, got 2',
  );
});

test('a list that is read during training has the same values', async () => {
  const dir = folder({ 'x.png': plainPng(2, 2, 9), 'sub/y.png': plainPng(2, 2, 5), 'z.png': 'text' });
  const list = ['sub/y', 'z', 'x'].map((name, i) => ({ path: join(dir, `${name}.png`), label: i % 2 }));
  const options = { ...SIZE, classes: ['a', 'b'], onError: 'skip' } as const;
  const whole = await imageFiles(list, options);
  const sources = new Set<string>();
  const lazy = await imageFiles(list, {
    ...options,
    lazy: { shards: join(dir, 'shards'), memory: 0 },
    onProgress: (event) => event.phase !== 'notice' && sources.add(event.source),
  });
  expect([lazy.whole, lazy.files, lazy.skipped]).toEqual([undefined, whole.files, whole.skipped]);
  expect([...sources]).toEqual([dir]);
  expect((await inMemory(lazy)).whole).toEqual(whole.whole);
  expect(await similarImages(lazy)).toEqual(await similarImages(whole));
  await expect(imageFiles(list, { ...options, lazy: true })).rejects.toThrow(
    "imageFiles: onError: 'skip' needs all files to be read, but lazy reads them during training",
  );
});

test('a folder names the file of each example', async () => {
  const dir = folder({ 'a/2.png': plainPng(1, 1, 1), 'b/1.png': plainPng(1, 1, 2) });
  const { files } = await imageFolder(dir, SIZE);
  expect(files).toEqual([
    { path: join(dir, 'a', '2.png'), label: 0 },
    { path: join(dir, 'b', '1.png'), label: 1 },
  ]);
});

test('an inspection has sizes, problems and copies, without decoding', async () => {
  const jpeg = await painted(6, 4, (x, y) => [x * 40, y * 60, 0])
    .jpeg()
    .toBuffer();
  const upright = withSegments(jpeg, orientation(6));
  const dir = folder({
    'a/photo.JPG': upright,
    'a/zero.png': '',
    'b/copy of photo.jpg': upright,
    'b/text.jpg': 'hello',
    'loose.png': plainPng(1, 1, 1),
  });
  const { classes, images, problems, copies } = await inspectImages(dir);
  expect(classes).toEqual(['a', 'b']);
  expect(
    images.map(({ path, format, width, height, label }) => [path, format, width, height, label]),
  ).toEqual([
    [join(dir, 'a', 'photo.JPG'), 'JPEG', 4, 6, 0],
    [join(dir, 'b', 'copy of photo.jpg'), 'JPEG', 4, 6, 1],
  ]);
  expect(copies).toEqual([[0, 1]]);
  expect(problems.map(({ path }) => path)).toEqual([
    join(dir, 'a', 'zero.png'),
    join(dir, 'b', 'text.jpg'),
    join(dir, 'loose.png'),
  ]);
  const again = await inspectImages(images, { classes });
  expect(again).toEqual({ classes, images, problems: [], copies });
  await expect(inspectImages(images)).rejects.toThrow('inspectImages: classes must be an array of names');
});

test('images that were saved again, resized or brightened a little look alike, others do not', async () => {
  const scene = (seed: number) =>
    painted(48, 40, (x, y) => [
      (x * 5 + seed * 31) % 256,
      128 + 100 * Math.sin((x * seed + y) / 9),
      (y * 6 * seed) % 256,
    ]);
  const png = (seed: number) => scene(seed).png().toBuffer();
  const dir = folder({
    'a/1.png': await png(1),
    'a/2.png': await png(2),
    'a/3.png': await png(3),
    'b/1.jpg': await scene(1).jpeg({ quality: 60 }).toBuffer(),
    'b/2.webp': await scene(2).resize(96, 80).webp({ quality: 70 }).toBuffer(),
    'b/3.png': await scene(3).linear(0.97, 4).png().toBuffer(),
    'b/4.png': await scene(3).flop().png().toBuffer(),
  });
  const data = await imageFolder(dir, { height: 32, width: 32 });
  expect(await similarImages(data)).toEqual([
    [0, 3],
    [1, 4],
    [2, 5],
  ]);
  expect(await similarImages(data, { distance: 0 })).toEqual([]);
  // Without `whole`, and with fewer pixels than a thumbnail.
  expect(await similarImages(subset(data, [0, 6, 3]))).toEqual([[0, 2]]);
  const tiny = arrays({ shape: [3, 1, 1, 3], data: Uint8Array.of(1, 2, 3, 200, 9, 7, 1, 2, 3) }, [0, 1, 0]);
  expect(await similarImages(tiny)).toEqual([[0, 2]]);
});

test('all pairs within the distance are found', async () => {
  // Random walks, so that there are near and far neighbors: compared with all pairs.
  const n = 60;
  const item = 5 * 7 * 3;
  const data = new Uint8Array(n * item);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < item; k++) {
      data[i * item + k] = (((i % 9) * 37 + k * k * ((i % 9) + 1)) % 200) + ((i * k * 7919) % (1 + (i % 23)));
    }
  }
  const rows = Array.from({ length: n }, (_, i) => data.subarray(i * item, (i + 1) * item));
  const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;
  const deviations = rows.map((row) => {
    const m = mean([...row]);
    return Math.sqrt(mean([...row].map((v) => (v - m) ** 2)));
  });
  const sizes: number[] = [];
  for (const distance of [0.01, 0.03, 0.06, 0.1]) {
    const linked = new Set<number>();
    for (let a = 0; a < n; a++) {
      for (let b = 0; b < n; b++) {
        const rms = Math.sqrt(mean(Array.from({ length: item }, (_, k) => (rows[a][k] - rows[b][k]) ** 2)));
        if (a !== b && rms / Math.max(deviations[a], deviations[b]) <= distance) linked.add(a);
      }
    }
    const dataset = arrays({ shape: [n, 5, 7, 3], data }, new Int32Array(n));
    const found = (await similarImages(dataset, { distance })).flat();
    expect(found.toSorted((a, b) => a - b)).toEqual([...linked].toSorted((a, b) => a - b));
    sizes.push(linked.size);
  }
  expect(sizes.filter((size) => size > 0 && size < n).length).toBeGreaterThan(1);
});
