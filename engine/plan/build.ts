/**
 * From a graph to a plan: prune, order, fuse, place next states, assign buffers. Nothing here knows a backend.
 *
 * Order: by creation, except that whatever produces a new state (and all that depends on it) moves to the end. So
 * parameters are updated after everything else has succeeded, and the reads of an old state come before its update.
 * What may fail, and all that it depends on, stays in front: a new value that is checked is computed aside and copied.
 */
import { PlanError } from '../errors.ts';
import { nodesOf } from '../graph.ts';
import type { KernelName, Plan, Step } from './plan.ts';
import { formatPlan } from './plan.ts';
import { assignBuffers } from './buffers.ts';
import { fuse, type FusedName } from './fuse.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Node, Tensor } from '../tensor.ts';
import type { HostTensor, TensorType } from '../types.ts';

export interface Graph {
  /** Results to read after a run. */
  readonly outputs: Readonly<Record<string, Tensor>>;
  /** New values of state, by name. */
  readonly next: Readonly<Record<string, Tensor>>;
  /** Feeds that exist even where the graph does not use them. */
  readonly feeds: Readonly<Record<string, TensorType>>;
  /** Every state the graph may read. */
  readonly state: Readonly<Record<string, TensorType>>;
}

export interface PlanOptions {
  /** Let values whose lifetimes do not overlap share a buffer, and update in place. Default true. */
  readonly reuse?: boolean;
  /** Let the backend compute neighbouring steps in one pass where it can. Default true. */
  readonly fuse?: boolean;
}

/** Throws PlanError when a `next` has no state of its name, or another type. */
export function buildPlan(
  graph: Graph,
  fusions: ReadonlySet<FusedName>,
  { reuse = true, fuse: fusing = true }: PlanOptions = {},
): Plan {
  checkNext(graph);
  const values = new Values();
  for (const [name, type] of Object.entries(graph.state)) values.addNamed('state', name, type);

  const needed = nodesOf([...Object.values(graph.outputs), ...Object.values(graph.next)]);
  const { order, commit } = orderNodes(needed, Object.values(graph.next));
  const steps: Step[] = [];
  let commitStep = 0;
  order.forEach((node, i) => {
    if (i === commit) commitStep = steps.length;
    values.addNode(node, steps);
  });
  if (commit === order.length) commitStep = steps.length;
  for (const [name, type] of Object.entries(graph.feeds)) values.addNamed('feed', name, type);

  const outputs = new Map(Object.entries(graph.outputs).map(([name, t]) => [name, values.of(t)]));
  const next = new Map(Object.entries(graph.next).map(([name, t]) => [name, values.of(t)]));
  const kept = new Set([...outputs.values(), ...next.values()].map((v) => values.rootOf[v]));
  const fused = fuse(steps, commitStep, values, kept, fusing ? fusions : new Set());
  const placement = assignBuffers({ values, ...fused, outputs, next, reuse });
  const plan: Plan = {
    steps: placement.steps,
    values: values.types,
    bufferOf: placement.bufferOf,
    buffers: placement.buffers,
    inputs: values.feeds,
    state: values.states,
    next: placement.next,
    outputs: placement.outputs,
    constants: values.constants,
    commitStep: placement.commitStep,
    toString: () => formatPlan(plan),
  };
  return plan;
}

function checkNext({ next, state }: Graph): void {
  for (const [name, t] of Object.entries(next)) {
    const own = state[name];
    if (own === undefined) {
      const known = Object.keys(state).slice(0, 20).join(', ');
      throw new PlanError(
        `next: there is no state called '${name}' (known: ${known === '' ? 'none' : known})`,
      );
    }
    if (own.dtype !== t.dtype || !sameShape(own.shape, t.shape)) {
      throw new PlanError(`next: '${name}' is ${formatType(own)} but its new value is ${formatType(t)}`);
    }
  }
}

