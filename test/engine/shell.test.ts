// What the backends share: what is closed refuses work, with the same words everywhere.
import { assert, describe, expect, it } from 'vitest';
import type { Backend, Executable, Store } from '../../engine/backends/backend.ts';
import { gpu } from '../../engine/backends/gpu/gpu.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { compile } from '../../engine/compile.ts';
import { BackendError, DataError, NonFiniteError, PlanError } from '../../engine/errors.ts';
import { add, checkFinite, f32, mul } from '../../engine/ops/index.ts';
import type { HostTensor } from '../../engine/types.ts';

const floats = (...values: number[]): HostTensor => ({
  shape: [values.length],
  dtype: 'f32',
  data: Float32Array.from(values),
});

/** A step that adds its input to the state, and what it is made of. */
async function totals(backend: Backend): Promise<{ store: Store; step: Executable }> {
  const store = await backend.createStore({ total: floats(0, 0) });
  const step = await compile(backend, {
    inputs: { x: f32(2) },
    state: store,
    build({ x }, { total }) {
      const next = add(total, checkFinite(x, 'x'));
      return { outputs: { next, twice: mul(x, 2) }, next: { total: next } };
    },
  });
  return { store, step };
}

const x = Float32Array.of(1, 2);
const refused = (message: string): BackendError => new BackendError(message);

describe.each([
  ['reference', () => Promise.resolve(reference())],
  ['wasm', () => wasm({ threads: 1 })],
  ['gpu', () => gpu({ mode: 'cpu' })],
] as const)('%s', (name, open) => {
  it('a closed executable refuses to run, also when it is closed before its turn', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    const running = step.run({ x });
    const closing = step.close();
    const late = step.run({ x });
    await expect(late).rejects.toThrow(refused('run: the executable is closed (compile it again)'));
    expect([...(await running)['next'].data]).toEqual([1, 2]);
    await closing;
    await step.close(); // twice is once
    for (const call of [step.run({ x }), step.runMany({ x }), step.profile({ x })]) {
      // oxlint-disable-next-line no-await-in-loop -- each is a check of its own
      await expect(call).rejects.toThrow(refused('run: the executable is closed (compile it again)'));
    }
    await store.close();
    await backend.close();
  });

  it('a closed store refuses work', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    await expect(store.close()).rejects.toThrow(
      refused('store.close: 1 executables still use the store (close them first)'),
    );
    await step.close();
    const { plan } = step;
    await store.close();
    await store.close(); // twice is once
    await expect(store.read()).rejects.toThrow(refused('store.read: the store is closed (create a new one)'));
    await expect(store.write({ total: floats(1, 2) })).rejects.toThrow(
      refused('store.write: the store is closed (create a new one)'),
    );
    await expect(backend.load(plan, store)).rejects.toThrow(
      refused(`${name}: load: the store is closed (create a new one)`),
    );
    await backend.close();
  });

  it('a backend does not close under a store, and refuses work when it has closed', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    await expect(backend.close()).rejects.toThrow(
      refused(
        `${name}: close: a compiled step or store is still open (close it first: await compiled.close())`,
      ),
    );
    await step.run({ x }); // it is as open as before
    await step.close();
    const { plan } = step;
    await store.close();
    await backend.close();
    await backend.close(); // twice is once
    await expect(backend.createStore({})).rejects.toThrow(
      refused(`${name}: createStore: the backend is closed (open a new one)`),
    );
    await expect(backend.load(plan, store)).rejects.toThrow(
      refused(`${name}: load: the backend is closed (open a new one)`),
    );
  });

  it('refuses the store of another backend, also of one of its kind', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    for (const other of [await open(), reference()]) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const foreign = await other.createStore({ total: floats(0, 0) });
      // oxlint-disable-next-line no-await-in-loop
      await expect(backend.load(step.plan, foreign)).rejects.toThrow(
        refused(`${name}: load: the store belongs to another backend (create one on this backend)`),
      );
      // oxlint-disable-next-line no-await-in-loop
      await foreign.close();
      // oxlint-disable-next-line no-await-in-loop
      await other.close();
    }
    await step.close();
    await store.close();
    await backend.close();
  });

  it('a store that cannot be filled does not stay open', async () => {
    const backend = await open();
    const short = { ...floats(1, 2), shape: [3] };
    await expect(backend.createStore({ short })).rejects.toThrow(DataError);
    await backend.close();
  });

  it('copies what is written and fed before the call returns', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    const fed = Float32Array.of(1, 1, 2, 2, 3, 3);
    const written = floats(10, 20);
    const first = step.run({ x: fed.subarray(0, 2) });
    const writing = store.write({ total: written });
    const many = step.runMany({ x: fed });
    fed.fill(1000);
    (written.data as Float32Array).fill(1000);
    await Promise.all([first, writing]);
    expect([...(await many)['next'].data]).toEqual([11, 21, 13, 23, 16, 26]);
    await step.close();
    await store.close();
    await backend.close();
  });

  it('the feeds of several runs are checked before the first one', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    await expect(step.runMany({ x: new Int32Array(4) })).rejects.toThrow(PlanError);
    expect([...(await store.read())['total'].data]).toEqual([0, 0]);
    await step.close();
    await store.close();
    await backend.close();
  });

  it('a value that is not finite is reported by label, value and element', async () => {
    const backend = await open();
    const { store, step } = await totals(backend);
    const error = await step.run({ x: Float32Array.of(0, -Infinity) }).catch((thrown: unknown) => thrown);
    assert(error instanceof NonFiniteError);
    expect([error.label, error.value, error.element]).toEqual(['x', -Infinity, 1]);
    await step.close();
    await store.close();
    await backend.close();
  });
});
