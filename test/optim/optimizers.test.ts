import { describe, expect, test } from 'vitest';
import { add, mul, sub, type State } from 'cyclegrad';
import {
  accumulateGradients,
  adadelta,
  adagrad,
  adam,
  adamw,
  averagedState,
  averageWeights,
  clipGradients,
  rmsprop,
  sgd,
  type Optimizer,
  type SgdOptions,
  type Tree,
} from 'cyclegrad/optim';
import { custom, cyclicLR, cyclicMomentum, join } from 'cyclegrad/schedulers';
import { oracle, toHost } from '../oracle/load.ts';
import { number, optimize, specsFor } from './run.ts';

type Make = (lr: number) => Optimizer;
const all: readonly (readonly [string, Make, number, number])[] = [
  // [name, optimizer, rate for the parabola, rate for Rosenbrock's valley]
  ['sgd', (lr) => sgd({ lr }), 0.1, 0.002],
  ['sgd, momentum', (lr) => sgd({ lr, momentum: 0.9 }), 0.02, 0.001],
  ['sgd, momentum, caffe', (lr) => sgd({ lr, momentum: 0.9, form: 'caffe' }), 0.02, 0.001],
  ['sgd, nesterov', (lr) => sgd({ lr, momentum: 0.9, nesterov: true }), 0.02, 0.001],
  ['sgd, nesterov, caffe', (lr) => sgd({ lr, momentum: 0.9, nesterov: true, form: 'caffe' }), 0.02, 0.001],
  ['adam', (lr) => adam({ lr }), 0.1, 0.05],
  ['adam, caffe', (lr) => adam({ lr, form: 'caffe' }), 0.1, 0.05],
  ['adamw', (lr) => adamw({ lr, weightDecay: 0 }), 0.1, 0.05],
  ['rmsprop', (lr) => rmsprop({ lr }), 0.01, 0.002],
  ['rmsprop, momentum', (lr) => rmsprop({ lr, momentum: 0.9 }), 0.001, 0.0005],
  ['adagrad', (lr) => adagrad({ lr }), 1, 0.3],
  ['clipped', (lr) => clipGradients(sgd({ lr, momentum: 0.9 }), { norm: 5, value: 3 }), 0.02, 0.002],
];
const decayedForms: readonly (readonly [string, Make])[] = [
  ['sgd', (lr) => sgd({ lr, weightDecay: 1 })],
  ['adam', (lr) => adam({ lr, weightDecay: 1 })],
  ['adamw', (lr) => adamw({ lr, weightDecay: 1 })],
];

const value = (state: State | undefined, name: string): number => state![name].data[0];

describe.each(all)('%s', (_, make, forParabola, forRosenbrock) => {
  test('finds the bottom of a parabola', async () => {
    const start = { x: number(3), y: number(-2) };
    const loss = ({ x, y }: Tree) => add(mul(sub(x, 1), sub(x, 1)), mul(mul(y, y), 2));
    const after = (await optimize(make(forParabola), start, loss, 400)).at(-1);
    expect(value(after, 'x')).toBeCloseTo(1, 3);
    expect(value(after, 'y')).toBeCloseTo(0, 3);
  });

  test("goes along Rosenbrock's valley", async () => {
    const loss = ({ x, y }: Tree) => {
      const across = sub(y, mul(x, x));
      return add(mul(sub(1, x), sub(1, x)), mul(mul(across, across), 100));
    };
    const after = (await optimize(make(forRosenbrock), { x: number(-1), y: number(1) }, loss, 4000)).at(-1);
    const [x, y] = [value(after, 'x'), value(after, 'y')];
    expect((1 - x) ** 2 + 100 * (y - x * x) ** 2).toBeLessThan(0.02);
  });
});

describe.each(decayedForms)('weight decay: %s', (_, make) => {
  test('pulls towards 0, by decayMult; a parameter without a gradient and without decay stays', async () => {
    const start = { a: number(1), b: number(1) };
    const zero = [{ a: number(0), b: number(0) }];
    const specs = specsFor(start, { b: { lrMult: 1, decayMult: 0 } });
    const [after] = await optimize(make(0.1), start, zero, 1, specs);
    expect(value(after, 'a')).toBeCloseTo(0.9, 6);
    expect(value(after, 'b')).toBe(1);
  });
});

