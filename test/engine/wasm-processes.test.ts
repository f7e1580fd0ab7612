// The thread team in processes of their own: with more threads than cores, and stopped and continued in their first moments, as a
// suspended laptop or a throttled container is.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { stream } from '../../engine/rng.ts';
import { isLong } from '../forms.ts';
import { buildSources } from '../setup/build.ts';

const built = buildSources();

function script(name: string, text: string): string {
  const path = join(built, `${name}.js`);
  writeFileSync(path, text);
  return path;
}

const SORT = `
import { compile, f32, stream, wasm } from './engine/index.js';
const n = 1_000_000;
const draws = stream(1, 's');
const x = Float32Array.from({ length: n }, () => draws.below(1000) - 500);
const backend = await wasm({ threads: Number(process.argv[2]) });
const step = await compile(backend, { inputs: { x: f32(n) }, build({ x }) {
  const sorted = x.sort().values;
  return { outputs: { y: sorted.mul(2).add(1), m: sorted.max().add(sorted.min()) } };
} });
const want = x.slice().sort().map((value) => 2 * value + 1);
for (let run = 0; run < 5; run++) {
  const { y, m } = await step.run({ x });
  console.log(y.data.filter((value, i) => value !== want[i]).length, m.data[0]);
}
await step.close();
await backend.close();
`;

it.each([
  ['one more than cores', availableParallelism() + 1],
  ['twice as many as cores', 2 * availableParallelism()],
])('a step of 300 ms is right with threads %s', async (_, threads) => {
  const { stdout } = await promisify(execFile)(process.execPath, [script('sort', SORT), String(threads)]);
  expect(stdout).toBe('0 -1\n'.repeat(5));
});

const TRAIN = `
import { createHash } from 'node:crypto';
import { fit, wasm } from './engine/index.js';
import { caffeQuick } from './engine/nn/index.js';
import { loader, meanImage, synthetic } from './datasets/index.js';
import { sgd } from './optim/index.js';
const data = synthetic({ kind: 'images', n: 400, seed: 1 });
const model = caffeQuick({ mean: meanImage(data) });
const backend = await wasm({ threads: Number(process.argv[2]) });
console.log('ready');
const { state } = await fit({
  model, backend, steps: 60, seed: 1,
  data: loader(data, { batchSize: 8 }),
  optimizer: sgd({ lr: 0.001, momentum: 0.9 }),
});
const hash = createHash('sha256');
for (const name of Object.keys(state).sort()) hash.update(state[name].data);
console.log(hash.digest('hex'));
await backend.close();
`;

/** Runs the training script. Stops it for 150 ms again and again from when it is ready, at most 15 times. */
async function train(threads: number, stops: number, seed: number): Promise<string> {
  const child = spawn(process.execPath, [script(`train-${seed}`, TRAIN), String(threads)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  let out = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => (out += chunk));
  await once(child.stdout, 'data');
  const draws = stream(seed, 'pauses');
  for (let i = 0; i < stops && child.exitCode === null; i++) {
    await pause(2 + 28 * draws.uniform());
    child.kill('SIGSTOP');
    await pause(150);
    child.kill('SIGCONT');
  }
  await ended;
  return out;
}

// Windows cannot stop a process.
describe.skipIf(process.platform === 'win32')('a process that is stopped and continued', () => {
  it.each([2, 4])('trains to the same bytes with %i threads', async (threads) => {
    const undisturbed = await train(1, 0, 0);
    const seeds = isLong ? [1, 2, 3, 4, 5, 6] : [1, 2];
    const trials = await Promise.all(seeds.map((seed) => train(threads, 15, seed)));
    expect(trials).toEqual(trials.map(() => undisturbed));
    expect(undisturbed).toMatch(/^ready\n[0-9a-f]{64}\n$/);
  });
});
