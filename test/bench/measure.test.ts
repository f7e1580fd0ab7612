import { describe, expect, it } from 'vitest';
import { alternate, compare, quantile, stepsFor, table, takeTurns, type Arm } from '../../bench/measure.ts';

function fakeArm(name: string, log: string[], ms: () => number): Arm {
  return {
    name,
    turn(skip, count) {
      log.push(`${name} ${skip}+${count}`);
      return Promise.resolve(Array.from({ length: count }, ms));
    },
  };
}

describe('alternate', () => {
  it('takes turns, and who begins changes with every pair', async () => {
    const log: string[] = [];
    const pairs = await alternate(
      fakeArm('a', log, () => 2),
      fakeArm('b', log, () => 4),
      { pairs: 3, steps: 5, pauseMs: 0 },
    );
    expect(log).toEqual(['a 1+5', 'b 1+5', 'b 1+5', 'a 1+5', 'b 1+5', 'a 1+5']);
    expect(pairs).toEqual({ steps: 5, ours: [2, 2, 2], theirs: [4, 4, 4] });
  });

  it('of three arms each begins, and each follows every other', async () => {
    const log: string[] = [];
    const arms = ['a', 'b', 'c'].map((name, i) => fakeArm(name, log, () => i));
    expect(await takeTurns(arms, { pairs: 4, steps: 1, pauseMs: 0 })).toEqual([
      [0, 0, 0, 0],
      [1, 1, 1, 1],
      [2, 2, 2, 2],
    ]);
    expect(log.map((line) => line[0]).join('')).toBe('abccbabcaacb');
  });

  it('never runs one arm before the other has answered', async () => {
    let running = 0;
    let most = 0;
    const arm = (name: string): Arm => ({
      name,
      async turn(_, count) {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 2));
        running--;
        return Array.from({ length: count }, () => 1);
      },
    });
    await alternate(arm('a'), arm('b'), { pairs: 4, steps: 1, pauseMs: 0 });
    expect(most).toBe(1);
  });

  it("a pair's time is the mean of its steps, and times that are missing are an error", async () => {
    let next = 0;
    const pairs = await alternate(
      fakeArm('a', [], () => ++next),
      fakeArm('b', [], () => 1),
      { pairs: 2, steps: 3, pauseMs: 0 },
    );
    expect(pairs.ours).toEqual([2, 5]);
    const short: Arm = { name: 'b', turn: () => Promise.resolve([1]) };
    await expect(
      alternate(
        fakeArm('a', [], () => 1),
        short,
        { pairs: 1, steps: 2, pauseMs: 0 },
      ),
    ).rejects.toThrow('b: expected the times of 2 steps, got 1');
  });
});

describe('compare', () => {
  it('takes the ratio pair by pair, so that a slow while drops out', () => {
    // The machine was ten times as slow during the last two pairs.
    const result = compare({ steps: 1, ours: [1, 1, 1, 10, 10], theirs: [2, 2, 2, 20, 20] });
    expect(result).toMatchObject({
      pairs: 5,
      ratio: 0.5,
      ratioQuartiles: [0.5, 0.5],
      oursMs: { min: 1, median: 1 },
      theirsMs: { min: 2, median: 2 },
      ratioOfMinima: 0.5,
    });
  });

  it('refuses what are no pairs', () => {
    expect(() => compare({ steps: 1, ours: [1], theirs: [] })).toThrow('1 and 0 times are not pairs');
  });
});

it('quantiles lie between neighbours', () => {
  expect([0, 0.25, 0.5, 1].map((share) => quantile([4, 1, 3, 2], share))).toEqual([1, 1.75, 2.5, 4]);
  expect(quantile([7], 0.9)).toBe(7);
  expect(() => quantile([], 0.5)).toThrow(RangeError);
});

it('a turn has at least one step and no more than a thousand', () => {
  expect([stepsFor(100, 30), stepsFor(100, 500), stepsFor(100, 0)]).toEqual([3, 1, 1000]);
});

it('a table aligns its first columns left and the others right', () => {
  expect(
    table(
      ['a', 'b'],
      [
        ['long', '1'],
        ['x', '22'],
      ],
    ),
  ).toBe('a      b\nlong   1\nx     22');
});
