import { grad, sum, tensor, type HostTensor } from 'cyclegrad';
import { meanAveragePrecision } from 'cyclegrad/metrics';
import * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { describe, expect, it } from 'vitest';
import { scoresOf, tensorOf } from '../metrics/fixture.ts';
import { outputShape } from '../nn/run.ts';

const none = { reduction: 'none' } as const;
const anchors = zoo.anchorBoxes(64, [
  { grid: 2, sizes: [32], ratios: [1] },
  { grid: 1, sizes: [64], ratios: [1, 4] },
]);

const rows = ({ shape, data }: HostTensor): number[][] =>
  Array.from({ length: shape[0] }, (_, i) => [...data.subarray(i * shape[1], (i + 1) * shape[1])]);

describe('anchors', () => {
  it('are centered on their cells, by map, row, column, size and ratio', () => {
    expect(rows(anchors)).toEqual([
      [0, 0, 32, 32],
      [32, 0, 64, 32],
      [0, 32, 32, 64],
      [32, 32, 64, 64],
      [0, 0, 64, 64],
      [-32, 16, 96, 48],
    ]);
  });

  it('have the number and the order of the outputs of the detector', () => {
    const model = zoo.detector({ classes: 3, anchors: 6, width: 8 });
    const fit = zoo.anchorBoxes(
      [64, 32],
      [
        { grid: [8, 4], sizes: [6, 12] },
        { grid: [4, 2], sizes: [25, 38] },
      ],
    );
    expect(outputShape(model, [2, 64, 32, 3])).toEqual([2, fit.shape[0], 8]);
  });

  it.each([
    ['anchorBoxes: grid must be', [{ grid: 0, sizes: [1] }]],
    ['anchorBoxes: sizes must be positive numbers, got 0', [{ grid: 1, sizes: [0] }]],
    ['anchorBoxes: ratios must be positive numbers, got -1', [{ grid: 1, sizes: [1], ratios: [-1] }]],
  ])('refuse %s', (message, maps) => {
    expect(() => zoo.anchorBoxes(64, maps)).toThrow(message);
  });
});

it('overlaps are intersections over unions', async () => {
  const a = tensor([
    [0, 0, 2, 2],
    [5, 5, 5, 9],
  ]);
  const b = tensor([
    [0, 0, 1, 2],
    [1, 1, 3, 3],
    [2, 2, 4, 4],
    [5, 5, 5, 9],
  ]);
  const found = await zoo.boxOverlaps(a, b).data();
  expect([...found]).toEqual([0.5, Math.fround(1 / 7), 0, 0, 0, 0, 0, 0]);
});

