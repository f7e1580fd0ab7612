/** The short form of the fuzz targets for images. */
import { expect, test } from 'vitest';
import { isLong } from '../forms.ts';
import { imageTargets } from '../stress/fuzz/images.ts';
import { randomOf } from '../stress/random.ts';

const CASES = isLong ? 1000 : 25;

test('there is a target for each format', () => {
  expect(imageTargets.map(({ name }) => name)).toEqual(
    ['png', 'jpeg', 'webp', 'gif', 'tiff', 'avif'].map((format) => `image-${format}`),
  );
});

/** libtiff and libheif repeat a line of their messages many times. */
const FAILED_ONCE: Readonly<Record<string, readonly number[]>> = {
  'image-tiff': [166, 217],
  'image-avif': [150, 249],
};

test.each(imageTargets)('$name', async ({ name, run }) => {
  const failures: string[] = [];
  for (const number of [...Array(CASES).keys(), ...(FAILED_ONCE[name] ?? [])]) {
    await run(randomOf(1, name, number)).catch((error: Error) =>
      failures.push(`seed 1, case ${number}: ${error.message}`),
    );
  }
  expect(failures).toEqual([]);
});
