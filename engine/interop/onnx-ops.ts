/** How each operation is written in ONNX (operator set 17). */
import type { AnyOp } from '../op.ts';
import type { AttentionAttrs } from '../ops/primitives/attention.ts';
import type { ConvAttrs } from '../ops/primitives/conv.ts';
import type { MatmulAttrs } from '../ops/primitives/matmul.ts';
import type { BatchNormAttrs } from '../ops/primitives/norm.ts';
import type { PoolAttrs } from '../ops/primitives/pool.ts';
import { resizeTable, type ResizeAttrs } from '../ops/primitives/resize.ts';
import type { Node } from '../tensor.ts';
import type { DType, Shape } from '../types.ts';
import { NotExportable, type Dim, type GraphWriter } from './onnx-graph.ts';
import { DATA_TYPES } from './onnx-proto.ts';

interface At {
  readonly writer: GraphWriter;
  readonly node: Node;
  /** The same node in the trace with the other batch size. */
  readonly other: Node;
  /** The ONNX names of the inputs. */
  readonly names: readonly string[];
  /** The sizes of the first result. */
  readonly sizes: readonly Dim[];
}

/** Writes a node and returns the names of its results. A missing name is a result that inference does not use. */
type Exporter = (at: At) => readonly string[];

const TO_NCHW = [0, 3, 1, 2];
const TO_NHWC = [0, 2, 3, 1];
const TO_OIHW = [3, 2, 0, 1];

const direct =
  (opType: string): Exporter =>
  ({ writer, names }) => [writer.node(opType, names)];

const toBool = (writer: GraphWriter, name: string): string =>
  writer.node('Cast', [name], { to: DATA_TYPES.bool });
const toByte = (writer: GraphWriter, name: string): string =>
  writer.node('Cast', [name], { to: DATA_TYPES.u8 });

/** Our truth values are bytes, those of ONNX are booleans. */
const comparison =
  (opType: string): Exporter =>
  ({ writer, names }) => [toByte(writer, writer.node(opType, names))];
const logic =
  (opType: string): Exporter =>
  ({ writer, names }) => [
    toByte(
      writer,
      writer.node(
        opType,
        names.map((name) => toBool(writer, name)),
      ),
    ),
  ];

const pads = ([top, bottom, left, right]: readonly [number, number, number, number]): number[] => [
  top,
  left,
  bottom,
  right,
];

/** An operation on images, which ONNX has with the channels first. */
function onImages(
  writer: GraphWriter,
  opType: string,
  [x, ...rest]: readonly string[],
  attributes: Parameters<GraphWriter['node']>[2],
): readonly string[] {
  const y = writer.node(opType, [writer.transpose(x, TO_NCHW), ...rest], attributes);
  return [writer.transpose(y, TO_NHWC)];
}

const attrsOf = <A>({ attrs }: Node): A => attrs as A;

const conv2d: Exporter = ({ writer, node, names: [x, w] }) => {
  const { stride, pad, kernel, dilation, groups } = attrsOf<ConvAttrs>(node);
  return onImages(writer, 'Conv', [x, writer.transpose(w, TO_OIHW)], {
    strides: stride,
    pads: pads(pad),
    kernel_shape: kernel,
    dilations: dilation,
    group: groups,
  });
};

/** The gradient of a convolution is the transposed convolution. */
const convTranspose: Exporter = ({ writer, node, names: [g, w] }) => {
  const { stride, pad, input, output, kernel, dilation, groups } = attrsOf<ConvAttrs>(node);
  const missing = [0, 1].map((i) => {
    const reached = (output[i] - 1) * stride[i] + dilation[i] * (kernel[i] - 1) + 1;
    return input[i] - (reached - pad[2 * i] - pad[2 * i + 1]);
  });
  return onImages(writer, 'ConvTranspose', [g, writer.transpose(w, TO_OIHW)], {
    strides: stride,
    pads: pads(pad),
    output_padding: missing,
    kernel_shape: kernel,
    dilations: dilation,
    group: groups,
  });
};

/**
 * Windows that exceed the padded image are clipped: the padding at the end grows until they fit. Maxima ignore padding, and averages do not
 * count it, so an average that counts the padded image gets that as an image.
 */
