// Threads that wait for each other. Naps of a microsecond end while the others still compute, in code of V8's baseline compiler:
// what a busy machine, a suspended laptop or a throttled container does to a process in its first moments.
import './baseline.ts';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Backend } from '../../engine/backends/backend.ts';
import { wasmWith } from '../../engine/backends/wasm/wasm.ts';
import { leftOut } from '../forms.ts';
import { expectSameBitsByName } from './compare.ts';
import { describeContractOf, describeSameBits } from './conformance.ts';
import { trainPaperNetwork } from './paper-network.ts';

const napping = (threads: number): Promise<Backend> =>
  wasmWith({ waiting: { spins: 0, nap: 1 } }, { threads });

describeSameBits(
  'wasm, 1 and 3 threads that nap',
  [1, 3].map((threads) => () => napping(threads)),
  { skip: leftOut() },
);
describeContractOf('wasm, 3 threads that nap', () => napping(3));

it('20 training steps give the same bytes with 1, 2 and 5 threads that nap', async () => {
  const expected = await trainPaperNetwork(await napping(1), 20);
  for (const threads of [2, 5]) {
    // oxlint-disable-next-line no-await-in-loop -- one team at a time
    const state = await trainPaperNetwork(await napping(threads), 20);
    expectSameBitsByName(`${threads} threads`, state, expected);
  }
  expect(Object.keys(expected).length).toBeGreaterThan(0);
});

it('no kernel waits inside WebAssembly', () => {
  const folder = new URL('../../engine/backends/wasm/kernels/', import.meta.url);
  const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.ts'),
  );
  const waiting = sources.filter((name) =>
    readFileSync(new URL(name, folder), 'utf8').includes('atomic.wait'),
  );
  expect(sources.length).toBeGreaterThan(10);
  expect(waiting).toEqual([]);
});
