// Training on the GPU backend: the same losses as on the CPU, and checkpoints that go from one to the other and back.

import { expect, it } from 'vitest';
import {
  fit,
  gpu,
  latestCheckpoint,
  loadCheckpoint,
  train,
  wasm,
  type Backend,
  type GpuOptions,
} from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { loader, meanImage, synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { describeWhere } from '../engine/gpu/available.ts';
import { bytes, folder, held, tinyRun } from './fixture.ts';

async function using<T>(backend: Promise<Backend>, act: (backend: Backend) => Promise<T>): Promise<T> {
  const opened = await backend;
  try {
    return await act(opened);
  } finally {
    await opened.close();
  }
}

/** Losses of Caffe's network at batch 8 from one seed. */
async function caffeLosses(backend: Backend, steps: number): Promise<number[]> {
  const data = synthetic({ kind: 'images', n: 64 });
  const losses: number[] = [];
  await fit({
    model: nn.caffeFull({ mean: meanImage(data) }),
    backend,
    steps,
    seed: 3,
    data: loader(data, { batchSize: 8 }),
    // Caffe's rate: a higher one amplifies the last bits within these steps.
    optimizer: sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
    listeners: [(event) => void (event.type === 'step' && losses.push(event.loss))],
  });
  return losses;
}

const MODES: readonly (readonly [string, GpuOptions, steps: number])[] = [
  // An interpreter takes seconds for a step of this network.
  ["gpu.js's cpu mode", { mode: 'cpu' }, 2],
  ['WebGPU', { mode: 'webgpu' }, 50],
];

for (const [name, options, steps] of MODES) {
  // oxlint-disable-next-line no-await-in-loop -- suites are declared in order
  await describeWhere(name, options, () => {
    it(
      `${steps} steps of Caffe's network follow the wasm backend's losses`,
      { timeout: 600_000 },
      async () => {
        const expected = await using(wasm({ threads: 1 }), (backend) => caffeLosses(backend, steps));
        const losses = await using(gpu(options), (backend) => caffeLosses(backend, steps));
        expect(losses.length).toBe(steps);
        losses.forEach((loss, step) => {
          expect(
            Math.abs(loss - expected[step]) / expected[step],
            `relative difference at step ${step}`,
          ).toBeLessThan(1e-3);
        });
      },
    );

    it('as many updates in a call as it likes: the same bytes', { timeout: 120_000 }, async () => {
      await using(gpu(options), async (backend) => {
        const evaluation = { data: held, every: 6, batchSize: 2 };
        const run = tinyRun({ backend, eval: evaluation });
        const one = await fit({ ...run, stepsPerCall: 1 });
        for (const stepsPerCall of [8, 'auto'] as const) {
          const { state, last } = await fit({ ...run, stepsPerCall });
          expect(bytes(state)).toEqual(bytes(one.state));
          expect([last!.loss, last!.metrics]).toEqual([one.last!.loss, one.last!.metrics]);
        }
        // Stopped within a call, which goes back to where the events were.
        const dir = folder();
        const parted = { ...run, stepsPerCall: 8, checkpoint: { dir, every: 100, resume: true } };
        for await (const event of train(parted)) if (event.type === 'step' && event.step === 3) break;
        expect((await loadCheckpoint((await latestCheckpoint(dir))!)).step).toBe(4);
        expect(bytes((await fit(parted)).state)).toEqual(bytes(one.state));
      });
    });

    it('a run goes from wasm to the GPU and back by its checkpoints', { timeout: 120_000 }, async () => {
      const whole = await using(wasm({ threads: 1 }), (backend) => fit(tinyRun({ backend, steps: 12 })));
      const dir = folder();
      const part = (backend: Backend, to: number) =>
        fit(tinyRun({ backend, steps: to, checkpoint: { dir, every: 100, resume: true } }));
      await using(wasm({ threads: 1 }), (backend) => part(backend, 4));
      await using(gpu(options), (backend) => part(backend, 8));
      const { loss } = await using(wasm({ threads: 1 }), (backend) => part(backend, 12));
      expect(Math.abs(loss! - whole.loss!) / whole.loss!).toBeLessThan(1e-3);
      const { state } = await loadCheckpoint((await latestCheckpoint(dir))!);
      expect(Object.keys(state).sort()).toEqual(Object.keys(whole.state).sort());
    });
  });
}
