import { describe, expect, test } from 'vitest';
import { stream } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';

const SHAPE = [5, 5, 16, 40]; // fan in 400, fan out 1000, 16,000 values
const draw = (initializer: nn.Initializer, shape: readonly number[] = SHAPE): Float64Array =>
  Float64Array.from(initializer(shape, stream(1, 'test')));

function statistics(values: Float64Array): { mean: number; std: number; low: number; high: number } {
  const mean = values.reduce((a, b) => a + b) / values.length;
  const square = values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(square), low: Math.min(...values), high: Math.max(...values) };
}

describe('statistics', () => {
  // [what, initializer, standard deviation, bound of uniform ones]
  test.each([
    ['normal', nn.init.normal(0.3), 0.3, Infinity],
    ['uniform', nn.init.uniform(-0.2, 0.2), 0.4 / Math.sqrt(12), 0.2],
    ['xavier, as Caffe: ±√(3 / fan_in)', nn.init.xavier(), Math.sqrt(1 / 400), Math.sqrt(3 / 400)],
    ['xavier, outputs', nn.init.xavier({ fan: 'out' }), Math.sqrt(1 / 1000), Math.sqrt(3 / 1000)],
    ['xavier, average', nn.init.xavier({ fan: 'average' }), Math.sqrt(1 / 700), Math.sqrt(3 / 700)],
    ['xavier, normal', nn.init.xavier({ distribution: 'normal' }), Math.sqrt(1 / 400), Infinity],
    ['he', nn.init.he(), Math.sqrt(2 / 400), Infinity],
    ['he, uniform', nn.init.he({ distribution: 'uniform' }), Math.sqrt(2 / 400), Math.sqrt(6 / 400)],
  ])('%s', (_, initializer, std, bound) => {
    const found = statistics(draw(initializer));
    expect(Math.abs(found.mean)).toBeLessThan(4 * (std / Math.sqrt(16_000)));
    expect(Math.abs(found.std / std - 1)).toBeLessThan(0.03);
    const extreme = Math.max(-found.low, found.high) / bound;
    expect(extreme).toBeLessThanOrEqual(1 + 1e-7);
    expect(extreme).toBeGreaterThanOrEqual(bound < Infinity ? 0.99 : 0);
  });

  test('a dense weight [in, out] has fans in and out', () => {
    const high = statistics(draw(nn.init.xavier(), [300, 50])).high;
    expect(high).toBeGreaterThan(0.1 * 0.99);
    expect(high).toBeLessThanOrEqual(0.1 * (1 + 1e-7));
  });

  test('normal has its mean, constants are constant, fromArray gives its values', () => {
    expect(statistics(draw(nn.init.normal(1, 5))).mean).toBeCloseTo(5, 1);
    expect([...draw(nn.init.constant(2), [3])]).toEqual([2, 2, 2]);
    expect([...draw(nn.init.zeros, [2]), ...draw(nn.init.ones, [2])]).toEqual([0, 0, 1, 1]);
    expect([...draw(nn.init.fromArray([[1, 2], [3, 4]]), [2, 2])]).toEqual([1, 2, 3, 4]); // prettier-ignore
  });
});

describe('initial state', () => {
  const model = nn.sequential({ a: nn.dense(4, 4), b: nn.dense(4, 4) });

  test('is pure in (seed, path): equal again, different by seed and by path', () => {
    const first = nn.initState(model, null, 7);
    expect(nn.initState(model, null, 7)).toEqual(first);
    expect(nn.initState(model, null, 8)).not.toEqual(first);
    expect(first['a.weight'].data).not.toEqual(first['b.weight'].data);
    // A layer that is added elsewhere changes nothing.
    const larger = nn.sequential({ zero: nn.dense(4, 4), a: nn.dense(4, 4), b: nn.dense(4, 4) });
    expect(nn.initState(larger, null, 7)['a.weight']).toEqual(first['a.weight']);
  });

  test("an optimizer's arrays cannot clash with parameters", () => {
    const state = nn.initState(nn.mlp([2, 3]), sgd({ lr: 0.1, momentum: 0.9 }), 0);
    expect(Object.keys(state)).toEqual([
      'fc1.weight',
      'fc1.bias',
      'optimizer/velocity/fc1.weight',
      'optimizer/velocity/fc1.bias',
    ]);
    expect([...state['optimizer/velocity/fc1.bias'].data]).toEqual([0, 0, 0]);
  });
});
