/** The values of a plan: numbered, typed, with aliases resolved to what they stand for. */
import { PlanError } from '../errors.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Node, Tensor } from '../tensor.ts';
import type { HostTensor, TensorType } from '../types.ts';
import type { AnyStep } from './step.ts';

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
      const first = this.types[known];
      if (first.dtype !== type.dtype || !sameShape(first.shape, type.shape)) {
        throw new PlanError(
          `${role} '${name}' is used both as ${formatType(first)} and as ${formatType(type)}`,
        );
      }
      return known;
    }
    const v = this.add(type);
    map.set(name, v);
    return v;
  }

  /** The number of a tensor. Inputs and constants get theirs here; results of nodes have one already. */
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

  addNode(node: Node, steps: AnyStep[]): void {
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
      op: node.op.name,
      attrs: node.attrs,
      inputs,
      outputs,
      flops: node.op.flops?.(types(node.inputs), types(node.results), node.attrs) ?? 0,
      path: node.path,
    });
  }
}