describe('first updates against hand-computed numbers', () => {
  const gradients = [1, 2, -1].map((g) => ({ w: number(g) }));
  const lr = join([0.1, 0.2, 0.4], [1, 2, 3]);
  const run = async (optimizer: Optimizer) =>
    (await optimize(optimizer, { w: number(1) }, gradients, 3)).map((state) => value(state, 'w'));
  const near = (numbers: readonly number[]) => numbers.map((value) => expect.closeTo(value, 10));

  test('sgd: w − lr · g', async () => {
    expect(await run(sgd({ lr }))).toEqual(near([0.9, 0.5, 0.9]));
  });

  test('momentum outside: v = 1, 2.5, 0.25', async () => {
    expect(await run(sgd({ lr, momentum: 0.5 }))).toEqual(near([0.9, 0.4, 0.3]));
  });

  test('momentum inside: v = 0.1, 0.45, −0.175', async () => {
    expect(await run(sgd({ lr, momentum: 0.5, form: 'caffe' }))).toEqual(near([0.9, 0.45, 0.625]));
  });

  test('nesterov outside: g + momentum · v = 1.5, 3.25, −0.875', async () => {
    expect(await run(sgd({ lr, momentum: 0.5, nesterov: true }))).toEqual(near([0.85, 0.2, 0.55]));
  });

  test('nesterov inside: 1.5 v − 0.5 · old v = 0.15, 0.625, −0.4875', async () => {
    expect(await run(sgd({ lr, momentum: 0.5, nesterov: true, form: 'caffe' }))).toEqual(
      near([0.85, 0.225, 0.7125]),
    );
  });

  test('adam: the first step has the size of the rate, whatever the gradient', async () => {
    for (const form of ['caffe', 'pytorch'] as const) {
      const [first] = await run(adam({ lr: 0.1, form }));
      expect(first).toBeCloseTo(0.9, 6);
    }
  });

  test('adam under scheduled betas: corrections are the weights that the means have', async () => {
    // β1 = 0.5, then 0: m = 0.5, then 2; corrections 0.5, then 1. β2 = 0: v = g².
    const beta1 = custom({ name: 'drop', fn: (step) => (step === 0 ? 0.5 : 0) });
    const [first, second] = await run(adam({ lr: 0.1, beta1, beta2: 0, epsilon: 1e-20 }));
    expect(first).toBeCloseTo(0.9, 6);
    expect(second).toBeCloseTo(0.8, 6);
  });
});

describe('momentum forms', () => {
  const gradients = Array.from({ length: 8 }, (_, i) => ({ w: number(Math.cos(i)) }));
  const last = async (options: SgdOptions) =>
    value((await optimize(sgd(options), { w: number(1) }, gradients, 8)).at(-1), 'w');

  test.each([false, true])(
    'agree for a constant rate, differ for a moving one; nesterov %s',
    async (nesterov) => {
      const both = async (lr: SgdOptions['lr']) => {
        const options = { lr, momentum: 0.9, nesterov };
        return [
          await last({ ...options, form: 'caffe' }),
          await last({ ...options, form: 'pytorch' }),
        ] as const;
      };
      const [a, b] = await both(0.1);
      expect(a).toBeCloseTo(b, 12);
      const [c, d] = await both(cyclicLR({ base: 0.01, max: 0.1, stepSize: 2 }));
      expect(Math.abs(c - d)).toBeGreaterThan(0.01);
    },
  );
});

