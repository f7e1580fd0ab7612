/** ONNX files as checked graphs: nodes, constants, inputs and outputs. */
import { DataError } from '../errors.ts';
import { formatShape, sizeOf } from '../shape.ts';
import { fromHalf } from '../stored.ts';
import type { DType, Shape } from '../types.ts';
import {
  ATTRIBUTE_TYPES,
  decodeOnnx,
  type AttributeMessage,
  type ModelMessage,
  type NodeMessage,
  type TensorMessage,
  type ValueMessage,
} from './onnx-proto.ts';

/** An array whose values are known while the graph is built. Integers of 64 bits may exceed `i32`. */
export interface HostArray {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly data: ArrayLike<number>;
}

export type Attribute = number | readonly number[] | string | readonly string[] | HostArray;

export interface GraphNode {
  /** The name of the file, or that of the first output. */
  readonly name: string;
  readonly opType: string;
  /** Names of values. '' for an input that is left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: ReadonlyMap<string, Attribute>;
}

/** An input or an output of a graph. A size is a number or a symbol. */
export interface GraphValue {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

export interface Graph {
  readonly opset: number;
  readonly nodes: readonly GraphNode[];
  readonly constants: ReadonlyMap<string, HostArray>;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Versions of the operator set whose operators have the attributes that we know. */
export const OPSETS = { first: 7, last: 21 } as const;

const DTYPES: Readonly<Record<number, DType>> = {
  1: 'f32',
  2: 'u8',
  3: 'i32',
  4: 'i32',
  5: 'i32',
  6: 'i32',
  7: 'i32',
  9: 'u8',
  10: 'f32',
  11: 'f32',
  12: 'i32',
  13: 'i32',
  16: 'f32',
};

/** The type of a value of ONNX's type number `elemType`. Throws DataError for texts, complex numbers and other types. */
export function dtypeOf(where: string, elemType: number): DType {
  const dtype = DTYPES[elemType];
  if (dtype !== undefined) return dtype;
  throw new DataError(`${where} has the element type ${elemType} (expected a float, integer or bool type)`);
}

/** Reads a file. `where` begins all messages. Throws DataError for a file that is damaged or none. */
export async function readGraph(where: string, bytes: Uint8Array): Promise<Graph> {
  let model: ModelMessage;
  try {
    model = await decodeOnnx(bytes);
  } catch (cause) {
    throw new DataError(
      `${where}: the bytes are no ONNX model, or damaged (expected a file of torch.onnx.export or toOnnx)`,
      { cause },
    );
  }
  const { graph, opsetImport, metadataProps } = model;
  const opset = opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version;
  if (graph === null || opset === undefined || graph.output.length === 0) {
    throw new DataError(
      `${where}: the bytes hold no ONNX graph (expected a file of torch.onnx.export or toOnnx)`,
    );
  }
  if (!(opset >= OPSETS.first && opset <= OPSETS.last)) {
    throw new DataError(
      `${where}: the file has operator set ${opset}, supported are ${OPSETS.first} to ${OPSETS.last} ` +
        '(export it again: torch.onnx.export(…, opset_version=17))',
    );
  }
  const constants = new Map<string, HostArray>();
  for (const tensor of graph.initializer) {
    if (tensor.name === '' || constants.has(tensor.name))
      throw new DataError(`${where}: expected one initializer of each name, got two of '${tensor.name}'`);
    constants.set(tensor.name, readTensor(`${where}: initializer '${tensor.name}'`, tensor));
  }
  // Before format version 4, initializers were inputs, too.
  const inputs = graph.input
    .filter(({ name }) => !constants.has(name))
    .map((value) => readValue(`${where}: input '${value.name}'`, value));
  const outputs = graph.output.map((value) => readValue(`${where}: output '${value.name}'`, value));
  const nodes = graph.node.map((node, i) => readNode(where, node, i));
  checkOrder(where, nodes, [...constants.keys(), ...inputs.map(({ name }) => name)], outputs);
  return {
    opset,
    nodes,
    constants,
    inputs,
    outputs,
    metadata: new Map(metadataProps.map(({ key, value }) => [key, value])),
  };
}

/** Throws DataError unless every value is computed once, and before its use. */
function checkOrder(
  where: string,
  nodes: readonly GraphNode[],
  first: readonly string[],
  outputs: readonly GraphValue[],
): void {
  const known = new Set(first);
  if (known.size < first.length)
    throw new DataError(`${where}: expected inputs of different names (the file is damaged)`);
  for (const { name, opType, inputs, outputs: results } of nodes) {
    const missing = inputs.find((input) => input !== '' && !known.has(input));
    if (missing !== undefined) {
      throw new DataError(
        `${where}: node '${name}' (${opType}) takes '${missing}', which no earlier node computes (expected nodes in order)`,
      );
    }
    for (const result of results) {
      if (result === '') continue;
      if (known.has(result))
        throw new DataError(`${where}: '${result}' is computed twice (expected one node for each value)`);
      known.add(result);
    }
  }
  const missing = outputs.find(({ name }) => !known.has(name));
  if (missing !== undefined)
    throw new DataError(
      `${where}: no node computes the output '${missing.name}' (the graph must compute it)`,
    );
}

function readNode(where: string, node: NodeMessage, index: number): GraphNode {
  const { opType, domain, input, output } = node;
  const name = node.name || output[0] || `node ${index}`;
  const known = domain === '' || domain === 'ai.onnx';
  const attributes = new Map<string, Attribute>();
  for (const attribute of node.attribute) {
    const at = `${where}: node '${name}' (${opType}): attribute ${attribute.name}`;
    attributes.set(attribute.name, readAttribute(at, attribute));
  }
  return { name, opType: known ? opType : `${domain}.${opType}`, inputs: input, outputs: output, attributes };
}

function readAttribute(where: string, attribute: AttributeMessage): Attribute {
  const { type, f, i, s, t, floats, ints, strings } = attribute;
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  switch (type) {
    case ATTRIBUTE_TYPES.f:
      return f;
    case ATTRIBUTE_TYPES.i:
      return i;
    case ATTRIBUTE_TYPES.s:
      return text(s);
    case ATTRIBUTE_TYPES.floats:
      return floats;
    case ATTRIBUTE_TYPES.ints:
      return ints;
    case ATTRIBUTE_TYPES.strings:
      return strings.map(text);
    case ATTRIBUTE_TYPES.t:
      if (t !== null) return readTensor(where, t);
  }
  throw new DataError(
    `${where} has type ${type}, which is not supported (expected numbers, a text or a tensor)`,
  );
}

function readValue(where: string, { name, type }: ValueMessage): GraphValue {
  const tensor = type?.tensorType;
  if (!tensor)
    throw new DataError(`${where} must be a tensor (sequences, maps and optionals are not supported)`);
  const dims = tensor.shape?.dim ?? [];
  return {
    name,
    dtype: dtypeOf(where, tensor.elemType),
    shape: dims.map(({ dimValue, dimParam }, axis) => (dimValue > 0 ? dimValue : dimParam || `d${axis}`)),
  };
}

const isSize = (size: number): boolean => Number.isSafeInteger(size) && size >= 0;

function readTensor(where: string, tensor: TensorMessage): HostArray {
  const { dims, dataType, dataLocation } = tensor;
  if (dataLocation !== 0) {
    throw new DataError(
      `${where} lies in another file (expected one file: save it with onnx.save(model, path, save_as_external_data=False))`,
    );
  }
  const dtype = dtypeOf(where, dataType);
  const size = sizeOf(dims);
  if (!dims.every(isSize) || !isSize(size))
    throw new DataError(`${where} has the shape ${formatShape(dims)} (expected sizes of 0 or more)`);
  const data = tensor.rawData.length > 0 ? fromBytes(dataType, tensor.rawData) : fromFields(tensor);
  if (data.length !== size)
    throw new DataError(`${where} ${formatShape(dims)} must have ${size} elements, got ${data.length}`);
  return { shape: dims, dtype, data };
}

/** Elements of raw data, by data type: bytes of each, and how one is read. */
const RAW: Readonly<Record<number, readonly [bytes: number, read: (view: DataView, at: number) => number]>> =
  {
    1: [4, (view, at) => view.getFloat32(at, true)],
    2: [1, (view, at) => view.getUint8(at)],
    3: [1, (view, at) => view.getInt8(at)],
    4: [2, (view, at) => view.getUint16(at, true)],
    5: [2, (view, at) => view.getInt16(at, true)],
    6: [4, (view, at) => view.getInt32(at, true)],
    7: [8, (view, at) => Number(view.getBigInt64(at, true))],
    9: [1, (view, at) => view.getUint8(at)],
    10: [2, (view, at) => fromHalf(view.getUint16(at, true))],
    11: [8, (view, at) => view.getFloat64(at, true)],
    12: [4, (view, at) => view.getUint32(at, true)],
    13: [8, (view, at) => Number(view.getBigUint64(at, true))],
    16: [2, (view, at) => brain(view.getUint16(at, true))],
  };

function fromBytes(dataType: number, bytes: Uint8Array): ArrayLike<number> {
  const [width, read] = RAW[dataType];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Math.floor(bytes.length / width);
  const data = DTYPES[dataType] === 'f32' ? new Float32Array(length) : new Float64Array(length);
  for (let i = 0; i < length; i++) data[i] = read(view, i * width);
  return data;
}

function fromFields(tensor: TensorMessage): ArrayLike<number> {
  const { dataType, floatData, int32Data, int64Data, doubleData, uint64Data } = tensor;
  switch (dataType) {
    case 1:
      return floatData;
    case 7:
      return int64Data;
    case 10:
      return int32Data.map(fromHalf);
    case 11:
      return doubleData;
    case 12:
    case 13:
      return uint64Data;
    case 16:
      return int32Data.map(brain);
    default:
      return int32Data;
  }
}

/** A bfloat16, the upper half of a float. */
const brain = (bits: number): number => new Float32Array(Uint32Array.of(bits << 16).buffer)[0];
