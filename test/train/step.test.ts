/** Training steps of the user's own: what they compute, what they keep of the trainer, and how they resume. */
import { describe, expect, test } from 'vitest';
import {
  add,
  crossEntropy,
  fit,
  less,
  log,
  mean,
  mul,
  randomUniform,
  reference,
  relu,
  rsqrt,
  scalar,
  softmax,
  square,
  sub,
  sum,
  where,
  type NamedStep,
  type State,
  type StepFunction,
  type Tensor,
  type TrainOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { bytes, eventsOf, folder, held, images, tinyModel, tinyRun } from './fixture.ts';

const points = synthetic({ kind: 'blobs', n: 24, classes: 3, seed: 1 });
const run: TrainOptions = {
  model: nn.mlp([2, 8, 3]),
  backend: reference(),
  optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  data: loader(points, { batchSize: 8 }),
  steps: 6,
};
const plain: StepFunction = ({ x, y, model, loss }) => loss(model(x), y);
const numbers = (state: State, name: string): number[] => [...state[name].data];
const errorOf = async (changes: Partial<TrainOptions>): Promise<string> =>
  String(await fit({ ...run, ...changes }).then(() => 'trained', String));

test('the step of the trainer, written out, gives the same bytes and events', async () => {
  const options = tinyRun({ eval: { data: held, every: 5 }, steps: 5 });
  const [a, b] = [await eventsOf(options), await eventsOf({ ...options, step: plain })];
  const seen = (events: typeof a.events) =>
    events.map((event) => JSON.stringify(event, (name, value: unknown) => (name === 'ms' ? 0 : value)));
  expect(seen(b.events)).toEqual(seen(a.events));
  const [whole, own] = [await fit(options), await fit({ ...options, step: plain })];
  expect(bytes(own.state)).toEqual(bytes(whole.state));
});

test('two passes update statistics one after the other, and draw other masks', async () => {
  const same: StepFunction = ({ x, model }) => {
    const [a, b] = [model(x), model(x)];
    return { loss: mean(mul(a, 0)), metrics: { difference: mean(square(sub(a, b))) } };
  };
  const { events } = await eventsOf(tinyRun({ steps: 1, step: same }));
  const [step] = events.filter((event) => event.type === 'step');
  expect(step.metrics['difference']).toBeGreaterThan(0);

  const still = { optimizer: sgd({ lr: 0 }), data: loader(images, { batchSize: 20 }) };
  const pass: StepFunction = ({ x, model }) => mean(model(x));
  const twice: StepFunction = (at) => add(pass(at) as Tensor, pass(at) as Tensor);
  const a = await fit(tinyRun({ ...still, steps: 2, step: pass }));
  const b = await fit(tinyRun({ ...still, steps: 1, step: twice }));
  const variances = numbers(a.state, 'norm.variance');
  numbers(b.state, 'norm.variance').forEach((value, i) => expect(value).toBeCloseTo(variances[i], 5));
  expect(variances).not.toEqual(numbers(nn.initState(tinyModel(), null, 5), 'norm.variance'));
});

describe('recipes', () => {
  test('CutMix by hand: the loss for two targets', async () => {
    const halves: StepFunction = ({ x, y, model, loss }) => {
      const output = model(x);
      const other = y.roll(1);
      return add(mul(0.25, loss(output, y)), mul(0.75, loss(output, other)));
    };
    const { events } = await eventsOf({ ...run, steps: 1, step: halves });
    const [step] = events.filter((event) => event.type === 'step');
    const direct: StepFunction = ({ x, y, model }) => {
      const rows = (t: Tensor) => mean(crossEntropy(model(x), t, { reduction: 'none' }));
      return add(mul(0.25, rows(y)), mul(0.75, rows(y.roll(1))));
    };
    const [expected] = (await eventsOf({ ...run, steps: 1, step: direct })).events.filter(
      (event) => event.type === 'step',
    );
    expect(step.loss).toBeCloseTo(expected.loss, 6);
    expect(Object.keys(step.metrics)).toEqual(['accuracy']);
    expect(expected.metrics).toEqual({});
  });

  test('SAM: gradients at a climbed point', async () => {
    // One linear layer without momentum: the update can be computed by hand.
    const rho = 0.5;
    const model = nn.sequential({ fc: nn.dense(2, 3, { bias: false }) });
    const sam: StepFunction = ({ x, y, model: forward, loss, gradients, params }) => {
      const first = gradients(loss(forward(x), y));
      const scale = mul(rho, rsqrt(sum(square(first['fc.weight']))));
      const climbed = { 'fc.weight': add(params['fc.weight'], mul(scale, first['fc.weight'])) };
      const value = loss(forward(x, climbed), y);
      return { loss: value, gradients: gradients(value, climbed) };
    };
    const optimizer = sgd({ lr: 0.1 });
    const base = {
      ...run,
      model,
      optimizer,
      steps: 1,
      data: loader(points, { batchSize: 24, shuffle: false }),
    };
    const initial = {
      'fc.weight': { shape: [2, 3], dtype: 'f32', data: Float32Array.of(1, 2, 3, -1, 0, 1) },
    } as const;
    const step = async (from: State, changes: Partial<TrainOptions> = {}) =>
      numbers((await fit({ ...base, initial: from, ...changes })).state, 'fc.weight');
    const w = numbers(initial, 'fc.weight');
    const gradientAt = async (at: number[]) => {
      const state = { 'fc.weight': { shape: [2, 3], dtype: 'f32', data: Float32Array.from(at) } } as const;
      return (await step(state)).map((next, i) => (at[i] - next) / 0.1);
    };
    const first = await gradientAt(w);
    const norm = Math.hypot(...first);
    const second = await gradientAt(w.map((value, i) => value + (rho * first[i]) / norm));
    const result = await step(initial, { step: sam });
    result.forEach((value, i) => expect(value).toBeCloseTo(w[i] - 0.1 * second[i], 4));
  });

  test("distillation: a teacher's state in the graph", async () => {
    const teacher = nn.mlp([2, 16, 3]);
    const { state } = await fit({ ...run, model: teacher, steps: 40 });
    const arrays = Object.fromEntries(nn.parameters(teacher).map(({ name }) => [name, state[name]]));
    const distill: NamedStep = {
      name: 'distillation',
      state: arrays,
      run: ({ x, model, state: all }) => {
        const own = Object.fromEntries(Object.keys(arrays).map((name) => [name, all[`step/${name}`]]));
        const target = softmax(nn.bind(teacher, own, { training: false })(x).output);
        return mean(sum(mul(target, log(softmax(model(x)))), 1)).neg();
      },
    };
    const student = await fit({ ...run, steps: 40, step: distill });
    const untrained = await fit({ ...run, steps: 1, step: distill });
    expect(student.loss!).toBeLessThan(0.6 * untrained.loss!);
    for (const name of Object.keys(arrays)) {
      expect(numbers(student.state, `step/${name}`)).toEqual(numbers(state, name));
    }
  });

  test('a gate: a parameter stays as it is until a step', async () => {
    const gate: StepFunction = ({ x, y, model, loss, step, state }) => ({
      loss: loss(model(x), y),
      next: (updated) => {
        const name = 'fc2.bias';
        return { [name]: where(less(step, scalar(4, 'i32')), state[name], updated[name]) };
      },
    });
    const bias = async (steps: number) =>
      numbers((await fit({ ...run, steps, step: gate })).state, 'fc2.bias');
    expect(await bias(4)).toEqual([0, 0, 0]);
    expect((await bias(5)).every((value) => value !== 0)).toBe(true);
  });

  test('an average of everything in arrays of its own, which resumes to the same bytes', async () => {
    const model = tinyModel();
    const fresh = nn.initState(model, null, 5);
    const averaged: NamedStep = {
      name: 'average',
      config: { decay: 0.9 },
      state: fresh,
      run: ({ x, y, model: forward, loss, state, key, step }) => ({
        loss: mul(loss(forward(x), y), add(0.5, mean(randomUniform([3], key('noise'), step)))),
        next: (updated) =>
          Object.fromEntries(
            Object.keys(fresh).map((name) => [
              `step/${name}`,
              add(mul(0.9, state[`step/${name}`]), mul(0.1, updated[name])),
            ]),
          ),
      }),
    };
    const dir = folder();
    const whole = await fit(tinyRun({ step: averaged }));
    expect(numbers(whole.state, 'step/fc.weight')).not.toEqual(numbers(fresh, 'fc.weight'));
    const checkpoint = { dir, every: 2, resume: true };
    await fit(tinyRun({ step: averaged, steps: 4, checkpoint }));
    const resumed = await fit(tinyRun({ step: averaged, checkpoint }));
    expect(bytes(resumed.state)).toEqual(bytes(whole.state));

    for (const [step, difference] of [
      [undefined, 'step is {"name":"average","config":{"decay":0.9}} in the file, null now'],
      [{ ...averaged, name: 'mean' }, 'step.name is "average" in the file, "mean" now'],
      [{ ...averaged, config: { decay: 0.5 } }, 'step.config.decay is 0.9 in the file, 0.5 now'],
    ] as const) {
      const { step: _, ...rest } = tinyRun({ steps: 12, checkpoint });
      await expect(fit({ ...rest, ...(step && { step }) })).rejects.toThrow(
        `cannot resume: the training step differs: ${difference} (use the same step)`,
      );
    }
  });
});

describe('losses of layers', () => {
  const penalty = 0.1;
  const model = nn.sequential({
    fc1: nn.dense(2, 8),
    sparse: {
      params: {},
      config: { kind: 'sparse' },
      apply(x: Tensor, scope: nn.Scope) {
        const active = relu(x);
        scope.addLoss(mul(penalty, mean(active)));
        return active;
      },
    },
    fc2: nn.dense(8, 3),
  });
  const losses = async (changes: Partial<TrainOptions>) => {
    const { events } = await eventsOf({ ...run, model, eval: { data: points, every: 6 }, ...changes });
    return {
      steps: events.filter((event) => event.type === 'step'),
      evals: events.filter((event) => event.type === 'eval'),
    };
  };

  test('are added to the loss of training, not to that of evaluations', async () => {
    const { steps, evals } = await losses({ data: loader(points, { batchSize: 24 }) });
    const { addedLoss, accuracy } = steps[0].metrics as Record<'addedLoss' | 'accuracy', number>;
    expect(addedLoss).toBeGreaterThan(0.001);
    expect(accuracy).toBeGreaterThanOrEqual(0);
    expect(steps[0].loss).toBeCloseTo(evals[0].loss + addedLoss, 5);
    expect(evals[0].metrics).not.toHaveProperty('addedLoss');
  });

  test('have gradients', async () => {
    const alone: StepFunction = ({ x, model: forward, loss }) => {
      const output = forward(x);
      return sub(loss(output), mean(crossEntropy(output, x.argMax(1), { reduction: 'none' })).stopGradient());
    };
    const { steps } = await losses({
      step: alone,
      steps: 60,
      loss: (o, t) => mul(0, crossEntropy(o, t, { reduction: 'none' })),
    });
    expect(steps[59].metrics['addedLoss']).toBeLessThan(0.7 * steps[0].metrics['addedLoss']);
  });

  test('must not get lost', async () => {
    expect(await errorOf({ model, step: ({ x, model: forward }) => mean(forward(x)) })).toContain(
      'fit: step: layers add to the loss (scope.addLoss), but the step does not call loss(output) for this pass',
    );
  });
});

test.each<[unknown, string]>([
  ['sam', "fit: step must be a function, or { name, run }, got 'sam'"],
  [{ run: plain }, 'fit: step: name must be a text, got undefined'],
  [{ name: 'a', fn: plain }, "fit: step: unknown option 'fn'"],
  [{ name: 'a', run: 1 }, 'fit: step: run must be a function that returns the loss, got 1'],
  [{ name: 'a', config: 3, run: plain }, 'fit: step: config must be an object of plain data, got 3'],
  [{ name: 'a', state: { w: 3 }, run: plain }, "fit: step: state: 'w' must be"],
  [() => undefined, 'fit: step must return the loss or { loss, … }, got undefined'],
  [async () => Promise.resolve(), 'fit: step must return the loss or { loss, … }, got a promise'],
  [({ x }: { x: Tensor }) => x, 'fit: step: loss must be f32 [], got f32 [8,2] (take its mean)'],
  [() => ({ loss: 1 }), 'fit: step: loss must return a tensor, got 1'],
  [() => ({ loss: scalar(1), grads: {} }), "fit: step: unknown option 'grads' ("],
  [() => ({ loss: scalar(1), metrics: [] }), 'fit: step: metrics must be an object of tensors by name'],
  [() => ({ loss: scalar(1), next: {} }), 'fit: step: next must be a function of the updated arrays'],
  [() => ({ loss: scalar(1), next: () => 1 }), 'fit: step: next must return an object of tensors'],
  [
    () => ({ loss: scalar(1), next: () => ({ teacher: scalar(1) }) }),
    "fit: step: next: there is no array called 'teacher' (the run has: fc1.weight, fc1.bias",
  ],
  [() => ({ loss: scalar(1), gradients: {} }), "applyGradients: gradients: 'fc1.weight' is missing"],
])('wrong steps throw %#', async (step, message) => {
  expect(await errorOf({ step: step as StepFunction })).toContain(message);
});