describe('oracle: ten updates with a moving rate', () => {
  const { initial, grads, lr: rates } = oracle.optimization;
  const start = Object.fromEntries(Object.entries(initial).map(([name, tensor]) => [name, toHost(tensor)]));
  const given = grads.map((step) =>
    Object.fromEntries(Object.entries(step).map(([name, tensor]) => [name, toHost(tensor)])),
  );
  const lr = custom({ name: 'oracle', fn: (step) => rates[step] });
  const known = oracle.optimizers;

  test('covers both forms', () => {
    // AdamW is PyTorch's alone.
    expect(new Set(known.map(({ name, form }) => `${name} ${form}`)).size).toBe(11);
  });

  test.each(
    known.map(
      (record) => [`${record.name}, ${record.form}, ${JSON.stringify(record.options)}`, record] as const,
    ),
  )('%s', async (_, { name, form, options, specs, params }) => {
    const { eps, ...named } = options;
    const common = { lr, ...named, ...(eps !== undefined && { epsilon: eps }) };
    const optimizer = {
      sgd: () => sgd({ ...common, form }),
      adam: () => adam({ ...common, form }),
      adamw: () => adamw({ ...common, form }),
      // One form is both.
      rmsprop: () => rmsprop(common),
      adagrad: () => adagrad(common),
      adadelta: () => adadelta(common),
    }[name]();
    const seen = await optimize(optimizer, start, given, given.length, specsFor(start, specs));
    seen.forEach((state, step) => {
      for (const [key, expected] of Object.entries(params[step])) {
        expected.data.forEach((x, i) => {
          const error = Math.abs(state[key].data[i] - x);
          expect(error, `step ${step}, ${key}[${i}]`).toBeLessThan(2e-8 * (1 + Math.abs(x)));
        });
      }
    });
  });
});

describe('options', () => {
  test('hyperparameters are told for each step, and only those there are', () => {
    const lr = cyclicLR({ base: 0.1, max: 0.3, stepSize: 2 });
    const momentum = cyclicMomentum({ base: 0.8, max: 0.9, stepSize: 2 });
    expect(sgd({ lr }).at(2)).toEqual({ lr: 0.3 });
    const { lr: rate, momentum: mu } = sgd({ lr, momentum }).at(2);
    expect(rate).toBeCloseTo(0.3, 12);
    expect(mu).toBeCloseTo(0.8, 12);
    expect(Object.keys(sgd({ lr: 1, momentum: 0.9, weightDecay: 0.1 }).at(0))).toEqual([
      'lr',
      'momentum',
      'weightDecay',
    ]);
    expect(Object.keys(adam().at(0))).toEqual(['lr', 'beta1', 'beta2']);
    expect(adamw().at(0)).toEqual({ lr: 0.001, beta1: 0.9, beta2: 0.999, weightDecay: 0.01 });
  });

  test('the config is plain data, schedules included', () => {
    const lr = cyclicLR({ base: 0.1, max: 0.3, stepSize: 2 });
    const { config } = sgd({ lr, momentum: 0.9, form: 'caffe' });
    expect(config).toEqual({
      kind: 'sgd',
      form: 'caffe',
      nesterov: false,
      hyper: { lr: lr.config, momentum: 0.9 },
    });
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });

  test.each([
    [() => sgd({ lr: -1 }), 'sgd: lr must be a number >= 0, got -1'],
    [() => sgd({} as never), 'sgd: lr must be a number or a schedule, got undefined'],
    [() => sgd({ lr: ((t: number) => t) as never }), 'got a function (wrap it: custom({ name, fn }))'],
    [() => sgd({ lr: 1, momentum: 1 }), 'sgd: momentum must be a number >= 0 and < 1, got 1'],
    [() => sgd({ lr: 1, nesterov: true }), 'sgd: nesterov needs momentum'],
    [() => sgd({ lr: 1, form: 'torch' as never }), "sgd: form must be 'caffe' or 'pytorch', got 'torch'"],
    [() => sgd({ lr: 1, decay: 1 } as never), "sgd: unknown option 'decay' (known: lr, momentum"],
    [() => adam({ epsilon: 0 }), 'adam: epsilon must be a number > 0, got 0'],
    [() => adam({ beta2: 1 }), 'adam: beta2 must be a number >= 0 and < 1, got 1'],
    [() => adamw({ betas: [0.9, 0.99] } as never), "adamw: unknown option 'betas'"],
    [
      () => sgd({ lr: custom({ name: 'bad', fn: () => -1 }) }).at(3),
      'sgd: lr at step 3 must be a number >= 0, got -1',
    ],
  ])('wrong ones throw %#', (make, message) => {
    expect(make).toThrow(message);
  });
});

