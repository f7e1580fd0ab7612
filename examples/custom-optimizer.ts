// A custom optimizer and a custom schedule: normalized momentum, and a rate ∝ 1/√step.
// The argument is the number of steps (default 2000).
import { add, div, fit, mul, sqrt, sub, sum, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, split, synthetic } from 'cyclegrad/datasets';
import { belowOne, hyperParameter, notNegative, perParameter, type Optimizer } from 'cyclegrad/optim';
import { custom, type Schedule } from 'cyclegrad/schedulers';

/** v ← β v + (1 − β) g; w ← w − lr · v / ‖v‖. Every hyperparameter is a number or a schedule. */
function normalized(lr: number | Schedule, beta: number | Schedule): Optimizer {
  return perParameter({
    kind: 'normalized',
    options: {},
    hyper: {
      lr: hyperParameter('normalized', 'lr', lr, notNegative),
      beta: hyperParameter('normalized', 'beta', beta, belowOne),
    },
    slots: ['velocity'],
    update({ grad, param, slots, lr: rate, hyper: { beta: kept } }) {
      const velocity = add(mul(slots['velocity'], kept), mul(grad, sub(1, kept)));
      const length = add(sqrt(sum(mul(velocity, velocity))), 1e-12);
      return { param: sub(param, mul(div(velocity, length), rate)), slots: { velocity } };
    },
  });
}

/** A schedule is a pure function of the step. Checkpoints contain its name. */
const falling = custom({ name: 'inverse root', fn: (step) => 0.3 / Math.sqrt(1 + step / 100) });

const steps = Number(process.argv[2] ?? 2000);
const [train, test] = split(synthetic({ kind: 'spirals', n: 3000, seed: 1 }), 2500);
const backend = await wasm({ threads: 1 });
const { accuracy } = await fit({
  model: nn.mlp([2, 64, 64, 3]),
  backend,
  steps,
  data: loader(train, { batchSize: 50 }),
  eval: { data: test, every: steps },
  optimizer: normalized(falling, 0.9),
});
await backend.close();
console.log(`test accuracy ${accuracy}`);
