/** SVHN, the cropped digits of the Street View House Numbers. */
import { join } from 'node:path';
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { arrays } from '../arrays.ts';
import { checkFolder, fileSize } from '../download/files.ts';
import { refuseOtherForms } from '../download/other-forms.ts';
import { readMat, type MatArray } from '../formats/mat.ts';
import {
  checkNamed,
  dataDir,
  obtainFile,
  readWhole,
  type NamedOptions,
  type OfficialFile,
} from '../download/named.ts';

/** The checksums are those of torchvision's sources. */
const fileOf = (part: string, md5: string): OfficialFile => ({
  name: `${part}_32x32.mat`,
  url: `https://ufldl.stanford.edu/housenumbers/${part}_32x32.mat`,
  md5,
});
const TRAIN = fileOf('train', 'e26dedcc434d2e4c54c9b2d4a06d8373');
const TEST = fileOf('test', 'eb5a983be6a315427106f1b164d9cef3');

/**
 * SVHN, cropped digits: 73,257 training and 26,032 test images of house numbers. Files that are not in `dir` are downloaded there.
 *
 * Shapes: x [32, 32, 3] u8, y [] i32 from 0 to 9. The files call the digit 0 class 10.
 * Throws DataError for missing, truncated or corrupt files. Throws the reason of the signal when it aborts.
 * Source: Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
 *
 * @example
 * const { train, test } = await svhn({ dir: 'svhn' });
 * train.x.shape // [32, 32, 3]
 */
export async function svhn(
  options: NamedOptions = {},
): Promise<{ readonly train: Dataset; readonly test: Dataset }> {
  checkNamed('svhn', options);
  const dir = options.dir ?? (await dataDir('svhn'));
  await checkFolder('svhn', dir);
  if ((await fileSize(join(dir, TRAIN.name))) === null) {
    await refuseOtherForms(
      'svhn',
      dir,
      `the cropped digits (format 2), ${TRAIN.name} and ${TEST.name}`,
      'put these files there, or choose another folder',
    );
  }
  const train = await readPart('svhn/train', await obtainFile('svhn', TRAIN, dir, options));
  return { train, test: await readPart('svhn/test', await obtainFile('svhn', TEST, dir, options)) };
}

async function readPart(name: string, path: string): Promise<Dataset> {
  const where = `svhn: ${path}`;
  const found = readMat(where, await readWhole('svhn', path));
  const [images, labels] = [found.get('X'), found.get('y')];
  const n = images?.shape[3] ?? 1; // MATLAB drops a last axis of size 1
  const isRight = images?.shape.slice(0, 3).join() === '32,32,3' && labels?.data.length === n;
  if (images === undefined || labels === undefined || !isRight) {
    const shapes = [...found].map(([key, { shape }]) => `${key} [${shape.join(', ')}]`).join(', ');
    throw new DataError(
      `${where}: expected X [32, 32, 3, N] and y [N, 1], got ${shapes || 'no arrays'} (obtain it again)`,
    );
  }
  const y = Int32Array.from(labels.data);
  const bad = y.findIndex((label) => label < 1 || label > 10);
  if (bad >= 0) {
    throw new DataError(
      `${where}: the file is corrupt: image ${bad} has the label ${y[bad]}, expected 1 to 10 (obtain it again)`,
    );
  }
  const classes = Array.from({ length: 10 }, (_, digit) => String(digit));
  return arrays(
    { shape: [n, 32, 32, 3], data: rowMajor(images, n) },
    y.map((label) => label % 10),
    { classes, name },
  );
}

/** Images [N, 32, 32, 3] from the order of MATLAB, [32, 32, 3, N] with the first axis fastest. */
function rowMajor({ data }: MatArray, n: number): Uint8Array {
  const x = new Uint8Array(n * 3072);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < 3; c++) {
      for (let column = 0; column < 32; column++) {
        for (let row = 0; row < 32; row++) {
          x[((i * 32 + row) * 32 + column) * 3 + c] = data[((i * 3 + c) * 32 + column) * 32 + row];
        }
      }
    }
  }
  return x;
}
