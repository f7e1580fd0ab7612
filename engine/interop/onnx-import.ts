/** Models from ONNX files. */
import { DataError, EngineError, ShapeError } from '../errors.ts';
import { nodeFiles, readFrom } from '../files.ts';
import type { Layer, ParamSpec } from '../nn/layer.ts';
import type * as nn from '../nn/index.ts';
import type { Named } from '../named.ts';
import { isRecord, show } from '../options.ts';
import { withPath } from '../path.ts';
import { formatShape, sameShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { DType, HostTensor, State } from '../types.ts';
import { HOST_OPERATORS } from './onnx-host.ts';
import { OPERATORS, type Application } from './onnx-operators.ts';
import { findParams, withoutCopies, type Param } from './onnx-params.ts';
import { checkProtobuf } from './onnx-proto.ts';
import { readGraph, type Attribute, type Graph, type GraphNode } from './onnx-read.ts';
import {
  channelsLast,
  identity,
  inOrder,
  isHost,
  rankOf,
  toPlain,
  type Permuted,
  type Value,
} from './onnx-value.ts';

/** An input or an output of an imported model. */
export interface OnnxInfo {
  /** Its name in the file. */
  readonly name: string;
  readonly dtype: DType;
  /** Sizes, or symbols such as 'N'. Images have the channels last: [N, H, W, C]. */
  readonly shape: readonly (number | string)[];
}

/** A model from an ONNX file. */
export interface OnnxModel {
  /** Takes a tensor, or an object of tensors by name if the file has several inputs. The same holds for outputs. */
  readonly model: Layer;
  /** The weights of the file, for `initial`, `forward` and `evaluate`. */
  readonly state: State;
  readonly inputs: readonly OnnxInfo[];
  readonly outputs: readonly OnnxInfo[];
}

/**
 * A model and its weights from an ONNX file, to run, to train on, or to take as a part of another model. Give the bytes or a path.
 *
 * Images are channels-last, as everywhere: an input [N, C, H, W] that goes into a convolution or a pooling becomes [N, H, W, C], and so
 * does an output that comes from one. Filters and the weights of dense layers have our layouts, and names are those of the file, so
 * `toTorch` gives PyTorch's names and layouts.
 *
 * All floating-point initializers with axes are trained, except settings of operators. BatchNormalization uses the statistics of the batch
 * in training and updates its mean and variance. An exporter that merges it into the convolution before it leaves none: in PyTorch, export
 * with `training=torch.onnx.TrainingMode.PRESERVE` and `do_constant_folding=False` to fine-tune with it. Files of `toOnnx` keep which
 * parameters are trained, but their batch normalization uses the statistics of the file.
 *
 * Supports operator sets 7 to 21.
 * Throws TypeError for other arguments.
 * Throws DataError, with the path, for a file that cannot be read, is damaged or not an ONNX file, and for operators, attributes and types that
 * are not supported. The message names the node, the operator and the operator set.
 * Throws EngineError where a content security policy forbids code from text.
 * Throws ShapeError, when the model is applied, if an input does not fit.
 * Source: https://onnx.ai/onnx/operators.
 *
 * @example
 * const bytes = await toOnnx(nn.dense(4, 2), nn.initState(nn.dense(4, 2), null, 1), { input: [4] });
 * const { model, state } = await fromOnnx(bytes);
 * nn.countParameters(model) // 10
 */
export async function fromOnnx(source: Uint8Array | ArrayBuffer | string): Promise<OnnxModel> {
  const where = typeof source === 'string' ? `fromOnnx: ${source}` : 'fromOnnx';
  const bytes = await bytesOf(where, source);
  checkProtobuf('fromOnnx');
  const graph = withoutCopies(await readGraph(where, bytes));
  checkOperators(where, graph);
  const params = findParams(graph);
  const images = imageInputs(graph);
  const model = modelOf(where, graph, params, images);
  const state = Object.fromEntries([...params.values()].map((param) => [param.name, arrayOf(param)]));
  const info = (value: OnnxInfo, among: ReadonlySet<string>): OnnxInfo => ({
    ...value,
    shape: among.has(value.name)
      ? channelsLast(value.shape.length).map((axis) => value.shape[axis])
      : value.shape,
  });
  const results = imageOutputs(graph, images);
  return {
    model,
    state,
    inputs: graph.inputs.map((input) => info(input, images)),
    outputs: graph.outputs.map((output) => info(output, results)),
  };
}

async function bytesOf(where: string, source: unknown): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (typeof source !== 'string' || source === '') {
    throw new TypeError(
      `fromOnnx: expected the bytes of a file or its path, got ${show(source)} (write await fromOnnx('model.onnx'))`,
    );
  }
  try {
    return await readFrom(nodeFiles, source, async (file) => {
      const bytes = new Uint8Array(file.size);
      await file.read(bytes, 0);
      return bytes;
    });
  } catch (cause) {
    throw new DataError(
      `${where}: cannot be read: ${(cause as Error).message} (is the path right, and the file readable?)`,
      { cause },
    );
  }
}

