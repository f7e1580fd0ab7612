import { describe, expect, test } from 'vitest';
import { dense, init, initState, mlp, sequential, stream, type Initializer } from 'cyclegrad';
import { sgd } from 'cyclegrad/optim';

const SHAPE = [5, 5, 16, 40]; // fan in 400, fan out 1000, 16,000 values
const draw = (initializer: Initializer, shape: readonly number[] = SHAPE): Float64Array =>
  Float64Array.from(initializer(shape, stream(1, 'test')));

function statistics(values: Float64Array): { mean: number; std: number; low: number; high: number } {
  const mean = values.reduce((a, b) => a + b) / values.length;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(square), low: Math.min(...values), high: Math.max(...values) };
}

describe('statistics', () => {
  // [what, initialiser, standard deviation, bound of uniform ones]
  test.each([
    ['normal', init.normal(0.3), 0.3, Infinity],
    ['uniform', init.uniform(-0.2, 0.2), 0.4 / Math.sqrt(12), 0.2],
    ['xavier, as Caffe: ±√(3 / fan_in)', init.xavier(), Math.sqrt(1 / 400), Math.sqrt(3 / 400)],
    ['xavier, outputs', init.xavier({ fan: 'out' }), Math.sqrt(1 / 1000), Math.sqrt(3 / 1000)],
    ['xavier, average', init.xavier({ fan: 'average' }), Math.sqrt(1 / 700), Math.sqrt(3 / 700)],
    ['xavier, normal', init.xavier({ distribution: 'normal' }), Math.sqrt(1 / 400), Infinity],
    ['he', init.he(), Math.sqrt(2 / 400), Infinity],
    ['he, uniform', init.he({ distribution: 'uniform' }), Math.sqrt(2 / 400), Math.sqrt(6 / 400)],
  ])('%s', (_, initializer, std, bound) => {
    const found = statistics(draw(initializer));
    expect(Math.abs(found.mean)).toBeLessThan(4 * (std / Math.sqrt(16_000)));
    expect(Math.abs(found.std / std - 1)).toBeLessThan(0.03);
    const extreme = Math.max(-found.low, found.high) / bound;
    expect(extreme).toBeLessThanOrEqual(1 + 1e-7);
    expect(extreme).toBeGreaterThanOrEqual(bound < Infinity ? 0.99 : 0);
  });

  test('a dense weight [in, out] has fans in and out', () => {
    const high = statistics(draw(init.xavier(), [300, 50])).high;
    expect(high).toBeGreaterThan(0.1 * 0.99);
    expect(high).toBeLessThanOrEqual(0.1 * (1 + 1e-7));
  });

  test('normal has its mean, constants are constant, given gives', () => {
    expect(statistics(draw(init.normal(1, 5))).mean).toBeCloseTo(5, 1);
    expect([...draw(init.constant(2), [3])]).toEqual([2, 2, 2]);
    expect([...draw(init.zeros, [2]), ...draw(init.ones, [2])]).toEqual([0, 0, 1, 1]);
    expect([...draw(init.given([[1, 2], [3, 4]]), [2, 2])]).toEqual([1, 2, 3, 4]); // prettier-ignore
    expect(init.msra).toBe(init.he);
  });
});

describe('initial state', () => {
  const model = sequential({ a: dense(4, 4), b: dense(4, 4) });

  test('is pure in (seed, path): equal again, different by seed and by path', () => {
    const first = initState(model, null, 7);
    expect(initState(model, null, 7)).toEqual(first);
    expect(initState(model, null, 8)).not.toEqual(first);
    expect(first['a.weight'].data).not.toEqual(first['b.weight'].data);
    // A layer that is added elsewhere changes nothing.
    const larger = sequential({ zero: dense(4, 4), a: dense(4, 4), b: dense(4, 4) });
    expect(initState(larger, null, 7)['a.weight']).toEqual(first['a.weight']);
  });

  test("an optimizer's arrays cannot clash with parameters", () => {
    const state = initState(mlp([2, 3]), sgd({ lr: 0.1, momentum: 0.9 }), 0);
    expect(Object.keys(state)).toEqual([
      'fc1.weight',
      'fc1.bias',
      'optimizer/velocity/fc1.weight',
      'optimizer/velocity/fc1.bias',
    ]);
    expect([...state['optimizer/velocity/fc1.bias'].data]).toEqual([0, 0, 0]);
  });
});
