/**
 * The messages of ONNX files: the fields that toOnnx writes. Numbers and names are those of onnx.proto
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
import protobuf from 'protobufjs/light.js';

type Field = readonly [name: string, type: string, id: number];

const one = ([type, id]: readonly [string, number]) => ({ type, id });
const many = ([type, id]: readonly [string, number]) => ({ rule: 'repeated', type, id });

const message = (single: readonly Field[], repeated: readonly Field[] = []) => ({
  fields: Object.fromEntries([
    ...single.map(([name, type, id]) => [name, one([type, id])] as const),
    ...repeated.map(([name, type, id]) => [name, many([type, id])] as const),
  ]),
});

const MESSAGES = {
  ModelProto: message(
    [
      ['irVersion', 'int64', 1],
      ['producerName', 'string', 2],
      ['graph', 'GraphProto', 7],
    ],
    [['opsetImport', 'OperatorSetIdProto', 8]],
  ),
  OperatorSetIdProto: message([
    ['domain', 'string', 1],
    ['version', 'int64', 2],
  ]),
  GraphProto: message(
    [['name', 'string', 2]],
    [
      ['node', 'NodeProto', 1],
      ['initializer', 'TensorProto', 5],
      ['input', 'ValueInfoProto', 11],
      ['output', 'ValueInfoProto', 12],
    ],
  ),
  NodeProto: message(
    [
      ['name', 'string', 3],
      ['opType', 'string', 4],
    ],
    [
      ['input', 'string', 1],
      ['output', 'string', 2],
      ['attribute', 'AttributeProto', 5],
    ],
  ),
  AttributeProto: message(
    [
      ['name', 'string', 1],
      ['i', 'int64', 3],
      ['type', 'int32', 20],
    ],
    [['ints', 'int64', 8]],
  ),
  TensorProto: message(
    [
      ['dataType', 'int32', 2],
      ['name', 'string', 8],
      ['rawData', 'bytes', 9],
    ],
    [['dims', 'int64', 1]],
  ),
  ValueInfoProto: message([
    ['name', 'string', 1],
    ['type', 'TypeProto', 2],
  ]),
  TypeProto: message([['tensorType', 'TensorTypeProto', 1]]),
  TensorTypeProto: message([
    ['elemType', 'int32', 1],
    ['shape', 'TensorShapeProto', 2],
  ]),
  TensorShapeProto: message([], [['dim', 'DimensionProto', 1]]),
  DimensionProto: message([
    ['dimValue', 'int64', 1],
    ['dimParam', 'string', 2],
  ]),
};

/** An attribute of a node: an integer or a list of integers. */
export type OnnxAttribute = number | readonly number[];

export interface OnnxNode {
  readonly opType: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** `dataType` is one of DATA_TYPES. The data is little-endian. */
export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly rawData: Uint8Array;
}

/** A size may be a symbol, for instance 'N'. */
export interface OnnxValue {
  readonly name: string;
  readonly dataType: number;
  readonly dims: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly node: readonly OnnxNode[];
  readonly initializer: readonly OnnxTensor[];
  readonly input: readonly OnnxValue[];
  readonly output: readonly OnnxValue[];
}

/** TensorProto.DataType */
export const DATA_TYPES = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 } as const;

const INT = 2; // AttributeProto.AttributeType
const INTS = 7;

/** A file of format version 8 with operator set 17. */
export function encodeOnnx({ node, initializer, input, output }: OnnxGraph): Uint8Array {
  const type = protobuf.Root.fromJSON({ nested: MESSAGES }).lookupType('ModelProto');
  const graph = {
    name: 'cyclegrad',
    node: node.map(({ attributes, ...rest }) => ({
      ...rest,
      name: rest.output[0],
      attribute: Object.entries(attributes).map(([name, value]) =>
        typeof value === 'number' ? { name, i: value, type: INT } : { name, ints: value, type: INTS },
      ),
    })),
    initializer,
    input: input.map(valueInfo),
    output: output.map(valueInfo),
  };
  const model = {
    irVersion: 8,
    producerName: 'cyclegrad',
    graph,
    opsetImport: [{ domain: '', version: 17 }],
  };
  return Uint8Array.from(type.encode(model).finish());
}

const valueInfo = ({ name, dataType, dims }: OnnxValue) => ({
  name,
  type: {
    tensorType: {
      elemType: dataType,
      shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
    },
  },
});