/** Throws DataError unless all operators, their attributes and their numbers of inputs are known. */
function checkOperators(where: string, { nodes, opset }: Graph): void {
  const unknown = new Set(
    nodes.flatMap(({ name, opType }) =>
      Object.hasOwn(OPERATORS, opType) ? [] : [`${opType} (node '${name}')`],
    ),
  );
  if (unknown.size > 0) {
    throw new DataError(
      `${where}: these operators of operator set ${opset} are not supported: ${listed([...unknown])} ` +
        `(supported: ${Object.keys(OPERATORS).join(', ')})`,
    );
  }
  for (const node of nodes) {
    const { inputs, attributes } = OPERATORS[node.opType];
    const other = [...node.attributes.keys()].find((name) => !attributes.includes(name));
    if (other !== undefined) {
      const known = attributes.length === 0 ? 'none' : attributes.join(', ');
      throw new DataError(
        `${at(where, node, opset)}: attribute ${other} is not supported (supported: ${known})`,
      );
    }
    const count = node.inputs.findLastIndex((name) => name !== '') + 1;
    if (
      count < inputs[0] ||
      count > inputs[1] ||
      node.inputs.slice(0, inputs[0]).includes('') ||
      node.outputs.length === 0
    )
      throw new DataError(
        `${at(where, node, opset)}: must have ${inputs[0]} to ${inputs[1]} inputs and an output, got ${count} inputs and ${node.outputs.length} outputs`,
      );
  }
}

const at = (where: string, { name, opType }: GraphNode, opset: number): string =>
  `${where}: node '${name}' (${opType}, operator set ${opset})`;

const listed = (items: readonly string[]): string =>
  items.length > 8 ? `${items.slice(0, 8).join(', ')} and ${items.length - 8} more` : items.join(', ');

/** Operators whose first input has the channels in axis 1. */
const ON_IMAGES = new Set([
  'AveragePool',
  'Conv',
  'ConvTranspose',
  'DepthToSpace',
  'GlobalAveragePool',
  'GlobalMaxPool',
  'InstanceNormalization',
  'LRN',
  'MaxPool',
  'Resize',
  'SpaceToDepth',
  'Upsample',
]);

/** Operators that keep the axes of their inputs. */
const KEEPS_AXES = new Set(
  (
    'Add BatchNormalization Cast Clip Concat Div Dropout Elu Erf Exp HardSigmoid HardSwish Identity LeakyRelu Log LogSoftmax Max Min Mul ' +
    'Neg Pad Pow PRelu Relu Selu Sigmoid Slice Softmax Softplus Split Sqrt Sub Sum Tanh'
  ).split(' '),
);

/** The names of inputs [N, C, H, W] or [N, C, L] that reach an operator on images with their axes in order. */
function imageInputs({ inputs, nodes }: Graph): ReadonlySet<string> {
  const images = new Set<string>();
  for (const { name, shape } of inputs) {
    if (shape.length < 3) continue;
    const reached = new Set([name]);
    const isImage = nodes.some((node) => {
      if (!node.inputs.slice(0, 2).some((input) => reached.has(input))) return false;
      if (ON_IMAGES.has(node.opType)) return reached.has(node.inputs[0]);
      if (KEEPS_AXES.has(node.opType)) reached.add(node.outputs[0]);
      return false;
    });
    if (isImage) images.add(name);
  }
  return images;
}

/** The names of outputs that come from images with their axes in order. */
function imageOutputs({ nodes, outputs }: Graph, inputs: ReadonlySet<string>): ReadonlySet<string> {
  const images = new Set(inputs);
  for (const node of nodes) {
    const keeps = KEEPS_AXES.has(node.opType) && node.inputs.some((input) => images.has(input));
    if (keeps || ON_IMAGES.has(node.opType)) for (const output of node.outputs) images.add(output);
  }
  return new Set(outputs.flatMap(({ name, shape }) => (shape.length > 2 && images.has(name) ? [name] : [])));
}

/** The value of a parameter in the layout of the model. */
function arrayOf({ value, perm }: Param): HostTensor {
  const { shape, data } = value;
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const sizes = perm.map((axis) => shape[axis]);
  const result = new Float32Array(data.length);
  const position = sizes.map(() => 0);
  let from = 0;
  for (let i = 0; i < result.length; i++) {
    result[i] = data[from];
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      from += strides[perm[axis]];
      if (++position[axis] < sizes[axis]) break;
      from -= strides[perm[axis]] * sizes[axis];
      position[axis] = 0;
    }
  }
  return { shape: sizes, dtype: 'f32', data: result };
}

function specOf(param: Param): ParamSpec {
  const { kind, torch } = param;
  const { shape, data } = arrayOf(param);
  const rate = kind === 'trained' ? 1 : 0;
  return {
    shape,
    init: () => Float32Array.from(data),
    lrMult: rate,
    decayMult: rate,
    ...(kind !== 'trained' && { frozen: true }),
    ...(kind === 'statistic' && { statistic: true }),
    torch,
  };
}

