/** How anything runs: trace a build function once, plan it, and load the plan into a backend. */
import type { Backend, Executable, Feeds, Outputs, StepTime, Store } from './backends/backend.ts';
import { PlanError } from './errors.ts';
import { dependenciesOf } from './graph.ts';
import { checkArrays } from './host.ts';
import { buildPlan, type PlanOptions } from './plan/build.ts';
import { checkBoolean, checkFunction, checkOptions, show } from './options.ts';
import { checkShape } from './shape.ts';
import { input, Tensor } from './tensor.ts';
import type { HostTensor, State, TensorType } from './types.ts';

/** What every build function gets besides its own inputs. */
export interface Reserved<H extends string = string> {
  /** The number of updates done before this run, i32 []: dropout masks derive from it. Feed it as `step`. */
  readonly step: Tensor;
  /** Hyper-parameters of this step, f32 [] each; fed under their own names. */
  readonly hyper: Readonly<Record<H, Tensor>>;
}

export interface Built<N extends string = string> {
  readonly outputs: Readonly<Record<N, Tensor>>;
  /** New values of state, written when everything else has succeeded. */
  readonly next?: Readonly<Record<string, Tensor>>;
}

export type InputTypes = Readonly<Record<string, TensorType>>;

export interface CompileSpec<
  I extends InputTypes,
  N extends string = string,
  H extends string = string,
> extends PlanOptions {
  readonly inputs?: I;
  /** Names of the hyperparameters, which are scalar `f32` inputs: `['lr']`, or `Object.keys(optimizer.at(0))`. Default: none. */
  readonly hyper?: readonly H[];
  /** Initial arrays for a store of its own, or a store to share. Default: none. */
  readonly state?: State | Store;
  build(
    inputs: { readonly [N in keyof I]: Tensor } & Reserved<H>,
    state: Readonly<Record<string, Tensor>>,
  ): Built<N>;
}

/** A compiled step that gives outputs of these names. */
export interface Compiled<N extends string = string> extends Executable {
  readonly store: Store;
  run(feeds: Feeds): Promise<Readonly<Record<N, HostTensor>>>;
  runMany(feeds: Feeds): Promise<Readonly<Record<N, HostTensor>>>;
}

/** Throws PlanError unless every value is a tensor. */
function expectTensors(kind: 'outputs' | 'next', values: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (value instanceof Tensor) continue;
    const isLayer = typeof value === 'object' && value !== null && 'apply' in value;
    throw new PlanError(
      `compile: ${kind} '${name}' is ${isLayer ? 'a layer' : show(value)}, not a tensor` +
        (isLayer ? ' (apply it with nn.bind(layer, state, options)(x))' : ''),
    );
  }
}

/** Throws PlanError unless `names` is an array of different names. */
function checkHyperNames(names: unknown): void {
  if (!Array.isArray(names)) {
    throw new PlanError(
      `compile: hyper must be an array of names, got ${show(names)} ` +
        `(the values are fed with each run: pass hyper: ['lr'] or Object.keys(optimizer.at(0)))`,
    );
  }
  names.forEach((name: unknown, i) => {
    if (typeof name !== 'string')
      throw new PlanError(`compile: hyper must be an array of names, but hyper[${i}] is ${show(name)}`);
    if (names.indexOf(name) < i)
      throw new PlanError(`compile: hyper names '${name}' twice (remove hyper[${i}])`);
  });
}

/**
 * Compiles `spec.build` for a backend. It is called once, with symbolic inputs and state, and must be a pure function
 * of them: an `if` on a value is not traced.
 *
 * Throws what the operations throw, PlanError for a result that is no tensor, a `next` that does not match its state, and names in `hyper` that are not an array of
 * strings or are used twice, BackendError when the
 * backend cannot run the plan.
 *
 * @example
 * const twice = await compile(backend, { inputs: { x: f32(3) }, build: ({ x }) => ({ outputs: { y: x.mul(2) } }) });
 * const { y } = await twice.run({ x: Float32Array.of(1, 2, 3) });
 */
export async function compile<
  const I extends InputTypes = Record<never, never>,
  N extends string = string,
  const H extends string = string,
