/** Optimizers against torch.optim: some steps from random gradients, with random options. */
import { compile, type Backend, type HostTensor, type Tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import * as optim from 'cyclegrad/optim';
import type { Attrs, OptimizerCase } from './case.ts';
import { valuesOf, type Draws } from './draws.ts';
import { normal } from './operations/operation.ts';

const decay = (draws: Draws): number => draws.pick([0, 0, 0.01, 0.3]);
const momentum = (draws: Draws): number => draws.pick([0, 0.9, 0.5]);
const form = (draws: Draws): string => draws.pick(['pytorch', 'caffe']);

function sgdOptions(draws: Draws): Attrs {
  const mu = momentum(draws);
  return {
    momentum: mu,
    nesterov: mu > 0 && draws.chance(0.5),
    weightDecay: decay(draws),
    form: form(draws),
  };
}

const momentOptions = (draws: Draws): Attrs => ({
  beta1: draws.pick([0.9, 0, 0.5]),
  beta2: draws.pick([0.999, 0.9]),
  epsilon: draws.pick([1e-8, 1e-3]),
  weightDecay: decay(draws),
});

function adamOptions(draws: Draws): Attrs {
  const options = { ...momentOptions(draws), form: form(draws) };
  return { ...options, amsgrad: options.form === 'pytorch' && draws.chance(0.3) };
}

interface Kind {
  make(options: object): optim.Optimizer;
  options(draws: Draws): Attrs;
}

const kinds: Readonly<Record<string, Kind>> = {
  sgd: { make: (options) => optim.sgd({ lr: 0.1, ...options }), options: sgdOptions },
  adam: { make: optim.adam, options: adamOptions },
  adamw: { make: optim.adamw, options: adamOptions },
  radam: { make: optim.radam, options: momentOptions },
  nadam: {
    make: optim.nadam,
    options: (draws) => ({ ...momentOptions(draws), momentumDecay: draws.pick([0.004, 0, 0.1]) }),
  },
  rmsprop: {
    make: optim.rmsprop,
    options: (draws) => ({
      rho: draws.pick([0.99, 0.9]),
      epsilon: draws.pick([1e-8, 1e-3]),
      momentum: momentum(draws),
      centered: draws.chance(0.3),
      weightDecay: decay(draws),
    }),
  },
  adagrad: {
    make: optim.adagrad,
    options: (draws) => ({
      epsilon: draws.pick([1e-10, 1e-3]),
      // Exact in single precision, as all of the state is.
      initialAccumulator: draws.pick([0, 0.125]),
      weightDecay: decay(draws),
    }),
  },
  adadelta: {
    make: optim.adadelta,
    options: (draws) => ({
      rho: draws.pick([0.9, 0.95]),
      epsilon: draws.pick([1e-6, 1e-3]),
      weightDecay: decay(draws),
    }),
  },
};

/** Wrappers, which the options of a case apply, parts of optimizers, and what PyTorch 1.13 lacks, which test/optim covers. */
const leftOut = new Set(
  'accumulateGradients averageWeights averagedState clipGradients addWeightDecay hyperParameter perParameter partition swa lookahead clipAdaptively lamb lion muon'.split(
    ' ',
  ),
);

export function uncoveredOptimizers(): readonly string[] {
  return Object.entries(optim)
    .filter(([name, value]) => typeof value === 'function' && !(name in kinds) && !leftOut.has(name))
    .map(([name]) => name);
}

export function drawOptimizer(draws: Draws): OptimizerCase {
  const optimizer = draws.pick(Object.keys(kinds));
  const shapes = Array.from({ length: draws.integer(1, 3) }, () => draws.shape(draws.integer(0, 3), 300));
  const accumulate = draws.chance(0.25) ? draws.integer(2, 3) : 1;
  const clip = draws.pick([
    null,
    null,
    { norm: draws.pick([0.1, 1, 10]) },
    { value: 0.5 },
    { norm: 1, value: 0.8 },
  ]);
  return {
    kind: 'optimizer',
    family: 'optimizers',
    seed: draws.below(2 ** 31),
    optimizer,
    options: kinds[optimizer].options(draws),
    clip,
    accumulate,
    average: draws.chance(0.3) ? draws.pick([0.9, 0.5]) : null,
    shapes,
    multipliers: shapes.map(() => ({
      lrMult: draws.pick([1, 1, 2, 0]),
      decayMult: draws.pick([1, 1, 0, 0.5]),
    })),
    scale: draws.pick([1, 1, 1e-3, 100]),
    rates: Array.from({ length: accumulate * draws.integer(5, 10) }, () => draws.short(0.001, 0.1)),
  };
}

export interface Updates {
  readonly params: readonly HostTensor[];
  /** By step, then by parameter. */
  readonly gradients: readonly HostTensor[];
}

export function updatesOf(item: OptimizerCase): Updates {
  const draw = (deviation: number, purpose: string) => (shape: readonly number[], i: number) =>
    valuesOf({ shape, dtype: 'f32', values: normal(deviation) }, item.seed, `${purpose} ${i}`);
  return {
    params: item.shapes.map(draw(1, 'parameter')),
    gradients: item.rates.flatMap((_, step) => item.shapes.map(draw(item.scale, `gradient ${step}`))),
  };
}

function optimizerOf({ optimizer, options, clip, accumulate, average }: OptimizerCase): optim.Optimizer {
  let made = kinds[optimizer].make(options);
  if (clip !== null) made = optim.clipGradients(made, clip);
  if (average !== null) made = optim.averageWeights(made, { decay: average });
  return accumulate > 1 ? optim.accumulateGradients(made, accumulate) : made;
}

/** The parameters after each step, and at the end their averages. */
export async function runOptimizer(
  backend: Backend,
  item: OptimizerCase,
  { params, gradients }: Updates,
): Promise<readonly HostTensor[]> {
  const optimizer = optimizerOf(item);
  const names = item.shapes.map((_, i) => `p${i}`);
  const specs = Object.fromEntries(
    names.map((name, i) => [name, { shape: item.shapes[i], init: nn.init.zeros, ...item.multipliers[i] }]),
  );
  const initial = Object.fromEntries(names.map((name, i) => [name, params[i]]));
  const hyper = Object.keys(optimizer.at(0));
  const slots = optimizer.init(specs);
  const step = await compile(backend, {
    inputs: Object.fromEntries(
      names.map((name, i) => [`g ${name}`, { shape: item.shapes[i], dtype: 'f32' as const }]),
    ),
    hyper,
    state: { ...initial, ...slots },
    build(fed, state) {
      const inputs = fed as unknown as Readonly<Record<string, Tensor>> & {
        readonly hyper: optim.Hyper<Tensor>;
      };
      const updated = optimizer.update({
        grads: Object.fromEntries(names.map((name) => [name, inputs[`g ${name}`]])),
        params: Object.fromEntries(names.map((name) => [name, state[name]])),
        state: Object.fromEntries(Object.keys(slots).map((name) => [name, state[name]])),
        hyper: inputs.hyper,
        specs,
      });
      return { outputs: {}, next: { ...updated.params, ...updated.state } };
    },
  });
  try {
    const results: HostTensor[] = [];
    for (const [i, lr] of item.rates.entries()) {
      const feeds = names.map((name, p) => [`g ${name}`, gradients[i * names.length + p].data] as const);
      await step.run({ ...Object.fromEntries(feeds), ...optimizer.at(i), lr });
      const state = await step.store.read();
      results.push(...names.map((name) => state[name]));
      if (i === item.rates.length - 1 && item.average !== null) {
        const averaged = optim.averagedState(state);
        results.push(...names.map((name) => averaged[name]));
      }
    }
    return results;
  } finally {
    await step.close();
    await step.store.close();
  }
}
