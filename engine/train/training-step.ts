/** The training step of a run: its inputs, its graph, and the feeds of an update. */
import type { Executable, Feeds, Store } from '../backends/backend.ts';
import { Batches } from './batches.ts';
import { compile, type InputTypes } from '../compile.ts';
import { freeze, type BindOptions } from '../nn/model.ts';
import type { Named } from '../named.ts';
import type { Tree } from '../nn/optimizer.ts';
import type { Tensor } from '../tensor.ts';
import { scalar } from '../ops/create.ts';
import { equal } from '../ops/elementwise.ts';
import { augmentOf, batchFeeds, batchInputs, gatherBatch, mixesLoss } from './augment.ts';
import type { Examples, ExampleTensors } from './examples.ts';
import { mixObjective } from './mix.ts';
import type { Settings } from './settings.ts';
import { plainStep, traceStep } from './step-graph.ts';

export class TrainingStep {
  /** The types of a batch. */
  readonly inputs: InputTypes;
  readonly #settings: Settings;
  readonly #examples: Examples;

  constructor(settings: Settings, examples: Examples) {
    this.#settings = settings;
    this.#examples = examples;
    this.inputs = batchInputs(settings.data, examples);
  }

  /** The batch of an update. */
  batch(step: number): Feeds | Promise<Feeds> {
    const { where, data } = this.#settings;
    return batchFeeds(where, data, this.#examples, step);
  }

  /** The batches of the run. */
  batches(): Batches {
    const { steps } = this.#settings;
    return new Batches(this.#examples, steps, (step) => this.batch(step));
  }

  /** The examples of a batch in the graph. */
  gather(inputs: Tree, state: Tree): ExampleTensors {
    return gatherBatch(this.#settings.data, this.#examples, inputs, state);
  }

  /** What augments the inputs x of the model. */
  augmentation(inputs: Tree, x: Named<Tensor>): BindOptions['augmentation'] {
    return augmentOf(this.#settings.data, inputs, x);
  }

  /** Compiles the update. `names` are the arrays of the run, `frozen` the parameters that it does not train. */
  compile(store: Store, names: readonly string[], frozen: readonly string[]): Promise<Executable> {
    const { where, optimizer, objective, backend, data, seed, steps, step: own } = this.#settings;
    const model = frozen.length === 0 ? this.#settings.model : freeze(this.#settings.model, frozen);
    return compile(backend, {
      inputs: this.inputs,
      hyper: Object.keys(optimizer.at(0)),
      state: store,
      build: ({ step, hyper, ...inputs }, state) => {
        const examples = this.gather(inputs, state);
        const augmentation = this.augmentation(inputs, examples.x);
        return traceStep({
          where,
          model,
          optimizer,
          objective: mixesLoss(data) ? mixObjective(inputs, objective) : objective,
          dataset: data.dataset,
          seed,
          run: own?.run ?? plainStep,
          batch: { ...examples, ...(augmentation !== undefined && { augmentation }) },
          state: Object.fromEntries(names.map((name) => [name, state[name]])),
          hyper,
          step,
          last: equal(step, scalar(steps - 1, 'i32')),
        });
      },
    });
  }
}
