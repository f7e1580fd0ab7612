/** Images that look alike. */
import type { AnyDataset, Dataset, InputData, TargetData } from '../../engine/dataset.ts';
import { isType } from '../../engine/named.ts';
import { checkNumber, checkOptions } from '../../engine/options.ts';
import { formatType, sizeOf } from '../../engine/shape.ts';
import { bufferFor, checkDataset } from '../checks.ts';

export interface SimilarOptions {
  /**
   * The largest distance of two images that look alike: the root mean square difference of their thumbnails, divided by the larger of
   * the standard deviations of the two. 0 finds only equal thumbnails. Default 0.15.
   */
  readonly distance?: number;
}

const WHERE = 'similarImages';
/** Height and width of thumbnails. Smaller images are compared in full. */
const THUMBNAIL = 16;
/** Images that are read at once. */
const CHUNK = 256;
/** Images with a lower deviation, in units of the average one, are compared as if they had this one: a blank image is mostly noise. */
const LOWEST_DEVIATION = 0.02;

/**
 * Groups of images that look alike: copies, also saved again in another format, size or quality. Crops, rotations and mirror images are not
 * found. The same images in training and test data make a test too good.
 *
 * Returns groups of two or more indices in ascending order. An image is in the group of every image within `distance`, so the first
 * and the last of a large group can be farther apart. The time grows with the square of the number of images of equal brightness.
 *
 * Memory: 3 KiB for each image.
 * Throws TypeError for a data set without images [height, width, channels], and RangeError for a negative distance, and the errors of reading.
 *
 * @example
 * const black = new Uint8Array(48);
 * const ramp = Uint8Array.from({ length: 48 }, (_, i) => 5 * i);
 * const data = new Uint8Array([...ramp, ...black, ...ramp]);
 * await similarImages(arrays({ shape: [3, 4, 4, 3], data }, [0, 0, 1])) // [[0, 2]]
 */
export async function similarImages(
  dataset: Dataset,
  options: SimilarOptions = {},
): Promise<readonly (readonly number[])[]> {
  checkDataset(WHERE, dataset);
  checkOptions(WHERE, options, ['distance']);
  const { distance = 0.15 } = options;
  checkNumber(WHERE, 'distance', distance, 'a number of 0 or more', (x) => x >= 0);
  const { thumbnails, means, deviations } = await featuresOf(dataset);
  const n = dataset.length;
  const average = deviations.reduce((sum, each) => sum + each, 0) / n;
  const scales = deviations.map((each) => Math.max(each, LOWEST_DEVIATION * average, Number.MIN_VALUE));

  const groups = new Groups(n);
  // The difference of the means is at most the root mean square difference, so each is compared with those of similar brightness.
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => means[a] - means[b] || a - b);
  const largest = scales.reduce((a, b) => Math.max(a, b), 0);
  for (let p = 0; p < n; p++) {
    const a = order[p];
    for (let q = p + 1; q < n; q++) {
      const b = order[q];
      const gap = means[b] - means[a];
      if (gap > distance * largest) break;
      const limit = distance * Math.max(scales[a], scales[b]);
      if (gap > limit || !isWithin(thumbnails, a, b, limit)) continue;
      groups.join(a, b);
    }
  }
  return groups.all();
}

interface Vectors {
  readonly data: Float32Array;
  /** Elements of each vector. */
  readonly length: number;
}

interface Features {
  readonly thumbnails: Vectors;
  readonly means: Float64Array;
  readonly deviations: Float64Array;
}

/** Whether the root mean square difference of two vectors is at most `limit`. */
function isWithin({ data, length }: Vectors, a: number, b: number, limit: number): boolean {
  // The slack is for the rounding of f32.
  const most = limit * limit * length * (1 + 1e-6);
  let sum = 0;
  for (let k = 0, i = a * length, j = b * length; k < length; k++, i++, j++) {
    sum += (data[i] - data[j]) ** 2;
    if (sum > most) return false;
  }
  return true;
}