function modelOf(
  where: string,
  graph: Graph,
  params: ReadonlyMap<string, Param>,
  images: ReadonlySet<string>,
): Layer {
  const results = imageOutputs(graph, images);
  const model: Layer<Named<Tensor>, Named<Tensor>> = {
    params: Object.fromEntries([...params.values()].map((param) => [param.name, specOf(param)])),
    config: { kind: 'onnx', opset: graph.opset, nodes: graph.nodes.map(describe) },
    apply(x, scope) {
      const values = new Map<string, Value>(graph.constants);
      for (const [initializer, { name, perm }] of params)
        values.set(initializer, { tensor: scope.param(name), perm });
      for (const [input, tensor] of takeInputs(where, graph, x, images)) values.set(input, tensor);
      for (const node of graph.nodes) applyNode(where, graph.opset, node, values, params, scope);
      const tensors = graph.outputs.map(
        ({ name }) => [name, resultOf(values.get(name)!, results.has(name))] as const,
      );
      return tensors.length === 1 ? tensors[0][1] : Object.fromEntries(tensors);
    },
  };
  return model as unknown as Layer;
}

/** A node as text, so that a checkpoint resumes only with the same graph. */
const describe = ({ opType, inputs, outputs, attributes }: GraphNode): string =>
  `${outputs.join(', ')} = ${opType}(${[...inputs, ...[...attributes].map(([name, value]) => `${name}=${text(value)}`)].join(', ')})`;

const text = (value: Attribute): string =>
  typeof value === 'object' && 'dtype' in value
    ? `${value.dtype}${formatShape(value.shape)}`
    : JSON.stringify(value);

function takeInputs(
  where: string,
  { inputs }: Graph,
  x: Named<Tensor>,
  images: ReadonlySet<string>,
): readonly (readonly [string, Permuted])[] {
  return inputs.map(({ name, dtype, shape }) => {
    const given: unknown =
      inputs.length === 1 && x instanceof Tensor
        ? x
        : isRecord(x)
          ? (x as Record<string, unknown>)[name]
          : undefined;
    if (!(given instanceof Tensor)) {
      const names = inputs.map((input) => `'${input.name}'`).join(', ');
      throw new TypeError(
        `${where}: the model takes tensors by name, ${names}, got ${show(given)} for '${name}'`,
      );
    }
    const perm = images.has(name) ? channelsLast(shape.length) : identity(shape.length);
    const wanted = perm.map((axis) => shape[axis]);
    // Files with a fixed batch size are used with others: what does not fit them throws at its node.
    const fits =
      given.dtype === dtype &&
      given.rank === wanted.length &&
      wanted.every((size, axis) => axis === 0 || typeof size === 'string' || size === given.shape[axis]);
    if (!fits) {
      const sameAsFile = images.has(name) && sameShape(given.shape.slice(1), shape.slice(1) as number[]);
      throw new ShapeError(
        `${where}: input '${name}' must be ${dtype} [${wanted.join(', ')}], got ${given.dtype} ${formatShape(given.shape)}` +
          (sameAsFile ? ' (the channels must be last: transpose(x, [0, 2, 3, 1]))' : ''),
      );
    }
    return [name, { tensor: given, perm }] as const;
  });
}

/** The tensor of an output, with the channels last if it is an image, and else with the axes of the file. */
const resultOf = (value: Value, isImage: boolean): Tensor =>
  isImage ? inOrder(value, channelsLast(rankOf(value))) : toPlain(value);

function applyNode(
  where: string,
  opset: number,
  node: GraphNode,
  values: Map<string, Value>,
  params: ReadonlyMap<string, Param>,
  scope: nn.Scope,
): void {
  const inputs = node.inputs.map((name) => (name === '' ? null : values.get(name)!));
  const attribute = (name: string): Attribute | undefined => node.attributes.get(name);
  try {
    const results = withPath(scope.path, () => {
      const host = inputs.length > 0 && inputs.every((value) => value === null || isHost(value));
      const constant = host ? HOST_OPERATORS[node.opType]?.(inputs, attribute) : null;
      if (constant) return [constant];
      const application: Application = {
        opset,
        inputs,
        outputs: node.outputs.filter((name) => name !== ''),
        params: node.inputs.map((name) => params.get(name)?.name ?? null),
        scope,
        attribute,
      };
      const result = OPERATORS[node.opType].apply(application);
      return Array.isArray(result) ? (result as readonly Value[]) : [result as Value];
    });
    node.outputs.forEach((name, i) => {
      if (name !== '') values.set(name, results[i]);
    });
  } catch (cause) {
    if (!(cause instanceof Error)) throw cause;
    // Messages of the engine begin with a place.
    const message =
      cause instanceof EngineError || /^[\w.]+: /.test(cause.message)
        ? cause.message
        : 'its inputs do not fit the operator (expected those of the ONNX specification)';
    throw new ShapeError(`${at(where, node, opset)}: ${message}`, { cause });
  }
}
