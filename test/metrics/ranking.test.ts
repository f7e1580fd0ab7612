/** Rankings: top-k, the area under the ROC curve, average precision. */
import { expect, it } from 'vitest';
import { stream } from 'cyclegrad';
import { auc, averagePrecision, topKAccuracy } from 'cyclegrad/metrics';
import { labelsOf, scoresOf, tensorOf } from './fixture.ts';

/** The share of pairs of an example of the class and another one in the right order, ties counted half. */
function pairs(scores: readonly number[], isOfClass: readonly boolean[]): number {
  let [right, all] = [0, 0];
  scores.forEach((a, i) =>
    scores.forEach((b, j) => {
      if (!isOfClass[i] || isOfClass[j]) return;
      all++;
      right += a > b ? 1 : a === b ? 0.5 : 0;
    }),
  );
  return right / all;
}

/** The sum over all thresholds of precision times the recall that the threshold adds. */
function precisions(scores: readonly number[], isOfClass: readonly boolean[]): number {
  const total = isOfClass.filter(Boolean).length;
  let [area, before] = [0, 0];
  for (const threshold of [...new Set(scores)].sort((a, b) => b - a)) {
    const chosen = scores.flatMap((score, i) => (score >= threshold ? [isOfClass[i]] : []));
    const hits = chosen.filter(Boolean).length;
    area += ((hits - before) / total) * (hits / chosen.length);
    before = hits;
  }
  return area;
}

it.each([1, 2, 3])('agrees with the definitions for one logit with ties (seed %i)', async (seed) => {
  const draws = stream(seed, 'scores');
  const scores = Array.from({ length: 40 }, () => draws.below(9) - 4);
  const labels = scores.map((score) => Number(score + draws.below(7) > 2));
  const isOfClass = labels.map((label) => label === 1);
  const { metrics } = await scoresOf(tensorOf([40, 1], scores), tensorOf([40, 1], labels), {
    auc: auc(),
    ap: averagePrecision(),
  });
  expect(metrics['auc']).toBeCloseTo(pairs(scores, isOfClass), 12);
  expect(metrics['ap']).toBeCloseTo(precisions(scores, isOfClass), 12);
});

it('ranks each class against the rest by its probability', async () => {
  const draws = stream(4, 'scores');
  const rows = Array.from({ length: 30 }, () => Array.from({ length: 3 }, () => Math.fround(draws.normal())));
  const labels = rows.map(() => draws.below(2)); // class 2 has no examples
  const probabilities = rows.map((row) => {
    const sum = row.reduce((total, z) => total + Math.exp(z), 0);
    return row.map((z) => Math.exp(z) / sum);
  });
  const expected = [0, 1].map((c) =>
    pairs(
      probabilities.map((row) => row[c]),
      labels.map((label) => label === c),
    ),
  );
  const { metrics, details } = await scoresOf(tensorOf([30, 3], rows.flat()), labelsOf([30], labels), {
    auc: auc(),
  });
  expect(details['auc'].perClass).toEqual([
    expect.closeTo(expected[0], 12),
    expect.closeTo(expected[1], 12),
    NaN,
  ]);
  expect(metrics['auc']).toBeCloseTo((expected[0] + expected[1]) / 2, 12);
});

it('is undefined for a single class', async () => {
  const { metrics } = await scoresOf(tensorOf([3, 1], [1, 2, 3]), labelsOf([3], [1, 1, 1]), { auc: auc() });
  expect(metrics['auc']).toBeNaN();
});

it('counts a label among the k largest logits', async () => {
  const rows = tensorOf([3, 3], [1, 2, 3, 3, 2, 1, 5, 5, 5]);
  const of = async (k: number, labels: readonly number[]): Promise<number | undefined> =>
    (await scoresOf(rows, labelsOf([3], labels), { top: topKAccuracy(k) })).metrics['top'];
  expect(await of(1, [2, 0, 0])).toBe(1);
  expect(await of(1, [1, 1, 1])).toBe(0);
  expect(await of(2, [1, 1, 1])).toBe(1);
  expect(await of(2, [0, 2, 2])).toBe(0);
  await expect(of(4, [0, 0, 0])).rejects.toThrow(
    'topKAccuracy: expects logits [N, classes] of at least 4 classes',
  );
});