describe('matching', () => {
  const padding = [0, 0, 0, 0, 0];
  it('gives an anchor the object with the largest overlap, and every object its best anchor', async () => {
    const large = [0, 0, 58, 64, 1];
    const small = [3, 3, 13, 13, 0];
    const { boxes, labels } = zoo.matchAnchors(tensor([[padding, large, small, padding]]), anchors);
    expect([...(await labels.data())]).toEqual([1, 0, 0, 0, 2, 0]);
    const found = [...(await boxes.data())];
    expect(found.slice(0, 4)).toEqual(small.slice(0, 4));
    expect(found.slice(16, 20)).toEqual(large.slice(0, 4));
  });

  it('leaves all anchors to the background without objects', async () => {
    const { labels } = zoo.matchAnchors(tensor([[padding, padding]]), anchors);
    expect([...(await labels.data())]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('matches close anchors from the threshold on', async () => {
    const object = tensor([[[0, 0, 64, 32, 0]]]); // overlaps anchors 0, 1, 4 by a half, and the last by 1/3
    const labels = async (threshold: number): Promise<number[]> => [
      ...(await zoo.matchAnchors(object, anchors, threshold).labels.data()),
    ];
    expect(await labels(0.5)).toEqual([1, 1, 0, 0, 1, 0]);
    expect(await labels(0.51)).toEqual([1, 0, 0, 0, 0, 0]);
    expect(await labels(0.3)).toEqual([1, 1, 0, 0, 1, 0]);
    expect(await labels(0.19)).toEqual([1, 1, 0, 0, 1, 1]);
  });

  it('refuses objects of another shape', () => {
    expect(() => zoo.matchAnchors(tensor([[0, 0, 1, 1, 2]]), anchors)).toThrow(
      'matchAnchors: expects objects [N, K, 5], got [1, 5] (each row is x1, y1, x2, y2 and the class)',
    );
  });
});

describe('loss', () => {
  const four = zoo.anchorBoxes(64, [{ grid: 2, sizes: [32], ratios: [1] }]);
  // An object of class 0 (of 1) on the first anchor, and three anchors of the background with rising losses.
  const output = tensor([
    [
      [0.5, 0, 0, 2, 0, 1],
      [9, 9, 9, 9, 2, 0],
      [9, 9, 9, 9, 0, 0],
      [9, 9, 9, 9, 0, 2],
    ],
  ]);
  const target = tensor([[[0, 0, 32, 32, 0]]]);
  const entropy = (own: number, other: number): number => Math.log(1 + Math.exp(other - own));
  const boxes = 0.125 + 1.5;

  it.each([
    [{ negatives: 0 }, boxes + entropy(1, 0)],
    [{ negatives: 1 }, boxes + entropy(1, 0) + entropy(0, 2)],
    [{ negatives: 2, boxes: 2 }, 2 * boxes + entropy(1, 0) + entropy(0, 2) + entropy(0, 0)],
  ])('adds boxes, objects and the hardest background: %o', async (options, expected) => {
    const [value] = await zoo.detectionLoss(four, options)(output, target, none).data();
    expect(value).toBeCloseTo(expected, 5);
  });

  it('divides offsets by 0.1 and logarithms by 0.2', async () => {
    const zeros = tensor([Array.from({ length: 4 }, () => [0, 0, 0, 0, 0, 0])]);
    const loss = zoo.detectionLoss(four, { negatives: 0 })(zeros, tensor([[[2, 0, 34, 64, 0]]]), none);
    // Center +2 and +16 of 32, height doubled: codes 0.625, 5, 0 and ln 2 / 0.2.
    const [value] = await loss.data();
    expect(value).toBeCloseTo(0.5 * 0.625 ** 2 + 4.5 + Math.log(2) / 0.2 - 0.5 + Math.log(2), 4);
  });

  it('has a finite gradient, in the boxes of objects only', async () => {
    const [g] = grad(sum(zoo.detectionLoss(four)(output, target, none)), [output]);
    const found = (await g.array()) as number[][][];
    expect(found[0][0].slice(0, 4)).toEqual([0.5, 0, 0, 1]);
    expect(found[0].slice(1).map((row) => row.slice(0, 4))).toEqual(Array(3).fill([0, 0, 0, 0]));
    expect(found.flat(2).every(Number.isFinite)).toBe(true);
  });

  it('refuses outputs of other anchors', () => {
    expect(() => zoo.detectionLoss(anchors)(output, target, none)).toThrow(
      'detectionLoss: expects outputs [N, 6, 4 + classes + 1], got [1, 4, 6] (the maps, sizes and ratios of anchorBoxes must be those of the model)',
    );
  });
});

describe('detections', () => {
  const two = zoo.anchorBoxes(64, [{ grid: [1, 2], sizes: [32], ratios: [1] }]); // [0, 16, 32, 48] and [32, 16, 64, 48]
  const output = tensorOf([1, 2, 7], [1, 0, 0, 0, -9, 9, -9, 0, 0, 0, Math.log(2) / 0.2, -9, -9, 9]);

  it('invert the codes of the loss', async () => {
    const found = await zoo.selectDetections(output, two);
    expect(found).toHaveLength(1);
    expect(found[0].map(({ label }) => label)).toEqual([0, 1]);
    expect(found[0][0].box.map((x) => Math.round(x * 100) / 100)).toEqual([3.2, 16, 35.2, 48]);
    expect(found[0][1].box.map((x) => Math.round(x * 100) / 100)).toEqual([32, 0, 64, 64]);
    expect(found[0][0].score).toBeCloseTo(1, 6);
  });

  it('are perfect when the boxes are those of the targets', async () => {
    const mAP = meanAveragePrecision({ detections: (codes) => zoo.decodeDetections(codes, two) });
    const right = tensorOf([1, 2, 5], [3.2, 16, 35.2, 48, 0, 32, 0, 64, 64, 1]);
    expect((await scoresOf(output, right, { mAP })).metrics['mAP']).toBe(1);
  });

  it('leave out overlapping boxes of a class, low scores, and all beyond the limit', async () => {
    const same = { shape: [2, 4], dtype: 'f32', data: Float32Array.of(0, 0, 10, 10, 1, 0, 11, 10) } as const;
    const scores = (a: number, b: number) => tensorOf([1, 2, 6], [0, 0, 0, 0, 0, a, 0, 0, 0, 0, 0, b]);
    const count = async (options: object): Promise<number> =>
      (await zoo.selectDetections(scores(3, 2), same, options))[0].length;
    expect(await count({})).toBe(1);
    expect(await count({ overlap: 0.9 })).toBe(2);
    expect(await count({ overlap: 0.9, score: 0.9 })).toBe(1);
    expect(await count({ overlap: 0.9, limit: 1 })).toBe(1);
  });
});

it('counts the parameters of the detector', () => {
  const conv = (a: number, b: number): number => 9 * a * b + 2 * b;
  const body = conv(3, 8) + conv(8, 16) + conv(16, 32) + conv(32, 64);
  const head = (a: number): number => (9 * a + 1) * 3 * (4 + 4);
  expect(nn.countParameters(zoo.detector({ classes: 3, width: 8 }))).toBe(body + head(32) + head(64));
});
