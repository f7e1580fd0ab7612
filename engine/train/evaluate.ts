/** Evaluation: loss and metrics of a model over a data set of any size. */
import type { Backend, Executable, Store } from '../backends/backend.ts';
import { compile } from '../compile.ts';
import type { AnyDataset, Dataset } from '../dataset.ts';
import { PlanError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import { withAverages } from '../average.ts';
import type { Detail } from '../metrics/accumulator.ts';
import type { AnyModel, Described, Layer } from '../nn/layer.ts';
import type { Tree } from '../nn/optimizer.ts';
import type { Like, Named, Types } from '../named.ts';
import { div, equal, where } from '../ops/elementwise.ts';
import { bind } from '../nn/model.ts';
import { torchNameAdvice } from '../nn/torch-layout.ts';
import { checkInteger, checkKind, checkOptions, isPromise, isRecord, show } from '../options.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor, State, TensorType } from '../types.ts';
import { Batches } from './batches.ts';
import { Pace, runTogether } from './calls.ts';
import { checkDataset } from './check-data.ts';
import { fedExamples, paddedBatches, type Examples } from './examples.ts';
import {
  accumulate,
  isMeasure,
  measure,
  objectiveFor,
  readMeasures,
  rowsOf,
  type Accumulating,
  type Objective,
  type ObjectiveOptions,
} from './objective.ts';

export interface EvaluateOptions<
  X extends Types = TensorType,
  Y extends Types = TensorType,
  O extends Named<Tensor> = Tensor,
> extends ObjectiveOptions<O, Like<Y, Tensor>> {
  /** The model, without training behavior such as dropout. */
  readonly model: Layer<Like<X, Tensor>, O>;
  /** The arrays of the model, from a result or a checkpoint. Other arrays are ignored. */
  readonly state: State;
  /** The data set to evaluate. */
  readonly data: Dataset<X, Y>;
  /** Where to compute. */
  readonly backend: Backend;
  /** Examples per batch. It affects only the last bits of the result. Default 100. */
  readonly batchSize?: number;
}

type AnyEvaluateOptions = EvaluateOptions<Types, Types, Named<Tensor>>;

/** The result of an evaluation. */
export interface Evaluation {
  /** Mean over all examples. */
  readonly loss: number;
  /** Means over all examples, for instance `{ accuracy: 0.81 }`, and the values of accumulators. NaN for a metric that is undefined. */
  readonly metrics: Readonly<Record<string, number>>;
  /** Number of examples. */
  readonly examples: number;
  /** Wall time in milliseconds. */
  readonly ms: number;
}

/** The result of `evaluate`. */
export interface DetailedEvaluation extends Evaluation {
  /** What accumulators have besides a number, by metric: `details['confusion'].matrix`, `details['f1'].perClass`. */
  readonly details: Readonly<Record<string, Detail>>;
}

/** Whether `a` has the higher accuracy, or the lower loss if there is no accuracy. */
export function isBetter(
  a: Pick<Evaluation, 'loss' | 'metrics'>,
  b: Pick<Evaluation, 'loss' | 'metrics'>,
): boolean {
  const [first, second] = [a.metrics['accuracy'], b.metrics['accuracy']];
  return first === undefined || second === undefined ? a.loss < b.loss : first > second;
}

/**
 * Evaluates a model on all examples of a data set.
 *
 * Throws TypeError or RangeError for invalid options, DataError for labels out of range or arrays that do not match, PlanError for a
 * state without an array of the model, and ShapeError if the data does not match the model.
 *
 * @example const { metrics } = await evaluate({ model, state: result.state, data: test, backend });
 */
export async function evaluate<X extends Types, Y extends Types, O extends Named<Tensor>>(
  options: EvaluateOptions<X, Y, O>,
): Promise<DetailedEvaluation> {
  checkOptions('evaluate', options, ['model', 'state', 'data', 'backend', 'batchSize', 'loss', 'metrics']);
  checkModel('evaluate', options);
  checkData('evaluate', options.data);
  const { model, data, backend, batchSize = 100, loss, metrics } = options as unknown as AnyEvaluateOptions;
  checkDataset('evaluate', data);
  const objective = objectiveFor('evaluate', data, { loss, metrics });
  checkBatch('evaluate', data, batchSize);
  return withModel('evaluate', backend, model, options.state, async (store) => {
    const evaluator = await CompiledEvaluation.compile({
      where: 'evaluate',
      model,
      backend,
      store,
      objective,
      examples: fedExamples(data),
      batchSize,
      pace: new Pace(1, true),
    });
    try {
      const { bad: _, ...result } = (await evaluator.run())!;
      return result;
    } finally {
      await evaluator.close();
    }
  });
}

export function checkBatch(where: string, data: AnyDataset, batchSize: unknown): void {
  checkInteger(where, 'batchSize', batchSize, 1, 2 ** 31 - 1);
  if (data.length < 1) {
    throw new RangeError(`${where}: the data set is empty: ${data.name} (pass one with at least 1 example)`);
  }
}

/** Throws TypeError unless model, backend and state have the right kind. */
export function checkModel(
  where: string,
  { model, backend, state }: Readonly<Record<'model' | 'backend' | 'state', unknown>>,
): void {
  checkKind(where, 'model', model, 'apply', 'a layer, for instance nn.sequential({ … })');
  checkKind(where, 'backend', backend, 'createStore', 'a backend, for instance await wasm()');
  if (typeof state !== 'object' || state === null || isPromise(state)) {
    throw new TypeError(
      `${where}: state must be the arrays of the model by name, for instance result.state; got ${show(state)}`,
    );
  }
}

/** Throws TypeError unless the data is an object. */
export function checkData(where: string, data: unknown): void {
  if (typeof data !== 'object' || data === null || isPromise(data)) {
    throw new TypeError(`${where}: data must be a data set; got ${show(data)}`);
  }
}

/** The number of names that a message lists. */
const LISTED = 10;

/** Throws PlanError if the state lacks an array of the model. */
function checkState(where: string, model: Described, state: State): void {
  const missing = Object.keys(model.params).find((name) => !Object.hasOwn(state, name));
  if (missing === undefined) return;
  const names = Object.keys(state);
  const has = names.length === 0 ? 'it is empty' : `it has: ${names.slice(0, LISTED).join(', ')}`;
  const more = names.length > LISTED ? `, … (${names.length} names)` : '';
  const fix = isRecord(names.includes('state') && (state as Readonly<Record<string, unknown>>)['state'])
    ? 'pass its member: result.state'
    : 'pass the state of this model, for instance result.state of fit';
  const advice = torchNameAdvice(model.params, names);
  throw new PlanError(`${where}: the state has no '${missing}' (${has}${more}; ${fix})${advice}`);
}

/** A store of the arrays of the model. Throws PlanError if the state lacks one. */
export function placeState(where: string, backend: Backend, model: Described, state: State): Promise<Store> {
  checkState(where, model, state);
  const arrays = Object.fromEntries(Object.entries(state).filter(([name]) => name in model.params));
  checkArrays(`${where}: state`, arrays);
  return backend.createStore(arrays);
}

/** Calls `use` with a store of the arrays of the model, then closes the store. */
export async function withModel<T>(
  where: string,
  backend: Backend,
  model: Described,
  state: State,
  use: (store: Store) => Promise<T>,
): Promise<T> {
  const store = await placeState(where, backend, model, state);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

export interface EvaluationSpec {
  /** The call that messages name. */
  readonly where: string;
  readonly model: AnyModel;
  readonly backend: Backend;
  readonly store: Store;
  readonly objective: Objective;
  readonly examples: Examples;
  readonly batchSize: number;
  /** Whether to evaluate averages where the store has them. Default false. */
  readonly averaged?: boolean;
  readonly pace: Pace;
}

interface Measures extends DetailedEvaluation {
  readonly bad: Uint32Array | null;
}

/** The outputs of each run of a call. Those of several runs are stacked. */
function perRun({ shape, dtype, data }: HostTensor, runs: number): readonly HostTensor[] {
  if (runs === 1) return [{ shape, dtype, data }];
  const each = data.length / runs;
  return Array.from({ length: runs }, (_, run) => ({
    shape: shape.slice(1),
    dtype,
    data: data.subarray(run * each, (run + 1) * each),
  }));
}

/** The first rows of a batch, without those that pad it. */
function firstRows({ shape, dtype, data }: HostTensor, count: number): HostTensor {
  return {
    shape: [count, ...shape.slice(1)],
    dtype,
    data: data.subarray(0, (data.length / shape[0]) * count),
  };
}

/** The averages in place of the values, or the values before the first average. */
export const averagesOf = (state: Tree): Tree =>
  withAverages(state, (average, weight, value) =>
    where(equal(weight, 0), value, div(average, where(equal(weight, 0), 1, weight))),
  );

/** An evaluation that is compiled once and can run repeatedly, on a shared store. */
export class CompiledEvaluation {
  readonly #executable: Executable;
  readonly #examples: Examples;
  readonly #batchSize: number;
  readonly #pace: Pace;
  readonly #accumulating: Accumulating;

  private constructor(
    executable: Executable,
    accumulating: Accumulating,
    { examples, batchSize, pace }: EvaluationSpec,
  ) {
    this.#executable = executable;
    this.#accumulating = accumulating;
    this.#examples = examples;
    this.#batchSize = batchSize;
    this.#pace = pace;
  }

  static async compile(spec: EvaluationSpec): Promise<CompiledEvaluation> {
    const { where, model, backend, store, objective, examples, batchSize, averaged = false } = spec;
    let accumulating: Accumulating;
    const executable = await compile(backend, {
      inputs: examples.inputs(batchSize),
      state: store,
      build(inputs, state) {
        const { x, y } = examples.gather(inputs, state);
        const { output } = bind(model, averaged ? averagesOf(state) : state, { training: false })(x);
        accumulating = accumulate(where, objective, output, y);
        return {
          outputs: { ...measure(where, objective, examples.dataset, output, y), ...accumulating.outputs },
        };
      },
    });
    return new CompiledEvaluation(executable, accumulating!, spec);
  }

  /**
   * Loss and metrics over all examples, and the indices of the first batch with a loss that is not finite. Null if `signal` aborted. Sums
   * are computed in double precision and in the order of the examples.
   */
  async run(signal?: AbortSignal): Promise<Measures | null> {
    const begin = performance.now();
    const examples = this.#examples.dataset.length;
    const accumulations = this.#accumulating.start();
    const sums: Record<string, number> = {};
    let bad: Uint32Array | null = null;
    const padded = [...paddedBatches(examples, this.#batchSize)];
    const batches = new Batches(this.#examples, padded.length, (k) =>
      this.#examples.feeds(padded[k].indices),
    );
    for (let first = 0; first < padded.length;) {
      if (signal?.aborted === true) return null;
      const group = padded.slice(first, first + this.#pace.size);
      const start = performance.now();
      const outputs = await runTogether(() => batches.run(this.#executable, first, group.length));
      this.#pace.took(group.length, performance.now() - start);
      const all = Object.entries(outputs).map(
        ([name, value]) => [name, perRun(value, group.length)] as const,
      );
      group.forEach(({ indices, count }, run) => {
        const rows = all.map(([name, runs]) => [name, firstRows(runs[run], count)] as const);
        for (const [name, { data }] of rows.filter(([name]) => isMeasure(name))) {
          sums[name] ??= 0;
          for (const value of data) sums[name] += value;
        }
        for (const [metric, accumulation] of Object.entries(accumulations)) {
          const prefix = rowsOf(metric);
          const own = rows.filter(([name]) => name.startsWith(prefix));
          accumulation.add(
            Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value])),
          );
        }
        if (!Number.isFinite(sums['loss'])) bad ??= indices;
      });
      first += group.length;
    }
    const means = Object.fromEntries(Object.entries(sums).map(([name, sum]) => [name, sum / examples]));
    const { loss, metrics } = readMeasures(means);
    const scores = Object.entries(accumulations).map(([name, each]) => [name, each.result()] as const);
    return {
      loss,
      metrics: { ...metrics, ...Object.fromEntries(scores.map(([name, { value }]) => [name, value])) },
      details: Object.fromEntries(scores.flatMap(([name, { detail }]) => (detail ? [[name, detail]] : []))),
      examples,
      ms: performance.now() - begin,
      bad,
    };
  }

  close(): Promise<void> {
    return this.#executable.close();
  }
}