async function featuresOf(dataset: Dataset): Promise<Features> {
  const n = dataset.length;
  const average = averagesOf(shapeOf(dataset));
  const thumbnails = { data: new Float32Array(n * average.length), length: average.length };
  const means = new Float64Array(n);
  const deviations = new Float64Array(n);
  const item = sizeOf(dataset.x.shape);
  const buffers = bufferFor(dataset, CHUNK, CHUNK);
  const [x, y] = [buffers.x as InputData, buffers.y as TargetData];
  for (let first = 0; first < n; first += CHUNK) {
    const indices = Uint32Array.from({ length: Math.min(CHUNK, n - first) }, (_, i) => first + i);
    await dataset.read(indices, x, y);
    for (const [k, i] of indices.entries()) {
      const thumbnail = thumbnails.data.subarray(i * average.length, (i + 1) * average.length);
      average.write(x.subarray(k * item, (k + 1) * item), thumbnail);
      [means[i], deviations[i]] = moments(thumbnail);
    }
  }
  return { thumbnails, means, deviations };
}

function shapeOf({ name, x }: AnyDataset): readonly [height: number, width: number, channels: number] {
  if (isType(x) && x.shape.length === 3) return x.shape as unknown as readonly [number, number, number];
  throw new TypeError(
    `${WHERE}: the inputs must be images [height, width, channels], but those of ${name} are ${isType(x) ? formatType(x) : 'several arrays'}`,
  );
}

interface Averages {
  /** Elements of a thumbnail. */
  readonly length: number;
  readonly write: (pixels: InputData, out: Float32Array) => void;
}

/** A distance between neighbors in memory that has no common factor with the length of any thumbnail: a prime number. */
const STRIDE = 1009;

/**
 * Writes the means of the pixels in each cell of a thumbnail. The cells are spread in memory, because neighbors are alike: the first ones
 * then show whether two images differ.
 */
function averagesOf([height, width, channels]: readonly [number, number, number]): Averages {
  const rows = Math.min(THUMBNAIL, height);
  const columns = Math.min(THUMBNAIL, width);
  const length = rows * columns * channels;
  const cellOf = Uint32Array.from({ length: height * width * channels }, (_, i) => {
    const [y, x, c] = [Math.floor(i / (width * channels)), Math.floor(i / channels) % width, i % channels];
    const [row, column] = [Math.floor((y * rows) / height), Math.floor((x * columns) / width)];
    return (((row * columns + column) * channels + c) * STRIDE) % length;
  });
  const counts = new Float64Array(length);
  for (const cell of cellOf) counts[cell]++;
  return {
    length,
    write(pixels, out) {
      out.fill(0);
      for (let i = 0; i < cellOf.length; i++) out[cellOf[i]] += pixels[i];
      for (let i = 0; i < length; i++) out[i] /= counts[i];
    },
  };
}

function moments(values: Float32Array): [mean: number, deviation: number] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return [mean, Math.sqrt(variance)];
}

/** Disjoint groups of indices. */
class Groups {
  readonly #parent: Int32Array;

  constructor(count: number) {
    this.#parent = Int32Array.from({ length: count }, (_, i) => i);
  }

  #root(i: number): number {
    let root = i;
    while (this.#parent[root] !== root) root = this.#parent[root];
    for (let at = i; at !== root;) {
      const next = this.#parent[at];
      this.#parent[at] = root;
      at = next;
    }
    return root;
  }

  join(a: number, b: number): void {
    const [first, second] = [this.#root(a), this.#root(b)].sort((x, y) => x - y);
    this.#parent[second] = first;
  }

  /** The groups of two or more, ascending. */
  all(): readonly (readonly number[])[] {
    const groups = new Map<number, number[]>();
    for (let i = 0; i < this.#parent.length; i++) {
      const root = this.#root(i);
      const group = groups.get(root);
      if (group === undefined) groups.set(root, [i]);
      else group.push(i);
    }
    return [...groups.values()].filter((group) => group.length > 1);
  }
}