describe('adaptive methods against hand-computed numbers', () => {
  const gradients = [1, 2, -1].map((g) => ({ w: number(g) }));
  const run = async (optimizer: Optimizer) =>
    (await optimize(optimizer, { w: number(1) }, gradients, 3)).map((state) => value(state, 'w'));
  const near = (numbers: readonly number[]) => numbers.map((x) => expect.closeTo(x, 6));
  /** The rule in plain numbers, over the same gradients. */
  const expected = (rule: () => (g: number) => number): number[] => {
    const step = rule();
    let w = 1;
    return [1, 2, -1].map((g) => (w -= step(g)));
  };

  test('rmsprop: the root of a running mean of squares', async () => {
    const plain = expected(() => {
      let h = 0;
      return (g) => (0.1 * g) / (Math.sqrt((h = 0.9 * h + 0.1 * g * g)) + 1e-8);
    });
    expect(await run(rmsprop({ lr: 0.1, rho: 0.9 }))).toEqual(near(plain));
    const moved = expected(() => {
      let h = 0;
      let v = 0;
      return (g) => 0.1 * (v = 0.5 * v + g / (Math.sqrt((h = 0.9 * h + 0.1 * g * g)) + 1e-8));
    });
    expect(await run(rmsprop({ lr: 0.1, rho: 0.9, momentum: 0.5 }))).toEqual(near(moved));
  });

  test('adagrad: the root of all squares so far', async () => {
    const plain = expected(() => {
      let h = 0;
      return (g) => (0.1 * g) / (Math.sqrt((h += g * g)) + 1e-8);
    });
    expect(await run(adagrad({ lr: 0.1, epsilon: 1e-8 }))).toEqual(near(plain));
  });

  // Weights after gradients of which one is as small as the epsilons, by PyTorch 1.13 in double precision with its defaults.
  test.each([
    [
      'adagrad',
      () => adagrad(),
      [0.990909090909091, 0.9809090909110909, 0.9906105159120736, 0.9906104674049486],
    ],
    [
      'adagrad, initial accumulator',
      () => adagrad({ initialAccumulator: 0.1 }),
      [0.9999999999683772, 0.9915484574225206, 1.0011377234517684, 1.0011376755054382],
    ],
    [
      'rmsprop',
      () => rmsprop(),
      [0.999009900990099, 0.899009920990095, 0.9960527124934498, 0.9960522248350742],
    ],
    ['adadelta', () => adadelta(), [0.999999999, 0.9968377845834874, 1.0011891622669542, 1.0011891306820278]],
    ['adam', () => adam(), [0.9999090909090909, 0.9991649541052265, 0.9996452669003935, 1.000038707095174]],
    [
      'adamw',
      () => adamw(),
      [0.9998990909090909, 0.9991449551143176, 0.9996152764599334, 0.9999987205019494],
    ],
  ])('the defaults of PyTorch: %s', async (_, make, weights) => {
    const gradients = [1e-9, 0.5, -2, 1e-5].map((g) => ({ w: number(g) }));
    const states = await optimize(make(), { w: number(1) }, gradients, 4);
    expect(states.map((state) => value(state, 'w'))).toEqual(weights.map((w) => expect.closeTo(w, 8)));
  });

  test('an initial accumulator is part of the state and of the config', () => {
    const specs = specsFor({ w: number(0) });
    expect([...adagrad({ initialAccumulator: 0.1 }).init(specs)['square/w'].data]).toEqual([
      Math.fround(0.1),
    ]);
    expect(adagrad({ initialAccumulator: 0.1 }).config).toMatchObject({ initialAccumulator: 0.1 });
    expect(adagrad().config).not.toHaveProperty('initialAccumulator');
    expect(() => adagrad({ initialAccumulator: -1 })).toThrow(
      'adagrad: initialAccumulator must be a number >= 0, got -1',
    );
  });

  test('adadelta: steps in the unit of the parameter', async () => {
    const plain = expected(() => {
      let h = 0;
      let d = 0;
      return (g) => {
        h = 0.9 * h + 0.1 * g * g;
        const u = g * Math.sqrt((d + 1e-3) / (h + 1e-3));
        d = 0.9 * d + 0.1 * u * u;
        return 0.5 * u;
      };
    });
    expect(await run(adadelta({ lr: 0.5, rho: 0.9, epsilon: 1e-3 }))).toEqual(near(plain));
  });

  test('weight decay is in the gradient', async () => {
    const zero = [{ w: number(0) }];
    for (const make of [rmsprop, adagrad]) {
      const [after] = await optimize(make({ lr: 0.1, weightDecay: 1 }), { w: number(1) }, zero, 1);
      expect(value(after, 'w')).toBeLessThan(1);
    }
  });
});

