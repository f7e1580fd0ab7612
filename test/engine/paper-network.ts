/** The network of the paper, trained for a few steps on random images. */
import type { Backend } from '../../engine/backends/backend.ts';
import { compile } from '../../engine/compile.ts';
import * as nn from 'cyclegrad/nn';
import { i32, crossEntropy, u8 } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import type { State } from '../../engine/types.ts';
import { sgd } from '../../optim/index.ts';

const BATCH = 20;

/** The state after `steps` updates with the same batch. Closes the backend. */
export async function trainPaperNetwork(backend: Backend, steps: number): Promise<State> {
  const optimizer = sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });
  const mean = { shape: [32, 32, 3], dtype: 'f32', data: new Float32Array(3072).fill(120) } as const;
  const model = nn.caffeFull({ mean });
  const draws = stream(3, 'images');
  const x = Uint8Array.from({ length: BATCH * 3072 }, () => draws.below(256));
  const y = Int32Array.from({ length: BATCH }, () => draws.below(10));
  const step = await compile(backend, {
    inputs: { x: u8(BATCH, 32, 32, 3), y: i32(BATCH) },
    hyper: Object.keys(optimizer.at(0)),
    state: nn.initState(model, optimizer, 1),
    build({ x: images, y: labels, hyper }, state) {
      const { output, updates } = nn.bind(model, state, { training: true })(images);
      const loss = crossEntropy(output, labels);
      return {
        outputs: { loss },
        next: { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) },
      };
    },
  });
  // oxlint-disable-next-line no-await-in-loop -- one step after the other
  for (let i = 0; i < steps; i++) await step.run({ x, y, ...optimizer.at(i) });
  const state = await step.store.read();
  await step.close();
  await backend.close();
  return state;
}
