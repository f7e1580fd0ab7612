/** Boxes: suppression and mean average precision. */
import { describe, expect, it } from 'vitest';
import { meanAveragePrecision, nonMaxSuppression } from 'cyclegrad/metrics';
import { scoresOf, tensorOf } from './fixture.ts';

describe('nonMaxSuppression', () => {
  const boxes = [0, 0, 10, 10, 1, 0, 11, 10, 0, 0, 10, 5, 20, 20, 30, 30];
  it.each([
    [{}, [1, 3, 2]], // box 0 overlaps box 1 by 9/11, box 2 overlaps it by 45/105
    [{ iou: 0.4 }, [1, 3]],
    [{ iou: 1 }, [1, 0, 3, 2]],
    [{ minScore: 0.65 }, [1, 3]],
    [{ limit: 1 }, [1]],
  ])('%o keeps %o', (options, kept) => {
    expect(nonMaxSuppression(boxes, [0.8, 0.9, 0.6, 0.7], options)).toEqual(kept);
  });

  it('keeps the order of equal scores, and boxes without area', () => {
    expect(nonMaxSuppression([0, 0, 0, 0, 0, 0, 0, 0], [1, 1])).toEqual([0, 1]);
  });

  it('refuses NaN and lists of other lengths', () => {
    expect(() => nonMaxSuppression([0, 0, 1, 1], [NaN])).toThrow('nonMaxSuppression: score 0 is NaN');
    expect(() => nonMaxSuppression([0, 0, 1], [1])).toThrow(
      'nonMaxSuppression: 1 scores need 4 numbers of boxes, got 3',
    );
  });
});

describe('mean average precision', () => {
  const box = (x: number, y: number): number[] => [x, y, x + 10, y + 10];
  /** Rows of a box and its scores for two classes. */
  const outputs = (...images: readonly (readonly number[][])[]): ReturnType<typeof tensorOf> =>
    tensorOf([images.length, images[0].length, 6], images.flat(2));
  const truths = (...images: readonly (readonly number[][])[]): ReturnType<typeof tensorOf> =>
    tensorOf([images.length, images[0].length, 5], images.flat(2));
  const mAP = (iou?: readonly number[]) =>
    meanAveragePrecision({
      detections: (output) => ({
        boxes: output.slice([null, null, { end: 4 }]),
        scores: output.slice([null, null, { begin: 4 }]),
      }),
      ...(iou && { iou }),
    });
  const padding = [0, 0, 0, 0, 0];

  it('is the area under the envelope of precision over recall', async () => {
    const found = outputs(
      [
        [...box(0, 0), 0.9, 0],
        [...box(50, 0), 0.8, 0],
        [...box(0, 50), 0.7, 0],
      ],
      [
        [...box(0, 0), 0.6, 0],
        [...box(2, 0), 0.5, 0.3],
        [...box(90, 90), 0, 0],
      ],
    );
    const right = truths(
      [
        [...box(1, 0), 0],
        [...box(0, 50), 0],
      ],
      [[...box(0, 0), 0], padding],
    );
    // Class 0 by score: right, wrong, right, right; the fifth is suppressed (it overlaps by 8/12). Precision 1, 2/3, 3/4.
    const { metrics, details } = await scoresOf(found, right, { mAP: mAP() }, 1);
    expect(details['mAP'].perClass).toEqual([expect.closeTo((1 + 3 / 4 + 3 / 4) / 3, 12), NaN]);
    expect(metrics['mAP']).toBeCloseTo(2.5 / 3, 12);
  });

  it('a second box on a true box is wrong, and a missed one lowers recall', async () => {
    const found = outputs([
      [...box(0, 0), 0.9, 0],
      [...box(5, 0), 0.8, 0],
    ]);
    const right = truths([
      [...box(2, 0), 0],
      [...box(60, 60), 0],
    ]);
    const { metrics } = await scoresOf(found, right, { mAP: mAP() });
    expect(metrics['mAP']).toBe(0.5);
  });

  it('is the mean over the overlaps', async () => {
    const found = outputs([[...box(0, 0), 0.9, 0]]);
    const right = truths([[...box(2, 0), 0]]); // 8/12
    expect((await scoresOf(found, right, { mAP: mAP([0.5, 0.6, 0.7, 0.8]) })).metrics['mAP']).toBe(0.5);
  });

  it('refuses other shapes and classes', async () => {
    const found = outputs([[...box(0, 0), 0.9, 0]]);
    await expect(scoresOf(found, truths([[...box(0, 0), 7]]), { mAP: mAP() })).rejects.toThrow(
      'evaluate: metric mAP: meanAveragePrecision: a target has class 7, but the scores have 2 classes, 0 … 1 (return one column',
    );
    await expect(scoresOf(found, tensorOf([1, 4], [0, 0, 1, 1]), { mAP: mAP() })).rejects.toThrow(
      'meanAveragePrecision: expects boxes f32 [N, A, 4], scores f32 [N, A, classes] and targets f32 [N, K, 5], but got f32 [3,1,4], f32 [3,1,2] and f32 [3,4]',
    );
    expect(() => meanAveragePrecision({} as never)).toThrow(
      'meanAveragePrecision: detections must be a function',
    );
  });
});
