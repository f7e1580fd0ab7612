// Networks that are no chains: branches, several inputs, layers that are used twice, parameters that stay as they are.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { arrays, loader, synthetic } from 'cyclegrad/datasets';
import {
  add,
  compile,
  f32,
  fit,
  latestCheckpoint,
  loadCheckpoint,
  mean,
  pow,
  reference,
  sub,
  u8,
  type Tensor,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { f64, runLayer, values } from './run.ts';

const scaling = (factor: number) => nn.dense(1, 1, { init: nn.init.constant(factor), bias: false });

describe('network', () => {
  test('connects layers as its function says', async () => {
    const model = nn.module({ a: scaling(2), b: scaling(3) }, (x, { a, b }) => add(a(x), b(a(x))));
    expect(Object.keys(model.params)).toEqual(['a.weight', 'b.weight']);
    expect(values((await runLayer(model, [f64([1, 1], [5])])).outputs[0])).toEqual([10 + 30]);
  });

  test('a layer used twice shares its parameters, which get the sum of both gradients', async () => {
    const model = nn.module({ w: scaling(3) }, (x, { w }) => w(w(x)));
    const optimizer = sgd({ lr: 1 });
    const step = await compile(reference({ precision: 'f64' }), {
      inputs: { x: f32(1, 1) },
      hyper: Object.keys(optimizer.at(0)),
      state: nn.initState(model, optimizer, 0),
      build({ x, hyper }, state) {
        const loss = mean(nn.bind(model, state, { training: true })(x).output);
        return { outputs: { loss }, next: nn.applyGradients(optimizer, model, state, loss, hyper) };
      },
    });
    const { loss } = await step.run({ x: Float32Array.of(2), lr: 1 });
    expect([...loss.data]).toEqual([18]); // w² x
    expect([...(await step.store.read())['w.weight'].data]).toEqual([3 - 2 * 3 * 2]); // w − 2 w x
    await step.close();
  });

  test('statistics of a layer used twice follow both uses, one after the other', async () => {
    const model = nn.module({ norm: nn.batchNorm(1, { momentum: 0.5 }) }, (x, { norm }) =>
      add(norm(x), norm(add(x, 4))),
    );
    const { state } = await runLayer(model, [f64([2, 1], [1, 3])], { training: true });
    expect(values(state['norm.mean'])).toEqual([0.5 * (0.5 * 2) + 0.5 * 6]);
  });

  test('dropout used twice drops different elements', async () => {
    const ones = f64(
      [1, 64],
      Array.from({ length: 64 }, () => 1),
    );
    const twice = nn.module({ drop: nn.dropout(0.5) }, (x, { drop }) => sub(drop(x), drop(x)));
    const { outputs } = await runLayer(twice, [ones], { training: true });
    expect(values(outputs[0]).some((value) => value !== 0)).toBe(true);
    const once = nn.module({ drop: nn.dropout(0.5) }, (x, { drop }) => drop(x));
    const chain = nn.sequential({ drop: nn.dropout(0.5) });
    const [a, b] = [
      await runLayer(once, [ones], { training: true }),
      await runLayer(chain, [ones], { training: true }),
    ];
    expect(a.outputs[0].data).toEqual(b.outputs[0].data);
  });

  test('takes several inputs by name', async () => {
    const model = nn.module(
      {
        image: nn.sequential({ conv: nn.conv2d(1, 2, 3, { padding: 'same' }), flat: nn.flatten() }),
        row: nn.dense(3, 8),
        head: nn.dense(8, 2),
      },
      (x: { pixels: Tensor; facts: Tensor }, { image, row, head }) =>
        head(squareOfSum(image(x.pixels), row(x.facts))),
    );
    const squareOfSum = (a: Tensor, b: Tensor): Tensor => pow(add(a, b), 2);
    const state = nn.initState(model, null, 1);
    const run = await compile(reference(), {
      inputs: { pixels: f32(5, 2, 2, 1), facts: f32(5, 3) },
      state,
      build: ({ pixels, facts }, tensors) => ({
        outputs: { y: nn.bind(model, tensors, { training: false })({ pixels, facts }).output },
      }),
    });
    const { y } = await run.run({ pixels: new Float32Array(20).fill(1), facts: new Float32Array(15) });
    expect(y.shape).toEqual([5, 2]);
    await run.close();
    expect(
      nn.summary(model, { pixels: f32(5, 2, 2, 1), facts: f32(5, 3) }).rows.map(({ path }) => path),
    ).toEqual(['image.conv', 'image.flat', 'row', 'head']);
  });

  test('errors begin with the path of the layer', () => {
    const model = nn.module({ a: nn.dense(3, 4), b: nn.dense(3, 4) }, (x, { a, b }) => b(a(x)), 'chain');
    expect(() => nn.summary(nn.sequential({ block: model }), f32(2, 3))).toThrow(
      'block.b / dense: expects [N, ..., 3] but got f32 [2,4]',
    );
    expect(() => nn.module({ 'a.b': nn.dense(1, 1) }, (x) => x, 'odd')).toThrow(
      "odd: 'a.b' cannot name a layer",
    );
  });
});

describe('freeze and parameters', () => {
  const model = nn.sequential({ one: nn.dense(2, 3), two: nn.dense(3, 2) });

  test('frozen parameters are not counted, have no arrays of the optimizer, and are still there', () => {
    const half = nn.freeze(model, ['one', 'two.bias']);
    expect(nn.countParameters(model)).toBe(6 + 3 + 6 + 2);
    expect(nn.countParameters(half)).toBe(6);
    expect(nn.countParameters(nn.freeze(model))).toBe(0);
    const state = nn.initState(half, sgd({ lr: 1, momentum: 0.9 }), 0);
    expect(Object.keys(state)).toEqual([
      'one.weight',
      'one.bias',
      'two.weight',
      'two.bias',
      'optimizer/velocity/two.weight',
    ]);
    expect(nn.parameters(half).map(({ name, size, frozen }) => [name, size, frozen === true])).toEqual([
      ['one.weight', 6, true],
      ['one.bias', 3, true],
      ['two.weight', 6, false],
      ['two.bias', 2, true],
    ]);
    expect(nn.parameters(half, 'two').map(({ name }) => name)).toEqual(['two.weight', 'two.bias']);
    expect(nn.parameters(half, 'two.bias')).toHaveLength(1);
  });

  const spirals = synthetic({ kind: 'spirals', n: 60, seed: 1 });
  const train = async (trained: nn.Layer, dir: string, steps: number, initial = {}) =>
    fit({
      model: trained,
      backend: reference(),
      steps,
      data: loader(spirals, { batchSize: 20 }),
      optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
      checkpoint: { dir, every: 10, resume: true },
      initial,
    });

  test('training moves the others alone; checkpoints hold all and go on; another choice is refused', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-frozen-'));
    try {
      const whole = nn.mlp([2, 8, 3]);
      const base = nn.initState(whole, null, 5);
      const tuned = nn.freeze(whole, ['fc1']);
      const { state } = await train(tuned, dir, 10, base);
      expect(state['fc1.weight'].data).toEqual(base['fc1.weight'].data);
      expect(state['fc2.weight'].data).not.toEqual(base['fc2.weight'].data);
      const saved = await loadCheckpoint((await latestCheckpoint(dir))!);
      expect(saved.state['fc1.weight'].data).toEqual(base['fc1.weight'].data);
      const further = await train(tuned, dir, 20);
      expect(further.state['fc1.weight'].data).toEqual(base['fc1.weight'].data);
      await expect(train(nn.freeze(whole, ['fc2']), dir, 30)).rejects.toThrow('cannot resume');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test('every kind of layer goes through a checkpoint: stopping and resuming equals running through', async () => {
    const shared = (): nn.Layer =>
      nn.sequential({
        first: nn.dense(2, 8),
        norm: nn.groupNorm(2, 8),
        twice: nn.module(
          { w: nn.dense(8, 8), bn: nn.batchNorm(8), drop: nn.dropout(0.2) },
          (x, { w, bn, drop }) => drop(bn(w(drop(bn(w(x)))))),
        ),
        skip: nn.residual(nn.sequential({ fc: nn.dense(8, 8), act: nn.relu() })),
        last: nn.freeze(nn.dense(8, 3), ['bias']),
      });
    const [a, b] = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'cyclegrad-shared-')));
    try {
      const through = await train(shared(), a, 20);
      await train(shared(), b, 10);
      const resumed = await train(shared(), b, 20);
      expect(resumed.state).toEqual(through.state);
      expect(Object.keys(resumed.state)).toContain('twice.bn.mean');
      expect(resumed.state['last.bias'].data).toEqual(new Float32Array(3));
    } finally {
      for (const dir of [a, b]) rmSync(dir, { recursive: true });
    }
  });
});

