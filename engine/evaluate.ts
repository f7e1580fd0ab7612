/**
 * Evaluation of single tensors, `await t.data()`: compiles the graph of the tensor, runs it once and keeps the result. It is for
 * exploration and tests. Training uses `compile`. Executables are cached by the structure of the graph, and constants are fed, so
 * `x.mul(i)` in a loop compiles once.
 */
import type { Backend, Executable, Feeds } from './backends/backend.ts';
import { PlanError } from './errors.ts';
import { nodesOf } from './graph.ts';
import { buildPlan } from './plan/build.ts';
import { formatType } from './shape.ts';
import { input, Tensor, type Node } from './tensor.ts';
import type { HostTensor, TensorType } from './types.ts';
import { checkKind } from './options.ts';

/** Maximum number of cached executables. The least recently used one is closed first. */
const CACHE_SIZE = 64;

/** Evaluates tensors on one backend, with a cache of executables. */
export class Evaluator {
  readonly backend: Backend;
  readonly #cache = new Map<string, Promise<Executable>>();

  constructor(backend: Backend) {
    checkKind('Evaluator', 'backend', backend, 'load', 'a backend, for instance await wasm()');
    this.backend = backend;
  }

  /** The values of the tensors. Evaluated tensors become constants and drop their history. */
  async evaluate(tensors: readonly Tensor[]): Promise<readonly HostTensor[]> {
    const pending = tensors.filter((t) => t.source.kind !== 'constant');
    if (pending.length > 0) {
      const graph = canonical(pending);
      const executable = await this.#executable(graph);
      const outputs = await executable.run(graph.feeds);
      pending.forEach((t, i) => {
        t.source = { kind: 'constant', value: outputs[`out${i}`], evaluated: true };
      });
    }
    return tensors.map((t) => (t.source as { readonly value: HostTensor }).value);
  }

  /** Closes all cached executables. The backend stays open. */
  async close(): Promise<void> {
    const open = [...this.#cache.values()];
    this.#cache.clear();
    await Promise.all(open.map(async (executable) => closeWithStore(await executable)));
  }

  #executable(graph: Canonical): Promise<Executable> {
    const known = this.#cache.get(graph.key);
    if (known !== undefined) {
      this.#cache.delete(graph.key);
      this.#cache.set(graph.key, known);
      return known;
    }
    const loading = this.#load(graph);
    this.#cache.set(graph.key, loading);
    loading.catch(() => this.#cache.delete(graph.key));
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > CACHE_SIZE && oldest !== undefined) {
      const evicted = this.#cache.get(oldest)!;
      this.#cache.delete(oldest);
      evicted.then(closeWithStore).catch(() => undefined); // a failed load has nothing to close
    }
    return loading;
  }

  async #load({ outputs, types }: Canonical): Promise<Executable> {
    const plan = buildPlan({ outputs, next: {}, feeds: types, state: {} }, this.backend.fusions);
    const store = await this.backend.createStore({});
    try {
      const executable = await this.backend.load(plan, store);
      storeOf.set(executable, () => store.close());
      return executable;
    } catch (error) {
      await store.close();
      throw error;
    }
  }
}

const storeOf = new WeakMap<Executable, () => Promise<void>>();

async function closeWithStore(executable: Executable): Promise<void> {
  await executable.close();
  await storeOf.get(executable)?.();
}

interface Canonical {
  readonly key: string;
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly types: Readonly<Record<string, TensorType>>;
  readonly feeds: Feeds;
}

/** The graph with numbered inputs in place of constants, and a key that is equal for graphs of equal structure. */
function canonical(tensors: readonly Tensor[]): Canonical {
  const nodes = nodesOf(tensors);
  const feeds: Record<string, HostTensor> = {};
  const types: Record<string, TensorType> = {};
  const replaced = new Map<Tensor, Tensor>();
  const names = new Map<Tensor, string>();
  const lines: string[] = [];

  const resolve = (t: Tensor): Tensor => {
    const known = replaced.get(t);
    if (known !== undefined) return known;
    if (t.source.kind === 'input') {
      throw new PlanError(
        `evaluate: '${t.source.name}' (${formatType(t)}) is a symbolic input without a value ` +
          `(add the tensor to the outputs of the compiled step, and run it)`,
      );
    }
    const value = (t.source as { readonly value: HostTensor }).value;
    const name = `c${replaced.size}`;
    feeds[name] = value;
    types[name] = { shape: value.shape, dtype: value.dtype };
    const fed = input(name, value);
    replaced.set(t, fed);
    names.set(t, name);
    lines.push(`${name}:${formatType(value)}`);
    return fed;
  };

  nodes.forEach((node, i) => {
    const inputs = node.inputs.map(resolve);
    // The shapes were already checked when the graph was built.
    const results: Tensor[] = [];
    const copy: Node = { ...node, inputs, results };
    node.results.forEach((result, index) => {
      const copied = new Tensor(result, { kind: 'node', node: copy, index });
      results.push(copied);
      replaced.set(result, copied);
      names.set(result, `n${i}.${index}`);
    });
    const from = node.inputs.map((t) => names.get(t)!).join(',');
    // The path is part of the structure, because errors of a run name the layer.
    lines.push(`n${i}=${node.op.name}(${from})${JSON.stringify([node.attrs, node.path], exact)}`);
  });
  const outputs = Object.fromEntries(tensors.map((t, i) => [`out${i}`, resolve(t)]));
  lines.push(tensors.map((t) => names.get(t)!).join(','));
  return { key: lines.join(';'), outputs, types, feeds };
}

/** JSON has no infinities, no NaN and no −0, which are different attributes. */
const exact = (_: string, value: unknown): unknown =>
  typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
    ? `number ${1 / value} ${value}`
    : value;
