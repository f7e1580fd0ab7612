/** The cases that PyTorch computed (test/oracle), written with the engine's operations and run on any backend. */
/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { describe, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import * as ops from '../../engine/ops/index.ts';
import { constant, type Tensor } from '../../engine/tensor.ts';
import { oracle, toHost, type OracleAttrs, type OracleCase, type OracleOp } from '../oracle/load.ts';
import { expectClose } from './compare.ts';

/** One number for each example. */
const NONE = { reduction: 'none' } as const;

type Inputs = Readonly<Record<string, Tensor>>;
type Build<N extends OracleOp> = (
  inputs: Inputs,
  attrs: OracleAttrs[N],
) => Tensor | Readonly<Record<string, Tensor>>;

/** Each of PyTorch's operations by the engine's. */
const builds: { readonly [N in OracleOp]: Build<N> } = {
  conv2d: ({ x, w }, { pad, ...geometry }) => ops.conv2d(x, w, { padding: pad, ...geometry }),
  conv2dTranspose: ({ x, w }, { pad, ...geometry }) =>
    ops.conv2dTranspose(x, w, { padding: pad, ...geometry }),
  globalAvgPool2d: ({ x }) => ops.globalAvgPool2d(x),
  globalMaxPool2d: ({ x }) => ops.globalMaxPool2d(x),
  resize2d: ({ x }, { size, ...options }) => ops.resize2d(x, size, options),
  layerNorm: ({ x, gamma, beta }, { axes, eps }) => ops.layerNorm(x, { axes, gamma, beta, epsilon: eps }),
  groupNorm: ({ x, gamma, beta }, { groups, eps }) => ops.groupNorm(x, groups, { gamma, beta, epsilon: eps }),
  instanceNorm: ({ x, gamma, beta }, { eps }) => ops.instanceNorm(x, { gamma, beta, epsilon: eps }),
  lrnAcross: ({ x }, attrs) => ops.lrnAcross(x, attrs),
  gelu: ({ x }, attrs) => ops.gelu(x, attrs),
  silu: ({ x }) => ops.silu(x),
  softplus: ({ x }) => ops.softplus(x),
  leakyRelu: ({ x }, { slope }) => ops.leakyRelu(x, slope),
  elu: ({ x }, { alpha }) => ops.elu(x, alpha),
  celu: ({ x }, { alpha }) => ops.celu(x, alpha),
  hardSigmoid: ({ x }) => ops.hardSigmoid(x),
  hardSwish: ({ x }) => ops.hardSwish(x),
  hardTanh: ({ x }) => ops.hardTanh(x),
  meanSquaredError: ({ x, target }) => ops.meanSquaredError(x, target, NONE),
  binaryCrossEntropy: ({ x, target }) => ops.binaryCrossEntropy(x, target, NONE),
  huber: ({ x, target }, attrs) => ops.huberLoss(x, target, { ...attrs, ...NONE }),
  smoothedCrossEntropy: ({ x, labels }, { smoothing }) =>
    ops.crossEntropy(x, labels, { labelSmoothing: smoothing, ...NONE }),
  klDivergence: ({ x, target }) => ops.klDivergence(x, target, NONE),
  dice: ({ x, target }) => ops.diceLoss(x, target, NONE),
  focal: ({ x, target }, attrs) => ops.focalLoss(x, target, { ...attrs, ...NONE }),
  embedding: ({ w, index }) => ops.gather(w, index),
  maxPool2d: ({ x }, { size, stride, pad, ceil }) => ops.maxPool2d(x, size, { stride, padding: pad, ceil }),
  avgPool2d: ({ x }, { size, stride, pad, ceil }) => ops.avgPool2d(x, size, { stride, padding: pad, ceil }),
  lrn: ({ x }, { size, alpha, beta }) => ops.lrnWithin(x, { size, alpha, beta }),
  batchNorm({ x, gamma, beta, mean, variance }, { training, eps }) {
    const options = { gamma, beta, epsilon: eps };
    return training ? { ...ops.batchNorm(x, options) } : ops.batchNormInference(x, mean, variance, options);
  },
  softmaxCrossEntropy: ({ logits, labels }, { reduction }) => ops.crossEntropy(logits, labels, { reduction }),
  matmul: ({ a, b }, { transposeA, transposeB }) =>
    ops.matmul(a, b, { transA: transposeA, transB: transposeB }),
  dense: ({ x, w, b }) => ops.add(ops.matmul(x, w), b),
  tanh: ({ x }) => ops.tanh(x),
  sigmoid: ({ x }) => ops.sigmoid(x),
  exp: ({ x }) => ops.exp(x),
  log: ({ x }) => ops.log(x),
  sqrt: ({ x }) => ops.sqrt(x),
  relu: ({ x }) => ops.relu(x),
  abs: ({ x }) => ops.abs(x),
  pow: ({ x }, { exponent }) => ops.pow(x, exponent),
  add: ({ a, b }) => ops.add(a, b),
  sub: ({ a, b }) => ops.sub(a, b),
  mul: ({ a, b }) => ops.mul(a, b),
  div: ({ a, b }) => ops.div(a, b),
  sum: ({ x }, { axes, keepDims }) => ops.sum(x, axes, { keepDims }),
  mean: ({ x }, { axes, keepDims }) => ops.mean(x, axes, { keepDims }),
  max: ({ x }, { axes, keepDims }) => ops.max(x, axes, { keepDims }),
  sign: ({ x }) => ops.sign(x),
  floor: ({ x }) => ops.floor(x),
  ceil: ({ x }) => ops.ceil(x),
  round: ({ x }) => ops.round(x),
  expm1: ({ x }) => ops.expm1(x),
  log1p: ({ x }) => ops.log1p(x),
  sin: ({ x }) => ops.sin(x),
  cos: ({ x }) => ops.cos(x),
  erf: ({ x }) => ops.erf(x),
  atan: ({ x }) => ops.atan(x),
  rsqrt: ({ x }) => ops.rsqrt(x),
  reciprocal: ({ x }) => ops.reciprocal(x),
  square: ({ x }) => ops.square(x),
  not: ({ x }) => ops.not(x),
  clamp: ({ x }, { low, high }) => ops.clamp(x, low, high),
  power: ({ a, b }) => ops.pow(a, b),
  maximum: ({ a, b }) => ops.maximum(a, b),
  minimum: ({ a, b }) => ops.minimum(a, b),
  equal: ({ a, b }) => ops.equal(a, b),
  notEqual: ({ a, b }) => ops.notEqual(a, b),
  less: ({ a, b }) => ops.less(a, b),
  lessEqual: ({ a, b }) => ops.lessEqual(a, b),
  greater: ({ a, b }) => ops.greater(a, b),
  greaterEqual: ({ a, b }) => ops.greaterEqual(a, b),
  and: ({ a, b }) => ops.and(a, b),
  or: ({ a, b }) => ops.or(a, b),
  xor: ({ a, b }) => ops.xor(a, b),
  outer: ({ a, b }) => ops.outer(a, b),
  dot: ({ a, b }) => ops.dot(a, b),
  where: ({ condition, a, b }) => ops.where(condition, a, b),
  cast: ({ x }, { dtype }) => ops.cast(x, dtype),
  min: ({ x }, { axes, keepDims }) => ops.min(x, axes, { keepDims }),
  logSumExp: ({ x }, { axes, keepDims }) => ops.logSumExp(x, axes, { keepDims }),
  any: ({ x }, { axes, keepDims }) => ops.any(x, axes, { keepDims }),
  all: ({ x }, { axes, keepDims }) => ops.all(x, axes, { keepDims }),
  variance: ({ x }, { axes, ...options }) => ops.variance(x, axes, options),
  norm: ({ x }, { axes, ...options }) => ops.norm(x, axes, options),
  softmax: ({ x }, { axis }) => ops.softmax(x, axis),
  logSoftmax: ({ x }, { axis }) => ops.logSoftmax(x, axis),
  prod: ({ x }, { axis }) => ops.prod(x, axis),
  cumulativeSum: ({ x }, { axis }) => ops.cumsum(x, axis),
  argMax: ({ x }, { axis }) => ops.argMax(x, axis),
  argMin: ({ x }, { axis }) => ops.argMin(x, axis),
  sort({ x }, { axis, descending }) {
    const { values, indices } = ops.sort(x, axis, { descending });
    return { y: values, indices };
  },
  topK({ x }, { axis, k }) {
    const { values, indices } = ops.topK(x, k, axis);
    return { y: values, indices };
  },
  slice: ({ x }, { ranges }) => ops.slice(x, ranges),
  concat: ({ a, b, c }, { axis }) => ops.concat([a, b, c], axis),
  stack: ({ a, b, c }, { axis }) => ops.stack([a, b, c], axis),
  split: ({ x }, { sizes, axis }) => ops.split(x, sizes, axis)[1],
  flip: ({ x }, { axes }) => ops.flip(x, axes),
  tile: ({ x }, { counts }) => ops.tile(x, counts),
  repeat: ({ x }, { count, axis }) => ops.repeat(x, count, axis),
  pad: ({ x }, { mode, amounts }) => ops.pad(x, amounts, { mode }),
  gather: ({ x, index }, { axis }) => ops.gather(x, index, axis),
  scatterAdd: ({ x, index }, { n, axis }) => ops.scatterAdd(x, index, n, axis),
  takeAlong: ({ x, index }, { axis }) => ops.takeAlongAxis(x, index, axis),
  scatterAlong: ({ x, index }, { n, axis }) => ops.scatterAddAlongAxis(x, index, n, axis),
  oneHot: ({ index }, { n }) => ops.oneHot(index, n),
  trunc: ({ x }) => ops.trunc(x),
  exp2: ({ x }) => ops.exp2(x),
  log2: ({ x }) => ops.log2(x),
  log10: ({ x }) => ops.log10(x),
  tan: ({ x }) => ops.tan(x),
  asin: ({ x }) => ops.asin(x),
  acos: ({ x }) => ops.acos(x),
  sinh: ({ x }) => ops.sinh(x),
  cosh: ({ x }) => ops.cosh(x),
  asinh: ({ x }) => ops.asinh(x),
  acosh: ({ x }) => ops.acosh(x),
  atanh: ({ x }) => ops.atanh(x),
  atan2: ({ a, b }) => ops.atan2(a, b),
  remainder: ({ a, b }) => ops.remainder(a, b),
  std: ({ x }, { axes, ...options }) => ops.std(x, axes, options),
  quantile: ({ x }, { q, axis, ...options }) => ops.quantile(x, q, axis, options),
  median: ({ x }, { axis, ...options }) => ops.median(x, axis, options),
  cumulativeProduct: ({ x }, { axis }) => ops.cumprod(x, axis),
  roll: ({ x }, { shifts, axes }) => ops.roll(x, shifts, axes),
  diag: ({ x }, { offset }) => ops.diag(x, offset),
  triu: ({ x }, { offset }) => ops.triu(x, offset),
  tril: ({ x }, { offset }) => ops.tril(x, offset),
  crossEntropy: ({ x, target }, attrs) => ops.crossEntropy(x, target, attrs),
  weightedBinaryCrossEntropy: ({ x, target }, attrs) => ops.binaryCrossEntropy(x, target, attrs),
  meanAbsoluteError: ({ x, target }) => ops.meanAbsoluteError(x, target),
  smoothL1: ({ x, target }, attrs) => ops.smoothL1Loss(x, target, attrs),
  cosineSimilarity: ({ a, b }, { axis }) => ops.cosineSimilarity(a, b, axis),
  cosineEmbedding: ({ a, b, labels }, attrs) => ops.cosineEmbeddingLoss(a, b, labels, { ...attrs, ...NONE }),
  tripletMargin: ({ a, p, n }, attrs) => ops.tripletMarginLoss(a, p, n, { ...attrs, ...NONE }),
  selu: ({ x }) => ops.selu(x),
  mish: ({ x }) => ops.mish(x),
  prelu: ({ x, slope }) => ops.prelu(x, slope),
  pixelShuffle: ({ x }, { factor }) => ops.pixelShuffle(x, factor),
  pixelUnshuffle: ({ x }, { factor }) => ops.pixelUnshuffle(x, factor),
  adaptiveAvgPool2d: ({ x }, { size }) => ops.adaptiveAvgPool2d(x, size),
  adaptiveMaxPool2d: ({ x }, { size }) => ops.adaptiveMaxPool2d(x, size),
  conv1d: ({ x, w }, attrs) => ops.conv1d(x, w, attrs),
  maxPool1d: ({ x }, { size, ...options }) => ops.maxPool1d(x, size, options),
  avgPool1d: ({ x }, { size, ...options }) => ops.avgPool1d(x, size, options),
  resize: ({ x }, { size, ...options }) => ops.resize2d(x, size, options),
  einsum: (inputs, { equation }) => ops.einsum(equation, ...Object.values(inputs)),
};

function build(item: OracleCase, inputs: Inputs): Readonly<Record<string, Tensor>> & { readonly y: Tensor } {
  const made = (builds[item.op] as Build<OracleOp>)(inputs, item.attrs);
  return ('source' in made ? { y: made as Tensor } : made) as Readonly<Record<string, Tensor>> & {
    readonly y: Tensor;
  };
}

/** Where every element is smaller, this is what counts as large: 1 − sigmoid(20) is 0 in single precision. */
const LEAST = 1e-2;

/** Compares every case, values and gradients, within `tolerance` of the largest element. */
export function describeOracle(
  name: string,
  makeBackend: () => Promise<Backend> | Backend,
  tolerance: number,
): void {
  describe(`${name} agrees with PyTorch ${oracle.versions.torch}`, () => {
    it.each(oracle.cases.map((item) => [`${item.op}: ${item.name}`, item] as const))(
      '%s',
      async (what, item) => {
        const backend = await makeBackend();
        const evaluator = new Evaluator(backend);
        try {
          const inputs = Object.fromEntries(
            Object.entries(item.inputs).map(([key, value]) => [key, constant(toHost(value))]),
          );
          const outputs = build(item, inputs);
          const wanted = Object.keys(item.grads);
          const { gradOutput } = item;
          const gradients =
            gradOutput === undefined
              ? []
              : grad(
                  ops.sum(ops.mul(outputs.y, constant(toHost(gradOutput)))),
                  wanted.map((key) => inputs[key]),
                );
          const names = Object.keys(item.outputs);
          const values = await evaluator.evaluate([...names.map((key) => outputs[key]), ...gradients]);
          names.forEach((key, i) =>
            expectClose(`${what} / ${key}`, values[i], toHost(item.outputs[key]), tolerance, LEAST),
          );
          wanted.forEach((key, i) =>
            expectClose(
              `${what} / gradient of ${key}`,
              values[names.length + i],
              toHost(item.grads[key]),
              tolerance,
              LEAST,
            ),
          );
        } finally {
          await evaluator.close();
        }
      },
    );
  });
}
