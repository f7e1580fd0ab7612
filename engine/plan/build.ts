/**
 * From a graph to a plan: prune, order, fuse, place next states, assign buffers. Nothing here knows a backend.
 *
 * Order: by creation, except that whatever produces a new state (and all that depends on it) moves to the end. So
 * parameters are updated after everything else has succeeded, and the reads of an old state come before its update.
 * What may fail, and all that it depends on, stays in front: a new value that is checked is computed aside and copied.
 */
import { PlanError } from '../errors.ts';
import { nodesOf } from '../graph.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Node, Tensor } from '../tensor.ts';
import type { TensorType } from '../types.ts';
import { assignBuffers } from './buffers.ts';
import { fuse } from './fuse.ts';
import type { FusedName } from './fusions/index.ts';
import { formatPlan, type Plan, type Step } from './plan.ts';
import type { AnyStep } from './step.ts';
import { Values } from './values.ts';

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
  /** Let the backend compute neighboring steps in one pass where it can. Default true. */
  readonly fuse?: boolean;
  /**
   * The arrays of the store do not change while the step is loaded. A backend may then compute what depends on them alone once, before the
   * first run. `next` must be empty, and `store.write` throws. Default false.
   */
  readonly constantState?: boolean;
}

/** Throws PlanError when a `next` has no state of its name, or another type. */
export function buildPlan(
  graph: Graph,
  fusions: ReadonlySet<FusedName>,
  { reuse = true, fuse: fusing = true, constantState = false }: PlanOptions = {},
): Plan {
  checkNext(graph, constantState);
  const values = new Values();
  for (const [name, type] of Object.entries(graph.state)) values.addNamed('state', name, type);

  const needed = nodesOf([...Object.values(graph.outputs), ...Object.values(graph.next)]);
  const { order, commit } = orderNodes(needed, Object.values(graph.next));
  const { constant, varying } = constantState
    ? separate(order)
    : { constant: [] as readonly Node[], varying: order };
  const once: AnyStep[] = [];
  for (const node of constant) values.addNode(node, once);
  const steps: AnyStep[] = [];
  let commitStep = 0;
  varying.forEach((node, i) => {
    if (i === commit) commitStep = steps.length;
    values.addNode(node, steps);
  });
  if (commit >= varying.length) commitStep = steps.length;
  for (const [name, type] of Object.entries(graph.feeds)) values.addNamed('feed', name, type);

  const outputs = new Map(Object.entries(graph.outputs).map(([name, t]) => [name, values.of(t)]));
  const next = new Map(Object.entries(graph.next).map(([name, t]) => [name, values.of(t)]));
  const kept = new Set([...outputs.values(), ...next.values()].map((v) => values.rootOf[v]));
  const allowed = fusing ? fusions : new Set<FusedName>();
  const readLater = new Set([...kept, ...steps.flatMap(({ inputs }) => inputs.map((v) => values.rootOf[v]))]);
  const prepared = fuse(once, once.length, values, readLater, allowed);
  const fused = fuse(steps, commitStep, values, kept, allowed);
  const placement = assignBuffers({
    values,
    steps: [...prepared.steps, ...fused.steps],
    constantSteps: prepared.steps.length,
    commitStep: prepared.steps.length + fused.commitStep,
    outputs,
    next,
    reuse,
  });
  const plan: Plan = {
    // Every name is that of an operation, of a fusion, or `copy`.
    steps: placement.steps as readonly Step[],
    values: values.types,
    bufferOf: placement.bufferOf,
    buffers: placement.buffers,
    inputs: values.feeds,
    state: values.states,
    next: placement.next,
    outputs: placement.outputs,
    constants: values.constants,
    constantState,
    constantSteps: prepared.steps.length,
    commitStep: placement.commitStep,
    toString: () => formatPlan(plan),
  };
  return plan;
}

/** The nodes that depend on state and constants alone, and the others, each in order. What may fail is among the others. */
function separate(nodes: readonly Node[]): Readonly<Record<'constant' | 'varying', readonly Node[]>> {
  const constant = new Set<Node>();
  const isConstant = ({ source }: Tensor): boolean => {
    if (source.kind === 'input') return source.role === 'state';
    return source.kind === 'constant' || constant.has(source.node);
  };
  for (const node of nodes) if (node.op.mayFail !== true && node.inputs.every(isConstant)) constant.add(node);
  return { constant: [...constant], varying: nodes.filter((node) => !constant.has(node)) };
}

function checkNext({ next, state }: Graph, constantState: boolean): void {
  const [changed] = Object.keys(next);
  if (constantState && changed !== undefined) {
    throw new PlanError(
      `next: '${changed}' changes the state, which constantState excludes (leave one of them out)`,
    );
  }
  for (const [name, t] of Object.entries(next)) {
    const type = state[name];
    if (type === undefined) {
      const known = Object.keys(state).slice(0, 20).join(', ');
      throw new PlanError(
        `next: there is no state called '${name}' (known: ${known === '' ? 'none' : known})`,
      );
    }
    if (type.dtype !== t.dtype || !sameShape(type.shape, t.shape)) {
      throw new PlanError(`next: '${name}' is ${formatType(type)} but its new value is ${formatType(t)}`);
    }
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
