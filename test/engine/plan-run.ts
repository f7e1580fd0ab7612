/** Compiles small steps on the reference backend, for the tests of plans. */
import { reference } from '../../engine/backends/reference/reference.ts';
import { compile, type Built } from '../../engine/compile.ts';
import { f32, i32 } from '../../engine/ops/index.ts';
import type { Plan } from '../../engine/plan/plan.ts';
import type { Tensor } from '../../engine/tensor.ts';
import type { HostTensor, State } from '../../engine/types.ts';
import { expectSameBitsByName } from './compare.ts';

export const backend = reference();

export const floats = (...values: number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'f32',
  data: Float32Array.from(values),
});

export const scratch = (plan: Plan) => {
  const own = plan.buffers.filter(({ kind }) => kind === 'scratch');
  return { count: own.length, bytes: own.reduce((total, { bytes }) => total + bytes, 0) };
};

export type Build = (
  state: Readonly<Record<string, Tensor>>,
  feeds: { readonly x: Tensor; readonly n: Tensor },
) => Built;

/** Compiles a step of states and of feeds x [2] and n [2], with reuse and without; both must do the same. */
export async function bothWays(
  state: State,
  build: Build,
  runs = 2,
): Promise<{ outputs: Record<string, number[]>; state: Record<string, number[]>; plan: Plan }> {
  const make = (reuse: boolean) =>
    compile(backend, {
      reuse,
      inputs: { x: f32(2), n: i32(2) },
      state,
      build: (inputs, states) => build(states, inputs),
    });
  const [on, off] = [await make(true), await make(false)];
  let outputs: Readonly<Record<string, HostTensor>> = {};
  for (let run = 0; run < runs; run++) {
    const feeds = { x: Float32Array.of(10 + run, 20 + run), n: Int32Array.of(1, 2) };
    // oxlint-disable-next-line no-await-in-loop -- each run depends on the one before
    const [a, b] = [await on.run(feeds), await off.run(feeds)];
    expectSameBitsByName(`outputs of run ${run}`, a, b);
    outputs = a;
  }
  const [a, b] = [await on.store.read(), await off.store.read()];
  expectSameBitsByName('state', a, b);
  const { plan } = on;
  await on.close();
  await off.close();
  const numbers = (values: Readonly<Record<string, HostTensor>>) =>
    Object.fromEntries(Object.entries(values).map(([name, { data }]) => [name, [...data]]));
  return { outputs: numbers(outputs), state: numbers(a), plan };
}
