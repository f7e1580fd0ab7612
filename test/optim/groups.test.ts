/** Groups of parameters with options of their own, and optimizers for parts of a model. */
import { describe, expect, test } from 'vitest';
import { CheckpointError, fit, type State } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import {
  adagrad,
  adam,
  adamw,
  averageWeights,
  accumulateGradients,
  partition,
  rmsprop,
  sgd,
  type Optimizer,
} from 'cyclegrad/optim';
import { cosine, linear } from 'cyclegrad/schedulers';
import { bytes, folder, eventsOf, tinyRun } from '../train/fixture.ts';
import { number, optimize, specsFor } from './run.ts';

const start = { 'body.weight': number(1), 'body.bias': number(2), 'head.weight': number(3) };
const gradients = Array.from({ length: 5 }, (_, i) => ({
  'body.weight': number(Math.cos(i)),
  'body.bias': number(Math.sin(i + 1)),
  'head.weight': number(0.5 - i / 3),
}));

const run = async (optimizer: Optimizer, multipliers = {}): Promise<readonly Record<string, number>[]> =>
  (await optimize(optimizer, start, gradients, gradients.length, specsFor(start, multipliers))).map((state) =>
    Object.fromEntries(Object.keys(start).map((name) => [name, state[name].data[0]])),
  );

/** What each parameter would do under an optimizer of its own. */
async function separately(optimizers: Readonly<Record<string, Optimizer>>): ReturnType<typeof run> {
  const runs = await Promise.all(
    Object.entries(optimizers).map(async ([name, optimizer]) => [name, await run(optimizer)] as const),
  );
  return gradients.map((_, step) =>
    Object.fromEntries(runs.map(([name, steps]) => [name, steps[step][name]])),
  );
}

