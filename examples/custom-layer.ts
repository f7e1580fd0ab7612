// A custom layer: maxout, the maximum of several linear functions.
// The argument is the number of steps (default 1500).
import { fit, matmul, max, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, split, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { oneCycle } from 'cyclegrad/schedulers';

/**
 * y = max over k of x · weight_k + bias_k. Shapes: x [N, inputs] -> [N, outputs].
 * A layer is a description: named parameters, a function of a tensor, and its configuration as plain data.
 */
function maxout(inputs: number, outputs: number, pieces: number): nn.Layer {
  const shared = { lrMult: 1, decayMult: 1 };
  return {
    params: {
      weight: { shape: [inputs, outputs * pieces], init: nn.init.he(), ...shared },
      bias: { shape: [outputs * pieces], init: nn.init.zeros, ...shared },
    },
    config: { kind: 'maxout', pieces },
    apply(x, scope) {
      const all = matmul(x, scope.param('weight')).add(scope.param('bias'));
      return max(all.reshape([-1, outputs, pieces]), 2);
    },
  };
}

const steps = Number(process.argv[2] ?? 1500);
const [train, test] = split(synthetic({ kind: 'spirals', n: 3000, seed: 1 }), 2500);
const backend = await wasm({ threads: 1 });
const { accuracy } = await fit({
  model: nn.sequential({ one: maxout(2, 32, 3), two: maxout(32, 32, 3), head: nn.dense(32, 3) }),
  backend,
  steps,
  data: loader(train, { batchSize: 50 }),
  eval: { data: test, every: steps },
  optimizer: sgd({ lr: oneCycle({ max: 0.1, steps }), momentum: 0.9 }),
});
await backend.close();
console.log(`test accuracy ${accuracy}`);
