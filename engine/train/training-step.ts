/** The training step of a run: its inputs, its graph, and the feeds of an update. */
import type { Executable, Feeds, Store } from '../backends/backend.ts';
import { compile, type InputTypes } from '../compile.ts';
import { applyGradients, bind } from '../nn/model.ts';
import type { Tree } from '../nn/optimizer.ts';
import { scalar } from '../ops/create.ts';
import { checkFinite, equal } from '../ops/elementwise.ts';
import { mean } from '../ops/reduce.ts';
import type { Tensor } from '../tensor.ts';
import { batchAt, type Examples } from './examples.ts';
import { mixExamples, mixFeeds, mixInputs, mixObjective } from './mix.ts';
import { LOSS } from './non-finite.ts';
import { measure } from './objective.ts';
import type { Settings } from './settings.ts';

export class TrainingStep {
  /** The types of a batch. */
  readonly inputs: InputTypes;
  readonly #settings: Settings;
  readonly #examples: Examples;

  constructor(settings: Settings, examples: Examples) {
    const { batchSize, augments, mixes } = settings.data;
    this.#settings = settings;
    this.#examples = examples;
    this.inputs = {
      ...examples.inputs(batchSize),
      ...(augments && ({ augmentation: { shape: [batchSize, 3], dtype: 'i32' } } as const)),
      ...(mixes === true && mixInputs(batchSize)),
    };
  }

  /** The batch of an update. */
  batch(step: number): Feeds {
    const { indices, augmentation, mix } = batchAt(this.#settings.where, this.#settings.data, step);
    return {
      ...this.#examples.feeds(indices),
      ...(augmentation !== null && { augmentation }),
      ...(mix !== null && mixFeeds(this.#settings.where, mix)),
    };
  }

  /** All feeds of an update. */
  feeds(step: number): Feeds {
    return { ...this.batch(step), ...this.#settings.optimizer.at(step), step: Int32Array.of(step) };
  }

  /** The examples of a batch in the graph. */
  gather(inputs: Tree, state: Tree): { readonly x: Tensor; readonly y: Tensor } {
    const { x, y } = this.#examples.gather(inputs, state);
    return { x: this.#settings.data.mixes === true ? mixExamples(inputs, x) : x, y };
  }

  compile(store: Store): Promise<Executable> {
    const { where, model, optimizer, objective, backend, data, seed, steps } = this.#settings;
    return compile(backend, {
      inputs: this.inputs,
      hyper: Object.keys(optimizer.at(0)),
      state: store,
      build: ({ step, hyper, ...inputs }, state) => {
        const { x, y } = this.gather(inputs, state);
        const { augmentation } = inputs;
        const options = {
          training: true,
          step,
          seed,
          ...(augmentation !== undefined && { augmentation }),
        };
        const { output, updates } = bind(model, state, options)(x);
        const mixed = data.mixes === true ? mixObjective(inputs, objective) : objective;
        const rows = measure(where, mixed, data.dataset, output, y);
        const outputs = Object.fromEntries(
          Object.entries(rows).map(([name, values]) => [name, mean(values)]),
        );
        // Stops the step before any state is written.
        const loss = checkFinite(outputs['loss'], LOSS);
        const last = equal(step, scalar(steps - 1, 'i32'));
        const next = applyGradients(optimizer, model, state, loss, hyper, last, updates);
        return { outputs: { ...outputs, loss }, next };
      },
    });
  }
}
