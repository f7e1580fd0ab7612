import { describe, expect, test } from 'vitest';
import { arrays, channelStats, meanImage, subset } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { byteAt } from './fixture.ts';

/** More images than one chunk, 3 x 5 x 2. */
const N = 600;
const SHAPE = [3, 5, 2] as const;
const bytes = new Uint8Array(N * 30);
for (let i = 0; i < bytes.length; i++) {
  const n = Math.floor(i / 30);
  bytes[i] = byteAt(n, Math.floor((i % 30) / 10), Math.floor((i % 10) / 2), i % 2);
}
const pictures = arrays({ shape: [N, ...SHAPE], data: bytes }, new Int32Array(N));

describe('meanImage', () => {
  test('averages each element on its own', () => {
    const mean = meanImage(pictures);
    expect(mean.shape).toEqual(SHAPE);
    expect(mean.dtype).toBe('f32');
    for (let j = 0; j < 30; j++) {
      let sum = 0;
      for (let n = 0; n < N; n++) sum += bytes[n * 30 + j];
      expect(mean.data[j]).toBe(Math.fround(sum / N));
    }
  });

  test('sums in double precision', () => {
    const data = new Float32Array(1000).fill(0.1);
    data[0] = 2 ** 24; // in single precision every later 0.1 would be lost
    const mean = meanImage(arrays({ shape: [1000, 1], data }, new Int32Array(1000)));
    expect(mean.data[0]).toBe(Math.fround((2 ** 24 + 999 * Math.fround(0.1)) / 1000));
  });
});

describe('channelStats', () => {
  test('mean and standard deviation of each channel', () => {
    const { mean, std } = channelStats(pictures);
    for (let c = 0; c < 2; c++) {
      const values = [...bytes].filter((_, i) => i % 2 === c);
      const average = values.reduce((a, b) => a + b) / values.length;
      const variance = values.reduce((a, b) => a + (b - average) ** 2, 0) / values.length;
      expect(mean[c]).toBeCloseTo(average, 4);
      expect(std[c]).toBeCloseTo(Math.sqrt(variance), 4);
    }
  });

  test('keeps small deviations around a large mean, and gives 1 for a constant channel', () => {
    const data = Float32Array.from({ length: 2000 }, (_, i) => (i % 2 === 0 ? 100_000 + ((i / 2) % 2) : 7));
    const { mean, std } = channelStats(arrays({ shape: [1000, 2], data }, new Int32Array(1000)));
    expect([...mean]).toEqual([100_000.5, 7]);
    expect([...std]).toEqual([0.5, 1]);
    expect(() => nn.normalize(mean, { std })).not.toThrow();
  });
});

test('an empty data set has no statistics', () => {
  const empty = subset(pictures, [], 'nothing');
  for (const f of [meanImage, channelStats]) {
    expect(() => f(empty)).toThrow('the data set is empty: nothing (statistics need at least 1 example)');
  }
});