/** The values of a plan: numbered, typed, with aliases resolved to what they stand for. */
export class Values {
  readonly types: TensorType[] = [];
  /** The value whose buffer a value shares: itself, or what it is an alias of. */
  readonly rootOf: number[] = [];
  readonly feeds = new Map<string, number>();
  readonly states = new Map<string, number>();
  readonly constants = new Map<number, HostTensor>();
  readonly #numbers = new Map<Tensor, number>();
  readonly #scalars = new Map<string, number>();

  add(type: TensorType, root?: number): number {
    const v = this.types.length;
    this.types.push({ shape: type.shape, dtype: type.dtype });
    this.rootOf.push(root ?? v);
    return v;
  }

  addNamed(role: 'feed' | 'state', name: string, type: TensorType): number {
    const map = role === 'feed' ? this.feeds : this.states;
    const known = map.get(name);
    if (known !== undefined) {
      const own = this.types[known];
      if (own.dtype !== type.dtype || !sameShape(own.shape, type.shape)) {
        throw new PlanError(
          `${role} '${name}' is used both as ${formatType(own)} and as ${formatType(type)}`,
        );
      }
      return known;
    }
    const v = this.add(type);
    map.set(name, v);
    return v;
  }

  /** The number of a tensor, given on first sight to inputs and constants. */
  of(tensor: Tensor): number {
    const known = this.#numbers.get(tensor);
    if (known !== undefined) return known;
    const { source } = tensor;
    let v: number;
    switch (source.kind) {
      case 'input':
        v = this.addNamed(source.role, source.name, tensor);
        break;
      case 'constant':
        v = this.#addConstant(source.value);
        break;
      case 'node':
        throw new PlanError(`plan: a result of ${source.node.op.name} is used before it is computed`);
      default:
        throw new PlanError(`plan: unknown source ${JSON.stringify(source satisfies never)}`);
    }
    this.#numbers.set(tensor, v);
    return v;
  }

  #addConstant(value: HostTensor): number {
    // Equal scalars share one value: a training step mentions a few literals hundreds of times.
    const literal =
      value.shape.length === 0
        ? `${value.dtype}:${Object.is(value.data[0], -0) ? '-0' : value.data[0]}`
        : null;
    const known = literal === null ? undefined : this.#scalars.get(literal);
    if (known !== undefined) return known;
    const v = this.add(value);
    this.constants.set(v, value);
    if (literal !== null) this.#scalars.set(literal, v);
    return v;
  }

  addNode(node: Node, steps: Step[]): void {
    const inputs = node.inputs.map((t) => this.of(t));
    if (node.op.alias === true) {
      const [result] = node.results;
      this.#numbers.set(result, this.add(result, this.rootOf[inputs[0]]));
      return;
    }
    const outputs = node.results.map((result) => {
      const v = this.add(result);
      this.#numbers.set(result, v);
      return v;
    });
    const types = (tensors: readonly Tensor[]): TensorType[] =>
      tensors.map(({ shape, dtype }) => ({ shape, dtype }));
    steps.push({
      op: node.op.name as KernelName,
      attrs: node.attrs,
      inputs,
      outputs,
      flops: node.op.flops?.(types(node.inputs), types(node.results), node.attrs) ?? 0,
      path: node.path,
    });
  }
}

function orderNodes(
  nodes: readonly Node[],
  next: readonly Tensor[],
): { order: readonly Node[]; commit: number } {
  const late = new Set<Node>();
  for (const { source } of next) if (source.kind === 'node') late.add(source.node);
  const producers = (node: Node): Node[] =>
    node.inputs.flatMap(({ source }) => (source.kind === 'node' ? [source.node] : []));
  for (const node of nodes) if (producers(node).some((p) => late.has(p))) late.add(node);
  const checks = new Set<Node>();
  for (const node of [...nodes].reverse()) {
    if (node.op.mayFail !== true && !checks.has(node)) continue;
    late.delete(node);
    for (const p of producers(node)) checks.add(p);
  }
  const early = nodes.filter((node) => !late.has(node));
  return { order: [...early, ...nodes.filter((node) => late.has(node))], commit: early.length };
}
