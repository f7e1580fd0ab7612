/**
 * Tensor: a symbolic value. It is a named input, a constant that holds data, or one result of an operation.
 * Building a graph computes nothing; `compile` and `evaluate` do. The methods (`t.add(1)`, `await t.data()`) are added
 * by methods.ts, so that this file depends on nothing but types.
 */
import type { DType, HostTensor, Shape, TensorType } from './types.ts';
import type { AnyOp, Attrs } from './op.ts';

/** One application of an operation. */
export interface Node {
  /** Rises with creation, so that ordering by it is a topological order. */
  readonly id: number;
  readonly op: AnyOp;
  readonly attrs: Attrs;
  readonly inputs: readonly Tensor[];
  readonly results: readonly Tensor[];
  /** The layer that built it, for messages, plans and profiles; '' outside layers. */
  readonly path: string;
}

/** Where a tensor's value comes from. */
export type Source =
  | { readonly kind: 'input'; readonly name: string; readonly role: 'feed' | 'state' }
  /** `evaluated`: it was a result once, and dropped how it was computed. */
  | { readonly kind: 'constant'; readonly value: HostTensor; readonly evaluated?: true }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

export class Tensor implements TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Rewritten once, by evaluation: an evaluated tensor becomes a constant and drops its history. */
  source: Source;

  constructor(type: TensorType, source: Source) {
    this.shape = type.shape;
    this.dtype = type.dtype;
    this.source = source;
  }

  get rank(): number {
    return this.shape.length;
  }
}

/** A named value that is fed at every run, or kept in the store. */
export function input(name: string, type: TensorType, role: 'feed' | 'state' = 'feed'): Tensor {
  return new Tensor(type, { kind: 'input', name, role });
}

export function constant(value: HostTensor): Tensor {
  return new Tensor(value, { kind: 'constant', value });
}
