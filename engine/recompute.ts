/**
 * Recomputation of activations: a part of the graph that the backward pass computes again instead of keeping its values.
 *
 * `grad` gives the derivative rules the same operations on the same inputs in place of the values of the forward pass. New operations are
 * later in the order of execution, so the planner frees the values in between. Gradients are added in the same order, so no bit changes.
 */
import type { Region } from './region.ts';
import type { Node, Tensor } from './tensor.ts';

/** Finds the values that a derivative uses: those of the forward pass, or of regions the same ones computed again. */
export class Recomputation {
  /** Tensors that are kept in any case. */
  readonly #known: ReadonlySet<Tensor>;
  readonly #copy: (node: Node, inputs: readonly Tensor[]) => Node;
  readonly #copies = new Map<Node, Node>();

  /** `copy` applies the operation of a node to other inputs. */
  constructor(known: ReadonlySet<Tensor>, copy: (node: Node, inputs: readonly Tensor[]) => Node) {
    this.#known = known;
    this.#copy = copy;
  }

  /** The values of tensors for the derivative of a node. */
  values(node: Node, tensors: readonly Tensor[]): readonly Tensor[] {
    const { region } = node;
    if (region === null) return tensors;
    this.#copyAll(region, tensors);
    return tensors.map((tensor) => this.#again(region, tensor));
  }

  /** The node of the region that computes a tensor, unless its value is kept. */
  #nodeOf(region: Region, tensor: Tensor): Node | null {
    const { source } = tensor;
    if (source.kind !== 'node' || source.node.region !== region) return null;
    return region.kept.has(tensor) || this.#known.has(tensor) ? null : source.node;
  }

  #again(region: Region, tensor: Tensor): Tensor {
    const node = this.#nodeOf(region, tensor);
    return node === null ? tensor : this.#copies.get(node)!.results[node.results.indexOf(tensor)];
  }

  /** Copies what the tensors depend on in the region. Without recursion, because deep graphs would overflow the stack. */
  #copyAll(region: Region, tensors: readonly Tensor[]): void {
    const missing = new Set<Node>();
    const pending = [...tensors];
    for (let tensor = pending.pop(); tensor !== undefined; tensor = pending.pop()) {
      const node = this.#nodeOf(region, tensor);
      if (node === null || missing.has(node) || this.#copies.has(node)) continue;
      missing.add(node);
      pending.push(...node.inputs);
    }
    for (const node of [...missing].sort((a, b) => a.id - b.id)) {
      this.#copies.set(node, this.#copy(node, node.inputs.map((input) => this.#again(region, input)))); // prettier-ignore
    }
  }
}
