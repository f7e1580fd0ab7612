/**
 * ONNX files: the messages of onnx.proto that models use (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto). protobufjs is
 * loaded with the first file, because most users of this entry convert only weights of PyTorch.
 */
import type { Root } from 'protobufjs';
import { EngineError } from '../errors.ts';
import { checkEval } from '../eval.ts';

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
    [
      ['opsetImport', 'OperatorSetIdProto', 8],
      ['metadataProps', 'StringStringEntryProto', 14],
    ],
  ),
  StringStringEntryProto: message([
    ['key', 'string', 1],
    ['value', 'string', 2],
  ]),
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
      ['domain', 'string', 7],
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
      ['f', 'float', 2],
      ['i', 'int64', 3],
      ['s', 'bytes', 4],
      ['t', 'TensorProto', 5],
      ['type', 'int32', 20],
    ],
    [
      ['floats', 'float', 7],
      ['ints', 'int64', 8],
      ['strings', 'bytes', 9],
    ],
  ),
  TensorProto: message(
    [
      ['dataType', 'int32', 2],
      ['name', 'string', 8],
      ['rawData', 'bytes', 9],
      ['dataLocation', 'int32', 14],
    ],
    [
      ['dims', 'int64', 1],
      ['floatData', 'float', 4],
      ['int32Data', 'int32', 5],
      ['int64Data', 'int64', 7],
      ['doubleData', 'double', 10],
      ['uint64Data', 'uint64', 11],
    ],
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

/** Throws EngineError where a content security policy forbids what protobufjs does. */
export const checkProtobuf = (where: string): void =>
  checkEval(
    (cause) =>
      new EngineError(
        `${where}: protobufjs compiles its encoder from text, and this environment forbids it (allow 'unsafe-eval', or convert in Node)`,
        { cause },
      ),
  );

let root: Root | null = null;

async function modelType() {
  if (root === null) {
    const { default: protobuf } = await import('protobufjs/light.js');
    root = protobuf.Root.fromJSON({ nested: MESSAGES });
  }
  return root.lookupType('ModelProto');
}

/** An attribute that is written: an integer, a list of integers, a text, or a number in single precision. */
export type OnnxAttribute = number | readonly number[] | string | { readonly float: number };

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
  readonly metadata: Readonly<Record<string, string>>;
}

/** TensorProto.DataType */
export const DATA_TYPES = { f32: 1, u8: 2, i32: 6, i64: 7, bool: 9 } as const;

/** AttributeProto.AttributeType */
export const ATTRIBUTE_TYPES = { f: 1, i: 2, s: 3, t: 4, floats: 6, ints: 7, strings: 8 } as const;

function attribute(name: string, value: OnnxAttribute) {
  if (typeof value === 'number') return { name, i: value, type: ATTRIBUTE_TYPES.i };
  if (typeof value === 'string') return { name, s: new TextEncoder().encode(value), type: ATTRIBUTE_TYPES.s };
  if ('float' in value) return { name, f: value.float, type: ATTRIBUTE_TYPES.f };
  return { name, ints: value, type: ATTRIBUTE_TYPES.ints };
}

/** A file of format version 8 with operator set 17. */
export async function encodeOnnx({
  node,
  initializer,
  input,
  output,
  metadata,
}: OnnxGraph): Promise<Uint8Array> {
  const type = await modelType();
  const graph = {
    name: 'cyclegrad',
    node: node.map(({ attributes, ...rest }) => ({
      ...rest,
      name: rest.output[0],
      attribute: Object.entries(attributes).map(([name, value]) => attribute(name, value)),
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
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
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

export interface TensorMessage {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly dataLocation: number;
  readonly rawData: Uint8Array;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly number[];
  readonly doubleData: readonly number[];
  readonly uint64Data: readonly number[];
}

export interface AttributeMessage {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: number;
  readonly s: Uint8Array;
  readonly t: TensorMessage | null;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
  readonly strings: readonly Uint8Array[];
}

export interface NodeMessage {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeMessage[];
}

export interface ValueMessage {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: {
        readonly dim: readonly { readonly dimValue: number; readonly dimParam: string }[];
      } | null;
    } | null;
  } | null;
}

export interface ModelMessage {
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
  readonly graph: {
    readonly node: readonly NodeMessage[];
    readonly initializer: readonly TensorMessage[];
    readonly input: readonly ValueMessage[];
    readonly output: readonly ValueMessage[];
  } | null;
}

/** The message of a file. Throws the error of protobufjs for bytes that are none. */
export async function decodeOnnx(bytes: Uint8Array): Promise<ModelMessage> {
  const type = await modelType();
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true, arrays: true }) as ModelMessage;
}
