import { caffeFull, caffeQuick, countParameters, mlp, type Layer } from 'cyclegrad';
import { describe, expect, it } from 'vitest';
import { buildLayers, buildModel, makeBatch } from '../../bench/ours.ts';
import { workloadNames, workloads } from '../../bench/workloads.ts';

const mean = { shape: [32, 32, 3], dtype: 'f32', data: new Float32Array(3072) } as const;

/** Everything about parameters that can be compared: an initialiser by what it draws. */
function parameters(model: Layer): Record<string, unknown> {
  const draws = { normal: () => 1, uniform: () => 0.5 } as never;
  return Object.fromEntries(
    Object.entries(model.params)
      .filter(([name]) => !name.startsWith('input.'))
      .map(([name, { shape, lrMult, decayMult, init }]) => [
        name,
        { shape, lrMult, decayMult, first: init(shape, draws)[0] },
      ]),
  );
}

describe('the workloads are the networks they are named after', () => {
  it.each([
    ['full', caffeFull({ mean })],
    ['quick', caffeQuick({ mean })],
    ['mlp', mlp([784, 512, 512, 10])],
  ] as const)('%s has the layers of the zoo', (name, known) => {
    const built = buildLayers(workloads[name].layers);
    expect(parameters(built)).toEqual(parameters(known));
    const kinds = (layer: Layer): string[] =>
      Object.entries(layer.config!['layers'] as Record<string, { kind: string }>)
        .filter(([path]) => path !== 'input')
        .map(([, { kind }]) => kind);
    expect(kinds(built)).toEqual(kinds(known));
  });

  it('with the sizes they are known for', () => {
    const counts = workloadNames.map((name) => countParameters(buildLayers(workloads[name].layers)));
    // ResNet-20: 0.27 M, a little more by the projections.
    expect(counts).toEqual([89_578, 145_578, 272_474, 596_298, 669_706]);
  });

  it('as data that other processes can read', () => {
    for (const workload of Object.values(workloads)) {
      expect(JSON.parse(JSON.stringify(workload))).toEqual(workload);
    }
  });
});

it("the batch that others get is what our first layer makes of the data set's", () => {
  const full = { ...workloads.full, batchSize: 4 };
  const batch = makeBatch(full, 1);
  expect(batch.x).toHaveLength(4 * 3072);
  expect([...batch.labels]).toEqual([0, 1, 2, 3]);
  // Less the mean of the four, so each position adds up to nothing.
  const sums = Array.from({ length: 3072 }, (_, i) =>
    [0, 1, 2, 3].reduce((sum, image) => sum + batch.x[image * 3072 + i]!, 0),
  );
  expect(Math.max(...sums.map(Math.abs))).toBeLessThan(1e-3);
  expect(Object.keys(buildModel(full, batch).params)).toContain('input.mean');
  expect(makeBatch(workloads.mlp, 1).x).toEqual(makeBatch(workloads.mlp, 1).x);
  expect(makeBatch(workloads.mlp, 1).normalize).toBeNull();
});
