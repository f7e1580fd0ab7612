/**
 * A process of the part `threads`: computes with a thread team and prints a digest of what it got. Arguments: what to compute, and the
 * number of threads.
 */
import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { compile, evaluate, f32, fit, wasm, type Backend } from 'cyclegrad';
import { loader, meanImage, synthetic } from 'cyclegrad/datasets';
import { caffeQuick, initState } from 'cyclegrad/nn';
import { sgd } from 'cyclegrad/optim';
import { digestOf } from './network.ts';

const data = synthetic({ kind: 'images', n: 400, seed: 1 });
const model = caffeQuick({ mean: meanImage(data) });
const optimizer = sgd({ lr: 0.001, momentum: 0.9 });

const WORK: Readonly<Record<string, (backend: Backend) => Promise<string>>> = {
  /** Many short steps. */
  async train(backend) {
    const { state } = await fit({
      model,
      backend,
      steps: 60,
      seed: 1,
      optimizer,
      data: loader(data, { batchSize: 8 }),
    });
    return digestOf(state);
  },
  async evaluate(backend) {
    const state = initState(model, optimizer, 1);
    return String((await evaluate({ model, backend, state, data, batchSize: 4 })).loss);
  },
  /** Steps of 300 ms and more, with idle pauses between them. */
  async sort(backend) {
    const n = 1_000_000;
    const x = Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 1009) - 500);
    const step = await compile(backend, {
      inputs: { x: f32(n) },
      build: ({ x: values }) => ({ outputs: { y: values.sort().values.mul(2).add(1) } }),
    });
    const hash = createHash('sha256');
    for (let run = 0; run < 3; run++) {
      hash.update((await step.run({ x })).y.data);
      await pause(300);
    }
    await step.close();
    return hash.digest('hex');
  },
};

const [, , work, threads] = process.argv;
const backend = await wasm({ threads: Number(threads) });
process.stdout.write('ready\n');
const result = await WORK[work](backend);
await backend.close();
process.stdout.write(`${result}\n`);
