/** The memory that a model needs, against what the CPU backend allocates. */
import { afterAll, describe, expect, test } from 'vitest';
import { compile, concat, crossEntropy, f32, i32, memoryOf, wasm, type State, type Tensor } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { adam, sgd, type Optimizer } from 'cyclegrad/optim';
import * as zoo from 'cyclegrad/zoo';

const threads = 2;
const backend = await wasm({ threads });
afterAll(() => backend.close());

const bytesOf = (state: State): number =>
  Object.values(state).reduce((sum, { data }) => sum + data.byteLength, 0);

/** The bytes of a training step, and of inference. */
async function allocated(
  model: nn.Layer,
  optimizer: Optimizer,
  [n, size]: readonly [number, number],
): Promise<readonly [number, number]> {
  const x = f32(n, size, size, 3);
  const state = nn.initState(model, optimizer, 1);
  const training = await compile(backend, {
    inputs: { x, y: i32(n) },
    hyper: Object.keys(optimizer.at(0)),
    state,
    build(inputs, tensors) {
      const { output, updates } = nn.bind(model, tensors, { training: true, step: inputs.step })(inputs.x);
      const loss = crossEntropy(output, inputs.y);
      const next = nn.applyGradients(optimizer, model, tensors, loss, inputs.hyper);
      return { outputs: { loss }, next: { ...updates, ...next } };
    },
  });
  const used = (training.report as { readonly bytes: number }).bytes + bytesOf(state);
  await training.close();
  const weights = nn.initState(model, null, 1);
  const inference = await compile(backend, {
    inputs: { x },
    state: weights,
    build: (inputs, tensors) => ({
      outputs: { y: nn.bind(model, tensors, { training: false })(inputs.x).output },
    }),
  });
  const held = (inference.report as { readonly bytes: number }).bytes + bytesOf(weights);
  await inference.close();
  return [used, held];
}

const classes = 10;
const MODELS: readonly (readonly [string, (recompute: boolean) => nn.Layer, readonly [number, number]])[] = [
  ['resnet20', (recompute) => zoo.resnet20({ classes, recompute }), [32, 32]],
  ['resnet18', (recompute) => zoo.resnet18({ classes, width: 16, recompute }), [8, 64]],
  ['wideResnet', (recompute) => zoo.wideResnet({ classes, depth: 16, widen: 1, recompute }), [16, 32]],
  ['densenet', (recompute) => zoo.densenet({ classes, depth: 16, growth: 12, recompute }), [16, 32]],
  ['mobilenetV2', (recompute) => zoo.mobilenetV2({ classes, width: 0.35, recompute }), [8, 64]],
  ['convnext', (recompute) => zoo.convnext({ classes, widths: [16, 32, 64, 128], blocks: [1, 1, 2, 1], recompute }), [8, 64]], // prettier-ignore
  ['vit', (recompute) => zoo.vit({ classes, size: 32, patch: 4, width: 64, depth: 4, heads: 2, recompute }), [16, 32]], // prettier-ignore
];

describe.each(MODELS)('%s', (_, make, type) => {
  const [n, size] = type;
  const input = f32(n, size, size, 3);

  test.each([false, true])('within 2 %% of what is allocated, recompute: %s', async (recompute) => {
    const optimizer = recompute ? adam({ lr: 0.001 }) : sgd({ lr: 0.1, momentum: 0.9 });
    const model = make(recompute);
    const { training, inference } = await memoryOf(model, input, { optimizer, threads });
    const [used, held] = await allocated(model, optimizer, type);
    expect(Math.abs(training.total / used - 1)).toBeLessThan(0.02);
    expect(Math.abs(inference.total / held - 1)).toBeLessThan(0.02);
  });

  test('recomputed blocks need less for training and the same for inference', async () => {
    const [kept, again] = await Promise.all(
      [false, true].map((recompute) => memoryOf(make(recompute), input, { threads })),
    );
    expect(again.training.values).toBeLessThan(kept.training.values);
    expect(again.training.state).toBe(kept.training.state);
    expect(again.inference).toEqual(kept.inference);
  });
});

test('several inputs, and the text', async () => {
  const model = nn.module({ fc: nn.dense(5, 3) }, (x: { a: Tensor; b: Tensor }, { fc }) =>
    fc(concat([x.a, x.b], 1)),
  );
  const memory = await memoryOf(model, { a: f32(1, 2), b: f32(1, 3) });
  expect(memory.inference.state).toBe(4 * 18);
  expect(String(memory)).toMatch(
    /^inference [\d.]+ MiB: state 0\.0 MiB, values [\d.]+ MiB, kernels [\d.]+ MiB\ntraining {2}[\d.]+ MiB: /,
  );
});

test('wrong arguments', async () => {
  await expect(memoryOf(nn.dense(2, 1), [64, 2] as never)).rejects.toThrow(
    'memoryOf: inputs must be a type, or an object of types by name, got an array (write memoryOf(model, f32(64, 32, 32, 3)))',
  );
  await expect(memoryOf(nn.dense(2, 1), f32(4, 3))).rejects.toThrow(
    'dense: expects [N, ..., 2] but got f32 [4,3]',
  );
  await expect(memoryOf(nn.dense(2, 1), f32(4, 2), { threads: 0 })).rejects.toThrow('memoryOf: threads');
});
