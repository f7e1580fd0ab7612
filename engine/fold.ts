/** Rewrites of graphs whose state never changes: what depends on the state alone can be computed once. */
import { nodesOf } from './graph.ts';
import { onInputs } from './op.ts';
import { add, mul } from './ops/elementwise.ts';
import { reshape } from './ops/layout.ts';
import { withPath } from './path.ts';
import { sizeOf } from './shape.ts';
import type { Node, Tensor } from './tensor.ts';

/**
 * The same values, with factors for the channels of convolutions and dense layers moved into their weights: batch normalization in
 * inference becomes a part of the convolution before it. Only factors that depend on state and constants alone are moved, because the new
 * weights are then computed once (`constantState` of `compile`). Results differ in the last bits.
 */
export function foldScales(tensors: readonly Tensor[]): readonly Tensor[] {
  const nodes = nodesOf(tensors);
  const folding = new Folding(nodes, tensors);
  for (const node of nodes) folding.visit(node);
  return tensors.map((tensor) => folding.of(tensor));
}

class Folding {
  readonly #replaced = new Map<Tensor, Tensor>();
  readonly #constant = new Map<Tensor, boolean>();
  /** How often a tensor is read. */
  readonly #reads = new Map<Tensor, number>();

  constructor(nodes: readonly Node[], results: readonly Tensor[]) {
    for (const tensor of [...results, ...nodes.flatMap(({ inputs }) => inputs)]) {
      this.#reads.set(tensor, (this.#reads.get(tensor) ?? 0) + 1);
    }
  }

  /** What takes the place of a tensor. */
  of(tensor: Tensor): Tensor {
    return this.#replaced.get(tensor) ?? tensor;
  }

  visit(node: Node): void {
    if (node.results.every((result) => this.#isConstant(result))) return;
    const results = this.#scaled(node) ?? this.#shifted(node) ?? this.#rebuilt(node);
    node.results.forEach((result, i) => this.#replaced.set(result, results[i]));
  }

  /** Whether a tensor depends on state and constants alone. */
  #isConstant(tensor: Tensor): boolean {
    const { source } = tensor;
    if (source.kind === 'input') return source.role === 'state';
    if (source.kind === 'constant') return true;
    let known = this.#constant.get(tensor);
    if (known === undefined) {
      const { op, inputs } = source.node;
      known = op.mayFail !== true && inputs.every((input) => this.#isConstant(input));
      this.#constant.set(tensor, known);
    }
    return known;
  }

  /** The node on the inputs that take the place of its own. */
  #rebuilt(node: Node): readonly Tensor[] {
    const inputs = node.inputs.map((input) => this.of(input));
    if (inputs.every((input, i) => input === node.inputs[i])) return node.results;
    return onInputs(node, inputs);
  }

  /** A product with a constant factor for each channel, if the factor can move into the weights; else null. */
  #scaled(node: Node): readonly Tensor[] | null {
    const parts = this.#perChannel(node, 'mul');
    if (parts === null) return null;
    const scaled = this.#times(parts.value, parts.constant, node.path);
    return scaled === null ? null : [scaled];
  }

  /** A sum of a sum with two constant terms for each channel, as one sum; else null. */
  #shifted(node: Node): readonly Tensor[] | null {
    const outer = this.#perChannel(node, 'add');
    if (outer === null || this.#reads.get(outer.value) !== 1) return null;
    const { source } = this.of(outer.value);
    const inner = source.kind === 'node' ? this.#perChannel(source.node, 'add') : null;
    if (inner === null) return null;
    return withPath(node.path, () => [add(this.of(inner.value), add(inner.constant, outer.constant))]);
  }

  /** The operands of a product or sum, if one is constant and has a value for each channel; else null. */
  #perChannel(
    { op, inputs, results: [result] }: Node,
    name: 'add' | 'mul',
  ): { readonly value: Tensor; readonly constant: Tensor } | null {
    if (op.name !== name) return null;
    const [value, constant] = this.#isConstant(inputs[0]) ? [inputs[1], inputs[0]] : inputs;
    const channels = result.shape.at(-1);
    const isVector = sizeOf(constant.shape) === channels && constant.shape.at(-1) === channels;
    if (this.#isConstant(value) || !this.#isConstant(constant) || !isVector) return null;
    return value.rank === result.rank ? { value, constant: asVector(constant) } : null;
  }

  /** `value · factor` without a product of that size, or null. */
  #times(value: Tensor, factor: Tensor, path: string): Tensor | null {
    const { source } = value;
    if (source.kind !== 'node' || this.#reads.get(value) !== 1) return null;
    const { node } = source;
    const [x, weights] = node.inputs;
    if (
      node.op.name === 'conv2d' ||
      (node.op.name === 'matmul' && weights.rank === 2 && node.attrs['transB'] !== true)
    ) {
      if (!this.#isConstant(weights)) return null;
      const folded = withPath(path, () => mul(weights, factor));
      return onInputs(node, [this.of(x), folded])[0];
    }
    const parts = this.#perChannel(node, 'add');
    const scaled = parts === null ? null : this.#times(parts.value, factor, path);
    return scaled === null ? null : withPath(path, () => add(scaled, mul(parts!.constant, factor)));
  }
}

/** [1, 1, C] as [C]. */
const asVector = (t: Tensor): Tensor => (t.rank <= 1 ? t : reshape(t, [t.shape.at(-1)!]));