const pool =
  (opType: 'MaxPool' | 'AveragePool'): Exporter =>
  ({ writer, node, names: [x] }) => {
    const { kernel, stride, pad, input, output, insideOnly } = attrsOf<PoolAttrs>(node);
    const missing = [0, 1].map((i) => {
      const reached = (output[i] - 1) * stride[i] + kernel[i];
      return Math.max(0, reached - input[i] - pad[2 * i] - pad[2 * i + 1]);
    });
    const clips = missing.some((extra) => extra > 0);
    const [top, bottom, left, right] = pad;
    const window = { kernel_shape: kernel, strides: stride };
    if (opType === 'AveragePool' && clips && !insideOnly) {
      const amounts = writer.integers([0, top, left, 0, 0, bottom, right, 0]);
      const padded = writer.node('Pad', [x, amounts, writer.scalar(0)]);
      return onImages(writer, opType, [padded], {
        ...window,
        pads: pads([0, missing[0], 0, missing[1]]),
        count_include_pad: 0,
      });
    }
    const counted = opType === 'AveragePool' ? { count_include_pad: insideOnly ? 0 : 1 } : {};
    const whole = pads([top, bottom + missing[0], left, right + missing[1]]);
    return onImages(writer, opType, [x], { ...window, pads: whole, ...counted });
  };

const matmul: Exporter = ({ writer, node, names }) => {
  const { transA, transB } = attrsOf<MatmulAttrs>(node);
  const operands = [transA, transB].map((transposed, i) => {
    const { rank } = node.inputs[i];
    if (!transposed) return names[i];
    const axes = Array.from({ length: rank }, (_, axis) => axis);
    return writer.transpose(names[i], [...axes.slice(0, -2), rank - 1, rank - 2]);
  });
  return [writer.node('MatMul', operands)];
};

const reshape: Exporter = ({ writer, names: [x], sizes }) => {
  const dynamic = sizes.filter(([a, b]) => a !== b).length;
  const shape =
    dynamic === 1 ? writer.integers(sizes.map(([a, b]) => (a === b ? a : -1))) : writer.sizes(sizes);
  return [writer.node('Reshape', [x, shape])];
};

const slice: Exporter = ({ writer, node, names: [x], sizes }) => {
  const { begin, step } = attrsOf<{ begin: readonly number[]; step: readonly number[] }>(node);
  const END = 2 ** 31 - 1;
  const ends = sizes.map(([size, other], i) => {
    if (size !== other) {
      if (begin[i] === 0 && step[i] === 1 && size === node.inputs[0].shape[i]) return END;
      throw new NotExportable('slice of the batch');
    }
    const end = begin[i] + size * step[i];
    return end < 0 ? -END : end;
  });
  const axes = sizes.map((_, axis) => axis);
  return [writer.node('Slice', [x, ...[begin, ends, axes, step].map((each) => writer.integers(each))])];
};

const pad: Exporter = ({ writer, node, names: [x] }) => {
  const { begin, step, shape, value } = attrsOf<{
    begin: readonly number[];
    step: readonly number[];
    shape: Shape;
    value: number;
  }>(node);
  const { shape: from, dtype } = node.inputs[0];
  if (dtype !== 'f32' || step.some((each) => each !== 1))
    throw new NotExportable(`pad of ${dtype} with steps`);
  const after = shape.map((size, i) => size - begin[i] - from[i]);
  return [writer.node('Pad', [x, writer.integers([...begin, ...after]), writer.scalar(value)])];
};

/** x [N, positions, groups, channels of a group] -> y. */
const standardize: Exporter = ({ writer, node, names: [x] }) => {
  const meanOf = (name: string): string => writer.node('ReduceMean', [name], { axes: [1, 3], keepdims: 1 });
  const centered = writer.node('Sub', [x, meanOf(x)]);
  const variance = meanOf(writer.node('Mul', [centered, centered]));
  const { epsilon } = attrsOf<BatchNormAttrs>(node);
  const deviation = writer.node('Sqrt', [writer.node('Add', [variance, writer.scalar(epsilon)])]);
  return [writer.node('Div', [centered, deviation])];
};