describe('groups', () => {
  const lr = linear({ from: 0.1, to: 0.01, steps: 4 });

  test('replace options: each parameter moves as under an optimizer with its options', async () => {
    const options = { lr, momentum: 0.9, weightDecay: 0.1 };
    const grouped = sgd({
      ...options,
      groups: [
        { match: /bias$/, name: 'biases', lr: 0.5, weightDecay: 0 },
        { match: 'head', momentum: 0, nesterov: false },
      ],
    });
    expect(await run(grouped)).toEqual(
      await separately({
        'body.weight': sgd(options),
        'body.bias': sgd({ lr: 0.5, momentum: 0.9 }),
        'head.weight': sgd({ lr, weightDecay: 0.1 }),
      }),
    );
  });

  test('multiply the factors of the parameters', async () => {
    const grouped = sgd({
      lr,
      weightDecay: 0.1,
      groups: [{ match: ['head', /bias$/], lrMult: 64, decayMult: 0.5 }],
    });
    expect(await run(grouped, { 'head.weight': { lrMult: 0.5, decayMult: 4 } })).toEqual(
      await run(sgd({ lr, weightDecay: 0.1 }), {
        'body.bias': { lrMult: 64, decayMult: 0.5 },
        'head.weight': { lrMult: 32, decayMult: 2 },
      }),
    );
  });

  test.each([
    ['adam', adam, { beta1: 0.5 }],
    ['adamw', adamw, { epsilon: 0.1 }],
    ['rmsprop', rmsprop, { rho: 0.5 }],
    ['adagrad', adagrad, { initialAccumulator: 4 }],
  ] as const)('%s', async (_, make, changes) => {
    const grouped = make({ lr, groups: [{ match: 'head', ...changes }] });
    const [plain, changed] = [make({ lr }), make({ lr, ...changes })];
    expect(await run(grouped)).toEqual(
      await separately({ 'body.weight': plain, 'body.bias': plain, 'head.weight': changed }),
    );
  });

  test('name the hyperparameters that they replace, and share the others', () => {
    const optimizer = sgd({
      lr,
      momentum: 0.9,
      groups: [
        { match: /bias|bn/, lr: 1 },
        { match: 'head', weightDecay: cosine({ max: 0.2, steps: 4 }) },
      ],
    });
    expect(optimizer.at(4)).toEqual({ lr: 0.01, momentum: 0.9, 'bias|bn/lr': 1, 'head/weightDecay': 0 });
    expect(Object.keys(optimizer.schedules)).toEqual(Object.keys(optimizer.at(0)));
  });

  test('are plain data in the config, and none leave it as it was', () => {
    const isMatrix = { name: 'isMatrix', fn: ({ shape }: nn.NamedParameter) => shape.length > 1 };
    const { config } = sgd({
      lr: 0.1,
      groups: [{ match: [isMatrix, /b/i, 'c'], name: 'x', lr: 2, lrMult: 3 }],
    });
    expect(JSON.parse(JSON.stringify(config))).toEqual({
      kind: 'sgd',
      form: 'pytorch',
      nesterov: false,
      hyper: { lr: 0.1, 'x/lr': 2 },
      groups: [
        {
          name: 'x',
          match: ['isMatrix()', '/b/i', 'c'],
          lrMult: 3,
          decayMult: 1,
          form: 'pytorch',
          nesterov: false,
        },
      ],
    });
    expect(sgd({ lr: 0.1, groups: [] }).config).toEqual(sgd({ lr: 0.1 }).config);
  });

  test('an expression with the flag g has no memory', async () => {
    const [flagged, plain] = [/t$/g, /t$/].map((match) => sgd({ lr, groups: [{ match, lr: 1 }] }));
    expect(await run(flagged)).toEqual(await run(plain));
  });

  test.each<[string, () => Optimizer, string]>([
    [
      'nothing matches',
      () => sgd({ lr: 1, groups: [{ match: /hed/ }] }),
      "sgd: group 'hed': no trained parameter matches /hed/ (the model has: body.weight, body.bias, head.weight)",
    ],
    [
      'one of several patterns matches nothing',
      () => adam({ groups: [{ match: ['head', 'boddy'], name: 'x' }] }),
      "adam: group 'x': no trained parameter matches 'boddy' (the model has: body.weight, body.bias, head.weight)",
    ],
    [
      'two groups match the same',
      () => sgd({ lr: 1, groups: [{ match: 'body' }, { match: /weight|bias/, name: 'both' }] }),
      "sgd: group 'body' and group 'both' both match body.weight, body.bias (a parameter belongs to one of them: narrow a pattern)",
    ],
    [
      'parameters are left over',
      () => partition({ a: { match: /bias/, optimizer: sgd({ lr: 1 }) } }),
      'partition: no part has body.weight, head.weight (a part without match takes the remaining parameters)',
    ],
  ])('refused with the parameters: %s', (_, make, message) => {
    expect(() => make().init(specsFor(start))).toThrow(message);
  });

  test.each<[string, () => Optimizer, string]>([
    [
      'no array',
      () => sgd({ lr: 1, groups: { match: 'a' } as never }),
      'sgd: groups must be an array, got an object',
    ],
    [
      'a function without a name',
      () => sgd({ lr: 1, groups: [{ match: (() => true) as never }] }),
      'sgd: groups[0]: match must be a path, a regular expression, { name, fn } or an array of these, got a function (name it',
    ],
    [
      'no match',
      () => sgd({ lr: 1, groups: [{ lr: 2 } as never] }),
      'sgd: groups[0]: match must be a path, a regular expression, { name, fn } or an array of these, got undefined',
    ],
    ['no pattern', () => sgd({ lr: 1, groups: [{ match: [] }] }), 'must have at least one pattern'],
    [
      'a rate out of range',
      () => sgd({ lr: 1, groups: [{ match: 'a', lr: -1 }] }),
      "sgd: group 'a': lr must be a number >= 0, got -1",
    ],
    [
      'a schedule out of range',
      () => {
        const optimizer = sgd({ lr: 1, groups: [{ match: 'a', lr: linear({ from: 1, to: -1, steps: 2 }) }] });
        optimizer.at(2);
        return optimizer;
      },
      "sgd: group 'a': lr at step 2 must be a number >= 0, got -1",
    ],
    [
      'an unknown option',
      () => sgd({ lr: 1, groups: [{ match: 'a', rate: 1 } as never] }),
      "sgd: group 'a': unknown option 'rate'",
    ],
    [
      'a negative factor',
      () => sgd({ lr: 1, groups: [{ match: 'a', lrMult: -1 }] }),
      'sgd: groups[0]: lrMult must be a number >= 0, got -1',
    ],
    [
      'nested groups',
      () => sgd({ lr: 1, groups: [{ match: 'a', groups: [] } as never] }),
      'a group has no groups',
    ],
    [
      'a name twice',
      () => sgd({ lr: 1, groups: [{ match: 'a' }, { match: 'b', name: 'a' }] }),
      "sgd: there is more than one group 'a'",
    ],
    ['no parts', () => partition({}), 'partition: expects an object of parts by name'],
    [
      'two parts for the rest',
      () => partition({ a: { optimizer: sgd({ lr: 1 }) }, b: { optimizer: sgd({ lr: 1 }) } }),
      "partition: 'a' and 'b' have no match (only one part can take the remaining parameters)",
    ],
    [
      'a part that accumulates',
      () => partition({ a: { optimizer: accumulateGradients(sgd({ lr: 1 }), 2) } }),
      "partition: 'a' accumulates 2 steps for an update (write accumulateGradients(partition(…), 2))",
    ],
  ])('refused: %s', (_, make, message) => {
    expect(make).toThrow(message);
  });
});

