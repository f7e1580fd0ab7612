/** The nodes and initializers of an ONNX graph under construction. */
import { sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostTensor, State } from '../types.ts';
import { STATE } from './onnx-params.ts';
import { DATA_TYPES, type OnnxAttribute, type OnnxNode, type OnnxTensor } from './onnx-proto.ts';

/** The batch sizes of the two traces. What differs between them depends on the batch size. */
export const TRACED = [2, 3] as const;

/** A size in both traces. */
export type Dim = readonly [number, number];

/** What cannot be exported. The message names the operation. */
export class NotExportable extends Error {}

export class GraphWriter {
  readonly #state: State;
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxTensor>();
  readonly #names = new Map<Tensor, string>();
  readonly #producers = new Map<string, OnnxNode>();
  #count = 0;

  constructor(state: State) {
    this.#state = state;
  }

  /** The name of a tensor, which `other` is in the other trace. Inputs and constants get theirs here. */
  name(tensor: Tensor, other: Tensor): string {
    const known = this.#names.get(tensor);
    if (known !== undefined) return known;
    const name = this.#leaf(tensor, other);
    this.#names.set(tensor, name);
    return name;
  }

  setName(tensor: Tensor, name: string): void {
    this.#names.set(tensor, name);
  }

  #leaf(tensor: Tensor, other: Tensor): string {
    const { source } = tensor;
    if (source.kind === 'constant') {
      const twin = other.source.kind === 'constant' ? other.source.value : null;
      const { value } = source;
      const equal =
        twin !== null &&
        sameShape(twin.shape, value.shape) &&
        twin.data.every((x, i) => Object.is(x, value.data[i]));
      if (!equal) throw new NotExportable('a constant that depends on the batch size');
      return this.#array(value);
    }
    if (source.kind === 'node') throw new Error('toOnnx: an operation was written after its use');
    if (source.role === 'feed') return source.name;
    const value = this.#state[source.name];
    if (value === undefined)
      throw new RangeError(`toOnnx: the state has no '${source.name}' (pass the state of a run)`);
    if (!sameShape(value.shape, tensor.shape))
      throw new RangeError(
        `toOnnx: '${source.name}' must be [${tensor.shape.join(', ')}], got [${value.shape.join(', ')}]`,
      );
    return this.#array(value, STATE + source.name);
  }

  /** An initializer. */
  #array(value: HostTensor, name = this.#fresh()): string {
    const data = value.dtype === 'f32' ? Float32Array.from(value.data) : value.data; // scalars are in double precision
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    this.#initializers.set(name, {
      name,
      dims: value.shape,
      dataType: DATA_TYPES[value.dtype],
      rawData: bytes,
    });
    return name;
  }

  /** A vector of integers (i64), for shapes and axes. */
  integers(values: readonly number[]): string {
    const name = this.#fresh();
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#initializers.set(name, { name, dims: [values.length], dataType: DATA_TYPES.i64, rawData });
    return name;
  }

  scalar(value: number): string {
    return this.#array({ shape: [], dtype: 'f32', data: Float32Array.of(value) });
  }

  node(
    opType: string,
    names: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
    output = this.#fresh(),
  ): string {
    this.#add({ opType, input: names, output: [output], attributes });
    return output;
  }

  /** A node with several results. */
  results(
    opType: string,
    names: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>>,
    count: number,
  ): readonly string[] {
    const output = Array.from({ length: count }, () => this.#fresh());
    this.#add({ opType, input: names, output, attributes });
    return output;
  }

  #add(node: OnnxNode): void {
    this.#nodes.push(node);
    for (const output of node.output) this.#producers.set(output, node);
  }

  /** A transposition. One that reverses another takes the other's input. */
  transpose(name: string, perm: readonly number[]): string {
    const producer = this.#producers.get(name);
    const before = producer?.opType === 'Transpose' ? producer.attributes['perm'] : undefined;
    if (Array.isArray(before) && perm.every((axis, i) => before[axis] === i)) return producer!.input[0];
    return this.node('Transpose', [name], { perm });
  }

  /** A vector of sizes, which is computed from the batch size where it depends on it. */
  sizes(dims: readonly Dim[]): string {
    if (dims.every(([a, b]) => a === b)) return this.integers(dims.map(([a]) => a));
    const shape = this.node('Shape', ['x']);
    const batch = this.node('Gather', [shape, this.integers([0])], { axis: 0 });
    const parts = dims.map(([a, b]) => {
      const slope = (b - a) / (TRACED[1] - TRACED[0]);
      const rest = a - slope * TRACED[0];
      if (slope === 0) return this.integers([rest]);
      return this.node('Add', [this.node('Mul', [batch, this.integers([slope])]), this.integers([rest])]);
    });
    return this.node('Concat', parts, { axis: 0 });
  }

  /** The nodes and initializers that the outputs need. */
  finish(outputs: readonly string[]): { node: OnnxNode[]; initializer: OnnxTensor[] } {
    const needed = new Set(outputs);
    const node = this.#nodes
      .toReversed()
      .filter((each) => {
        if (!each.output.some((name) => needed.has(name))) return false;
        for (const name of each.input) needed.add(name);
        return true;
      })
      .toReversed();
    return { node, initializer: [...this.#initializers.values()].filter(({ name }) => needed.has(name)) };
  }

  #fresh(): string {
    return `v${this.#count++}`;
  }
}
