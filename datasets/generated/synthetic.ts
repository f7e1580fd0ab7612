/** Small synthetic data sets for experiments and tests. */
import type { Dataset } from '../../engine/dataset.ts';
import {
  checkInteger,
  checkNumber,
  checkOneOf,
  checkOptions,
  isPromise,
  isRecord,
  show,
} from '../../engine/options.ts';
import { stream } from '../../engine/rng.ts';
import type { Stream } from '../../engine/rng.ts';
import { arrays } from '../arrays.ts';

export interface SyntheticOptions {
  /** Number of examples. Their classes alternate. */
  readonly n: number;
  /** Number of classes. Default 10 for images, 3 for points. */
  readonly classes?: number;
  /** Each seed gives different examples of the same task. Default 0. */
  readonly seed?: number;
  /** Amount of noise. 0 is none. Default 0.3 for images, 0.5 for blobs, 0.1 for spirals. */
  readonly noise?: number;
}

export type SyntheticKind =
  | (SyntheticOptions & {
      /** Images of waves, whose direction is the class. */
      readonly kind: 'images';
      /** Height in pixels. Default 32. */
      readonly height?: number;
      /** Width in pixels. Default: the height. */
      readonly width?: number;
      /** Number of channels. Default 3. */
      readonly channels?: number;
    })
  | (SyntheticOptions & {
      /** Points around one center for each class. */
      readonly kind: 'blobs';
      /** Number of coordinates. Default 2. */
      readonly dims?: number;
    })
  | (SyntheticOptions & {
      /** Points on one arm of a spiral for each class. */
      readonly kind: 'spirals';
    });

const WHERE = 'synthetic';
const COMMON = ['kind', 'n', 'classes', 'seed', 'noise'] as const;

/** A wave whose direction encodes the class. Phase and contrast vary, so single pixels carry no information. */
function drawImage(
  random: Stream,
  out: Uint8Array,
  label: number,
  classes: number,
  noise: number,
  width: number,
  channels: number,
): void {
  const angle = (Math.PI * label) / classes;
  const kx = 0.9 * Math.cos(angle); // about 7 pixels per wave, within the receptive field of two 3 x 3 layers
  const ky = 0.9 * Math.sin(angle);
  const phase = 2 * Math.PI * random.uniform();
  const contrast = 0.6 + 0.4 * random.uniform();
  for (let i = 0; i < out.length; i++) {
    const pixel = Math.floor(i / channels);
    const channel = i % channels;
    const y = Math.floor(pixel / width);
    const x = pixel % width;
    const wave = contrast * Math.sin(kx * x + ky * y + phase + channel * 0.7);
    const value = wave + 2 * noise * random.normal();
    out[i] = Math.max(0, Math.min(255, Math.round(127.5 + 60 * value)));
  }
}

/** The center of a class of blobs. It belongs to the task, so it does not depend on the seed. */
function centerOf(label: number, classes: number, dims: number): readonly number[] {
  if (dims === 2) {
    const angle = (2 * Math.PI * label) / classes;
    return [2 * Math.cos(angle), 2 * Math.sin(angle)];
  }
  const random = stream(0, 'synthetic centres', label);
  return Array.from({ length: dims }, () => 2 * random.normal());
}

/**
 * A synthetic classification task, for experiments without a download. Example i depends only on the options, the seed and i.
 *
 * Shapes: x [height, width, channels] u8 for images, [dims] f32 for blobs, [2] f32 for spirals. y [] i32.
 * Throws RangeError or TypeError for options that are out of range or unknown.
 *
 * @example synthetic({ kind: 'images', n: 64, height: 8 }).x.shape // [8, 8, 3]
 */
export function synthetic(options: SyntheticKind): Dataset {
  const given: unknown = options;
  if (!isRecord(given) || isPromise(given)) {
    throw new TypeError(`${WHERE}: options must be an object (${COMMON.join(', ')}), got ${show(given)}`);
  }
  const { kind, n, seed = 0 } = options;
  checkOneOf(WHERE, 'kind', kind, ['images', 'blobs', 'spirals']);
  const optionsOf = { images: ['height', 'width', 'channels'], blobs: ['dims'], spirals: [] } as const;
  checkOptions(WHERE, options, [...COMMON, ...optionsOf[kind]]);
  const { classes = kind === 'images' ? 10 : 3 } = options;
  const { noise = { images: 0.3, blobs: 0.5, spirals: 0.1 }[kind] } = options;
  checkInteger(WHERE, 'n', n, 1, 2 ** 31 - 1);
  checkInteger(WHERE, 'classes', classes, 1, 65_536);
  checkInteger(WHERE, 'seed', seed, 0);
  checkNumber(WHERE, 'noise', noise, 'a number >= 0', (x) => x >= 0);
  const y = Int32Array.from({ length: n }, (_, i) => i % classes);
  const name = `synthetic/${kind}`;

  if (kind === 'images') {
    const { height = 32, channels = 3 } = options;
    const { width = height } = options;
    checkInteger(WHERE, 'height', height, 1, 65_536);
    checkInteger(WHERE, 'width', width, 1, 65_536);
    checkInteger(WHERE, 'channels', channels, 1, 65_536);
    const item = height * width * channels;
    const x = new Uint8Array(n * item);
    for (let i = 0; i < n; i++) {
      const image = x.subarray(i * item, (i + 1) * item);
      drawImage(stream(seed, WHERE, i), image, y[i], classes, noise, width, channels);
    }
    return arrays({ shape: [n, height, width, channels], data: x }, y, { classes, name });
  }

  const dims = kind === 'blobs' ? (options.dims ?? 2) : 2;
  checkInteger(WHERE, 'dims', dims, 1, 65_536);
  const x = new Float32Array(n * dims);
  for (let i = 0; i < n; i++) {
    const random = stream(seed, WHERE, i);
    const label = y[i];
    let center: readonly number[];
    if (kind === 'blobs') {
      center = centerOf(label, classes, dims);
    } else {
      const along = Math.sqrt(random.uniform()); // denser at the outside, where the arm is longer
      const angle = (2 * Math.PI * label) / classes + 1.5 * Math.PI * along;
      center = [2 * along * Math.cos(angle), 2 * along * Math.sin(angle)];
    }
    for (let d = 0; d < dims; d++) x[i * dims + d] = center[d] + noise * random.normal();
  }
  return arrays({ shape: [n, dims], data: x }, y, { classes, name });
}
