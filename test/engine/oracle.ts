/** The cases that PyTorch computed (test/oracle), written with the engine's operations and run on any backend. */
/* oxlint-disable vitest/expect-expect -- expectClose asserts */
import { describe, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import {
  add,
  avgPool2d,
  batchNorm,
  batchNormInference,
  conv2d,
  conv2dTranspose,
  globalAvgPool2d,
  globalMaxPool2d,
  resize2d,
  layerNorm,
  groupNorm,
  instanceNorm,
  lrnAcross,
  gelu,
  silu,
  softplus,
  leakyRelu,
  elu,
  celu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  meanSquaredErrorRows,
  binaryCrossEntropyRows,
  huberRows,
  klDivergenceRows,
  diceRows,
  focalRows,
  gather,
  crossEntropyRows,
  div,
  exp,
  log,
  lrnWithin,
  matmul,
  max,
  maxPool2d,
  mean,
  mul,
  neg,
  pow,
  relu,
  sigmoid,
  softmaxCrossEntropy,
  sqrt,
  sub,
  sum,
  tanh,
} from '../../engine/ops/index.ts';
import { constant, type Tensor } from '../../engine/tensor.ts';
import { oracle, toHost, type OracleAttrs, type OracleCase, type OracleOp } from '../oracle/load.ts';
import { expectClose } from './compare.ts';

type Inputs = Readonly<Record<string, Tensor>>;
type Build<N extends OracleOp> = (
  inputs: Inputs,
  attrs: OracleAttrs[N],
) => Tensor | Readonly<Record<string, Tensor>>;

/** Each of PyTorch's operations by the engine's. */
const builds: { readonly [N in OracleOp]: Build<N> } = {
  conv2d: ({ x, w }, { pad, ...geometry }) => conv2d(x, w, { padding: pad, ...geometry }),
  conv2dTranspose: ({ x, w }, { pad, ...geometry }) => conv2dTranspose(x, w, { padding: pad, ...geometry }),
  globalAvgPool2d: ({ x }) => globalAvgPool2d(x),
  globalMaxPool2d: ({ x }) => globalMaxPool2d(x),
  resize2d: ({ x }, { size, ...options }) => resize2d(x, size, options),
  layerNorm: ({ x, gamma, beta }, { axes, eps }) => layerNorm(x, { axes, gamma, beta, epsilon: eps }),
  groupNorm: ({ x, gamma, beta }, { groups, eps }) => groupNorm(x, groups, { gamma, beta, epsilon: eps }),
  instanceNorm: ({ x, gamma, beta }, { eps }) => instanceNorm(x, { gamma, beta, epsilon: eps }),
  lrnAcross: ({ x }, attrs) => lrnAcross(x, attrs),
  gelu: ({ x }, attrs) => gelu(x, attrs),
  silu: ({ x }) => silu(x),
  softplus: ({ x }) => softplus(x),
  leakyRelu: ({ x }, { slope }) => leakyRelu(x, slope),
  elu: ({ x }, { alpha }) => elu(x, alpha),
  celu: ({ x }, { alpha }) => celu(x, alpha),
  hardSigmoid: ({ x }) => hardSigmoid(x),
  hardSwish: ({ x }) => hardSwish(x),
  hardTanh: ({ x }) => hardTanh(x),
  meanSquaredError: ({ x, target }) => meanSquaredErrorRows(x, target),
  binaryCrossEntropy: ({ x, target }) => binaryCrossEntropyRows(x, target),
  huber: ({ x, target }, attrs) => huberRows(x, target, attrs),
  smoothedCrossEntropy: ({ x, labels }, { smoothing }) =>
    crossEntropyRows(x, labels, { labelSmoothing: smoothing }),
  klDivergence: ({ x, target }) => klDivergenceRows(x, target),
  dice: ({ x, target }) => diceRows(x, target),
  focal: ({ x, target }, attrs) => focalRows(x, target, attrs),
  embedding: ({ w, index }) => gather(w, index),
  maxPool2d: ({ x }, { size, stride, pad, ceil }) => maxPool2d(x, size, { stride, padding: pad, ceil }),
  avgPool2d: ({ x }, { size, stride, pad, ceil }) => avgPool2d(x, size, { stride, padding: pad, ceil }),
  lrn: ({ x }, { size, alpha, beta }) => lrnWithin(x, { size, alpha, beta }),
  batchNorm({ x, gamma, beta, mean: m, variance }, { training, eps }) {
    const options = { gamma, beta, epsilon: eps };
    return training ? { ...batchNorm(x, options) } : batchNormInference(x, m, variance, options);
  },
  softmaxCrossEntropy: ({ logits, labels }, { reduction }) =>
    reduction === 'mean' ? softmaxCrossEntropy(logits, labels) : crossEntropyRows(logits, labels),
  matmul: ({ a, b }, { transposeA, transposeB }) => matmul(a, b, { transA: transposeA, transB: transposeB }),
  dense: ({ x, w, b }) => add(matmul(x, w), b),
  tanh: ({ x }) => tanh(x),
  sigmoid: ({ x }) => sigmoid(x),
  exp: ({ x }) => exp(x),
  log: ({ x }) => log(x),
  sqrt: ({ x }) => sqrt(x),
  relu: ({ x }) => relu(x),
  abs: ({ x }) => add(relu(x), relu(neg(x))), // composed: the engine has no operation of its own
  pow: ({ x }, { exponent }) => pow(x, exponent),
  add: ({ a, b }) => add(a, b),
  sub: ({ a, b }) => sub(a, b),
  mul: ({ a, b }) => mul(a, b),
  div: ({ a, b }) => div(a, b),
  sum: ({ x }, { axes, keepDims }) => sum(x, axes, { keepDims }),
  mean: ({ x }, { axes, keepDims }) => mean(x, axes, { keepDims }),
  max: ({ x }, { axes, keepDims }) => max(x, axes, { keepDims }),
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
          const gradients = grad(
            sum(mul(outputs.y, constant(toHost(item.gradOutput)))),
            wanted.map((key) => inputs[key]),
          );
          const names = Object.keys(item.outputs);
          const values = await evaluator.evaluate([...names.map((key) => outputs[key]), ...gradients]);
          names.forEach((key, i) =>
            expectClose(`${what} / ${key}`, values[i], toHost(item.outputs[key]!), tolerance, LEAST),
          );
          wanted.forEach((key, i) =>
            expectClose(
              `${what} / gradient of ${key}`,
              values[names.length + i],
              toHost(item.grads[key]!),
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
