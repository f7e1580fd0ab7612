/** The walk over a graph, shared by everything that looks at the operations behind a tensor. */
import type { Node, Tensor } from './tensor.ts';

/** Every tensor that `tensors` depend on, themselves included. It does not recurse, so deep graphs do not overflow the stack. */
export function dependenciesOf(tensors: Iterable<Tensor>): Set<Tensor> {
  const seen = new Set<Tensor>();
  const pending = [...tensors];
  for (let tensor = pending.pop(); tensor !== undefined; tensor = pending.pop()) {
    if (seen.has(tensor)) continue;
    seen.add(tensor);
    if (tensor.source.kind === 'node') pending.push(...tensor.source.node.inputs);
  }
  return seen;
}

/** Every node that `tensors` depend on, in order of creation: each comes after the nodes that it depends on. */
export function nodesOf(tensors: Iterable<Tensor>): Node[] {
  const nodes = new Set<Node>();
  for (const { source } of dependenciesOf(tensors)) if (source.kind === 'node') nodes.add(source.node);
  return [...nodes].sort((a, b) => a.id - b.id);
}
