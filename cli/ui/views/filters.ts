/** The filters of the first layer as pictures. */
import type { State } from '../../../engine/index.ts';
import type { Described } from '../../../engine/nn/index.ts';
import type { FiltersView, Picture } from '../protocol.ts';

/** Filters that the page shows. */
const MOST = 128;

/**
 * The filters of the first convolution, [height, width, 1 or 3, filters], or the columns of the first linear layer, [pixels, units], for
 * images of `pixels` numbers. Null if the first layer is neither. Zero is gray, and each filter has a scale of its own.
 */
export function filtersOf(
  { params }: Described,
  state: State,
  step: number,
  image: { readonly height: number; readonly width: number; readonly channels: 1 | 3 } | null,
): FiltersView | null {
  const first = Object.entries(params).find(([, { shape, frozen }]) => shape.length >= 2 && frozen !== true);
  if (first === undefined) return null;
  const [name, { shape }] = first;
  const values = state[name]?.data;
  if (values === undefined) return null;
  const size = sizeOf(shape, image);
  if (size === null) return null;
  const of = shape[shape.length - 1];
  const each = size.height * size.width * size.channels;
  const filters = Array.from({ length: Math.min(of, MOST) }, (_, unit): Picture => {
    const one = Float32Array.from({ length: each }, (_, i) => values[i * of + unit]);
    const largest = one.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    const bytes = Uint8Array.from(one, (value) => Math.round(127.5 * (1 + value / largest)));
    return { ...size, bytes: Buffer.from(bytes).toString('base64') };
  });
  return { step, name, of, filters };
}

type Size = Pick<Picture, 'height' | 'width' | 'channels'>;

function sizeOf(shape: readonly number[], image: Size | null): Size | null {
  if (shape.length === 4) {
    const [height, width, channels] = shape;
    return channels === 1 || channels === 3 ? { height, width, channels } : null;
  }
  if (image === null || shape.length !== 2) return null;
  return shape[0] === image.height * image.width * image.channels ? image : null;
}
