/** Statistics of a data set, for the normalization in the first layer of a model. */
import { readExamples } from '../engine/host.ts';
import { sizeOf } from '../engine/shape.ts';
import type { HostTensor } from '../engine/types.ts';
import type { Dataset } from '../engine/dataset.ts';
import { checkDataset } from './checks.ts';

const CHUNK = 256;

/** Calls `visit` with the items, [count, ...shape], one chunk at a time. The buffer is reused. */
function eachChunk(where: string, dataset: Dataset, visit: (x: Uint8Array | Float32Array) => void): void {
  if (dataset.length < 1)
    throw new RangeError(
      `${where}: the data set is empty: ${dataset.name} (statistics need at least 1 example)`,
    );
  const item = sizeOf(dataset.x.shape);
  const x = dataset.x.dtype === 'u8' ? new Uint8Array(CHUNK * item) : new Float32Array(CHUNK * item);
  const targets = CHUNK * sizeOf(dataset.y.shape);
  const y = dataset.y.dtype === 'f32' ? new Float32Array(targets) : new Int32Array(targets);
  for (let first = 0; first < dataset.length; first += CHUNK) {
    const count = Math.min(CHUNK, dataset.length - first);
    readExamples(
      dataset,
      Uint32Array.from({ length: count }, (_, i) => first + i),
      x,
      y,
    );
    visit(x.subarray(0, count * item));
  }
}

/**
 * The elementwise mean of all inputs, summed in double precision.
 *
 * Shapes: data set of [H, W, C] -> [H, W, C] f32.
 * Units: those of the data, 0 to 255 for u8 images.
 * Throws RangeError for an empty data set, and TypeError for anything but a data set.
 * Source: Caffe's compute_image_mean. Caffe's CIFAR-10 models subtract this image.
 *
 * @example const input = nn.normalize(meanImage(train));
 */
export function meanImage(dataset: Dataset): HostTensor & { readonly data: Float32Array } {
  checkDataset('meanImage', dataset);
  const sums = new Float64Array(sizeOf(dataset.x.shape));
  eachChunk('meanImage', dataset, (x) => {
    for (let i = 0; i < x.length;) {
      for (let j = 0; j < sums.length; j++, i++) sums[j] += x[i];
    }
  });
  return {
    shape: dataset.x.shape,
    dtype: 'f32',
    data: Float32Array.from(sums, (sum) => sum / dataset.length),
  };
}

/**
 * Mean and standard deviation of each channel (the last axis) over all inputs and positions. `std` is that of the population: it
 * divides by the count, not by the count minus one. It is 0 for a constant channel.
 *
 * Shapes: data set of [..., C] -> mean [C], std [C].
 * Units: those of the data, 0 to 255 for u8 images.
 * Throws RangeError for an empty data set, and TypeError for anything but a data set.
 *
 * @example
 * const { mean, std } = channelStats(train);
 * const input = nn.normalize(mean, { std });
 */
export function channelStats(dataset: Dataset): { readonly mean: Float32Array; readonly std: Float32Array } {
  checkDataset('channelStats', dataset);
  const channels = dataset.x.shape.at(-1) ?? 1;
  const perChannel = (dataset.length * sizeOf(dataset.x.shape)) / channels;
  // Two passes: a single pass loses digits if the mean is large.
  const average = (center: Float64Array | null): Float64Array => {
    const sums = new Float64Array(channels);
    eachChunk('channelStats', dataset, (x) => {
      for (let i = 0; i < x.length;) {
        for (let c = 0; c < channels; c++, i++) {
          const value = x[i];
          sums[c] += center === null ? value : (value - center[c]) ** 2;
        }
      }
    });
    return sums.map((sum) => sum / perChannel);
  };
  const mean = average(null);
  return { mean: Float32Array.from(mean), std: Float32Array.from(average(mean), Math.sqrt) };
}
