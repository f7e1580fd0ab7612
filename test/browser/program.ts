/** What runs in Node and in a browser alike: the first losses of a small network, and a short training run. */
import { arrays, loader } from '../../datasets/index.ts';
import {
  compile,
  f32,
  fit,
  i32,
  crossEntropy,
  type Backend,
  type Listener,
  type Report,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { sgd } from '../../optim/index.ts';

const model = nn.sequential({
  conv1: nn.conv2d(3, 8, 3, { padding: 1 }),
  relu1: nn.relu(),
  pool1: nn.maxPool2d(2),
  conv2: nn.conv2d(8, 8, 3, { padding: 1 }),
  flat: nn.flatten(),
  fc: nn.dense(128, 10),
});
const optimizer = sgd({ lr: 0.1, momentum: 0.9 });

const pixels = (images: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: images * 8 * 8 * 3 }, (_, i) => ((i * 37) % 101) / 50 - 1);

export interface First {
  readonly report: Report;
  readonly losses: readonly number[];
}

export async function firstLosses(backend: Backend): Promise<First> {
  const step = await compile(backend, {
    inputs: { x: f32(8, 8, 8, 3), y: i32(8) },
    hyper: Object.keys(optimizer.at(0)),
    state: nn.initState(model, optimizer, 1),
    build({ x, y, step: index, hyper }, state) {
      const { output, updates } = nn.bind(model, state, { training: true, step: index })(x);
      const loss = crossEntropy(output, y);
      return {
        outputs: { loss },
        next: { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) },
      };
    },
  });
  const x = pixels(8);
  const y = Int32Array.from({ length: 8 }, (_, i) => i);
  const losses: number[] = [];
  for (let i = 0; i < 10; i++) {
    const { loss } = await step.run({ x, y, step: i, ...optimizer.at(i) });
    losses.push(loss.data[0]);
  }
  await step.close();
  return { report: step.report, losses };
}

/** The accuracy on forty images after sixty steps. */
export async function train(backend: Backend, listeners: readonly Listener[] = []): Promise<number | null> {
  const images = arrays(
    { shape: [40, 8, 8, 3], data: pixels(40) },
    Array.from({ length: 40 }, (_, i) => i % 10),
  );
  const { accuracy } = await fit({
    model,
    backend,
    steps: 60,
    seed: 1,
    data: loader(images, { batchSize: 20 }),
    eval: { data: images, every: 60 },
    optimizer,
    listeners,
  });
  return accuracy;
}
