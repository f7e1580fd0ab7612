// Activations that are computed again in the backward pass: the same bytes in less memory.
import { expect, test } from 'vitest';
import {
  compile,
  crossEntropy,
  f32,
  fit,
  grad,
  i32,
  mean,
  mul,
  reference,
  square,
  stream,
  sum,
  tensor,
  wasm,
  type Backend,
  type Tensor,
} from 'cyclegrad';
import { arrays, loader } from 'cyclegrad/datasets';
import * as nn from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { bytes } from '../train/fixture.ts';

type Wrap = (layer: nn.Layer) => nn.Layer;
const kept: Wrap = (layer) => layer;

const random = stream(1, 'examples');
const N = 12;
const numbers = (n: number): Float32Array => Float32Array.from({ length: n }, () => random.normal());
const images = arrays(
  { shape: [N, 8, 8, 4], data: numbers(N * 256) },
  Int32Array.from({ length: N }, (_, i) => i % 3),
);

/** A penalty on activations, with which layers add to the loss. */
const penalty: nn.Layer = {
  params: {},
  config: { kind: 'penalty' },
  apply(x, scope) {
    scope.addLoss(mul(0.01, mean(square(x))));
    return x;
  },
};

const conv = () => nn.conv2d(4, 4, 3, { padding: 'same' });

/** Residual blocks with batch normalization, dropout and a term of the loss. */
function convolutional(wrap: Wrap): nn.Layer {
  const block = () =>
    wrap(
      nn.sequential({
        body: nn.residual(
          nn.sequential({
            conv1: conv(),
            bn1: nn.batchNorm(4),
            relu: nn.relu(),
            drop: nn.dropout(0.2),
            conv2: conv(),
          }),
        ),
        bn2: nn.batchNorm(4),
        relu: nn.relu(),
        pool: nn.maxPool2d(3, 1, { padding: 1 }),
        penalty,
      }),
    );
  return nn.sequential({
    stem: conv(),
    b1: block(),
    b2: block(),
    b3: block(),
    pool: nn.globalAvgPool2d(),
    fc: nn.dense(4, 3),
  });
}

/** Transformer blocks with every kind of dropout. */
function transformer(wrap: Wrap): nn.Layer {
  const options = { dropout: 0.1, attentionDropout: 0.1, stochasticDepth: 0.2 };
  const block = () => wrap(nn.transformerBlock(16, 2, options));
  return nn.module(
    { b1: block(), b2: block(), b3: block(), fc: nn.dense(16, 3) },
    (x: Tensor, { b1, b2, b3, fc }) => fc(mean(b3(b2(b1(x.reshape([x.shape[0], 16, 16])))), 1)),
  );
}

async function trained(model: nn.Layer, backend: Backend) {
  const data = loader(images, { batchSize: 6 });
  const { state, loss } = await fit({
    model,
    backend,
    data,
    steps: 3,
    seed: 2,
    optimizer: sgd({ lr: 0.1, momentum: 0.9 }),
  });
  return { loss, state: bytes(state) };
}

const models = { convolutional, transformer };

test.each([
  ['convolutional', 'reference', 1],
  ['convolutional', 'wasm', 1],
  ['convolutional', 'wasm', 2],
  ['transformer', 'wasm', 1],
] as const)(
  '%s: losses, gradients and statistics have the same bytes on %s with %i threads',
  async (name, which, threads) => {
    const backend = which === 'wasm' ? await wasm({ threads }) : reference();
    const made = models[name];
    const plain = await trained(made(kept), backend);
    expect(await trained(made(nn.recompute), backend)).toEqual(plain);
    // In a layer that is recomputed, the inner ones have no effect.
    expect(await trained(nn.recompute(made(nn.recompute)), backend)).toEqual(plain);
    expect(Number.isFinite(plain.loss)).toBe(true);
    await backend.close();
  },
);

/** The plan of a gradient of all parameters, for a batch. */
async function planOf(model: nn.Layer, batch: number) {
  const backend = await wasm({ threads: 1 });
  const state = nn.initState(model, null, 1);
  const store = await backend.createStore(state);
  const compiled = await compile(backend, {
    inputs: { x: f32(batch, 8, 8, 4), labels: i32(batch) },
    state: store,
    build({ x, labels, step }, arrays) {
      const params = Object.keys(model.params).map((name) => arrays[name]);
      const { output } = nn.bind(model, arrays, { training: true, step })(x);
      const gradients = grad(crossEntropy(output, labels), params);
      return { outputs: Object.fromEntries(gradients.map((g, i) => [`g${i}`, g])) };
    },
  });
  const { plan } = compiled;
  const scratch = plan.buffers.reduce(
    (total, { kind, bytes: size }) => total + (kind === 'scratch' ? size : 0),
    0,
  );
  await compiled.close();
  await store.close();
  await backend.close();
  return { plan, scratch };
}

test('keeps the activations of one block at a time, and plans show what is computed again', async () => {
  const deep = (wrap: Wrap): nn.Layer => {
    const block = () =>
      wrap(nn.residual(nn.sequential({ c1: conv(), t1: nn.tanh(), c2: conv(), t2: nn.tanh() })));
    const blocks = Array.from({ length: 12 }, (_, i) => [`b${i}`, block()] as const);
    return nn.sequential({ ...Object.fromEntries(blocks), pool: nn.globalAvgPool2d(), fc: nn.dense(4, 3) });
  };
  const [plain, again] = [await planOf(deep(kept), 64), await planOf(deep(nn.recompute), 64)];
  expect(again.scratch).toBeLessThan(0.6 * plain.scratch);
  const count = (text: string): number => again.plan.steps.filter(({ path }) => path === text).length;
  expect(count('b3.main.c1, again')).toBe(1);
  expect(String(again.plan)).toContain('(b3.main.t1, again)');
  expect(String(plain.plan)).not.toContain('again');
  // Nothing outside of the blocks is computed again.
  expect(again.plan.steps.some(({ path }) => path.startsWith('fc') && path.endsWith('again'))).toBe(false);
});

test('gradients can be differentiated again', async () => {
  const x = tensor([
    [0.2, -0.6, 1],
    [0.5, 0.9, -0.3],
  ]);
  const params = { weight: tensor([[0.5, -1, 2], [1, 0.3, 0.2], [0.1, 0.7, -0.4]]), bias: tensor([0.1, 0.2, 0.3]) }; // prettier-ignore
  const penalized = (wrap: Wrap): readonly Tensor[] => {
    const layer = nn.sequential({ fc: wrap(nn.sequential({ fc: nn.dense(3, 3), tanh: nn.tanh() })) });
    const state = { 'fc.fc.weight': params.weight, 'fc.fc.bias': params.bias };
    const { output } = nn.bind(layer, state, { training: true })(x);
    const [slope] = grad(sum(square(output)), [x]);
    return grad(sum(square(slope)), [params.weight, params.bias]);
  };
  const [plain, again] = [penalized(kept), penalized(nn.recompute)];
  // The sum has its terms in another order.
  for (const [i, g] of plain.entries()) {
    const [actual, expected] = [await again[i].data(), await g.data()];
    expected.forEach((value, j) => expect(actual[j]).toBeCloseTo(value, 5));
  }
});

test('a state and a checkpoint fit with and without it', () => {
  const plain = nn.dense(2, 3);
  const again = nn.recompute(plain);
  expect([again.config, again.params]).toEqual([plain.config, plain.params]);
});

test('takes a layer', () => {
  expect(() => nn.recompute((() => 1) as never)).toThrow(
    'recompute: the model must be a layer, for instance nn.sequential({ … }), got a function',
  );
});
