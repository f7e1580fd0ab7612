/** Optimizers without a reference in PyTorch 1.13, against their equations in double precision. */
import { describe, expect, test } from 'vitest';
import type { HostTensor, State } from 'cyclegrad';
import { clipAdaptively, lamb, lion, muon, sgd, type Optimizer } from 'cyclegrad/optim';
import { optimize } from './run.ts';

const STEPS = 6;
type Rows = number[][];

/** Numbers in ±1 that binary fractions represent exactly. */
const draw = (seed: number) => (i: number) => (((i + 1) * 7919 * seed) % 257) / 128 - 1;
const tensorOf = (shape: readonly number[], seed: number): HostTensor => ({
  shape,
  dtype: 'f32',
  data: Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => draw(seed)(i)),
});
/** The values as a matrix [values / columns, columns]. */
const rowsOf = ({ data, shape }: HostTensor): Rows => {
  const columns = shape.at(-1)!;
  return Array.from({ length: data.length / columns }, (_, r) =>
    Array.from(data.slice(r * columns, (r + 1) * columns)),
  );
};
const zip = (a: Rows, b: Rows, f: (x: number, y: number) => number): Rows =>
  a.map((row, r) => row.map((x, c) => f(x, b[r][c])));
const times = (a: Rows, b: Rows): Rows =>
  a.map((row) => b[0].map((_, c) => row.reduce((sum, x, k) => sum + x * b[k][c], 0)));
const transposed = (a: Rows): Rows => a[0].map((_, c) => a.map((row) => row[c]));
const normOf = (a: Rows): number => Math.sqrt(a.flat().reduce((sum, x) => sum + x * x, 0));
const scaled = (a: Rows, factor: number): Rows => a.map((row) => row.map((x) => factor * x));

/** The update of a matrix from its gradient: a function with its own memory. */
type Rule = (w: Rows, g: Rows) => Rows;

/** The largest difference of a weight from the rule after each of some updates. */
async function worst(optimizer: Optimizer, shape: readonly number[], rule: Rule): Promise<number> {
  const start = { w: tensorOf(shape, 3) };
  const gradients: readonly State[] = Array.from({ length: STEPS }, (_, i) => ({
    w: tensorOf(shape, i + 5),
  }));
  const seen = await optimize(optimizer, start, gradients, STEPS);
  let w = rowsOf(start.w);
  const differences = seen.flatMap((state, step) => {
    w = rule(w, rowsOf(gradients[step]['w']));
    return zip(rowsOf(state['w']), w, (x, y) => Math.abs(x - y)).flat();
  });
  return differences.some(Number.isNaN) ? NaN : Math.max(...differences);
}

const zerosLike = (a: Rows): Rows => scaled(a, 0);
const [lr, b1, b2] = [0.125, 0.75, 0.875];

