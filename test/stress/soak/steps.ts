/** Many steps in one process, with evaluations and checkpoints: memory must not grow. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fit, wasm, type Listener } from 'cyclegrad';
import { loader, synthetic } from 'cyclegrad/datasets';
import { mlp } from 'cyclegrad/nn';
import { adam } from 'cyclegrad/optim';
import { triangular } from './network.ts';
import { atMost, type Part } from './part.ts';
import { slopeOfSecondHalf, usage, type Usage } from './usage.ts';

const SAMPLES = 50;

export const steps: Part = async ({ steps: total }, log) => {
  const dir = await mkdtemp(join(tmpdir(), 'cyclegrad-soak-'));
  const backend = await wasm({ threads: 2 });
  const samples: [number, Usage][] = [];
  const every = total / SAMPLES;
  const sampler: Listener = (event) => {
    if (event.type !== 'step' || event.step % every !== every - 1) return;
    const now = usage();
    samples.push([(event.step + 1) / 1000, now]);
    if (samples.length % 10 === 0)
      log(`step ${event.step + 1}: ${now.rss.toFixed(0)} kB RSS, ${now.heap.toFixed(0)} kB heap`);
  };
  try {
    await fit({
      backend,
      steps: total,
      model: mlp([2, 16, 3]),
      optimizer: adam({ lr: triangular }),
      data: loader(synthetic({ kind: 'spirals', n: 300, seed: 1 }), { batchSize: 8 }),
      eval: { data: synthetic({ kind: 'spirals', n: 100, seed: 2 }), every: total / 10 },
      checkpoint: { dir: join(dir, 'checkpoints'), every: total / 10 },
      listeners: [sampler],
    });
  } finally {
    await backend.close();
    await rm(dir, { recursive: true, force: true });
  }
  const slope = (name: keyof Usage): number =>
    slopeOfSecondHalf(samples.map(([x, sample]) => [x, sample[name]] as const));
  // A short run ends while V8 still optimizes, so only the heap is compared with the bound of a long one.
  const isLong = total >= 20_000;
  return [
    atMost(`${total} steps: RSS per 1,000 steps`, slope('rss'), isLong ? 40 : 4000, ' kB'),
    atMost(`${total} steps: heap per 1,000 steps`, slope('heap'), isLong ? 5 : 200, ' kB'),
    atMost(`${total} steps: handles per 1,000 steps`, slope('handles'), 0.01),
    atMost(`${total} steps: files per 1,000 steps`, slope('files'), 0.01),
  ];
};
