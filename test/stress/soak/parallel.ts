/** Several runs at once, on one backend and on several: each gives the bytes that it gives alone. */
import { fit, wasm, type Backend } from 'cyclegrad';
import { digestOf, smallRun } from './network.ts';
import { noneOf, type Part } from './part.ts';

const train = async (backend: Backend, seed: number): Promise<string> =>
  digestOf((await fit({ ...smallRun(backend), steps: 50, seed })).state);

export const parallel: Part = async () => {
  const one = await wasm({ threads: 2 });
  const several = await Promise.all([1, 2, 3, 4].map((threads) => wasm({ threads })));
  const seeds = [1, 2, 3, 4, 5, 6];
  const alone: string[] = [];
  for (const seed of seeds) alone.push(await train(one, seed));
  const together = await Promise.all(seeds.map((seed) => train(one, seed)));
  const apart = await Promise.all(seeds.map((seed) => train(several[seed % several.length], seed)));
  await Promise.all([one, ...several].map((backend) => backend.close()));
  const wrong = (found: readonly string[]): string[] =>
    seeds.filter((_, i) => found[i] !== alone[i]).map((seed) => `seed ${seed}`);
  return [
    noneOf('parallel fits on one backend', wrong(together), seeds.length),
    noneOf(`parallel fits on ${several.length} backends`, wrong(apart), seeds.length),
  ];
};
