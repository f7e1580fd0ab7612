/** Runs an optimizer on the reference backend. */
import { compile, grad, reference, type HostTensor, type State, type Tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import type { Optimizer, Specs, Tree } from 'cyclegrad/optim';

/** Specs for parameters that are there already. */
export function specsFor(
  params: State,
  multipliers: Readonly<Record<string, { readonly lrMult: number; readonly decayMult: number }>> = {},
): Specs {
  return Object.fromEntries(
    Object.entries(params).map(([name, { shape }]): [string, nn.ParamSpec] => [
      name,
      { shape, init: nn.init.zeros, ...(multipliers[name] ?? { lrMult: 1, decayMult: 1 }) },
    ]),
  );
}

/** The state after each of `steps` updates, with gradients given for each step, or of a loss. Double precision by default. */
export async function optimize(
  optimizer: Optimizer,
  params: State,
  gradients: readonly State[] | ((params: Tree) => Tensor),
  steps: number,
  specs: Specs = specsFor(params),
  precision: 'f32' | 'f64' = 'f64',
): Promise<readonly State[]> {
  const names = Object.keys(params);
  const given = typeof gradients === 'function' ? null : gradients;
  const feedsAt = (step: number): Record<string, HostTensor> =>
    given === null
      ? {}
      : Object.fromEntries(Object.entries(given[step]).map(([name, value]) => [`grad ${name}`, value]));
  const run = await compile(reference({ precision }), {
    inputs: feedsAt(0),
    hyper: Object.keys(optimizer.at(0)),
    state: { ...params, ...optimizer.init(specs) },
    build({ hyper, ...inputs }, state) {
      const own = Object.fromEntries(names.map((name) => [name, state[name]]));
      const loss = typeof gradients === 'function' ? grad(gradients(own), Object.values(own)) : null;
      const grads = Object.fromEntries(
        names.map((name, i) => [name, loss === null ? (inputs as unknown as Tree)[`grad ${name}`] : loss[i]]),
      );
      const slots = Object.fromEntries(Object.entries(state).filter(([name]) => !names.includes(name)));
      const updated = optimizer.update({ grads, params: own, state: slots, hyper, specs });
      return { outputs: {}, next: { ...updated.params, ...updated.state } };
    },
  });
  const seen: State[] = [];
  for (let step = 0; step < steps; step++) {
    await run.run({ ...feedsAt(step), ...optimizer.at(step), step });
    const state = Object.entries(await run.store.read());
    seen.push(
      Object.fromEntries(
        state.map(([name, own]) => [names.includes(name) ? name : `optimizer/${name}`, own]),
      ),
    );
  }
  await run.close();
  return seen;
}

export const number = (value: number): HostTensor => ({
  shape: [],
  dtype: 'f32',
  data: Float64Array.of(value),
});
