/**
 * Tensor: a symbolic value. It is a named input, a constant with data, or a result of an operation. Building a graph computes nothing.
 * `compile` and `evaluate` do. methods.ts adds the methods (`t.add(1)`, `await t.data()`), so this file depends only on types.
 */
import type { DType, HostTensor, Shape, TensorType } from './types.ts';
import type { AnyOp, Attrs } from './op.ts';
import type { Region } from './region.ts';

/** One application of an operation. */
export interface Node {
  /** Increases with each new node, so its order is a topological order. */
  readonly id: number;
  readonly op: AnyOp;
  readonly attrs: Attrs;
  readonly inputs: readonly Tensor[];
  readonly results: readonly Tensor[];
  /** The layer that built it, for messages, plans and profiles. '' outside layers. */
  readonly path: string;
  /** The part of the graph that the backward pass computes again. Null for values that are kept. */
  readonly region: Region | null;
}

/** The origin of the value of a tensor. */
export type Source =
  | { readonly kind: 'input'; readonly name: string; readonly role: 'feed' | 'state' }
  /** `evaluated`: it was a result, but dropped its history. */
  | { readonly kind: 'constant'; readonly value: HostTensor; readonly evaluated?: true }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

/** A symbolic value with a shape and a dtype. Create tensors with `tensor`, `compile` and operations. */
export class Tensor implements TensorType {
  /** Sizes of the axes, outermost first. */
  readonly shape: Shape;
  readonly dtype: DType;
  /** The origin of the value. An evaluated tensor becomes a constant and drops its history. */
  source: Source;

  constructor(type: TensorType, source: Source) {
    this.shape = type.shape;
    this.dtype = type.dtype;
    this.source = source;
  }

  /**
   * Throws TypeError: comparing, adding or printing a tensor as a number or text would use no value.
   */
  [Symbol.toPrimitive](): never {
    throw new TypeError(
      `a tensor (${this.dtype} [${this.shape.join(', ')}]) is not a number or a text: use operations (a.add(b), a.greater(0)), or its ` +
        'value (await t.data(), await t.array())',
    );
  }

  /** How Node prints it: its type and its origin. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const { source } = this;
    const origin =
      source.kind === 'node'
        ? `result of ${source.node.op.name}`
        : source.kind === 'input'
          ? `input '${source.name}'`
          : 'constant';
    return `Tensor ${this.dtype} [${this.shape.join(', ')}] (${origin}; await t.print() shows its values)`;
  }

  /** Number of axes. */
  get rank(): number {
    return this.shape.length;
  }
}

/** A named value that is fed in every run, or that a store holds. */
export function input(name: string, type: TensorType, role: 'feed' | 'state' = 'feed'): Tensor {
  return new Tensor(type, { kind: 'input', name, role });
}

export function constant(value: HostTensor): Tensor {
  return new Tensor(value, { kind: 'constant', value });
}