/** softmax(scale · q kᵀ) v for each head. */
const attention: Exporter = ({ writer, node, names }) => {
  const { heads, causal, scale } = attrsOf<AttentionAttrs>(node);
  const byHead = (i: number, perm: readonly number[]): string => {
    const [, tokens, channels] = node.inputs[i].shape as [number, number, number];
    // 0 keeps the size of the batch.
    const shape = writer.integers([0, tokens, heads, channels / heads]);
    return writer.transpose(writer.node('Reshape', [names[i], shape]), perm);
  };
  const products = writer.node('MatMul', [byHead(0, [0, 2, 1, 3]), byHead(1, [0, 2, 3, 1])]);
  let scores = writer.node('Mul', [products, writer.scalar(scale)]);
  const [[, queries], [, keys]] = node.inputs.map(({ shape }) => shape) as [number[], number[]];
  if (causal) {
    const range = (n: number): string => writer.integers(Array.from({ length: n }, (_, i) => i));
    const query = writer.node('Reshape', [range(queries), writer.integers([queries, 1])]);
    const isSeen = writer.node('LessOrEqual', [range(keys), query]);
    scores = writer.node('Where', [isSeen, scores, writer.scalar(-1e30)]);
  }
  const mixed = writer.node('MatMul', [
    writer.node('Softmax', [scores], { axis: -1 }),
    byHead(2, [0, 2, 1, 3]),
  ]);
  const shape = writer.integers([0, queries, node.results[0].shape[2]]);
  return [writer.node('Reshape', [writer.transpose(mixed, [0, 2, 1, 3]), shape])];
};

/** (x - mean) * scale */
const normalizeImages: Exporter = ({ writer, names: [x, mean, scale, augmentation] }) => {
  if (augmentation !== undefined) throw new NotExportable('normalizeImages with augmentation');
  const pixels = writer.node('Cast', [x], { to: DATA_TYPES.f32 });
  return [writer.node('Mul', [writer.node('Sub', [pixels, mean]), scale])];
};

/** x · factor */
const scaled =
  (opType: string, factor: number): Exporter =>
  ({ writer, names }) => [writer.node('Mul', [writer.node(opType, names), writer.scalar(factor)])];

/** Where |x| is small, `near` of x, else `far`. */
const byMagnitude = (writer: GraphWriter, x: string, near: string, far: string): string => {
  const isSmall = writer.node('Less', [writer.node('Abs', [x]), writer.scalar(0.5)]);
  return writer.node('Where', [isSmall, near, far]);
};

/** log(1 + x), by log(u) · x / (u − 1) with the rounded u = 1 + x where x is small (Kahan). */
const log1p: Exporter = ({ writer, names: [x] }) => {
  const one = writer.scalar(1);
  const u = writer.node('Add', [x, one]);
  const log = writer.node('Log', [u]);
  const ratio = writer.node('Div', [x, writer.node('Sub', [u, one])]);
  const isOne = writer.node('Equal', [u, one]);
  const near = writer.node('Where', [isOne, x, writer.node('Mul', [log, ratio])]);
  return [byMagnitude(writer, x, near, log)];
};

/** e^x − 1, by (u − 1) · x / log(u) with the rounded u = e^x where x is small (Kahan). */
const expm1: Exporter = ({ writer, names: [x] }) => {
  const one = writer.scalar(1);
  const u = writer.node('Exp', [x]);
  const far = writer.node('Sub', [u, one]);
  const ratio = writer.node('Div', [x, writer.node('Log', [u])]);
  const isOne = writer.node('Equal', [u, one]);
  const near = writer.node('Where', [isOne, x, writer.node('Mul', [far, ratio])]);
  return [byMagnitude(writer, x, near, far)];
};

const trunc: Exporter = ({ writer, names: [x] }) => [
  writer.node('Mul', [writer.node('Sign', [x]), writer.node('Floor', [writer.node('Abs', [x])])]),
];

/** With the sign of the divisor. ONNX has for floats only that with the sign of the dividend. */
const remainder: Exporter = ({ writer, names: [a, b] }) => {
  const zero = writer.scalar(0);
  const rest = writer.node('Mod', [a, b], { fmod: 1 });
  const differ = writer.node('Xor', [writer.node('Less', [rest, zero]), writer.node('Less', [b, zero])]);
  const isSome = writer.node('Not', [writer.node('Equal', [rest, zero])]);
  const moves = writer.node('And', [isSome, differ]);
  return [writer.node('Where', [moves, writer.node('Add', [rest, b]), rest])];
};

