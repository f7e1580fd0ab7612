/** Recognizes folders that hold a data set in a form that is not read, or another data set, so that nothing is downloaded into them. */
import { join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { fileSize } from './files.ts';

/** Files that only this form has, relative to the folder that was given. */
interface OtherForm {
  readonly name: string;
  readonly files: readonly string[];
}

const CIFAR10: OtherForm = {
  name: 'CIFAR-10',
  files: [
    'data_batch_1.bin',
    'data_batch_1',
    'cifar-10-batches-bin/data_batch_1.bin',
    'cifar-10-batches-py/data_batch_1',
    'cifar-10-binary.tar.gz',
    'cifar-10-python.tar.gz',
  ],
};

const MNIST: readonly OtherForm[] = [
  { name: "NumPy's arrays of Keras, which readNpz reads", files: ['mnist.npz', 'fashion-mnist.npz'] },
  { name: 'a MATLAB file', files: ['mnist_all.mat', 'mnist-original.mat', 'mnist.mat'] },
  { name: 'tables', files: ['mnist_train.csv', 'fashion-mnist_train.csv', 'train.csv'] },
];

const OTHER_FORMS = {
  cifar10: [
    {
      name: 'the MATLAB version of CIFAR-10',
      files: ['data_batch_1.mat', 'cifar-10-batches-mat/data_batch_1.mat', 'cifar-10-matlab.tar.gz'],
    },
    {
      name: 'CIFAR-100',
      files: [
        'fine_label_names.txt',
        'cifar-100-binary/train.bin',
        'cifar-100-python/train',
        'cifar-100-matlab/train.mat',
        'cifar-100-binary.tar.gz',
        'cifar-100-python.tar.gz',
        'cifar-100-matlab.tar.gz',
      ],
    },
  ],
  cifar100: [
    {
      name: 'the MATLAB version of CIFAR-100',
      files: ['cifar-100-matlab/train.mat', 'cifar-100-matlab.tar.gz'],
    },
    CIFAR10,
  ],
  mnist: MNIST,
  fashionMnist: MNIST,
  svhn: [
    {
      name: 'the full numbers of SVHN (format 1)',
      files: ['train.tar.gz', 'train/digitStruct.mat', 'digitStruct.mat'],
    },
    CIFAR10,
  ],
} as const satisfies Readonly<Record<string, readonly OtherForm[]>>;

/** Throws DataError if `dir` holds the images in another form than the `expected` one. `fix` says how to get the form that is read. */
export async function refuseOtherForms(
  where: keyof typeof OTHER_FORMS,
  dir: string,
  expected: string,
  fix: string,
): Promise<void> {
  for (const { name, files } of OTHER_FORMS[where]) {
    for (const file of files) {
      const path = join(dir, file);
      // oxlint-disable-next-line no-await-in-loop -- the first one that exists
      if ((await fileSize(path)) === null) continue;
      throw new DataError(`${where}: ${path}: the folder has ${name}, expected ${expected} (${fix})`);
    }
  }
}
