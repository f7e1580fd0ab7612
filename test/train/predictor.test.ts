import {
  compile,
  forward,
  PlanError,
  predict,
  predictor,
  reference,
  wasm,
  type Backend,
  type HostTensor,
  type State,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { normalized as model } from '../nn/normalized.ts';

let backend: Backend;
beforeAll(async () => {
  backend = await wasm({ threads: 2, simd: 'plain' });
});
afterAll(() => backend.close());

/** Initial state with statistics and parameters that differ from 0 and 1. */
function trainedState(): State {
  const state = nn.initState(model, null, 3);
  return Object.fromEntries(
    Object.entries(state).map(([name, { shape, data }], which) => [
      name,
      {
        shape,
        dtype: 'f32' as const,
        data: name.endsWith('weight')
          ? data
          : Float32Array.from(data, (_, i) => 0.5 + ((i * 7 + which) % 11) / 10),
      },
    ]),
  );
}

const images = (n: number): HostTensor => ({
  shape: [n, 11, 11, 3],
  dtype: 'f32',
  data: Float32Array.from({ length: n * 363 }, (_, i) => Math.sin(i * 1.7)),
});

describe('predictor', () => {
  it('gives the outputs of the model without folding, within rounding', async () => {
    const state = trainedState();
    const data = images(5);
    const plain = await compile(backend, {
      inputs: { x: data },
      state,
      build: ({ x }, tensors) => ({ outputs: { y: nn.bind(model, tensors, { training: false })(x).output } }),
    });
    const { y } = await plain.run({ x: data });
    await plain.close();
    const ready = await predictor({ model, state, backend });
    const folded = await ready.forward(data);
    expect(folded.shape).toEqual([5, 4]);
    folded.data.forEach((value, i) => expect(value).toBeCloseTo(y.data[i], 5));
    expect(await ready.forward(data)).toEqual(folded);
    await ready.close();
  });

  it('gives the bytes of predict and forward, for one example and many, in any order of sizes', async () => {
    const state = trainedState();
    const ready = await predictor({ model, state, backend, batchSize: 4 });
    const all = await forward({ model, state, backend, data: images(9) });
    for (const n of [9, 1, 2, 3, 4, 5, 1, 9]) {
      const outputs = await ready.forward(images(n));
      expect(outputs.data).toEqual(all.data.slice(0, n * 4));
      expect((await ready.predict(images(n))).classes).toEqual(
        (await predict({ model, state, backend, data: images(n) })).classes,
      );
    }
    expect((await ready.forward(images(0))).shape).toEqual([0, 4]);
    await ready.close();
  });

  it('runs concurrent calls one after another', async () => {
    const ready = await predictor({ model, state: trainedState(), backend });
    const results = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => ready.predict(images(n))));
    expect(results.map(({ classes }) => classes.length)).toEqual([1, 2, 3, 4, 5, 6]);
    await ready.close();
  });

  it('gives the same on the reference backend', async () => {
    const state = trainedState();
    const [ours, theirs] = await Promise.all(
      [backend, reference()].map(async (each) => {
        const ready = await predictor({ model, state, backend: each });
        const outputs = await ready.forward(images(2));
        await ready.close();
        return outputs.data;
      }),
    );
    ours.forEach((value, i) => expect(value).toBeCloseTo(theirs[i], 4));
  });

  it('throws after it is closed, for wrong data, and for a state that lacks an array', async () => {
    const state = trainedState();
    const ready = await predictor({ model, state, backend });
    await expect(ready.predict([1, 2] as never)).rejects.toThrow(
      'predict: data must be a data set, or inputs with their shape',
    );
    await expect(
      ready.forward({ shape: [1, 11, 11, 4], dtype: 'f32', data: new Float32Array(484) }),
    ).rejects.toThrow('conv');
    await ready.close();
    await ready.close();
    await expect(ready.predict(images(1))).rejects.toThrow(
      'predict: the predictor is closed (open a new one)',
    );
    const { 'conv.weight': _, ...rest } = state;
    await expect(predictor({ model, state: rest, backend })).rejects.toThrow(PlanError);
    await expect(predictor({ model, state, backend, data: images(1) } as never)).rejects.toThrow('data');
  });
});
