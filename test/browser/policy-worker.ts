/** The worker of policy-page.ts. */
import { arrays, loader } from '../../datasets/index.ts';
import { wasm } from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { serveTraining } from '../../engine/worker/index.ts';
import { sgd } from '../../optim/index.ts';
import { scheduleFromJSON, type ScheduleConfig } from '../../schedulers/index.ts';

export interface Input {
  readonly lr: ScheduleConfig | number;
  readonly steps: number;
}

const backend = wasm({ threads: 2 });
const data = arrays(
  {
    shape: [40, 16, 16, 3],
    data: Float32Array.from({ length: 40 * 768 }, (_, i) => ((i * 37) % 101) / 50 - 1),
  },
  Array.from({ length: 40 }, (_, i) => i % 4),
);

serveTraining(async ({ lr, steps }: Input) => ({
  model: nn.sequential({
    conv: nn.conv2d(3, 16, 3, { padding: 'same' }),
    relu: nn.relu(),
    pool: nn.maxPool2d(2),
    flat: nn.flatten(),
    fc: nn.dense(1024, 4),
  }),
  backend: await backend,
  data: loader(data, { batchSize: 20 }),
  eval: { data, every: 20 },
  steps,
  optimizer: sgd({ lr: scheduleFromJSON(lr), momentum: 0.9 }),
}));
