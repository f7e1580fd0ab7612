/** Models as ONNX files, from the graph of their operations. */
import { ShapeError } from '../errors.ts';
import { checkArrays } from '../host.ts';
import { nodesOf } from '../graph.ts';
import * as nn from '../nn/index.ts';
import { checkLayer } from '../nn/layer.ts';
import { checkOptions, isPromise, isRecord, show } from '../options.ts';
import { checkShape, formatShape } from '../shape.ts';
import { input, Tensor, type Node } from '../tensor.ts';
import type { DType, Shape, State } from '../types.ts';
import { GraphWriter, NotExportable, TRACED, type Dim } from './onnx-graph.ts';
import { exporterOf, NOT_EXPORTED } from './onnx-ops.ts';
import { METADATA } from './onnx-params.ts';
import { checkProtobuf, DATA_TYPES, encodeOnnx } from './onnx-proto.ts';

export interface OnnxOptions {
  /** Shape of an example: [32, 32, 3]. */
  readonly input: Shape;
  /** Default: 'f32'. With 'u8' the model takes bytes, which it must normalize itself (`nn.normalize`). */
  readonly dtype?: DType;
}

/**
 * The model as an ONNX file (operator set 17) for other runtimes. Its input is 'x' [N, ...input], its output 'y'. N is any batch size.
 * Outputs by name keep their names.
 *
 * The file holds the operations of inference and the weights. Images stay channels-last: [N, H, W, C].
 * Throws TypeError for wrong arguments and for a model whose output is no tensor or tensors by name, ShapeError for an `input` that the
 * model does not take, and RangeError if the state lacks a parameter
 * or the model has operations that cannot be exported. The message names all of them. Throws EngineError where a content security policy forbids code from text.
 *
 * @example (await toOnnx(nn.dense(4, 2), nn.initState(nn.dense(4, 2), null, 1), { input: [4] })).length > 0 // true
 */
export async function toOnnx(model: nn.Layer, state: State, options: OnnxOptions): Promise<Uint8Array> {
  checkLayer('toOnnx', model);
  if (!isRecord(state) || isPromise(state))
    throw new TypeError(`toOnnx: the second argument must be arrays by name, got ${show(state)}`);
  checkArrays('toOnnx', state);
  const given: unknown = options;
  if (!isRecord(given))
    throw new TypeError(`toOnnx: pass the shape of an example, { input: [32, 32, 3] }, got ${show(options)}`);
  checkOptions('toOnnx', options, ['input', 'dtype']);
  const { input: shape, dtype = 'f32' } = options;
  checkShape('toOnnx: input', shape);
  if (!(dtype in DATA_TYPES)) {
    throw new TypeError(`toOnnx: dtype must be 'f32', 'i32' or 'u8', got ${show(dtype)}`);
  }
  const [first, second] = TRACED.map((batch) => trace(model, { shape: [batch, ...shape], dtype }));
  checkProtobuf('toOnnx');
  const writer = new GraphWriter(state);
  writeNodes(writer, nodesOf(Object.values(first)), nodesOf(Object.values(second)));
  for (const [name, tensor] of Object.entries(first))
    writer.node('Identity', [writer.name(tensor, second[name])], {}, name);
  const { node, initializer } = writer.finish(Object.keys(first));
  const kinds = Object.entries(model.params).map(([name, { frozen }]) => [
    name,
    frozen === true ? 'frozen' : 'trained',
  ]);
  return encodeOnnx({
    node,
    initializer,
    metadata: { [METADATA]: JSON.stringify(Object.fromEntries(kinds)) },
    input: [{ name: 'x', dataType: DATA_TYPES[dtype], dims: ['N', ...shape] }],
    output: Object.entries(first).map(([name, tensor]) => ({
      name,
      dataType: DATA_TYPES[tensor.dtype],
      dims: tensor.shape.map((size, i) => {
        const other = second[name].shape[i];
        return size === other ? size : symbol(size, other);
      }),
    })),
  });
}

const symbol = (size: number, other: number): string =>
  size === TRACED[0] && other === TRACED[1] ? 'N' : `M${size}`;

/** The outputs of the model by name. A single tensor is 'y'. */
function trace(
  model: nn.Layer,
  type: { readonly shape: Shape; readonly dtype: DType },
): Readonly<Record<string, Tensor>> {
  const params = Object.entries(model.params).map(([name, spec]) => [
    name,
    input(name, { shape: spec.shape, dtype: 'f32' }, 'state'),
  ]);
  const state = Object.fromEntries(params) as Record<string, Tensor>;
  let output: unknown;
  try {
    ({ output } = nn.bind(model, state, { training: false })(input('x', type)));
  } catch (cause) {
    if (!(cause instanceof ShapeError)) throw cause;
    const example = formatShape(type.shape.slice(1));
    throw new ShapeError(
      `toOnnx: the model does not take ${type.dtype} examples of input ${example} (pass the shape of an example without the batch): ${cause.message}`,
      { cause },
    );
  }
  if (output instanceof Tensor) return { y: output };
  if (isRecord(output) && !isPromise(output)) {
    const entries = Object.entries(output);
    if (entries.length > 0 && entries.every(([name, each]) => name !== 'x' && each instanceof Tensor))
      return output as Readonly<Record<string, Tensor>>;
  }
  throw new TypeError(
    `toOnnx: the output of the model must be a tensor, or tensors by name other than 'x', got ${show(output)}`,
  );
}

/** Writes the nodes of two traces of one model, with batches of two sizes. Throws RangeError with all that cannot be written. */
function writeNodes(writer: GraphWriter, nodes: readonly Node[], others: readonly Node[]): void {
  if (nodes.length !== others.length || nodes.some(({ op }, i) => op.name !== others[i].op.name))
    throw new RangeError(
      'toOnnx: the operations of the model depend on the batch size, so it cannot be exported',
    );
  const failures = new Set<string>();
  nodes.forEach((node, i) => {
    const write = exporterOf(node.op);
    try {
      if (write === undefined) {
        const reason = NOT_EXPORTED[node.op.name];
        throw new NotExportable(node.op.name + (reason === undefined ? '' : ` (${reason})`));
      }
      const names = node.inputs.map((tensor, k) => writer.name(tensor, others[i].inputs[k]));
      const sizes = node.results[0].shape.map((size, axis): Dim => [size, others[i].results[0].shape[axis]]);
      const written = write({ writer, node, other: others[i], names, sizes });
      node.results.forEach((tensor, k) => writer.setName(tensor, written[k]));
    } catch (error) {
      if (!(error instanceof NotExportable)) throw error;
      failures.add(error.message + (node.path === '' ? '' : ` in ${node.path}`));
      for (const tensor of node.results) writer.setName(tensor, '');
    }
  });
  if (failures.size > 0)
    throw new RangeError(
      `toOnnx: these operations cannot be exported: ${[...failures].join(', ')} (replace them in the model)`,
    );
}