describe('equations', () => {
  test.each([0, 0.25])('lion, decay %d', async (weightDecay) => {
    let m: Rows | null = null;
    const error = await worst(lion({ lr, beta1: b1, beta2: b2, weightDecay }), [3, 4], (w, g) => {
      const old: Rows = m ?? zerosLike(w);
      const u = zip(old, g, (a, b) => Math.sign(b1 * a + (1 - b1) * b));
      m = zip(old, g, (a, b) => b2 * a + (1 - b2) * b);
      return zip(w, u, (x, d) => x - lr * (d + weightDecay * x));
    });
    expect(error).toBeLessThan(2e-6);
  });

  test.each([0, 0.25])('lamb, decay %d', async (weightDecay) => {
    let [m, v, t]: [Rows | null, Rows | null, number] = [null, null, 0];
    const epsilon = 2 ** -20;
    const error = await worst(lamb({ lr, beta1: b1, beta2: b2, weightDecay, epsilon }), [2, 3], (w, g) => {
      t += 1;
      m = zip(m ?? zerosLike(w), g, (a, b) => b1 * a + (1 - b1) * b);
      v = zip(v ?? zerosLike(w), g, (a, b) => b2 * a + (1 - b2) * b * b);
      const adam = zip(m, v, (a, b) => a / (1 - b1 ** t) / (Math.sqrt(b / (1 - b2 ** t)) + epsilon));
      const u = zip(adam, w, (a, x) => a + weightDecay * x);
      const ratio = normOf(w) / normOf(u);
      return zip(w, u, (x, d) => x - lr * ratio * d);
    });
    expect(error).toBeLessThan(2e-6);
  });

  test('lamb leaves out the ratio for a parameter that is 0', async () => {
    const zero = { w: { shape: [1, 2], dtype: 'f32', data: new Float64Array(2) } } as const;
    const [after] = await optimize(lamb({ lr, weightDecay: 0 }), zero, [{ w: tensorOf([1, 2], 5) }], 1);
    expect([...after['w'].data].map(Math.abs)).toEqual([expect.closeTo(lr, 4), expect.closeTo(lr, 4)]);
  });

  const polynomial = [3.4445, -4.775, 2.0315] as const;
  const newtonSchulz = (u: Rows, iterations: number): Rows => {
    const [a, b, c] = polynomial;
    let x = scaled(u, 1 / (normOf(u) + 1e-7));
    for (let i = 0; i < iterations; i++) {
      const s = times(x, transposed(x));
      const bx = times(s, x);
      x = zip(
        zip(x, bx, (p, q) => a * p + b * q),
        times(s, bx),
        (p, q) => p + c * q,
      );
    }
    return x;
  };

  test.each([
    ['wide', [3, 5], {}, Math.sqrt(5 / 3)],
    ['tall', [6, 2], { nesterov: false, iterations: 3 }, 1],
    ['a convolution, as in airbench', [2, 2, 3, 4], { scale: 'none', normalize: true, iterations: 3 }, 1],
    ["AdamW's size, with decay", [4, 4], { scale: 'adamw', weightDecay: 0.25 }, 0.4],
  ] as const)('muon: %s', async (_, shape, options, factor) => {
    let v: Rows | null = null;
    const {
      nesterov = true,
      iterations = 5,
      normalize = false,
      weightDecay = 0,
    } = {
      ...(options as { nesterov?: boolean; iterations?: number; normalize?: boolean; weightDecay?: number }),
    };
    const error = await worst(muon({ lr, momentum: 0.75, ...options }), shape, (w, g) => {
      v = zip(v ?? zerosLike(w), g, (a, b) => 0.75 * a + b);
      const u = nesterov ? zip(g, v, (a, b) => a + 0.75 * b) : v;
      const start = normalize ? scaled(w, Math.sqrt(w[0].length) / normOf(w)) : w;
      return zip(start, newtonSchulz(u, iterations), (x, d) => x * (1 - lr * weightDecay) - lr * factor * d);
    });
    expect(error).toBeLessThan(2e-6);
  });

  test('an update of muon has singular values near 1', async () => {
    const start = { w: tensorOf([3, 8], 3) };
    const [after] = await optimize(muon({ lr: 1, scale: 'none' }), start, [{ w: tensorOf([3, 8], 5) }], 1);
    const update = zip(rowsOf(after['w']), rowsOf(start.w), (a, b) => a - b);
    const gram = times(update, transposed(update));
    gram.forEach((row, r) =>
      row.forEach((x, c) => expect(Math.abs(x - (r === c ? 1 : 0))).toBeLessThan(0.55)),
    );
  });

  test.each([
    ['outputs of a matrix', [3, 4], (rows: Rows) => transposed(rows)],
    ['a vector as a whole', [4], (rows: Rows) => rows],
  ] as const)('adaptive clipping: %s', async (_, shape, unitsOf) => {
    const [ratio, epsilon] = [0.25, 0.5];
    const error = await worst(clipAdaptively(sgd({ lr }), { ratio, epsilon }), shape, (w, g) => {
      const units = unitsOf(g).map((unit, i) => {
        const limit = ratio * Math.max(normOf([unitsOf(w)[i]]), epsilon);
        return scaled([unit], Math.min(1, limit / normOf([unit])))[0];
      });
      return zip(w, unitsOf(units), (x, d) => x - lr * d);
    });
    expect(error).toBeLessThan(2e-6);
  });
});

describe('muon with another optimizer', () => {
  const start = {
    'conv.weight': tensorOf([2, 3], 3),
    'fc.weight': tensorOf([3, 2], 4),
    'fc.bias': tensorOf([2], 5),
  };
  const gradients = [start, start].map((state) =>
    Object.fromEntries(
      Object.entries(state).map(([name], i) => [
        name,
        tensorOf(start[name as keyof typeof start].shape, i + 9),
      ]),
    ),
  );
  const run = async (optimizer: Optimizer) => (await optimize(optimizer, start, gradients, 2))[1];

  test('trains matrices, or what matches, and leaves the rest to it', async () => {
    const others = sgd({ lr: 0.5, momentum: 0.9 });
    const [matrices, matched] = [await run(muon({ others })), await run(muon({ match: 'conv', others }))];
    const plain = await run(others);
    expect(matrices['fc.bias'].data).toEqual(plain['fc.bias'].data);
    expect(matrices['fc.weight'].data).not.toEqual(plain['fc.weight'].data);
    expect(matched['fc.weight'].data).toEqual(plain['fc.weight'].data);
    expect(matched['conv.weight'].data).toEqual(matrices['conv.weight'].data);
    expect(muon({ others }).at(0)).toEqual({
      lr: 0.02,
      momentum: 0.95,
      'others/lr': 0.5,
      'others/momentum': 0.9,
    });
    expect(muon({ others }).config).toMatchObject({ match: ['matrices()'], others: { kind: 'sgd' } });
  });

  test('vectors need another optimizer, and except must match', async () => {
    await expect(run(muon())).rejects.toThrow('muon: fc.bias are no matrices (give them another optimizer');
    expect(() => muon({ match: 'conv' })).toThrow('muon: match needs others');
    expect(() => muon({ groups: [], others: sgd({ lr: 1 }) })).toThrow(
      'muon: groups cannot be combined with others',
    );
    await expect(run(clipAdaptively(sgd({ lr: 1 }), { except: 'head' }))).rejects.toThrow(
      'clipAdaptively: except: no trained parameter matches head (the model has: conv.weight, fc.weight, fc.bias)',
    );
    const free = await run(clipAdaptively(sgd({ lr: 1 }), { except: ['fc', 'conv'] }));
    expect(free['fc.bias'].data).toEqual((await run(sgd({ lr: 1 })))['fc.bias'].data);
  });
});
