/** What targets are, which decides how augmentations move them. */
import { isRecord, show } from './options.ts';
import { isType, partsOf, type Part, type Types } from './named.ts';
import { formatType } from './shape.ts';
import type { TensorType } from './types.ts';
import { knownNames } from './suggest.ts';

/**
 * What targets are:
 *
 *   labels: anything that does not depend on positions in the image
 *   mask:   classes of pixels or weights, [H, W] or [H, W, C] with the height and width of the image; moved to the nearest pixel
 *   image:  an f32 image [H, W] or [H, W, C] with the height and width of the input; interpolated as the input is
 *   boxes:  f32 rows [K, 4 + any] of x1, y1, x2, y2 and anything else; rows without area are padding
 *   points: f32 rows [K, 2 + any] of x, y and anything else
 *
 * The unit of x and y is a pixel, and the origin is the upper left corner of the image.
 */
export type TargetKind = 'labels' | 'mask' | 'image' | 'boxes' | 'points';

/**
 * The kind of targets. For masks and images, `fill` is the value of pixels from outside, 0 by default. `of` is the name of the input that
 * they belong to, which data sets with several images need.
 */
export type Targets =
  TargetKind | { readonly kind: TargetKind; readonly fill?: number; readonly of?: string };

export interface KnownTargets {
  readonly kind: TargetKind;
  readonly fill: number;
  /** The input that they move with. Null for a single input, and for labels. */
  readonly of: string | null;
}

const KINDS = ['labels', 'mask', 'image', 'boxes', 'points'] as const;
const LABELS: KnownTargets = { kind: 'labels', fill: 0, of: null };

/** Throws TypeError unless `targets` is a declaration that fits the types of inputs and targets. */
export function checkTargets(
  where: string,
  targets: unknown,
  inputs: Pick<Declared, 'name' | 'x'>,
  y: TensorType,
): KnownTargets {
  const given = (isRecord(targets) ? targets : { kind: targets }) as Partial<Exclude<Targets, string>>;
  const { kind, fill = 0, of } = given;
  if (!KINDS.some((known) => known === kind) || typeof fill !== 'number' || !Number.isFinite(fill)) {
    throw new TypeError(
      `${where}: targets must be ${KINDS.map(show).join(', ')}, or { kind: 'mask', fill: 255 }, got ${show(isRecord(targets) ? kind : targets)}` +
        (isRecord(targets) ? ` with fill ${show(fill)}` : ''),
    );
  }
  if (kind === 'labels') return LABELS;
  const {
    name,
    value: { shape: x },
  } = imageOf(where, inputs, of);
  const { shape, dtype } = y;
  const isImage =
    x.length === 3 && (shape.length === 2 || shape.length === 3) && shape[0] === x[0] && shape[1] === x[1];
  const fits = {
    mask: isImage,
    image: isImage && dtype === 'f32',
    boxes: dtype === 'f32' && shape.length === 2 && shape[1] >= 4,
    points: dtype === 'f32' && shape.length === 2 && shape[1] >= 2,
  };
  if (fits[kind!]) return { kind: kind!, fill, of: name };
  const needed = {
    mask: `[${x[0]}, ${x[1]}] or [${x[0]}, ${x[1]}, channels]`,
    image: `f32 [${x[0]}, ${x[1]}] or [${x[0]}, ${x[1]}, channels]`,
    boxes: 'f32 [K, 4] or wider',
    points: 'f32 [K, 2] or wider',
  };
  throw new TypeError(
    `${where}: targets: ${kind} of images [${x.join(', ')}] must be ${needed[kind!]} for each example, but y is ${formatType(y)}`,
  );
}

/** The part of a data set that says what its targets are. */
interface Declared {
  readonly name: string;
  readonly x: Types;
  readonly y: Types;
  readonly targets?: Targets;
}

/**
 * What the targets of a data set are. Without a declaration, numbers and vectors are labels.
 * Throws TypeError for other targets without a declaration, because moving only the images would make them wrong.
 */
export function targetsOf(where: string, { name, x, y, targets }: Declared): KnownTargets {
  if (!isType(y)) return namedTargets(where, name, y, targets);
  if (targets !== undefined) return checkTargets(`${where}: ${name}`, targets, { name, x }, y);
  if (y.shape.length < 2) return LABELS;
  const inputs = partsOf(x).map(
    (part) => (part.name === null ? '' : `${part.name} `) + formatType(part.value),
  );
  throw new TypeError(
    `${where}: augment: the images of ${name} would move, and whether its targets must move with them is unknown: x is ${inputs.join(', ')}, ` +
      `y is ${formatType(y)} (declare it: arrays(x, y, { targets: 'mask' }), or ${KINDS.filter(
        (kind) => kind !== 'mask',
      )
        .map(show)
        .join(', ')}; 'labels' stay as they are)`,
  );
}

/** Several targets have one declaration, 'labels': augmentations do not move targets by name. */
function namedTargets(where: string, name: string, y: Types, targets: Targets | undefined): KnownTargets {
  const moving = partsOf(y).find(({ value }) => value.shape.length > 1);
  if (targets === 'labels' || (targets === undefined && moving === undefined)) {
    return LABELS;
  }
  const found = moving === undefined ? '' : `, and ${moving.name} is ${formatType(moving.value)}`;
  throw new TypeError(
    `${where}: augment: augmentations cannot move targets by name: ${name} has ${Object.keys(y).join(', ')}${found} ` +
      "(declare targets: 'labels' if they do not depend on positions in the image; else omit augment)",
  );
}

/**
 * The image that augmentations change: the input `of`, the single input, or of several inputs the only one with three axes.
 * Throws TypeError for an input that does not exist or is no image, and for several inputs of which not exactly one has three axes.
 */
export function imageOf(
  where: string,
  { name, x }: Pick<Declared, 'name' | 'x'>,
  of?: string,
): Part<TensorType> {
  const parts = partsOf(x);
  const [first] = parts;
  if (of !== undefined) {
    const part = parts.find((each) => each.name === of);
    if (part?.value.shape.length === 3) return part;
    throw new TypeError(
      part === undefined
        ? `${where}: there is no input called ${show(of)}: ${name} has ${first.name === null ? 'a single input without a name' : `inputs by name (${knownNames(of, Object.keys(x))})`}`
        : `${where}: the input '${of}' of ${name} is ${formatType(part.value)}, no image [height, width, channels]`,
    );
  }
  if (first.name === null) return first;
  const images = parts.filter(({ value }) => value.shape.length === 3);
  if (images.length === 1) return images[0];
  const all = parts.map((part) => `${part.name} ${formatType(part.value)}`).join(', ');
  const fix =
    images.length === 0
      ? 'omit augment, or augment in the model'
      : `choose by name: augment: { ${images[0].name}: […] }, and for targets that move { kind: 'mask', of: '${images[0].name}' }`;
  throw new TypeError(
    `${where}: augment: needs exactly one input that is an image [height, width, channels], but ${name} has ${images.length} ` +
      `(${all}; ${fix})`,
  );
}

/** The type of `imageOf`. */
export const imagesOf = (where: string, dataset: Pick<Declared, 'name' | 'x'>, of?: string): TensorType =>
  imageOf(where, dataset, of).value;
