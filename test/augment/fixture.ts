/** Small images with targets, and what augmentations make of them. */
import { augmentedBatch, reference, type HostTensor } from 'cyclegrad';
import type { Augmentation, Mixing } from 'cyclegrad/augment';
import { arrays, loader, type ArraysOptions, type Dataset, type LoaderOptions } from 'cyclegrad/datasets';
import { stream } from 'cyclegrad';

/** `n` images of random bytes above 0. */
export function randomImages(n: number, height: number, width: number, channels = 1): HostTensor {
  const random = stream(3, 'images');
  const data = Uint8Array.from({ length: n * height * width * channels }, () => 1 + random.below(255));
  return { shape: [n, height, width, channels], dtype: 'u8', data };
}

/** A data set of images whose targets are their labels, or something else. */
export const withTargets = (x: HostTensor, y?: HostTensor, targets?: ArraysOptions['targets']): Dataset =>
  arrays(x, y ?? new Int32Array(x.shape[0]), { ...(targets !== undefined && { targets }), name: 'pictures' });

type Augment = NonNullable<LoaderOptions['augment']>;

/** All examples of a data set in order, augmented by the draws of a seed. */
export function augmented(
  dataset: Dataset,
  augment: Augment,
  options: { readonly seed?: number; readonly step?: number; readonly mean?: number } = {},
): Promise<{ readonly x: HostTensor; readonly y: HostTensor }> {
  const { seed = 1, ...rest } = options;
  const data = loader(dataset, { batchSize: dataset.length, shuffle: false, seed, augment });
  return augmentedBatch({ data, backend: reference(), ...rest });
}

/** An augmentation with given draws. */
export const drawing = (augmentation: Augmentation, draws: readonly number[]): Augmentation => {
  const { short: _, ...rest } = augmentation;
  return { ...rest, draw: () => draws };
};

/** One image, augmented, as a list of numbers. */
export async function pixelsOf(
  rows: readonly (readonly number[])[],
  augment: readonly (Augmentation | Mixing)[],
  mean = 0,
): Promise<readonly number[]> {
  const data = Uint8Array.from(rows.flat());
  const x = { shape: [1, rows.length, rows[0].length, 1], dtype: 'u8', data } as const;
  return [...(await augmented(withTargets(x), augment, { mean })).x.data];
}
