/** Where numbers stopped being finite: looked for on the intact state, after the step that failed. */
import type { Backend, Feeds, Store } from '../backends/backend.ts';
import { compile, type InputTypes } from '../compile.ts';
import { DataError, NonFiniteError } from '../errors.ts';
import type { Layer } from '../nn/layer.ts';
import { bind } from '../nn/model.ts';
import type { Tree } from '../nn/optimizer.ts';
import { checkFinite } from '../ops/elementwise.ts';
import { sum } from '../ops/reduce.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';

/** The step to look into: its inputs and feeds, as they were. */
export interface Suspect {
  readonly model: Layer;
  readonly backend: Backend;
  readonly store: Store;
  readonly training: boolean;
  readonly seed: number;
  readonly step: number;
  readonly inputs: InputTypes;
  readonly feeds: Feeds;
  input(inputs: Tree, state: Tree): Tensor;
}

/** The label of the loss. */
export const LOSS = 'the loss';

/** Whether a run failed because the loss was not finite. */
export const isNonFiniteLoss = (error: unknown): boolean =>
  error instanceof NonFiniteError && error.label === LOSS;

/** The first array with an element that is not finite: "conv1.weight holds NaN at element 7"; or null. */
export function nonFiniteState(state: State): string | null {
  for (const [name, { dtype, data }] of Object.entries(state)) {
    const at = dtype === 'f32' ? data.findIndex((value) => !Number.isFinite(value)) : -1;
    if (at >= 0) return `${name} holds ${data[at]} at element ${at}`;
  }
  return null;
}

/** The first tensor of the step that is not finite: an array of the model, or what a layer gives. */
export async function findNonFinite(suspect: Suspect): Promise<string> {
  const { model, backend, store, training, seed, step } = suspect;
  const held = nonFiniteState(await store.read(Object.keys(model.params)));
  if (held !== null) return `${held} (${step === 0 ? 'it began so' : 'an earlier update made it so'})`;
  const executable = await compile(backend, {
    inputs: suspect.inputs,
    state: store,
    build({ step: at, ...inputs }, state) {
      const { augmentation: draws } = inputs as Tree;
      const observe = (path: string, value: Tensor): Tensor =>
        value.dtype === 'f32' ? checkFinite(value, `the output of ${path}`) : value;
      const bound = bind(model, state, {
        training,
        step: at,
        seed,
        observe,
        ...(draws !== undefined && { draws }),
      });
      const { output } = bound(suspect.input(inputs as unknown as Tree, state));
      return { outputs: { output: sum(checkFinite(output, "the model's output")) } };
    },
  });
  try {
    await executable.run({ ...suspect.feeds, step });
    return 'the loss itself, of finite outputs';
  } catch (error) {
    if (error instanceof DataError) return error.message;
    throw error;
  } finally {
    await executable.close();
  }
}
