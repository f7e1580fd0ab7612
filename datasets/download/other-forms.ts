/** Recognizes folders that hold CIFAR in a form that is not read, so that nothing is downloaded into them. */
import { join } from 'node:path';
import { DataError } from '../../engine/errors.ts';
import { fileSize } from './files.ts';

/** A file that only this form has, relative to the folder that was given. */
interface OtherForm {
  readonly name: string;
  readonly files: readonly string[];
}

const OTHER_FORMS: readonly OtherForm[] = [
  {
    name: 'the Python version of CIFAR-10',
    files: ['data_batch_1', 'cifar-10-batches-py/data_batch_1', 'cifar-10-python.tar.gz'],
  },
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
];

/** Throws DataError if `dir` holds the images in another form. `fix` says how to get the form that is read. */
export async function refuseOtherForms(dir: string, fix: string): Promise<void> {
  for (const { name, files } of OTHER_FORMS) {
    for (const file of files) {
      const path = join(dir, file);
      if ((await fileSize(path)) === null) continue;
      throw new DataError(`cifar10: ${path}: the folder has ${name}, expected the binary version (${fix})`);
    }
  }
}