describe('clipping', () => {
  const start = { a: number(0), b: number(0) };
  const after = async (
    options: Parameters<typeof clipGradients>[1],
    a: number,
    b: number,
    precision: 'f32' | 'f64' = 'f64',
  ) => {
    const optimizer = clipGradients(sgd({ lr: 1 }), options);
    const gradients = [{ a: number(a), b: number(b) }];
    const [state] = await optimize(optimizer, start, gradients, 1, undefined, precision);
    return [-value(state, 'a'), -value(state, 'b')];
  };

  test('by norm: all together keep their direction', async () => {
    expect(await after({ norm: 1 }, 3, -4)).toEqual([expect.closeTo(0.6, 6), expect.closeTo(-0.8, 6)]);
    expect(await after({ norm: 6 }, 3, -4)).toEqual([3, -4]);
    expect(await after({ norm: 1 }, 0, 0)).toEqual([-0, -0]);
    // Nothing is added to the norm: PyTorch's 1e-6 would give 2.9999994 and 5e-8.
    expect(await after({ norm: 5 }, 3, -4)).toEqual([3, -4]);
    const [a, b] = await after({ norm: 2.5e-7 }, 3e-7, -4e-7);
    expect([a / 1.5e-7, b / -2e-7]).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)]);
  });

  test('by value: each element', async () => {
    expect(await after({ value: 2 }, 3, -4)).toEqual([2, -2]);
    expect(await after({ value: 3.5 }, 3, -4)).toEqual([3, -3.5]);
  });

  test.each([1e6, 3e7, 1e15, 1e20, 1e38])('a gradient of %d still moves by the limit', async (size) => {
    for (const precision of ['f32', 'f64'] as const) {
      // oxlint-disable-next-line no-await-in-loop
      expect(await after({ norm: 1 }, size, 0, precision)).toEqual([expect.closeTo(1, 6), -0]);
      // oxlint-disable-next-line no-await-in-loop
      expect(await after({ value: 1 }, size, -size, precision)).toEqual([1, -1]);
    }
  });

  test('what is not a number stays one, and infinity has a value to be clipped to', async () => {
    expect(await after({ value: 1 }, NaN, -Infinity)).toEqual([NaN, -1]);
    expect(await after({ norm: 1 }, NaN, 1)).toEqual([NaN, NaN]);
  });

  test('a model without trained parameters has nothing to clip', async () => {
    const optimizer = clipGradients(sgd({ lr: 1 }), { norm: 1 });
    expect(optimizer.update({ grads: {}, params: {}, state: {}, hyper: {}, specs: {} }).params).toEqual({});
  });

  test('is part of the config, and says what is wrong', () => {
    expect(() => clipGradients(clipGradients(sgd({ lr: 1 }), { norm: 5 }), { value: 1 })).toThrow(
      'clipGradients: the optimizer is already wrapped in clipGradients, with clipNorm 5 (pass norm and value in one call)',
    );
    expect(clipGradients(sgd({ lr: 1 }), { norm: 5, value: 1 }).config).toMatchObject({
      kind: 'sgd',
      clipNorm: 5,
      clipValue: 1,
    });
    expect(() => clipGradients(sgd({ lr: 1 }), {})).toThrow('there is no limit (pass norm, value, or both)');
    expect(() => clipGradients(sgd({ lr: 1 }), { norm: 0 })).toThrow(
      'clipGradients: norm must be a number > 0, got 0',
    );
  });
});