describe('embedding', () => {
  // Is the first of two words the same as the second?
  const words = Uint8Array.from({ length: 64 }, (_, i) => (i % 2 === 0 ? (i >> 1) & 3 : i >> 4));
  const same = Int32Array.from({ length: 32 }, (_, i) => Number(words[2 * i] === words[2 * i + 1]));
  const data = arrays({ shape: [32, 2], data: words }, same);
  const model = nn.sequential({
    words: nn.embedding(4, 8),
    flat: nn.flatten(),
    fc1: nn.dense(16, 32),
    act: nn.relu(),
    fc2: nn.dense(32, 2),
  });

  test('learns vectors of indices that are bytes', async () => {
    const { state, accuracy } = await fit({
      model,
      backend: reference(),
      steps: 150,
      data: loader(data, { batchSize: 32 }),
      eval: { data, every: 150 },
      optimizer: sgd({ lr: 0.2, momentum: 0.9 }),
    });
    expect(accuracy).toBe(1);
    expect(state['words.weight'].shape).toEqual([4, 8]);
    expect(nn.summary(model, u8(1, 2)).rows[0]).toEqual({
      path: 'words',
      kind: 'embedding',
      output: [1, 2, 8],
      trained: 32,
      frozen: 0,
      multiplyAdds: 0,
      uses: 1,
    });
  });

  test('an index outside the table stops the run and says where', async () => {
    const small = nn.sequential({ words: nn.embedding(3, 8), flat: nn.flatten(), fc: nn.dense(16, 2) });
    await expect(
      fit({
        model: small,
        backend: reference(),
        steps: 1,
        data: loader(data, { batchSize: 32 }),
        optimizer: sgd({ lr: 1 }),
      }),
    ).rejects.toThrow(/^words \/ .*3/);
  });
});

