import { compile, f32, i32, crossEntropy, wasm } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { assert, describe, expect, it } from 'vitest';
import { buildLayers, buildModel, makeBatch, makeOptimizer } from '../../bench/ours.ts';
import { layerWorkloadNames, workloads, zooWorkloadNames } from '../../bench/workloads.ts';
import { NOTED_THREADS, WasmNote } from '../../engine/backends/wasm/notes.ts';

const mean = { shape: [32, 32, 3], dtype: 'f32', data: new Float32Array(3072) } as const;

/** Everything about parameters that can be compared: an initialiser by what it draws. */
function parameters(model: nn.Layer): Record<string, unknown> {
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
    ['full', nn.caffeFull({ mean })],
    ['quick', nn.caffeQuick({ mean })],
    ['mlp', nn.mlp([784, 512, 512, 10])],
  ] as const)('%s has the layers of the zoo', (name, known) => {
    const built = buildLayers(workloads[name].layers);
    expect(parameters(built)).toEqual(parameters(known));
    const kinds = (layer: nn.Layer): string[] =>
      Object.entries(layer.config!['layers'] as Record<string, { kind: string }>)
        .filter(([path]) => path !== 'input')
        .map(([, { kind }]) => kind);
    expect(kinds(built)).toEqual(kinds(known));
  });

  it('with the sizes they are known for', () => {
    const counts = layerWorkloadNames.map((name) => nn.countParameters(buildLayers(workloads[name].layers)));
    // ResNet-20: 0.27 M, a little more by the projections.
    expect(counts).toEqual([89_578, 145_578, 272_474, 596_298, 669_706, 1_971_352]);
  });

  it('models of the zoo have the sizes they are known for, too', () => {
    const counts = zooWorkloadNames.map((name) =>
      nn.countParameters(buildModel(workloads[name], { normalize: null })),
    );
    // ResNet-18 of torchvision has 11,689,512 for 1,000 classes, and MobileNetV2 3,504,872.
    expect(counts).toEqual([11_689_512, 11_689_512 - 800 * 513, 3_504_872, 7_763_140, 809_354]);
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
    [0, 1, 2, 3].reduce((sum, image) => sum + batch.x[image * 3072 + i], 0),
  );
  expect(Math.max(...sums.map(Math.abs))).toBeLessThan(1e-3);
  expect(Object.keys(buildModel(full, batch).params)).toContain('input.mean');
  expect(makeBatch(workloads.mlp, 1).x).toEqual(makeBatch(workloads.mlp, 1).x);
  expect(makeBatch(workloads.mlp, 1).normalize).toBeNull();
});

it('a batch for segmentation has a class for each pixel', () => {
  const batch = makeBatch({ ...workloads.unet, batchSize: 2, input: [16, 16, 3] }, 1);
  expect(batch.labels).toHaveLength(2 * 16 * 16);
  expect(new Set(batch.labels).size).toBeGreaterThan(1);
  expect(batch.normalize?.std).toHaveLength(3);
});

describe('how the work of a training step is shared', () => {
  it.each(layerWorkloadNames)('%s: evenly among sixteen threads', async (name) => {
    const workload = workloads[name];
    const backend = await wasm({ threads: 1 });
    const model = buildLayers(workload.layers);
    const optimizer = makeOptimizer(workload);
    const step = await compile(backend, {
      inputs: { x: f32(workload.batchSize, ...workload.input), y: i32(workload.batchSize) },
      hyper: Object.keys(optimizer.at(0)),
      state: nn.initState(model, optimizer, 1),
      build({ x, y, hyper, step: at }, state) {
        const { output, updates } = nn.bind(model, state, { training: true, step: at })(x);
        const loss = crossEntropy(output, y);
        const next = { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) };
        return { outputs: { loss }, next };
      },
    });
    try {
      const heavy = [...step.notes].map(([{ op, path }, note]) => {
        assert(note instanceof WasmNote);
        return { op, path, method: note.method, largestShare: note.largestShare };
      });
      expect(heavy.length).toBeGreaterThan(4);
      expect(heavy.filter(({ largestShare }) => largestShare > 1.25)).toEqual([]);
      const ways = heavy.filter(({ op }) => op.startsWith('conv2d')).map(({ method }) => method);
      expect(
        ways.every((method) => /^(direct(, position by position)?|Winograd F\(\d×\d, \d×\d\))$/.test(method)),
      ).toBe(true);
      const line = `largest share of ${NOTED_THREADS} threads`;
      expect(String(step.plan).split(line)).toHaveLength(heavy.length + 1);
    } finally {
      await step.close();
      await backend.close();
    }
  });
});
