/** Mixup and CutMix in the graph: examples mixed with others of their batch. */
import type { Mix } from '../augmentation.ts';
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import { mapParts, tensorsOf, type Named } from '../named.ts';
import type { Tree } from '../nn/optimizer.ts';
import { arange } from '../ops/create.ts';
import { add, and, cast, greaterEqual, less, mul, sub, where } from '../ops/elementwise.ts';
import { gather } from '../ops/gather.ts';
import { reshape, slice } from '../ops/layout.ts';
import { Tensor } from '../tensor.ts';
import type { Objective } from './objective.ts';

/** The additional inputs of a step with mixtures, with or without a box. */
export const mixInputs = (batchSize: number, mixes: true | 'box'): InputTypes => ({
  partners: { shape: [batchSize], dtype: 'i32' },
  weight: { shape: [], dtype: 'f32' },
  ...(mixes === 'box' && ({ box: { shape: [4], dtype: 'i32' } } as const)),
});

/** Throws RangeError for an invalid weight of a custom loader. */
export function mixFeeds(caller: string, { partners, weight, box }: Mix): Feeds {
  if (weight >= 0 && weight <= 1) return { partners, weight, ...(box !== undefined && { box }) };
  throw new RangeError(`${caller}: mix.weight of a batch must lie in [0, 1], got ${weight}`);
}

const mix = ({ weight }: Tree, value: Tensor, partner: Tensor): Tensor =>
  add(mul(weight, value), mul(sub(1, weight), partner));

/** The mixed inputs, f32 with the shape of x. Bytes are mixed before they are normalized. */
export function mixExamples(inputs: Tree, x: Tensor): Tensor {
  const values = cast(x, 'f32');
  return mix(inputs, values, gather(values, inputs['partners']));
}

/** The mixed images, [N, H, W, C]: with a box those of `pasteBoxes`, else those of `mixExamples`. */
export const mixImages = (inputs: Tree, images: Tensor): Tensor =>
  inputs['box'] === undefined ? mixExamples(inputs, images) : pasteBoxes(inputs, images);

/** Images [N, H, W, C] with the pixels of their partners in the box. */
export function pasteBoxes({ box, partners }: Tree, images: Tensor): Tensor {
  const [, height, width] = images.shape;
  const [top, left, bottom, right] = [0, 1, 2, 3].map((i) => slice(box, [i])) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ];
  const between = (position: Tensor, from: Tensor, to: Tensor): Tensor =>
    and(greaterEqual(position, from), less(position, to));
  const rows = reshape(arange(0, height, 1, 'i32'), [height, 1, 1]);
  const columns = reshape(arange(0, width, 1, 'i32'), [1, width, 1]);
  const isInside = and(between(rows, top, bottom), between(columns, left, right));
  return where(isInside, gather(images, partners), images);
}

/** Loss and metrics, mixed from those against both targets. */
export function mixObjective(inputs: Tree, { loss, metrics, accumulators }: Objective): Objective {
  const partners = (targets: Named<Tensor>): Named<Tensor> =>
    mapParts(tensorsOf(targets), (each) => gather(each, inputs['partners']));
  const mixed =
    (rows: Objective['loss']): Objective['loss'] =>
    (output, targets, options) => {
      const values = rows(output, targets, options);
      // `measure` reports the error for anything but rows.
      if (!(values instanceof Tensor) || values.dtype !== 'f32' || values.rank !== 1) return values;
      return mix(inputs, values, rows(output, partners(targets), options));
    };
  const each = Object.entries(metrics ?? {}).map(([name, metric]) => [name, mixed(metric)] as const);
  return { loss: mixed(loss), metrics: metrics === null ? null : Object.fromEntries(each), accumulators };
}