/** By the arctangent of the ratio that is at most 1. The reciprocal shows the sign of −0. */
const atan2: Exporter = ({ writer, names: [y, x] }) => {
  const zero = writer.scalar(0);
  const where = (condition: string, a: string, b: string): string => writer.node('Where', [condition, a, b]);
  const isSteep = writer.node('Greater', [writer.node('Abs', [y]), writer.node('Abs', [x])]);
  const below = (name: string): string => {
    const reciprocal = writer.node('Div', [writer.scalar(1), name]);
    return writer.node('Or', [writer.node('Less', [name, zero]), writer.node('Less', [reciprocal, zero])]);
  };
  const isNegative = below(y);
  const divisor = where(isSteep, y, x);
  const safe = where(writer.node('Equal', [divisor, zero]), writer.scalar(1), divisor);
  const angle = writer.node('Atan', [writer.node('Div', [where(isSteep, x, y), safe])]);
  const half = where(isNegative, writer.scalar(-Math.PI / 2), writer.scalar(Math.PI / 2));
  const turn = where(isNegative, writer.scalar(-Math.PI), writer.scalar(Math.PI));
  const flat = where(below(x), writer.node('Add', [angle, turn]), angle);
  return [where(isSteep, writer.node('Sub', [half, angle]), flat)];
};

/** x [outer, n, inner] */
const cumsum: Exporter = ({ writer, node, names: [x] }) => {
  const { exclusive, reverse } = attrsOf<{ exclusive: boolean; reverse: boolean }>(node);
  const attributes = { exclusive: Number(exclusive), reverse: Number(reverse) };
  return [writer.node('CumSum', [x, writer.integers([1])], attributes)];
};

/** The window is square, and its divisor counts positions outside of the image. */
const lrnWithin: Exporter = ({ writer, node, names: [x] }) => {
  const { size, alpha, beta } = attrsOf<{ size: number; alpha: number; beta: number }>(node);
  const edge = (size - 1) / 2;
  const [means] = onImages(writer, 'AveragePool', [writer.node('Mul', [x, x])], {
    kernel_shape: [size, size],
    strides: [1, 1],
    pads: [edge, edge, edge, edge],
    count_include_pad: 1,
  });
  const s = writer.node('Add', [writer.node('Mul', [means, writer.scalar(alpha)]), writer.scalar(1)]);
  return [writer.node('Mul', [x, writer.node('Pow', [s, writer.scalar(-beta)])]), s];
};

/** Nearest pixels by their positions: runtimes round positions of Resize in single precision. */
const resize2d: Exporter = ({ writer, node, names: [x], sizes }) => {
  const attrs = attrsOf<ResizeAttrs>(node);
  const { bilinear, alignCorners } = attrs;
  if (!bilinear) {
    const positions = ([0, 1] as const).map((axis) =>
      writer.integers(resizeTable(attrs, axis).map(({ from }) => from)),
    );
    const rows = writer.node('Gather', [x, positions[0]], { axis: 1 });
    return [writer.node('Gather', [rows, positions[1]], { axis: 2 })];
  }
  const target = writer.sizes([sizes[0], sizes[3], sizes[1], sizes[2]]);
  return onImages(writer, 'Resize', [x, '', '', target], {
    mode: 'linear',
    coordinate_transformation_mode: alignCorners ? 'align_corners' : 'half_pixel',
  });
};

/** Rows [rows, n] */
const sort: Exporter = ({ writer, node, names: [x], sizes }) => {
  const { descending } = attrsOf<{ descending: boolean }>(node);
  const [, [n, other]] = sizes;
  if (n !== other) throw new NotExportable('sort along the batch');
  const attributes = { axis: 1, largest: Number(descending), sorted: 1 };
  const [values, index] = writer.results('TopK', [x, writer.integers([n])], attributes, 2);
  return [values, writer.node('Cast', [index], { to: DATA_TYPES.i32 })];
};

/** Statistics over all axes but the last one. */
const batchNorm: Exporter = ({ writer, node, names: [x, gamma, beta] }) => {
  const axes = node.inputs[0].shape.slice(0, -1).map((_, axis) => axis);
  const meanOf = (name: string): string => writer.node('ReduceMean', [name], { axes, keepdims: 0 });
  const mean = meanOf(x);
  const centered = writer.node('Sub', [x, mean]);
  const variance = meanOf(writer.node('Mul', [centered, centered]));
  const { epsilon } = attrsOf<BatchNormAttrs>(node);
  const deviation = writer.node('Sqrt', [writer.node('Add', [variance, writer.scalar(epsilon)])]);
  const normalized = writer.node('Div', [centered, deviation]);
  const wide = gamma === undefined ? normalized : writer.node('Mul', [normalized, gamma]);
  return [beta === undefined ? wide : writer.node('Add', [wide, beta]), mean, variance];
};

