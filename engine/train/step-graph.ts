/** The graph of a training step: the forward passes of the model, the loss, and the new state. */
import { PlanError, ShapeError } from '../errors.ts';
import type { Named } from '../named.ts';
import type { AnyModel } from '../nn/layer.ts';
import { applyGradients, bind, gradientsOf, trainedNames, type BindOptions } from '../nn/model.ts';
import type { Optimizer, Tree } from '../nn/optimizer.ts';
import { expectTensor } from '../op.ts';
import { add, checkFinite } from '../ops/elementwise.ts';
import { mean } from '../ops/reduce.ts';
import { checkOptions, isPromise, isRecord, show } from '../options.ts';
import { key, stream } from '../rng.ts';
import { formatType } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { AnyDataset } from '../dataset.ts';
import type { ExampleTensors } from './examples.ts';
import { LOSS } from './non-finite.ts';
import { measure, metricOutputs, readMeasures, type Objective } from './objective.ts';
import type { AnyStepFunction, StepResult } from './step.ts';

export interface StepGraph {
  readonly where: string;
  readonly model: AnyModel;
  readonly optimizer: Optimizer;
  readonly objective: Objective;
  readonly dataset: AnyDataset;
  readonly seed: number;
  readonly run: AnyStepFunction;
  /** The examples of the batch, and what augments them. */
  readonly batch: ExampleTensors & Pick<BindOptions, 'augmentation'>;
  /** All arrays of the run. */
  readonly state: Tree;
  readonly hyper: Tree;
  readonly step: Tensor;
  /** 1 in the last update of the run, u8 []. */
  readonly last: Tensor;
}

/** The step of the trainer: one pass of the model and the loss of the run. */
export const plainStep: AnyStepFunction = ({ x, y, model, loss }) => loss(model(x), y);

/** Traces a step. Returns the outputs that `readMeasures` reads, and the new values of arrays. */
export function traceStep(graph: StepGraph): { readonly outputs: Tree; readonly next: Tree } {
  const { where, optimizer, model, state, hyper, last } = graph;
  const passes = new Passes(graph);
  const params = Object.fromEntries(trainedNames(model).map((name) => [name, state[name]]));
  const returned = graph.run({
    x: graph.batch.x,
    y: graph.batch.y,
    model: (x, replaced = {}) => passes.forward(x, replaced),
    loss: (output, targets = graph.batch.y) => passes.loss(output, targets),
    gradients: (loss, of = params) => gradientsOf(loss, of),
    params,
    state,
    hyper,
    step: graph.step,
    key: (purpose) => key(graph.seed, `step ${purpose}`),
  });
  const { loss, metrics = passes.metrics, gradients, next } = checkResult(`${where}: step`, returned);
  passes.checkAdded();
  // It stops the step before any state is written.
  const finite = checkFinite(loss, LOSS);
  const { statistics } = passes;
  const updated = applyGradients(optimizer, model, state, gradients ?? finite, hyper, last, statistics);
  return {
    outputs: { loss: finite, ...metricOutputs(metrics) },
    next: next === undefined ? updated : replaceSome(`${where}: step: next`, state, updated, next),
  };
}

/** The passes of the model in one step. */
class Passes {
  /** New statistics of the last pass. */
  statistics: Tree = {};
  /** The metrics of the first loss. */
  metrics: Tree = {};
  readonly #graph: StepGraph;
  #count = 0;
  #measured = false;
  /** What layers added to the loss, by the output of the pass. */
  readonly #added = new Map<Named<Tensor>, Tensor>();
  readonly #used = new Set<Named<Tensor>>();

  constructor(graph: StepGraph) {
    this.#graph = graph;
  }

  forward(x: Named<Tensor>, replaced: Tree): Named<Tensor> {
    const { model, state, step, seed, batch } = this.#graph;
    const { augmentation } = batch;
    const pass = this.#count++;
    const bound = bind(
      model,
      { ...state, ...this.statistics, ...replaced },
      {
        training: true,
        step,
        seed: pass === 0 ? seed : stream(seed, 'pass', pass).below(2 ** 31),
        ...(augmentation !== undefined && { augmentation }),
      },
    );
    const { output, updates, addedLoss } = bound(x);
    this.statistics = { ...this.statistics, ...updates };
    if (addedLoss !== null) this.#added.set(output, addedLoss);
    return output;
  }

  loss(output: Named<Tensor>, targets: Named<Tensor>): Tensor {
    const { where, objective, dataset } = this.#graph;
    const measured = this.#measured ? { ...objective, metrics: {} } : objective;
    const { loss, metrics } = readMeasures(measure(where, measured, dataset, output, targets));
    const added = this.#added.get(output);
    if (!this.#measured) {
      const means = Object.entries(metrics).map(([name, rows]) => [name, mean(rows)] as const);
      this.metrics = { ...Object.fromEntries(means), ...(added !== undefined && { addedLoss: added }) };
      this.#measured = true;
    }
    this.#used.add(output);
    return added === undefined ? mean(loss) : add(mean(loss), added);
  }

  /** Throws PlanError for terms of layers that no loss contains. */
  checkAdded(): void {
    if ([...this.#added.keys()].every((output) => this.#used.has(output))) return;
    throw new PlanError(
      `${this.#graph.where}: step: layers add to the loss (scope.addLoss), but the step does not call loss(output) for this pass ` +
        '(call it, for instance with a loss of 0 in the options)',
    );
  }
}

/** Throws TypeError or ShapeError unless a step returned a loss, or a result with one. */
function checkResult(where: string, returned: unknown): StepResult {
  if (returned instanceof Tensor) return checkResult(where, { loss: returned });
  if (!isRecord(returned) || isPromise(returned)) {
    throw new TypeError(`${where} must return the loss or { loss, … }, got ${show(returned)}`);
  }
  checkOptions(where, returned as Partial<StepResult>, ['loss', 'metrics', 'gradients', 'next']);
  const { loss, metrics, next } = returned as Partial<StepResult>;
  if (metrics !== undefined && (!isRecord(metrics) || isPromise(metrics))) {
    throw new TypeError(`${where}: metrics must be an object of tensors by name, got ${show(metrics)}`);
  }
  if (next !== undefined && typeof next !== 'function') {
    throw new TypeError(
      `${where}: next must be a function of the updated arrays, got ${show(next)} (write next: (updated) => ({ … }))`,
    );
  }
  for (const [name, value] of Object.entries({ loss, ...metricOutputs(metrics ?? {}) })) {
    expectTensor(`${where}: ${name}`, value);
    if (value.dtype === 'f32' && value.rank === 0) continue;
    throw new ShapeError(`${where}: ${name} must be f32 [], got ${formatType(value)} (take its mean)`);
  }
  return returned as unknown as StepResult;
}

/** The updated arrays with those that a step replaces. */
function replaceSome(where: string, state: Tree, updated: Tree, next: (updated: Tree) => Tree): Tree {
  const replaced: unknown = next({ ...state, ...updated });
  if (!isRecord(replaced) || isPromise(replaced)) {
    throw new TypeError(`${where} must return an object of tensors by name, got ${show(replaced)}`);
  }
  for (const [name, value] of Object.entries(replaced)) {
    expectTensor(`${where}: '${name}'`, value);
    if (state[name] === undefined) {
      throw new PlanError(
        `${where}: there is no array called '${name}' (the run has: ${Object.keys(state).slice(0, 20).join(', ')})`,
      );
    }
  }
  return { ...updated, ...(replaced as Tree) };
}