describe('a moving average of the weights', () => {
  test('is what the formula says, without a bias to the start, and training does not see it', async () => {
    const gradients = [1, 2, -1].map((g) => ({ w: number(g) }));
    const inner = (): Optimizer => sgd({ lr: 0.1, momentum: 0.9 });
    const plain = await optimize(inner(), { w: number(1) }, gradients, 3);
    const states = await optimize(averageWeights(inner(), { decay: 0.5 }), { w: number(1) }, gradients, 3);
    expect(states.map((state) => value(state, 'w'))).toEqual(plain.map((state) => value(state, 'w')));
    const [a, b, c] = plain.map((state) => value(state, 'w')) as [number, number, number];
    expect(value(averagedState(states[0]), 'w')).toBeCloseTo(a, 6);
    expect(value(averagedState(states[2]), 'w')).toBeCloseTo((a / 4 + b / 2 + c) / 1.75, 6);
    expect(averageWeights(inner()).config).toMatchObject({ kind: 'sgd', averageDecay: 0.999 });
  });

  test('refuses a decay that keeps everything, and states without averages', async () => {
    expect(() => averageWeights(sgd({ lr: 1 }), { decay: 1 })).toThrow(
      'averageWeights: decay must be a number >= 0 and < 1, got 1',
    );
    expect(() => averageWeights(averageWeights(sgd({ lr: 1 })))).toThrow('with averageDecay 0.999');
    expect(() => averageWeights(clipGradients(accumulateGradients(sgd({ lr: 1 }), 2), { norm: 1 }))).toThrow(
      'averageWeights: the optimizer accumulates 2 steps for an update, but the average would decay at every step (swap the wrappers',
    );
    expect(averageWeights(accumulateGradients(sgd({ lr: 1 }), 1)).stepsPerUpdate).toBe(1);
    const [state] = await optimize(sgd({ lr: 1 }), { w: number(1) }, [{ w: number(1) }], 1);
    expect(() => averagedState(state)).toThrow('averagedState: the state has no averages (train with');
  });
});

describe('gradients of several batches', () => {
  test.each<readonly [string, () => Optimizer]>([
    ['sgd with momentum', () => sgd({ lr: 0.1, momentum: 0.9, weightDecay: 0.1 })],
    ['adam', () => adam({ lr: 0.1 })],
    ['clipped', () => clipGradients(sgd({ lr: 0.1 }), { norm: 1 })],
  ])('make one update of their mean: %s', async (_, inner) => {
    const parts = [1, 3, -2, 4, 0, 5].map((g) => ({ w: number(g) }));
    const means = [2, 1, 2.5].map((g) => ({ w: number(g) }));
    const states = await optimize(accumulateGradients(inner(), 2), { w: number(1) }, parts, 6);
    const wanted = await optimize(inner(), { w: number(1) }, means, 3);
    const got = states.map((state) => value(state, 'w'));
    expect([got[1], got[3], got[5]]).toEqual(wanted.map((state) => expect.closeTo(value(state, 'w'), 5)));
    expect([got[0], got[2], got[4]]).toEqual([1, got[1], got[3]]); // nothing moves between
  });

  test('of one batch is the optimizer itself', async () => {
    const parts = [1, 3].map((g) => ({ w: number(g) }));
    const [one, itself] = [accumulateGradients(adam({ lr: 0.1 }), 1), adam({ lr: 0.1 })];
    const got = await optimize(one, { w: number(1) }, parts, 2);
    const wanted = await optimize(itself, { w: number(1) }, parts, 2);
    expect(got.map((state) => value(state, 'w'))).toEqual(wanted.map((state) => value(state, 'w')));
    expect(one.config).toMatchObject({ kind: 'adam', batches: 1 });
    expect(() => accumulateGradients(accumulateGradients(itself, 2), 3)).toThrow('with batches 2');
    expect(() => accumulateGradients(itself, 0)).toThrow(
      'accumulateGradients: batches must be an integer >= 1, got 0',
    );
  });
});
