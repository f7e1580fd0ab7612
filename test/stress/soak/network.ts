/** A small run that has what can depend on history: a moving rate, shuffling, the arrays of Adam. */
import { createHash } from 'node:crypto';
import type { Backend, State, TrainOptions } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import { mlp } from 'cyclegrad/nn';
import { adam } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';

export const triangular = cyclicLR({ base: 1e-4, max: 1e-3, stepSize: 100 });

export const examples = synthetic({ kind: 'spirals', n: 60, seed: 1 });
export const held = synthetic({ kind: 'spirals', n: 20, seed: 2 });

export const smallRun = (backend: Backend): TrainOptions => ({
  backend,
  steps: 8,
  seed: 3,
  model: mlp([2, 8, 3]),
  optimizer: adam({ lr: triangular }),
  data: loader(examples, { batchSize: 4 }),
});

/** A digest of the exact bytes of every array. */
export function digestOf(state: State): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(state).sort()) {
    const { buffer, byteOffset, byteLength } = state[name].data;
    hash.update(name).update(new Uint8Array(buffer, byteOffset, byteLength));
  }
  return hash.digest('hex');
}
