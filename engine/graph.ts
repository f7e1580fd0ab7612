/** Traversal of graphs. */
import type { Node, Tensor } from './tensor.ts';

/** The tensors and all that they depend on. Without recursion, because deep graphs would overflow the stack. */
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

/** All nodes that the tensors depend on, in order of creation, which is a topological order. */
export function nodesOf(tensors: Iterable<Tensor>): Node[] {
  const nodes = new Set<Node>();
  for (const { source } of dependenciesOf(tensors)) if (source.kind === 'node') nodes.add(source.node);
  return [...nodes].sort((a, b) => a.id - b.id);
}
