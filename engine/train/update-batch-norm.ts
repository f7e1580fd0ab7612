/** Statistics of batch normalization for given weights. */
import type { Backend } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { AnyLoader, Loader } from '../dataset.ts';
import type { Like, Named, Types } from '../named.ts';
import type { AnyModel, Layer } from '../nn/layer.ts';
import { bind, initState } from '../nn/model.ts';
import type { Tree } from '../nn/optimizer.ts';
import { checkInteger, checkKind, checkOptions } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { State, TensorType } from '../types.ts';
import { augmentOf, batchFeeds, batchInputs, gatherBatch } from './augment.ts';
import { Batches } from './batches.ts';
import { checkLoader } from './check-data.ts';
import { checkModel, withModel } from './evaluate.ts';
import { fedExamples } from './examples.ts';

export interface UpdateBatchNormOptions<
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O extends Named<Tensor> = Tensor,
> {
  /** The model, with batch normalization. */
  readonly model: Layer<Like<X, Tensor>, O>;
  /** The arrays of the model. Other arrays are returned unchanged. */
  readonly state: State;
  /** Batches of training examples, with their augmentation. */
  readonly data: Loader<X, Y>;
  /** Where to compute. */
  readonly backend: Backend;
  /** Number of batches. Default: those of an epoch. */
  readonly batches?: number;
  /** Determines the order of the data, augmentation and dropout. Default 0. */
  readonly seed?: number;
}

/**
 * Estimates the statistics of batch normalization again: the means over batches, with the weights in `state`. Weights that are averages
 * (`averagedState`) have not produced the statistics that are stored with them.
 *
 * Dropout is active, as in training. Fixed statistics stay (see `nn.freeze`).
 *
 * Throws TypeError for a model without statistics, TypeError or RangeError for invalid options, and PlanError for a state without an
 * array of the model.
 * Source: torch.optim.swa_utils.update_bn.
 *
 * @example
 * const net = nn.sequential({ in: nn.normalize(128), flat: nn.flatten(), fc: nn.dense(3072, 10), norm: nn.batchNorm(10) });
 * const state = nn.initState(net, null, 1);
 * const updated = await updateBatchNorm({ model: net, state, data, backend });
 */
export async function updateBatchNorm<X extends Types, Y extends Types, O extends Named<Tensor>>(
  options: UpdateBatchNormOptions<X, Y, O>,
): Promise<State> {
  const where = 'updateBatchNorm';
  checkOptions(where, options, ['model', 'state', 'data', 'backend', 'batches', 'seed']);
  const { state, backend, seed = 0 } = options;
  const model = options.model as AnyModel;
  const given = options.data as AnyLoader;
  checkKind(where, 'data', given, 'batch', 'a loader, for instance loader(dataset, { batchSize: 100 })');
  checkLoader(where, given);
  checkModel(where, options);
  checkInteger(where, 'seed', seed, 0);
  const data = given.withSeed(seed);
  const { batches = Math.max(1, Math.floor(data.stepsPerEpoch)) } = options;
  checkInteger(where, 'batches', batches, 1, 2 ** 24);
  const names = Object.entries(model.params).flatMap(([name, spec]) =>
    spec.statistic === true && spec.fixed !== true ? [name] : [],
  );
  if (names.length === 0) {
    throw new TypeError(
      `${where}: the model has no statistics to estimate (it has no nn.batchNorm, or all are fixed)`,
    );
  }
  const fresh = initState(model, null, seed);
  const initial = { ...state, ...Object.fromEntries(names.map((name) => [name, fresh[name]])) };
  return withModel(where, backend, model, initial, async (store) => {
    const examples = fedExamples(data.dataset);
    const run = await compile(backend, {
      inputs: { ...batchInputs(data, examples), batches: { shape: [], dtype: 'f32' } },
      state: store,
      build: ({ step, ...inputs }, arrays) => {
        const fed = inputs as unknown as Tree;
        const { x } = gatherBatch(data, examples, fed, arrays);
        const augmentation = augmentOf(data, fed, x);
        const { updates } = bind(model, arrays, {
          training: true,
          step,
          seed,
          batches: inputs['batches'],
          ...(augmentation !== undefined && { augmentation }),
        })(x);
        return { outputs: {}, next: updates };
      },
    });
    try {
      const all = new Batches(examples, batches, (step) => batchFeeds(where, data, examples, step));
      for (let step = 0; step < batches; step++) {
        await all.run(run, step, 1, () => ({ batches: step, step: Int32Array.of(step) }));
      }
      return { ...state, ...(await store.read(names)) };
    } finally {
      await run.close();
    }
  });
}
