/** Averages over views and over states. */
import { describe, expect, it } from 'vitest';
import { evaluate, forward, predict, reference, type HostTensor } from 'cyclegrad';
import { synthetic } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';

const backend = reference();
const data = synthetic({ kind: 'images', n: 12, classes: 3, height: 6, width: 6, channels: 2, seed: 1 });
const model = nn.sequential({
  input: nn.normalize(100, { std: 50 }),
  drop: nn.dropout(0.5),
  flat: nn.flatten(),
  fc: nn.dense(72, 3),
});
const [first, second] = [1, 2].map((seed) => nn.initState(model, null, seed));

/** The outputs for the images, or for their mirror images. */
async function outputs(state: typeof first, mirror: boolean): Promise<readonly number[]> {
  const images = data.whole!.x as Uint8Array;
  const pixels = images.map((_, i) => {
    const [c, x, row] = [i % 2, Math.floor(i / 2) % 6, Math.floor(i / 12)];
    return images[row * 12 + (mirror ? 5 - x : x) * 2 + c];
  });
  const x: HostTensor = { shape: [12, 6, 6, 2], dtype: 'u8', data: pixels };
  return [...(await forward({ model, state, backend, data: x })).data];
}

const softmax = (row: readonly number[]): readonly number[] => {
  const sum = row.reduce((total, z) => total + Math.exp(z), 0);
  return row.map((z) => Math.exp(z) / sum);
};

/** The mean of the probabilities of each example. */
function meanProbabilities(all: readonly (readonly number[])[]): readonly number[] {
  return Array.from({ length: 12 }, (_, i) => {
    const rows = all.map((each) => softmax(each.slice(3 * i, 3 * i + 3)));
    return [0, 1, 2].map((c) => rows.reduce((sum, row) => sum + row[c], 0) / all.length);
  }).flat();
}

const close = (expected: readonly number[]): unknown[] =>
  expected.map((value) => expect.closeTo(value, 5) as unknown);

describe('withViews', () => {
  const views = [(x: never) => x, (x: { flip(axis: number): never }) => x.flip(2)] as never;

  it('predicts the mean of the probabilities', async () => {
    const { probabilities } = await predict({
      model: nn.withViews(model, views),
      state: first,
      data,
      backend,
    });
    expect([...probabilities.data]).toEqual(
      close(meanProbabilities([await outputs(first, false), await outputs(first, true)])),
    );
  });

  it('or the mean of the outputs', async () => {
    const mirrored = nn.withViews(model, views, { mean: 'outputs' });
    const [plain, flipped] = [await outputs(first, false), await outputs(first, true)];
    const found = await forward({ model: mirrored, state: first, data, backend });
    expect([...found.data]).toEqual(close(plain.map((value, i) => (value + flipped[i]) / 2)));
  });

  it('trains as the layer itself', () => {
    const mirrored = nn.withViews(model, views);
    expect(mirrored.params).toBe(model.params);
    expect(mirrored.config).toBe(model.config);
  });

  it('needs functions', () => {
    expect(() => nn.withViews(model, [])).toThrow(
      'withViews: views must be an array of at least one function, got an array',
    );
    expect(() => nn.withViews(model, [3 as never])).toThrow(
      'withViews: views must be functions of the input, got 3',
    );
  });
});

describe('ensemble', () => {
  it('is the mean of the members', async () => {
    const all = nn.ensemble(model, [first, second]);
    const expected = meanProbabilities([await outputs(first, false), await outputs(second, false)]);
    expect([...(await predict({ ...all, data, backend })).probabilities.data]).toEqual(close(expected));
    expect(Object.keys(all.state)).toEqual([
      ...Object.keys(first).map((name) => `member1.${name}`),
      ...Object.keys(first).map((name) => `member2.${name}`),
    ]);
    const labels = data.whole!.y as Int32Array;
    const loss = labels.reduce((sum, label, i) => sum - Math.log(expected[3 * i + label]), 0) / 12;
    expect((await evaluate({ ...all, data, backend })).loss).toBeCloseTo(loss, 5);
  });

  it('of one state is the model', async () => {
    const alone = await evaluate({ model, state: first, data, backend });
    expect((await evaluate({ ...nn.ensemble(model, [first]), data, backend })).loss).toBe(alone.loss);
  });

  it('needs states of the model', () => {
    expect(() => nn.ensemble(model, [])).toThrow('ensemble: states must be an array of at least one state');
    expect(() => nn.ensemble(model, [first, {}])).toThrow("ensemble: state 2 has no 'input.mean'");
  });
});
