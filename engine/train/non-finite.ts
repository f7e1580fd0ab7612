/** Finds the first tensor that is not finite, after a failed step, on the unchanged state. */
import type { Backend, Feeds, Store } from '../backends/backend.ts';
import { compile, type InputTypes } from '../compile.ts';
import { DataError, NonFiniteError } from '../errors.ts';
import { keyOf, tensorsOf, type Named } from '../named.ts';
import type { AnyModel } from '../nn/layer.ts';
import { bind, type BindOptions } from '../nn/model.ts';
import type { Tree } from '../nn/optimizer.ts';
import { checkFinite } from '../ops/elementwise.ts';
import { sum } from '../ops/reduce.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import { averagesOf } from './evaluate.ts';

/** The failed step, with its inputs and feeds. */
export interface Suspect {
  readonly model: AnyModel;
  readonly backend: Backend;
  readonly store: Store;
  readonly training: boolean;
  /** Whether the averages of the weights take their place. Default false. */
  readonly averaged?: boolean;
  readonly seed: number;
  readonly step: number;
  readonly inputs: InputTypes;
  readonly feeds: Feeds;
  input(inputs: Tree, state: Tree): Named<Tensor>;
  /** What augments the input x. */
  augmentation?(inputs: Tree, x: Named<Tensor>): BindOptions['augmentation'];
}

/** The label of the loss, which identifies its failure. */
export const LOSS = 'the loss';

/** Whether a run failed because the loss was not finite. */
export const isNonFiniteLoss = (error: unknown): boolean =>
  error instanceof NonFiniteError && error.label === LOSS;

/** The first array with an element that is not finite, as in "conv1.weight has NaN at element 7". Null without one. */
export function nonFiniteState(state: State): string | null {
  for (const [name, { dtype, data }] of Object.entries(state)) {
    const at = dtype === 'f32' ? data.findIndex((value) => !Number.isFinite(value)) : -1;
    if (at >= 0) return `${name} has ${data[at]} at element ${at}`;
  }
  return null;
}

/** Describes the first tensor of the step that is not finite: an array of the model, or the output of a layer. */
export async function findNonFinite(suspect: Suspect): Promise<string> {
  const { model, backend, store, training, averaged = false, seed, step } = suspect;
  const names = Object.keys(model.params);
  // Averages are computed, and checked, in the graph.
  const bad = averaged ? null : nonFiniteState(await store.read(names));
  if (bad !== null) return `${bad} (${step === 0 ? 'from the start' : 'since an earlier update'})`;
  const executable = await compile(backend, {
    inputs: suspect.inputs,
    state: store,
    build({ step: at, ...inputs }, state) {
      const x = suspect.input(inputs as unknown as Tree, state);
      const augmentation = suspect.augmentation?.(inputs as unknown as Tree, x);
      const observe = (path: string, value: Tensor): Tensor =>
        value.dtype === 'f32' ? checkFinite(value, `the output of ${path}`) : value;
      const bound = bind(model, averaged ? checkedAverages(names, state) : state, {
        training,
        step: at,
        seed,
        observe,
        ...(augmentation !== undefined && { augmentation }),
      });
      const { output } = bound(x);
      const sums = tensorsOf(output).map(({ name, value }) => {
        const label = name === null ? "the model's output" : `the model's output '${name}'`;
        return [
          keyOf('output', name),
          sum(value.dtype === 'f32' ? checkFinite(value, label) : value),
        ] as const;
      });
      return { outputs: Object.fromEntries(sums) };
    },
  });
  try {
    await executable.run({ ...suspect.feeds, step });
    return 'the loss itself, although all outputs are finite';
  } catch (error) {
    if (error instanceof DataError) return error.message;
    throw error;
  } finally {
    await executable.close();
  }
}

/** The arrays with their averages, which stop the run unless they are finite. */
function checkedAverages(names: readonly string[], state: Tree): Tree {
  const averages = averagesOf(state);
  const checked = names.map((name) => [name, checkFinite(averages[name], `the average of ${name}`)] as const);
  return { ...averages, ...Object.fromEntries(checked) };
}

/** What to do about a loss that is not finite after `step` updates. */
export const fixFor = (step: number): string =>
  step === 0
    ? 'check the data, the initial state and the loss: there was no update yet'
    : 'lower the learning rate';
