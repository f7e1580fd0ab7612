/** Examples mixed with others of their batch, inside the graph (mixup). */
import type { Mix } from '../dataset.ts';
import type { Feeds } from '../backends/backend.ts';
import type { InputTypes } from '../compile.ts';
import type { Tree } from '../nn/optimizer.ts';
import { add, cast, mul, sub } from '../ops/elementwise.ts';
import { takeRows } from '../ops/gather.ts';
import { Tensor } from '../tensor.ts';
import type { Objective, RowFunction } from './objective.ts';

/** What a step that mixes has to declare. */
export const mixInputs = (batchSize: number): InputTypes => ({
  partners: { shape: [batchSize], dtype: 'i32' },
  weight: { shape: [], dtype: 'f32' },
});

/** Throws RangeError for a weight that is none, which a loader of the user's own may give. */
export function mixFeeds({ partners, weight }: Mix): Feeds {
  if (weight >= 0 && weight <= 1) return { partners, weight };
  throw new RangeError(`train: mix.weight of a batch must lie in [0, 1], got ${weight}`);
}

const weighted = ({ weight }: Tree, own: Tensor, other: Tensor): Tensor =>
  add(mul(weight, own), mul(sub(1, weight), other));

/** f32 of the shape of x; bytes are mixed as they are, before they are normalised. */
export function mixExamples(inputs: Tree, x: Tensor): Tensor {
  const values = cast(x, 'f32');
  return weighted(inputs, values, takeRows(values, inputs['partners']));
}

/** Loss and metrics against both targets. */
export function mixObjective(inputs: Tree, { loss, metrics }: Objective): Objective {
  const mixed =
    (rows: RowFunction): RowFunction =>
    (output, targets) => {
      const own = rows(output, targets);
      // Whoever measures says what is wrong with anything but rows.
      if (!(own instanceof Tensor) || own.dtype !== 'f32' || own.rank !== 1) return own;
      return weighted(inputs, own, rows(output, takeRows(targets, inputs['partners'])));
    };
  const each = Object.entries(metrics ?? {}).map(([name, metric]) => [name, mixed(metric)] as const);
  return { loss: mixed(loss), metrics: metrics === null ? null : Object.fromEntries(each) };
}