describe('summary', () => {
  const model = nn.sequential({
    conv: nn.conv2d(3, 4, 3, { padding: 'same', groups: 1 }),
    body: nn.residual(nn.sequential({ norm: nn.batchNorm(4), conv: nn.conv2d(4, 4, 1, { bias: false }) })),
    flat: nn.flatten(),
    tied: nn.module({ fc: nn.dense(64, 64) }, (x, { fc }) => fc(fc(x))),
    head: nn.freeze(nn.dense(64, 10)),
  });

  test('counts parameters once and multiplications at every use', () => {
    const { rows, trained, frozen, multiplyAdds } = nn.summary(model, f32(2, 4, 4, 3));
    expect(rows).toEqual([
      {
        path: 'conv',
        kind: 'conv2d',
        output: [2, 4, 4, 4],
        trained: 112,
        frozen: 0,
        multiplyAdds: 32 * 27 * 4,
        uses: 1,
      },
      {
        path: 'body.main.norm',
        kind: 'batchNorm',
        output: [2, 4, 4, 4],
        trained: 8,
        frozen: 8,
        multiplyAdds: 0,
        uses: 1,
      },
      {
        path: 'body.main.conv',
        kind: 'conv2d',
        output: [2, 4, 4, 4],
        trained: 16,
        frozen: 0,
        multiplyAdds: 32 * 16,
        uses: 1,
      },
      { path: 'flat', kind: 'flatten', output: [2, 64], trained: 0, frozen: 0, multiplyAdds: 0, uses: 1 },
      {
        path: 'tied.fc',
        kind: 'dense',
        output: [2, 64],
        trained: 64 * 65,
        frozen: 0,
        multiplyAdds: 2 * 2 * 64 * 64,
        uses: 2,
      },
      {
        path: 'head',
        kind: 'dense',
        output: [2, 10],
        trained: 0,
        frozen: 650,
        multiplyAdds: 2 * 640,
        uses: 1,
      },
    ]);
    expect(trained).toBe(nn.countParameters(model));
    expect(frozen).toBe(658);
    expect(multiplyAdds).toBe(rows.reduce((sum, row) => sum + row.multiplyAdds, 0));
  });

  test('prints a table', () => {
    expect(String(nn.summary(model, f32(1, 4, 4, 3)))).toBe(
      [
        'layer              kind       output             parameters  multiply-adds',
        'conv               conv2d     [1,4,4,4]                 112          1,728',
        'body.main.norm     batchNorm  [1,4,4,4]        8 + 8 frozen              0',
        'body.main.conv     conv2d     [1,4,4,4]                  16            256',
        'flat               flatten    [1,64]                      0              0',
        'tied.fc (2 times)  dense      [1,64]                  4,160          8,192',
        'head               dense      [1,10]         0 + 650 frozen            640',
        'total                                    4,296 + 658 frozen         10,816',
      ].join('\n'),
    );
  });

  test('of a single layer is one row', () => {
    const { rows } = nn.summary(nn.dense(3, 2), f32(1, 3));
    expect(rows).toEqual([
      { path: '', kind: 'dense', output: [1, 2], trained: 8, frozen: 0, multiplyAdds: 6, uses: 1 },
    ]);
    expect(String(nn.summary(nn.dense(3, 2), f32(1, 3)))).toMatch(/^model {2}dense/m);
  });
});
