import { grad, mean, tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import * as zoo from 'cyclegrad/zoo';
import { describe, expect, it } from 'vitest';
import { outputShape } from '../nn/run.ts';

const anchors = zoo.anchorBoxes([
  { grid: 2, sizes: [0.5], ratios: [1] },
  { grid: 1, sizes: [1], ratios: [1, 4] },
]);

describe('anchors', () => {
  it('are centered on their cells, by map, row, column, size and ratio', () => {
    expect(anchors).toEqual([
      [0, 0, 0.5, 0.5],
      [0, 0.5, 0.5, 1],
      [0.5, 0, 1, 0.5],
      [0.5, 0.5, 1, 1],
      [0, 0, 1, 1],
      [0.25, -0.5, 0.75, 1.5],
    ]);
  });

  it('have the number and the order of the outputs of the detector', () => {
    const model = zoo.detector({ classes: 3, anchors: 6, width: 8 });
    const maps = [
      { grid: [8, 4], sizes: [0.1, 0.2] },
      { grid: [4, 2], sizes: [0.4, 0.6] },
    ] as const;
    expect(outputShape(model, [2, 64, 32, 3])).toEqual([2, zoo.anchorBoxes(maps).length, 8]);
  });

  it.each([
    ['anchorBoxes: grid must be', [{ grid: 0, sizes: [1] }]],
    ['anchorBoxes: size must be a positive number, got 0', [{ grid: 1, sizes: [0] }]],
    ['anchorBoxes: ratio must be a positive number, got -1', [{ grid: 1, sizes: [1], ratios: [-1] }]],
  ])('refuse %s', (message, maps) => {
    expect(() => zoo.anchorBoxes(maps)).toThrow(message);
  });
});

describe('coding', () => {
  it('is inverted by decoding', () => {
    const box = [0.1, 0.2, 0.7, 0.5] as const;
    for (const anchor of anchors) {
      zoo.decodeBox(zoo.encodeBox(box, anchor), anchor).forEach((x, i) => expect(x).toBeCloseTo(box[i], 12));
    }
  });

  it('divides offsets by 0.1 and logarithms by 0.2', () => {
    const code = zoo.encodeBox([0, 0, 1, 0.5], [0, 0, 0.5, 0.5]);
    [5, 0, Math.log(2) / 0.2, 0].forEach((x, i) => expect(code[i]).toBeCloseTo(x, 12));
  });
});

describe('matching', () => {
  it('gives an anchor the object with the largest overlap, and every object its best anchor', () => {
    const large = { box: [0, 0, 0.9, 1], label: 1 } as const;
    const small = { box: [0.05, 0.05, 0.2, 0.2], label: 0 } as const;
    const { shape, data } = zoo.matchAnchors([large, small], anchors);
    expect(shape).toEqual([6, 5]);
    expect(anchors.map((_, i) => data[i * 5 + 4])).toEqual([1, 0, 0, 0, 2, 0]);
    expect([...data.subarray(20, 24)]).toEqual([...Float32Array.from(zoo.encodeBox(large.box, anchors[4]))]);
  });

  it('leaves all anchors to the background without objects', () => {
    expect(zoo.matchAnchors([], anchors).data.every((x) => x === 0)).toBe(true);
  });
});

describe('loss', () => {
  // Anchors: an object of class 0 (1 of 2), three of the background with rising losses.
  const output = tensor([
    [
      [0.5, 0, 0, 2, 0, 1],
      [9, 9, 9, 9, 2, 0],
      [9, 9, 9, 9, 0, 0],
      [9, 9, 9, 9, 0, 2],
    ],
  ]);
  const target = tensor([
    [
      [0, 0, 0, 0, 1],
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
      [0, 0, 0, 0, 0],
    ],
  ]);
  const entropy = (own: number, other: number): number => Math.log(1 + Math.exp(other - own));
  const boxes = 0.125 + 1.5;

  it.each([
    [{ negatives: 0 }, boxes + entropy(1, 0)],
    [{ negatives: 1 }, boxes + entropy(1, 0) + entropy(0, 2)],
    [{ negatives: 2, boxes: 2 }, 2 * boxes + entropy(1, 0) + entropy(0, 2) + entropy(0, 0)],
  ])('adds boxes, objects and the hardest background: %o', async (options, expected) => {
    const [value] = await zoo.detectionLoss(output, target, options).data();
    expect(value).toBeCloseTo(expected, 5);
  });

  it('has a gradient in the boxes of objects only', async () => {
    const [g] = grad(mean(zoo.detectionLoss(output, target)), [output]);
    const rows = (await g.array()) as number[][][];
    expect(rows[0][0].slice(0, 4)).toEqual([0.5, 0, 0, 1]);
    expect(
      rows[0]
        .slice(1)
        .flatMap((row) => row.slice(0, 4))
        .every((x) => x === 0),
    ).toBe(true);
  });

  it('refuses targets of another shape', () => {
    expect(() => zoo.detectionLoss(output, tensor([[[0, 0, 0, 0, 1]]]))).toThrow(
      'detectionLoss: expects outputs [N, A, 4 + classes + 1] and targets [N, A, 5], got [1, 4, 6] and [1, 1, 5]',
    );
  });
});

describe('detections', () => {
  const row = (shift: number, ...logits: number[]): number[] => [shift, 0, 0, 0, ...logits];
  const one = zoo.anchorBoxes([{ grid: 1, sizes: [0.5], ratios: [1] }])[0];
  const output = (rows: number[][]) => ({
    shape: [rows.length, rows[0].length],
    dtype: 'f32' as const,
    data: Float32Array.from(rows.flat()),
  });

  it('are the best boxes of each class, without those that overlap', () => {
    const rows = [row(0, 0, 4, 0), row(0.5, 0, 5, 0), row(0, 0, 0, 3), row(9, 0, 3.5, 0), row(0, 9, 0, 0)];
    const found = zoo.detections(output(rows), [one, one, one, one, one]);
    expect(found.map(({ label }) => label)).toEqual([0, 0, 1]);
    expect(found[0].box[0]).toBeCloseTo(0.25 + 0.5 * 0.1 * 0.5, 6);
    expect(found[0].score).toBeCloseTo(Math.exp(5) / (Math.exp(5) + 2), 6);
  });

  it('are at most `limit`', () => {
    expect(zoo.detections(output([row(0, 0, 4), row(9, 0, 3)]), [one, one], { limit: 1 })).toHaveLength(1);
  });

  it('need one row for each anchor', () => {
    expect(() => zoo.detections(output([row(0, 0, 4)]), [one, one])).toThrow(
      'detections: the output has 1 anchors, but 2 were given',
    );
  });
});

it('counts the parameters of the detector', () => {
  const conv = (a: number, b: number): number => 9 * a * b + 2 * b;
  const body = conv(3, 8) + conv(8, 16) + conv(16, 32) + conv(32, 64);
  const heads = (32 * 9 + 1 + (64 * 9 + 1)) * 3 * 8;
  expect(nn.countParameters(zoo.detector({ classes: 3, width: 8 }))).toBe(body + heads);
});