/** Why an operation has no exporter. */
export const NOT_EXPORTED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [
      'attentionGrad',
      'avgPool2dGrad',
      'batchNormGrad',
      'conv2dGradWeight',
      'lrnWithinGrad',
      'maxPool2dGrad',
      'reluGrad',
      'resize2dGrad',
      'scatterAddAlongAxis',
      'scatterAddRows',
      'sigmoidSlope',
      'softmaxCrossEntropyGrad',
      'standardizeGrad',
    ].map((name) => [name, 'it belongs to derivatives']),
  ),
  correct: 'it needs labels',
  softmaxCrossEntropy: 'it needs labels',
  dropout: 'it draws random numbers',
  random: 'it draws random numbers',
};

const EXPORTERS: Readonly<Record<string, Exporter | undefined>> = {
  add: direct('Add'),
  sub: direct('Sub'),
  mul: direct('Mul'),
  div: direct('Div'),
  pow: direct('Pow'),
  maximum: direct('Max'),
  minimum: direct('Min'),
  equal: comparison('Equal'),
  less: comparison('Less'),
  lessEqual: comparison('LessOrEqual'),
  and: logic('And'),
  or: logic('Or'),
  xor: logic('Xor'),
  neg: direct('Neg'),
  abs: direct('Abs'),
  sign: direct('Sign'),
  floor: direct('Floor'),
  ceil: direct('Ceil'),
  round: direct('Round'),
  exp: direct('Exp'),
  log: direct('Log'),
  sqrt: direct('Sqrt'),
  sin: direct('Sin'),
  cos: direct('Cos'),
  sinh: direct('Sinh'),
  cosh: direct('Cosh'),
  atan: direct('Atan'),
  tanh: direct('Tanh'),
  sigmoid: direct('Sigmoid'),
  log1p,
  expm1,
  exp2: ({ writer, names: [x] }) => [writer.node('Pow', [writer.scalar(2), x])],
  log2: scaled('Log', Math.LOG2E),
  log10: scaled('Log', Math.LOG10E),
  trunc,
  remainder,
  atan2,
  erf: direct('Erf'),
  // Small values of erfc lose digits: ONNX has only erf.
  erfc: ({ writer, names }) => [writer.node('Sub', [writer.scalar(1), writer.node('Erf', names)])],
  relu: direct('Relu'),
  where: ({ writer, names: [condition, a, b] }) => [writer.node('Where', [toBool(writer, condition), a, b])],
  cast: ({ writer, node, names }) => [
    writer.node('Cast', names, { to: DATA_TYPES[attrsOf<{ dtype: DType }>(node).dtype] }),
  ],
  conv2d,
  conv2dGradInput: convTranspose,
  maxPool2d: pool('MaxPool'),
  avgPool2d: pool('AveragePool'),
  cumsum,
  lrnWithin,
  resize2d,
  sort,
  batchNorm,
  takeAlongAxis: ({ writer, names }) => [writer.node('GatherElements', names, { axis: 1 })],
  checkFinite: ({ names }) => names,
  stopGradient: ({ names }) => names,
  matmul,
  attention,
  normalizeImages,
  standardize,
  gatherRows: ({ writer, names }) => [writer.node('Gather', names, { axis: 0 })],
  reshape,
  transpose: ({ writer, node, names: [x] }) => [
    writer.transpose(x, attrsOf<{ perm: readonly number[] }>(node).perm),
  ],
  broadcastTo: ({ writer, names: [x], sizes }) => [writer.node('Expand', [x, writer.sizes(sizes)])],
  slice,
  pad,
  concat: ({ writer, node, names }) => [
    writer.node('Concat', names, { axis: attrsOf<{ axis: number }>(node).axis }),
  ],
  sum: ({ writer, names: [x] }) => [writer.node('ReduceSum', [x, writer.integers([1])], { keepdims: 0 })],
  max: ({ writer, names: [x] }) => [writer.node('ReduceMax', [x], { axes: [1], keepdims: 0 })],
};

/** How the operation is written. Undefined if it cannot be. */
export function exporterOf({ name, alias }: AnyOp): Exporter | undefined {
  if (Object.hasOwn(EXPORTERS, name)) return EXPORTERS[name];
  return alias === true ? ({ names }) => [names[0]] : undefined; // customGradient: its value is its first input
}
