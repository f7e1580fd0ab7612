/** Which images train the network and which test it. */
import { stream } from '../../engine/index.ts';
import type { Part } from './sources.ts';

export interface SplitOptions {
  /** The label of each image. */
  readonly labels: ArrayLike<number>;
  /** The part of each image where it is given. */
  readonly parts: readonly (Part | null)[];
  /** Groups of images that are alike, which stay together. */
  readonly alike: readonly (readonly number[])[];
  /** Share of the test images. */
  readonly share: number;
  readonly seed: number;
}

/**
 * The images of each part, ascending. Images without a part are split at random: `share` of each class into the part 'test', and 'train'
 * gets the others. Images that are alike go into the same part.
 */
export function splitImages({ labels, parts, alike, share, seed }: SplitOptions): Record<Part, Uint32Array> {
  const chosen = [...parts];
  const hasHeldOut = parts.some((part) => part === 'test' || part === 'valid');
  const open = [...chosen.keys()].filter((i) => chosen[i] === null);
  if (hasHeldOut) for (const i of open) chosen[i] = 'train';
  else assign(open, { labels, alike, share, seed }, chosen);
  const of = (part: Part): Uint32Array => Uint32Array.from(chosen.keys()).filter((i) => chosen[i] === part);
  return { train: of('train'), valid: of('valid'), test: of('test') };
}

function assign(
  open: readonly number[],
  { labels, alike, share, seed }: Omit<SplitOptions, 'parts'>,
  chosen: (Part | null)[],
): void {
  const groups = new Map<number, readonly number[]>();
  for (const group of alike) for (const i of group) groups.set(i, group);
  const random = stream(seed, 'test images');
  for (const label of new Set(open.map((i) => labels[i]))) {
    const own = shuffled(
      open.filter((i) => labels[i] === label),
      random,
    );
    const wanted = Math.max(1, Math.round(share * own.length));
    let tested = own.filter((i) => chosen[i] === 'test').length;
    for (const i of own) {
      if (chosen[i] !== null) continue;
      const group = (groups.get(i) ?? [i]).filter((j) => chosen[j] === null);
      const size = group.filter((j) => labels[j] === label).length;
      // At least one image of a class trains.
      const part = tested + size <= wanted && tested + size < own.length ? 'test' : 'train';
      for (const j of group) chosen[j] = part;
      if (part === 'test') tested += size;
    }
  }
}

function shuffled(items: readonly number[], random: ReturnType<typeof stream>): number[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j], result[i]];
  }
  return result;
}
