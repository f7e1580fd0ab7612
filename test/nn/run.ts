/** Runs a layer on the reference backend in double precision. */
import { compile, reference, type HostTensor, type Shape, type State, type Tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { input } from '../../engine/tensor.ts';

export const f64 = (shape: Shape, values: readonly number[]): HostTensor => ({
  shape,
  dtype: 'f32',
  data: Float64Array.from(values),
});

/** The shape that a layer gives for f32 inputs of `shape`. */
export function outputShape(layer: nn.Layer, shape: Shape): Shape {
  const state = Object.fromEntries(
    Object.entries(layer.params).map(([name, spec]) => [
      name,
      input(name, { ...spec, dtype: 'f32' }, 'state'),
    ]),
  );
  return nn.bind(layer, state, { training: false })(input('x', { shape, dtype: 'f32' })).output.shape;
}

export interface RunOptions {
  readonly training?: boolean;
  readonly state?: State;
  readonly seed?: number;
  readonly draws?: HostTensor;
}

/** Runs a layer on each input in turn; returns the outputs, and the state after the last. */
export async function runLayer(
  layer: nn.Layer,
  inputs: readonly HostTensor[],
  options: RunOptions = {},
): Promise<{ readonly outputs: readonly HostTensor[]; readonly state: State }> {
  const { training = false, seed = 0, state = nn.initState(layer, null, seed), draws } = options;
  const step = await compile(reference({ precision: 'f64' }), {
    inputs: { x: inputs[0], ...(draws !== undefined && { draws }) },
    state,
    build(tensors, values) {
      const { x, step: at, draws: drawn } = tensors as typeof tensors & { draws?: Tensor };
      const { output, updates } = nn.bind(layer, values, {
        training,
        step: at,
        seed,
        ...(drawn !== undefined && { augmentation: drawn }),
      })(x);
      return { outputs: { output }, next: updates };
    },
  });
  const outputs: HostTensor[] = [];
  for (const [i, x] of inputs.entries()) {
    const { output } = await step.run({ x, step: i, ...(draws !== undefined && { draws }) });
    outputs.push(output);
  }
  const after = await step.store.read();
  await step.close();
  return { outputs, state: after };
}

export const values = (tensor: HostTensor | undefined): number[] => [...tensor!.data];