describe('partition', () => {
  const make = (lr = 0.1) =>
    partition({
      head: { match: 'fc', optimizer: adamw({ lr: cosine({ max: 0.01, steps: 10 }) }) },
      rest: {
        optimizer: sgd({
          lr,
          momentum: 0.9,
          groups: [{ match: /beta|gamma/, name: 'norm', weightDecay: 0.1 }],
        }),
      },
    });

  test('each parameter moves as under the optimizer of its part', async () => {
    const [fast, slow] = [sgd({ lr: 0.5, momentum: 0.9 }), adam({ lr: 0.1 })];
    const parted = partition({
      body: { match: 'body', optimizer: fast },
      head: { match: /^head/, optimizer: slow },
    });
    expect(await run(parted)).toEqual(
      await separately({ 'body.weight': fast, 'body.bias': fast, 'head.weight': slow }),
    );
  });

  test('averages inside and around a partition', async () => {
    const inside = partition({
      a: { match: 'body', optimizer: averageWeights(sgd({ lr: 1 })) },
      b: { optimizer: adam() },
    });
    expect(Object.keys(inside.init(specsFor(start)))).toContain('a/average/body.bias');
    const around = averageWeights(partition({ a: { optimizer: sgd({ lr: 1 }) } }));
    expect(Object.keys(around.init(specsFor(start)))).toContain('average/head.weight');
  });

  test('resumes with the same bytes, has its rates in the events, and refuses other parts', async () => {
    const straight = await eventsOf(tinyRun({ optimizer: make() }));
    const hyper = straight.events.flatMap((event) => (event.type === 'step' ? [event.hyper] : []));
    expect(Object.keys(hyper[0])).toEqual([
      'head/lr',
      'head/beta1',
      'head/beta2',
      'head/weightDecay',
      'rest/lr',
      'rest/momentum',
      'rest/norm/weightDecay',
    ]);
    expect(hyper[5]['head/lr']).toBeCloseTo(0.005, 12);
    const end = await fit(tinyRun({ optimizer: make() }));
    const dir = folder();
    const checkpoint = { dir, every: 4, resume: true };
    const control = new AbortController();
    const listeners = [(event: { type: string }) => void (event.type === 'checkpoint' && control.abort())];
    await fit(tinyRun({ optimizer: make(), checkpoint, listeners, signal: control.signal }));
    const other = partition({
      head: { match: /^fc/, optimizer: adamw() },
      rest: { optimizer: sgd({ lr: 0.1 }) },
    });
    const refused = fit(tinyRun({ optimizer: other, checkpoint }));
    await expect(refused).rejects.toThrow(CheckpointError);
    await expect(refused).rejects.toThrow(
      'the optimizer differs: parts.head.match.0 is "fc" in the file, "/^fc/" now',
    );
    const resumed = await fit(tinyRun({ optimizer: make(), checkpoint }));
    expect(resumed.step).toBe(10);
    expect(bytes(resumed.state)).toEqual(bytes(end.state));
  });

  test('every parameter of a model moves by its own part', async () => {
    const before: State = nn.initState(tinyRun().model, null, 5);
    const optimizer = partition({
      frozen: { match: 'conv', optimizer: sgd({ lr: 0 }) },
      rest: { optimizer: sgd({ lr: 0.1 }) },
    });
    const { state } = await fit(tinyRun({ optimizer }));
    const moved = Object.keys(before).filter((name) => bytes(state)[name] !== bytes(before)[name]);
    expect(moved.filter((name) => name.startsWith('conv'))).toEqual([]);
    expect(moved).toEqual(expect.arrayContaining(['norm.gamma', 'norm.beta', 'fc.weight', 'fc.bias']));
  });
});

describe('freeze by pattern', () => {
  test('freezes what the patterns match', () => {
    const model = nn.freeze(tinyRun().model, [/^conv\./, 'fc.bias']);
    const trained = nn.parameters(model).filter(({ frozen }) => frozen !== true);
    expect(trained.map(({ name }) => name)).toEqual(['norm.gamma', 'norm.beta', 'fc.weight']);
    expect(model.config).toMatchObject({ kind: 'frozen', paths: ['/^conv\\./', 'fc.bias'] });
  });

  test('refuses a pattern without parameters', () => {
    expect(() => nn.freeze(nn.dense(2, 2), [/^conv/])).toThrow(
      'freeze: no parameters match /^conv/ (the layer has: weight, bias)',
    );
  });
});
