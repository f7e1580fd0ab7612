/** Evaluation of given outputs: the model returns its input. */
import {
  evaluate,
  meanSquaredError,
  reference,
  type DetailedEvaluation,
  type HostTensor,
  type Metric,
} from 'cyclegrad';
import type { Dataset } from 'cyclegrad/datasets';
import type { Layer } from 'cyclegrad/nn';

export const identity: Layer = { params: {}, config: { kind: 'identity' }, apply: (x) => x };

/** A loss that is defined for any outputs and targets. */
const anyLoss: typeof meanSquaredError = (output, _, options) => meanSquaredError(output, output, options);

export const tensorOf = (shape: readonly number[], data: readonly number[]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: Float32Array.from(data),
});

export const labelsOf = (shape: readonly number[], data: readonly number[]): HostTensor => ({
  shape,
  dtype: 'i32',
  data: Int32Array.from(data),
});

/** The metrics of outputs, in batches that need padding. */
export function scoresOf(
  outputs: HostTensor,
  targets: HostTensor,
  metrics: Readonly<Record<string, Metric>>,
  batchSize = 3,
): Promise<DetailedEvaluation> {
  const [rows, ys] = [outputs, targets].map(({ shape, data }) => ({ data, each: data.length / shape[0] }));
  const data: Dataset = {
    name: 'given',
    length: outputs.shape[0],
    x: { shape: outputs.shape.slice(1), dtype: 'f32' },
    y: { shape: targets.shape.slice(1), dtype: targets.dtype },
    classes: [],
    read(indices, x, y) {
      indices.forEach((from, i) => {
        x.set(rows.data.subarray(from * rows.each, (from + 1) * rows.each), i * rows.each);
        y.set(ys.data.subarray(from * ys.each, (from + 1) * ys.each), i * ys.each);
      });
    },
  };
  return evaluate({
    model: identity,
    state: {},
    data,
    backend: reference(),
    loss: anyLoss,
    metrics,
    batchSize,
  });
}