>(backend: Backend, spec: CompileSpec<I, N, H>): Promise<Compiled<N>> {
  if (typeof (backend as Partial<Backend> | undefined)?.load !== 'function') {
    throw new PlanError(
      `compile: backend must be a backend, for instance await wasm(); got ${show(backend)}`,
    );
  }
  checkOptions('compile', spec, ['inputs', 'hyper', 'state', 'build', 'reuse', 'fuse', 'constantState']);
  for (const name of ['reuse', 'fuse', 'constantState'] as const) {
    if (spec[name] !== undefined) checkBoolean('compile', name, spec[name]);
  }
  checkFunction('compile', 'build', spec['build'], 'a function of the inputs that returns { outputs }');
  const declared: Record<string, TensorType> = { ...spec.inputs };
  for (const reserved of ['step', 'hyper']) {
    if (reserved in declared)
      throw new PlanError(`compile: the input name '${reserved}' is reserved (choose another)`);
  }
  for (const [name, type] of Object.entries(declared)) checkShape(`compile: input '${name}'`, type.shape);
  declared['step'] = { shape: [], dtype: 'i32' };
  const hyperNames = spec.hyper ?? [];
  checkHyperNames(hyperNames);
  for (const name of hyperNames) {
    if (name in declared)
      throw new PlanError(`compile: '${name}' is both an input and a hyperparameter (rename one)`);
    declared[name] = { shape: [], dtype: 'f32' };
  }
  const given = spec.state ?? {};
  const shared = isStore(given) ? given : null;
  if (shared !== null && shared.backend !== backend) {
    throw new PlanError(
      `compile: the store belongs to another backend (${shared.backend.name}) than ${backend.name}`,
    );
  }
  if (shared === null) checkArrays('compile: state', given as State);
  const types: Record<string, TensorType> = isStore(given) ? Object.fromEntries(given.types) : given;

  const tensors = Object.fromEntries(
    Object.entries(declared).map(([name, type]) => [name, input(name, type)]),
  );
  const hyper = Object.fromEntries(hyperNames.map((name) => [name, tensors[name]]));
  const state = Object.fromEntries(
    Object.entries(types).map(([name, type]) => [name, input(name, type, 'state')]),
  );
  const built = spec.build({ ...tensors, hyper } as unknown as Parameters<typeof spec.build>[0], state);
  if (typeof built?.outputs !== 'object' || built.outputs === null) {
    throw new PlanError(
      `compile: build must return { outputs: { … } } (and be no async function), got ${show(built)}`,
    );
  }
  expectTensors('outputs', built.outputs);
  expectTensors('next', built.next ?? {});
  const plan = buildPlan(
    {
      outputs: built.outputs,
      next: built.next ?? {},
      feeds: withoutUnusedStep(declared, built),
      state: types,
    },
    backend.fusions,
    spec,
  );

  const store = shared ?? (await backend.createStore(given as State));
  try {
    const executable = await backend.load(plan, store);
    return new CompiledExecutable(executable, store, shared === null);
  } catch (error) {
    if (shared === null) await store.close();
    throw error;
  }
}

/** `step` may be left out of the feeds of a graph that does not use it. */
function withoutUnusedStep(
  declared: Record<string, TensorType>,
  { outputs, next }: Built,
): Record<string, TensorType> {
  const used = dependenciesOf([...Object.values(outputs), ...Object.values(next ?? {})]);
  if ([...used].some(({ source }) => source.kind === 'input' && source.name === 'step')) return declared;
  return Object.fromEntries(Object.entries(declared).filter(([name]) => name !== 'step'));
}

function isStore(state: State | Store): state is Store {
  return typeof (state as Partial<Store>).read === 'function';
}

/** An executable that closes the store it was made with. */
class CompiledExecutable implements Compiled {
  readonly #executable: Executable;
  readonly #ownsStore: boolean;
  readonly store: Store;

  constructor(executable: Executable, store: Store, ownsStore: boolean) {
    this.#executable = executable;
    this.store = store;
    this.#ownsStore = ownsStore;
  }

  get notes(): Executable['notes'] {
    return this.#executable.notes;
  }

  get plan(): Executable['plan'] {
    return this.#executable.plan;
  }

  get report(): Executable['report'] {
    return this.#executable.report;
  }

  run(feeds: Feeds): Promise<Outputs> {
    return this.#executable.run(this.#known(feeds));
  }

  runMany(feeds: Feeds): Promise<Outputs> {
    return this.#executable.runMany(this.#known(feeds));
  }

  profile(feeds: Feeds): Promise<readonly StepTime[]> {
    return this.#executable.profile(this.#known(feeds));
  }

  async close(): Promise<void> {
    await this.#executable.close();
    if (this.#ownsStore) await this.store.close();
  }

  /** `step` is part of every call's vocabulary, whether this graph reads it or not. */
  #known(feeds: Feeds): Feeds {
    if (!('step' in feeds) || this.plan.inputs.has('step')) return feeds;
    const { step: _, ...rest } = feeds;
    return rest;
  }
}
