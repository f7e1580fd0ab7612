/**
 * What the examples of docstrings use without declaring it. Importing this module trains a small model, and writes these files into
 * the working folder: those of `writePictures`, `writeNumpyFiles` and test/datasets/official-files.ts, `weights.safetensors`, and a checkpoint in `runs/clr`.
 */
import { fit, saveTensors, wasm, type TrainOptions } from 'cyclegrad';
import { cifar10, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import { writeCifar100, writeMnist, writeSvhn } from '../datasets/official-files.ts';
import { writeNumpyFiles, writePictures } from './stand-ins.ts';

export const backend = await wasm({ threads: 1 });

const sets = await cifar10();
/** Images, x [32, 32, 3] u8, of 10 classes. */
export const train = sets.train;
export const test = sets.test;
export const data = loader(train, { batchSize: 50 });

/** Classifies images. */
export const model = nn.sequential({
  input: nn.normalize([125, 123, 114], { std: [63, 62, 67] }),
  conv1: nn.conv2d(3, 4, 5, { stride: 4 }),
  relu1: nn.relu(),
  conv2: nn.conv2d(4, 8, 3, { stride: 2 }),
  relu2: nn.relu(),
  flatten: nn.flatten(),
  dense: nn.dense(72, 10),
});
export const schedule = cyclicLR({ base: 0.001, max: 0.006, stepSize: 2000 });
export const optimizer = sgd({ lr: schedule, momentum: 0.9 });

/** The required options of `fit`. */
export const options: TrainOptions = { model, backend, data, optimizer, steps: 8000 };
export const result = await fit({
  ...options,
  eval: { data: test, every: 1000 },
  checkpoint: { dir: 'runs/clr', every: 1000 },
});
export const state = result.state;

await writePictures('.');
writeNumpyFiles('.');
writeMnist('mnist');
writeCifar100('cifar100');
writeSvhn('svhn');
await saveTensors('weights.safetensors', state);
