/** Mixup in the graph: examples mixed with others of their batch. */
import type { Mix } from '../dataset.ts';
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import type { Tree } from '../nn/optimizer.ts';
import { add, cast, mul, sub } from '../ops/elementwise.ts';
import { gather } from '../ops/gather.ts';
import { Tensor } from '../tensor.ts';
import type { Objective, LossFunction } from './objective.ts';

/** The additional inputs of a step with mixup. */
export const mixInputs = (batchSize: number): InputTypes => ({
  partners: { shape: [batchSize], dtype: 'i32' },
  weight: { shape: [], dtype: 'f32' },
});

/** Throws RangeError for an invalid weight of a custom loader. */
export function mixFeeds(where: string, { partners, weight }: Mix): Feeds {
  if (weight >= 0 && weight <= 1) return { partners, weight };
  throw new RangeError(`${where}: mix.weight of a batch must lie in [0, 1], got ${weight}`);
}

const mix = ({ weight }: Tree, value: Tensor, partner: Tensor): Tensor =>
  add(mul(weight, value), mul(sub(1, weight), partner));

/** The mixed inputs, f32 with the shape of x. Bytes are mixed before they are normalized. */
export function mixExamples(inputs: Tree, x: Tensor): Tensor {
  const values = cast(x, 'f32');
  return mix(inputs, values, gather(values, inputs['partners']));
}

/** Loss and metrics, mixed from those against both targets. */
export function mixObjective(inputs: Tree, { loss, metrics }: Objective): Objective {
  const mixed =
    (rows: LossFunction): LossFunction =>
    (output, targets, options) => {
      const values = rows(output, targets, options);
      // `measure` reports the error for anything but rows.
      if (!(values instanceof Tensor) || values.dtype !== 'f32' || values.rank !== 1) return values;
      return mix(inputs, values, rows(output, gather(targets, inputs['partners']), options));
    };
  const each = Object.entries(metrics ?? {}).map(([name, metric]) => [name, mixed(metric)] as const);
  return { loss: mixed(loss), metrics: metrics === null ? null : Object.fromEntries(each) };
}
