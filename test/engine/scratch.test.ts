/** The scratch memory that the executables of a CPU backend share. */
import { describe, expect, it } from 'vitest';
import { compile } from '../../engine/compile.ts';
import { Heap } from '../../engine/backends/wasm/heap.ts';
import { Layout, Scratch } from '../../engine/backends/wasm/scratch.ts';
import { f32, wasm } from '../../engine/index.ts';

describe('the regions', () => {
  it('are shared by all that fit, the smallest first', () => {
    const scratch = new Scratch(new Heap());
    const large = scratch.acquire(1000);
    const larger = scratch.acquire(2000);
    expect(larger.at).not.toBe(large.at);
    expect(scratch.acquire(10)).toBe(large);
    expect(scratch.acquire(1001)).toBe(larger);
    expect(scratch.acquire(2000)).toBe(larger);
  });

  it('are freed by their last user', () => {
    const heap = new Heap();
    const scratch = new Scratch(heap);
    const [first, second] = [scratch.acquire(1000), scratch.acquire(500)];
    scratch.release(first);
    expect(heap.allocate(1000)).not.toBe(second.at);
    scratch.release(second);
    expect(heap.allocate(1000)).toBe(first.at);
  });
});

it('a layout leaves room for reads past the end of an array', () => {
  const layout = new Layout();
  expect([layout.place(4), layout.place(64), layout.place(65)]).toEqual([0, 128, 256]);
  expect(layout.bytes).toBe(256 + 192);
});

it('executables on one backend do not disturb each other, in any order of runs', async () => {
  const backend = await wasm({ threads: 2 });
  const n = 50_000;
  const open = (factor: number) =>
    compile(backend, {
      inputs: { x: f32(n) },
      build: ({ x }) => {
        const sorted = x.mul(factor).sort().values;
        return { outputs: { y: sorted.add(sorted.max()), sum: sorted.sum() } };
      },
    });
  const executables = await Promise.all([1, 2, 3].map(open));
  const x = Float32Array.from({ length: n }, (_, i) => ((i * 7919) % 1009) - 500);
  const expected = await Promise.all(executables.map(async (each) => (await each.run({ x })).y.data));
  const order = [0, 1, 2, 2, 0, 1, 0];
  const found = await Promise.all(order.map(async (i) => (await executables[i].run({ x })).y.data));
  found.forEach((data, i) => expect(data).toEqual(expected[order[i]]));
  expect(expected[1][0]).toBe(-1000 + 1016);
  for (const each of executables) await each.close();
  await backend.close();
});
