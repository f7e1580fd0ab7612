/** Augmented examples, to look at them. */
import type { Backend } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { Loader } from '../dataset.ts';
import type { Tensor } from '../tensor.ts';
import { isType } from '../named.ts';
import { add, cast } from '../ops/elementwise.ts';
import { toTensor, type TensorLike } from '../ops/convert.ts';
import { normalizeImages } from '../ops/images.ts';
import { checkInteger, checkKind, checkOptions } from '../options.ts';
import type { HostTensor } from '../types.ts';
import { augmentOf, batchFeeds, batchInputs, gatherBatch } from './augment.ts';
import { checkLoader } from './check-data.ts';
import { fedExamples } from './examples.ts';

export interface AugmentedBatchOptions {
  /** The loader. Its seed is that of the draws, 0 by default. */
  readonly data: Loader;
  /** Where to compute. */
  readonly backend: Backend;
  /** The step of the batch. Default 0. */
  readonly step?: number;
  /** The mean that the model's `normalize` subtracts, which fills pixels from outside of an image. Default 0, which is black. */
  readonly mean?: TensorLike;
}

/**
 * The batch of a step as a model is trained with it: images after augmentation, in the units of the data, and targets moved with them.
 * Use it to look at augmentations, or to test them.
 *
 * Mixing leaves labels as they are: their losses are mixed.
 *
 * Shapes: x f32 [batchSize, ...], y [batchSize, ...] of the dtype of the targets.
 * Throws TypeError or RangeError for invalid options.
 *
 * @example
 * const { x } = await augmentedBatch({ data, backend, step: 3 });
 * x.shape // [50, 32, 32, 3]
 */
export async function augmentedBatch(
  options: AugmentedBatchOptions,
): Promise<{ readonly x: HostTensor; readonly y: HostTensor }> {
  const caller = 'augmentedBatch';
  checkOptions(caller, options, ['data', 'backend', 'step', 'mean']);
  checkKind(
    caller,
    'data',
    options.data,
    'batch',
    'a loader, for instance loader(dataset, { batchSize: 100 })',
  );
  checkKind(caller, 'backend', options.backend, 'createStore', 'a backend, for instance await wasm()');
  const { data, backend, step = 0, mean = 0 } = options;
  checkLoader(caller, data);
  checkInteger(caller, 'step', step, 0, 2 ** 31 - 1);
  if (!isType(data.dataset.x) || !isType(data.dataset.y)) {
    throw new TypeError(
      `${caller}: ${data.dataset.name} has inputs or targets by name (make a loader of one input and one target to look at them)`,
    );
  }
  const center = toTensor(`${caller}: mean`, mean);
  const examples = fedExamples(data.dataset);
  const executable = await compile(backend, {
    inputs: batchInputs(data, examples),
    build(inputs) {
      // One input and one target, which was checked.
      const { x, y } = gatherBatch(data, examples, inputs, {}) as { readonly x: Tensor; readonly y: Tensor };
      const augment = augmentOf(data, inputs, x);
      if (augment === undefined) return { outputs: { x: cast(x), y } };
      const centered =
        typeof augment === 'function' ? augment(x, center, 1) : normalizeImages(x, center, 1, augment);
      return { outputs: { x: add(centered, center), y } };
    },
  });
  try {
    const { x, y } = await executable.run(await batchFeeds(caller, data, examples, step));
    return { x, y };
  } finally {
    await executable.close();
  }
}
