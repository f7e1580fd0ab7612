/** MNIST and Fashion-MNIST from their official files. */
import { join } from 'node:path';
import type { Dataset } from '../../engine/dataset.ts';
import { DataError } from '../../engine/errors.ts';
import { formatType, sameShape } from '../../engine/shape.ts';
import { arrays } from '../arrays.ts';
import { checkFolder, fileSize } from '../download/files.ts';
import { refuseOtherForms } from '../download/other-forms.ts';
import { readIdx } from '../formats/idx.ts';
import { checkNamed, dataDir, obtainFile, type NamedOptions, type OfficialFile } from '../download/named.ts';

type Files = Readonly<Record<'trainImages' | 'trainLabels' | 'testImages' | 'testLabels', OfficialFile>>;

/** Without compression, with the dot of Kaggle's names, and in the folders of torchvision. */
const othersOf = (folder: string, name: string): readonly string[] => {
  const dotted = name.replace('-idx', '.idx');
  return [name, dotted, `${dotted}.gz`, `${folder}/raw/${name}`, `${folder}/raw/${name}.gz`];
};

const filesAt = (folder: string, url: string, md5: readonly [string, string, string, string]): Files => {
  const [trainImages, trainLabels, testImages, testLabels] = [
    'train-images-idx3-ubyte',
    'train-labels-idx1-ubyte',
    't10k-images-idx3-ubyte',
    't10k-labels-idx1-ubyte',
  ].map((name, i) => ({
    name: `${name}.gz`,
    other: othersOf(folder, name),
    url: `${url}${name}.gz`,
    md5: md5[i],
  }));
  return { trainImages, trainLabels, testImages, testLabels };
};

/** The checksums are those of torchvision's sources. */
const MNIST = filesAt('MNIST', 'https://ossci-datasets.s3.amazonaws.com/mnist/', [
  'f68b3c2dcbeaaa9fbdd348bbdeb94873',
  'd53e105ee54ea40749a09fcbcd1e9432',
  '9fb629c4189551a2d022fa330f9573f3',
  'ec29112dd5afa0611ce80d1b7f02629c',
]);
const FASHION = filesAt(
  'FashionMNIST',
  'https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/',
  [
    '8d4fb7e6c68d591d4c3dfef9ec88bf0d',
    '25c81989df183df01b3e8a0aad5dffbe',
    'bef4ecab320f06d8554ea6380940ec79',
    'bb300cfdad3c16e7a12a480ee83cd310',
  ],
);

const DIGITS = Array.from({ length: 10 }, (_, digit) => String(digit));
const CLOTHES = [
  'T-shirt/top',
  'Trouser',
  'Pullover',
  'Dress',
  'Coat',
  'Sandal',
  'Shirt',
  'Sneaker',
  'Bag',
  'Ankle boot',
];

interface Parts {
  readonly train: Dataset;
  readonly test: Dataset;
}

/**
 * MNIST: 60,000 training and 10,000 test images of handwritten digits. Files that are not in `dir` are downloaded there. They may be
 * compressed with gzip or not, or be in the folder MNIST/raw of torchvision.
 *
 * Shapes: x [28, 28, 1] u8, y [] i32 from 0 to 9.
 * Throws DataError for missing, truncated or corrupt files. Throws the reason of the signal when it aborts.
 * Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
 *
 * @example
 * const { train, test } = await mnist({ dir: 'mnist' });
 * train.x.shape // [28, 28, 1]
 */
export const mnist = (options: NamedOptions = {}): Promise<Parts> => read('mnist', MNIST, DIGITS, options);

/**
 * Fashion-MNIST: 60,000 training and 10,000 test images of clothes in 10 classes. Without `dir`, the files of Debian's package
 * dataset-fashion-mnist are used if it is installed. Otherwise, files that are missing are downloaded. They may be compressed with gzip
 * or not.
 *
 * Shapes: x [28, 28, 1] u8, y [] i32 from 0 to 9.
 * Throws DataError for missing, truncated or corrupt files. Throws the reason of the signal when it aborts.
 * Source: Xiao, Rasul and Vollgraf, Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms, 2017.
 *
 * @example
 * const { train, test } = await fashionMnist({ dir: 'mnist' });
 * train.classes[9] // 'Ankle boot'
 */
export const fashionMnist = (options: NamedOptions = {}): Promise<Parts> =>
  read('fashionMnist', FASHION, CLOTHES, options);

async function read(
  where: 'mnist' | 'fashionMnist',
  files: Files,
  classes: readonly string[],
  options: NamedOptions,
): Promise<Parts> {
  checkNamed(where, options);
  const dir = options.dir ?? (await dataDir(where));
  await checkFolder(where, dir);
  const { name: first, other = [] } = files.trainImages;
  const sizes = await Promise.all([first, ...other].map((name) => fileSize(join(dir, name))));
  if (sizes.every((size) => size === null)) {
    await refuseOtherForms(
      where,
      dir,
      `IDX files such as ${first}`,
      'put these files there, or choose another folder',
    );
  }
  const part = async (name: string, images: OfficialFile, labels: OfficialFile): Promise<Dataset> => {
    const paths: string[] = [];
    // One after the other, so that progress is that of one file.
    for (const file of [images, labels]) {
      // oxlint-disable-next-line no-await-in-loop -- see above
      paths.push(await obtainFile(where, file, dir, options));
    }
    const [x, y] = await Promise.all(paths.map((path) => readIdx(path)));
    const [n = 0] = x.shape;
    if (
      x.dtype !== 'u8' ||
      !sameShape(x.shape, [n, 28, 28]) ||
      y.dtype !== 'u8' ||
      !sameShape(y.shape, [n])
    ) {
      throw new DataError(
        `${where}: ${paths[0]} and ${paths[1]}: expected images u8 [N,28,28] and labels u8 [N], got ${formatType(x)} and ${formatType(y)} ` +
          '(obtain them again)',
      );
    }
    return arrays({ shape: [n, 28, 28, 1], data: x.data }, Int32Array.from(y.data), {
      classes,
      name: `${where}/${name}`,
    });
  };
  const train = await part('train', files.trainImages, files.trainLabels);
  return { train, test: await part('test', files.testImages, files.testLabels) };
}
