/** Statistics of a data set, for the normalization in the first layer of a model. */
import { show } from '../engine/options.ts';
import { readExamples } from '../engine/host.ts';
import { sizeOf } from '../engine/shape.ts';
import type { HostTensor, TensorType } from '../engine/types.ts';
import type { AnyDataset, InputData } from '../engine/dataset.ts';
import { isType, partOf, type Part } from '../engine/named.ts';
import { bufferFor, checkDataset } from './checks.ts';

const CHUNK = 256;

/** Calls `visit` with the items, [count, ...shape], one chunk at a time. The buffer is reused. */
function eachChunk(
  where: string,
  dataset: AnyDataset,
  name: string | null,
  visit: (x: InputData) => void,
): void {
  if (dataset.length < 1)
    throw new RangeError(
      `${where}: the data set is empty: ${dataset.name} (statistics need at least 1 example)`,
    );
  const item = sizeOf(partOf(dataset.x, name).shape);
  const { x, y } = bufferFor(dataset, CHUNK, CHUNK);
  for (let first = 0; first < dataset.length; first += CHUNK) {
    const count = Math.min(CHUNK, dataset.length - first);
    readExamples(
      dataset,
      Uint32Array.from({ length: count }, (_, i) => first + i),
      x,
      y,
    );
    visit(partOf<InputData>(x, name).subarray(0, count * item));
  }
}

/** The only input, or the one of several that a call names. Throws TypeError for a missing or unknown name. */
function inputOf(where: string, { name, x }: AnyDataset, input: string | undefined): Part<TensorType> {
  if (isType(x)) {
    if (input === undefined) return { name: null, value: x };
    throw new TypeError(`${where}: ${name} has a single input without a name, got '${input}' (omit it)`);
  }
  if (input !== undefined && Object.hasOwn(x, input)) return { name: input, value: x[input] };
  const names = Object.keys(x);
  throw new TypeError(
    `${where}: ${name} has the inputs ${names.join(', ')}, got ${show(input)} (write ${where}(dataset, '${names[0]}'))`,
  );
}

/**
 * The elementwise mean of all inputs, summed in double precision.
 *
 * Shapes: data set of [H, W, C] -> [H, W, C] f32.
 * Units: those of the data, 0 to 255 for u8 images.
 * Throws RangeError for an empty data set, and TypeError for anything but a data set, or without the name of one of several inputs.
 * Source: Caffe's compute_image_mean. Caffe's CIFAR-10 models subtract this image.
 *
 * @example const input = nn.normalize(meanImage(train));
 */
export function meanImage(dataset: AnyDataset, input?: string): HostTensor & { readonly data: Float32Array } {
  checkDataset('meanImage', dataset);
  const { name, value } = inputOf('meanImage', dataset, input);
  const sums = new Float64Array(sizeOf(value.shape));
  eachChunk('meanImage', dataset, name, (x) => {
    for (let i = 0; i < x.length;) {
      for (let j = 0; j < sums.length; j++, i++) sums[j] += x[i];
    }
  });
  return {
    shape: value.shape,
    dtype: 'f32',
    data: Float32Array.from(sums, (sum) => sum / dataset.length),
  };
}

/**
 * Mean and standard deviation of each channel (the last axis) over all inputs and positions. `std` is that of the population: it
 * divides by the count, not by the count minus one. It is 1 for a constant channel, which
 * `nn.normalize` then maps to 0 (as in scikit-learn's StandardScaler).
 *
 * Shapes: data set of [..., C] -> mean [C], std [C].
 * Units: those of the data, 0 to 255 for u8 images.
 * Throws RangeError for an empty data set, and TypeError for anything but a data set, or without the name of one of several inputs.
 *
 * @example
 * const { mean, std } = channelStats(train);
 * const input = nn.normalize(mean, { std });
 */
export function channelStats(
  dataset: AnyDataset,
  input?: string,
): { readonly mean: Float32Array; readonly std: Float32Array } {
  checkDataset('channelStats', dataset);
  const { name, value: type } = inputOf('channelStats', dataset, input);
  const channels = type.shape.at(-1) ?? 1;
  const perChannel = (dataset.length * sizeOf(type.shape)) / channels;
  // Two passes: a single pass loses digits if the mean is large.
  const average = (center: Float64Array | null): Float64Array => {
    const sums = new Float64Array(channels);
    eachChunk('channelStats', dataset, name, (x) => {
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
  const std = Float32Array.from(average(mean), (variance) => (variance === 0 ? 1 : Math.sqrt(variance)));
  return { mean: Float32Array.from(mean), std };
}
