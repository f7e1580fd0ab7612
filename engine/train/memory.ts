/** The memory that a model needs, before it runs. */
import type { MemoryUse } from '../backends/wasm/memory.ts';
import { ShapeError } from '../errors.ts';
import { grad } from '../grad.ts';
import { tensorsOf, type Named } from '../named.ts';
import * as nn from '../nn/index.ts';
import { checkLayer } from '../nn/layer.ts';
import type { Optimizer } from '../nn/optimizer.ts';
import { add, mean, square } from '../ops/index.ts';
import { checkInteger, checkOptimizer, checkOptions, isRecord, show } from '../options.ts';
import type { Graph } from '../plan/build.ts';
import { sizeOf } from '../shape.ts';
import { input, type Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';

export interface MemoryOptions {
  /** Default: none, so training computes the gradients and updates nothing. */
  readonly optimizer?: Optimizer;
  /** Threads of the backend, each of which has working memory of its own. Default 2. */
  readonly threads?: number;
}

export interface ModelMemory {
  readonly inference: MemoryUse;
  readonly training: MemoryUse;
  /** Both as text, in MiB. */
  toString(): string;
}

/**
 * The memory that inference and a training step take on the CPU backend, for a batch of the given type. Nothing is allocated or run.
 *
 * It is computed from the plan and its kernel calls, so it is what the backend allocates for the step, within 2 %. Resident data comes on top.
 * The loss is the mean of the squared outputs, which takes as much memory as other losses within a few times the size of the output.
 *
 * Shapes: `inputs` is a type such as `f32(128, 32, 32, 3)`, or an object of types by name for a model with several inputs.
 * Throws TypeError unless the arguments are a layer, types and known options, and RangeError if `threads` is no positive integer. Throws
 * ShapeError if a layer rejects its input.
 *
 * @example (await memoryOf(nn.mlp([2, 32, 3]), f32(64, 2))).inference.state // 780
 */
export async function memoryOf<X>(
  model: nn.Layer<X>,
  inputs: X extends Tensor ? TensorType : { readonly [N in keyof X]: TensorType },
  options: MemoryOptions = {},
): Promise<ModelMemory> {
  const where = 'memoryOf';
  checkLayer(where, model);
  checkOptions(where, options, ['optimizer', 'threads']);
  const { optimizer = null, threads = 2 } = options;
  checkInteger(where, 'threads', threads, 1);
  if (optimizer !== null) checkOptimizer(where, optimizer);
  const feeds = checkedTypes(where, inputs);
  // Loaded on first use, as the driver of the backend is.
  const { memoryUse } = await import('../backends/wasm/memory.ts');
  const inference = memoryUse(graphOf(model, feeds, null, false), threads);
  const training = memoryUse(graphOf(model, feeds, optimizer, true), threads);
  return {
    inference,
    training,
    toString: () => `inference ${format(inference)}\ntraining  ${format(training)}`,
  };
}

/** Types by name. A single type is the input x. */
function checkedTypes(where: string, inputs: unknown): Readonly<Record<string, TensorType>> {
  const isType = (value: unknown): value is TensorType =>
    isRecord(value) &&
    Array.isArray(value['shape']) &&
    ['f32', 'i32', 'u8'].includes(value['dtype'] as string);
  if (isType(inputs)) return { x: inputs };
  if (isRecord(inputs) && Object.values(inputs).every(isType) && Object.keys(inputs).length > 0)
    return inputs as Readonly<Record<string, TensorType>>;
  throw new TypeError(
    `${where}: inputs must be a type, or an object of types by name, got ${show(inputs)} (write memoryOf(model, f32(64, 32, 32, 3)))`,
  );
}

function graphOf(
  model: nn.Layer<never>,
  feeds: Readonly<Record<string, TensorType>>,
  optimizer: Optimizer | null,
  training: boolean,
): Graph {
  const types = typesOf(model, training ? optimizer : null);
  const state = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, input(name, type, 'state')] as const),
  );
  const fed = Object.fromEntries(
    Object.entries(feeds).map(([name, type]) => [name, input(name, type)] as const),
  );
  const step = input('step', { shape: [], dtype: 'i32' });
  const x = Object.keys(feeds).join() === 'x' ? fed['x'] : fed;
  const { output, updates, addedLoss } = nn.bind(model, state, { training, step })(x as never);
  const outputs = Object.fromEntries(
    tensorsOf(output as Named<Tensor>).map(({ name, value }) => [name ?? 'y', value] as const),
  );
  if (!training) return { outputs, next: {}, feeds, state: types };
  const squares = Object.values(outputs).filter(({ dtype }) => dtype === 'f32');
  const losses = [...squares.map((y) => mean(square(y))), addedLoss].filter((each) => each !== null);
  if (losses.length === 0)
    throw new ShapeError(
      'memoryOf: the model has no f32 output, so it cannot be trained (return the logits)',
    );
  const loss = losses.reduce((a, b) => add(a, b));
  const scalar: TensorType = { shape: [], dtype: 'f32' };
  const names = optimizer === null ? [] : Object.keys(optimizer.at(0));
  const hyper = Object.fromEntries(names.map((name) => [name, input(name, scalar)] as const));
  const scalars = Object.fromEntries(names.map((name) => [name, scalar] as const));
  // Without an optimizer, the gradients are results.
  const trained = Object.keys(model.params).filter((name) => model.params[name].frozen !== true);
  const gradients =
    optimizer === null
      ? grad(
          loss,
          trained.map((name) => state[name]),
        )
      : [];
  const next = optimizer === null ? {} : nn.applyGradients(optimizer, model, state, loss, hyper);
  return {
    outputs: { loss, ...Object.fromEntries(gradients.map((each, i) => [`gradient ${trained[i]}`, each])) },
    next: { ...updates, ...next },
    feeds: { ...feeds, ...scalars, step: { shape: [], dtype: 'i32' } },
    state: types,
  };
}

/** The types of the state. No parameter is initialized. */
function typesOf(model: nn.Layer<never>, optimizer: Optimizer | null): Readonly<Record<string, TensorType>> {
  const zeros = Object.entries(model.params).map(
    ([name, spec]) => [name, { ...spec, init: () => new Float32Array(sizeOf(spec.shape)) }] as const,
  );
  const state = nn.initState({ ...model, params: Object.fromEntries(zeros) }, optimizer, 0);
  return Object.fromEntries(
    Object.entries(state).map(([name, { shape, dtype }]) => [name, { shape, dtype }] as const),
  );
}

const format = ({ state, values, kernels, total }: MemoryUse): string => {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return `${mib(total)}: state ${mib(state)}, values ${mib(values)}, kernels ${mib(kernels)}`;
};
