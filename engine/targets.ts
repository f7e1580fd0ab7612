/** What targets are, which decides how augmentations move them. */
import { isRecord, show } from './options.ts';
import { isType, partsOf, type Types } from './named.ts';
import { formatType } from './shape.ts';
import type { Shape, TensorType } from './types.ts';

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

/** The kind of targets, and for masks and images the value of pixels from outside. Without a value it is 0. */
export type Targets = TargetKind | { readonly kind: 'mask' | 'image'; readonly fill: number };

export interface KnownTargets {
  readonly kind: TargetKind;
  readonly fill: number;
}

const KINDS = ['labels', 'mask', 'image', 'boxes', 'points'] as const;

/** Throws TypeError unless `targets` is a declaration that fits the types of inputs and targets. */
export function checkTargets(where: string, targets: unknown, x: Shape, y: TensorType): KnownTargets {
  const { kind, fill = 0 } = (isRecord(targets) ? targets : { kind: targets }) as Partial<KnownTargets>;
  if (!KINDS.some((known) => known === kind) || typeof fill !== 'number' || !Number.isFinite(fill)) {
    throw new TypeError(
      `${where}: targets must be ${KINDS.map(show).join(', ')}, or { kind: 'mask', fill: 255 }, got ${show(isRecord(targets) ? kind : targets)}` +
        (isRecord(targets) ? ` with fill ${show(fill)}` : ''),
    );
  }
  const { shape, dtype } = y;
  const isImage =
    x.length === 3 && (shape.length === 2 || shape.length === 3) && shape[0] === x[0] && shape[1] === x[1];
  const fits = {
    labels: true,
    mask: isImage,
    image: isImage && dtype === 'f32',
    boxes: dtype === 'f32' && shape.length === 2 && shape[1] >= 4,
    points: dtype === 'f32' && shape.length === 2 && shape[1] >= 2,
  };
  if (fits[kind!]) return { kind: kind!, fill };
  const needed = {
    labels: '',
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
  if (targets !== undefined) {
    return checkTargets(`${where}: ${name}`, targets, imagesOf(where, { name, x }).shape, y);
  }
  if (y.shape.length < 2) return { kind: 'labels', fill: 0 };
  throw new TypeError(
    `${where}: augment: the images of ${name} would move, and whether its targets must move with them is unknown: x is ${formatType(imagesOf(where, { name, x }))}, ` +
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
    return { kind: 'labels', fill: 0 };
  }
  const found = moving === undefined ? '' : `, and ${moving.name} is ${formatType(moving.value)}`;
  throw new TypeError(
    `${where}: augment: augmentations cannot move targets by name: ${name} has ${Object.keys(y).join(', ')}${found} ` +
      "(declare targets: 'labels' if they do not depend on positions in the image; else omit augment)",
  );
}

/**
 * The type of the images that augmentations change: the input, or of several inputs the only one with three axes.
 * Throws TypeError for several inputs of which not exactly one has three axes.
 */
export function imagesOf(where: string, { name, x }: Pick<Declared, 'name' | 'x'>): TensorType {
  if (isType(x)) return x;
  const images = partsOf(x).filter(({ value }) => value.shape.length === 3);
  if (images.length === 1) return images[0].value;
  const all = partsOf(x).map((part) => `${part.name} ${formatType(part.value)}`);
  throw new TypeError(
    `${where}: augment: needs exactly one input that is an image [height, width, channels], but ${name} has ${images.length} ` +
      `(${all.join(', ')}; omit augment, or augment in the model)`,
  );
}
