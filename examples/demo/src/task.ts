/** The network and the data of the demo, for both kinds of runs. */
import { arrays, channelStats, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import type { Schedule } from 'cyclegrad/schedulers';
import { readPictures, SIZE, type Labeled, type Pictures, type Source } from './pictures.ts';

/** Three convolutions with batch normalization: 26,746 parameters for ten classes. */
function network(stats: ReturnType<typeof channelStats>, classes: number): nn.Layer {
  const conv = (inputs: number, outputs: number): nn.Layer =>
    nn.conv2d(inputs, outputs, 3, { padding: 'same', bias: false });
  return nn.sequential({
    input: nn.normalize(stats.mean, { std: stats.std }),
    conv1: conv(3, 16),
    norm1: nn.batchNorm(16),
    relu1: nn.relu(),
    pool1: nn.maxPool2d(2),
    conv2: conv(16, 32),
    norm2: nn.batchNorm(32),
    relu2: nn.relu(),
    pool2: nn.maxPool2d(2),
    conv3: conv(32, 48),
    norm3: nn.batchNorm(48),
    relu3: nn.relu(),
    pool3: nn.maxPool2d(2),
    flat: nn.flatten(),
    head: nn.dense(768, classes),
  });
}

export const optimizerOf = (lr: Schedule) => sgd({ lr, momentum: 0.9 });

const BATCH = 50;

/** Model, batches and test pictures. */
export async function taskOf(source: Source) {
  const pictures = await cached(source);
  const { classes } = pictures;
  const dataset = (name: string, { pixels, labels }: Labeled) =>
    arrays({ shape: [labels.length, SIZE, SIZE, 3], data: pixels }, labels, { classes, name });
  const [train, test] = [
    dataset('training pictures', pictures.train),
    dataset('test pictures', pictures.test),
  ];
  return {
    pictures,
    model: network(channelStats(train), classes.length),
    data: loader(train, { batchSize: Math.min(BATCH, train.length), augment: { flip: true } }),
    test,
  };
}

let last: { readonly key: string; readonly pictures: Promise<Pictures> } | null = null;

/** The pictures of the site stay in the worker between runs. */
function cached(source: Source): Promise<Pictures> {
  if (source.kind === 'own') return readPictures(source);
  if (last?.key !== source.url) last = { key: source.url, pictures: readPictures(source) };
  return last.pictures;
}
