// The host side of the wasm backend: the heap, the team of workers, and what happens where something is missing.
/* oxlint-disable vitest/no-conditional-expect -- a random walk checks what it meets */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Heap } from '../../engine/backends/wasm/heap.ts';
import { compile } from '../../engine/compile.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { K } from '../../engine/backends/wasm/kernels.generated.ts';
import { loadKernels } from '../../engine/backends/wasm/module.ts';
import { workerTeam, type Team } from '../../engine/backends/wasm/team.ts';
import { f32, mul } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { expectSameBitsByName } from './compare.ts';
import { trainPaperNetwork } from './paper-network.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.doUnmock('node:worker_threads');
  vi.resetModules();
});

describe('what an environment lacks', () => {
  it('Atomics.waitAsync: the calling thread computes, and the report has the reason', async () => {
    vi.stubGlobal(
      'Atomics',
      new Proxy(Atomics, { get: (all, name) => (name === 'waitAsync' ? undefined : Reflect.get(all, name)) }),
    );
    const backend = await wasm({ threads: 2 });
    const twice = await compile(backend, {
      inputs: { x: f32(2) },
      build: ({ x }) => ({ outputs: { y: mul(x, 2) } }),
    });
    expect(twice.report).toMatchObject({
      executor: 'caller',
      threads: 1,
      fallback: 'this JavaScript engine has no Atomics.waitAsync, which waits for workers',
    });
    expect([...(await twice.run({ x: Float32Array.of(1, 2) })).y.data]).toEqual([2, 4]);
    await twice.close();
    await backend.close();
  });
});

describe('the heap', () => {
  it('gives aligned blocks that do not overlap, reuses freed ones, and grows', () => {
    const heap = new Heap();
    const draws = stream(1, 'heap');
    const live = new Map<number, { size: number; mark: number }>();
    for (let i = 0; i < 2000; i++) {
      if (live.size > 0 && draws.uniform() < 0.5) {
        const [at] = [...live.keys()].slice(draws.below(live.size));
        const { size, mark } = live.get(at)!;
        expect(heap.u8(at, size).every((byte) => byte === mark)).toBe(true);
        heap.free(at);
        live.delete(at);
      } else {
        const size = draws.below(50_000);
        const at = heap.allocate(size);
        expect(at % 64).toBe(0);
        const mark = i % 251;
        heap.u8(at, size).fill(mark);
        live.set(at, { size, mark });
      }
    }
    const grown = heap.memory.buffer.byteLength;
    for (const at of live.keys()) heap.free(at);
    // Everything is one free block again: it holds almost all of the memory without growing.
    heap.free(heap.allocate(grown - 2 * 65536));
    expect(heap.memory.buffer.byteLength).toBe(grown);
  });

  it('refuses to free what it did not give', () => {
    expect(() => new Heap().free(128)).toThrow('wasm heap: address 128 is freed but was not allocated');
  });

  it('says how much is in use when the memory cannot grow', () => {
    const heap = new Heap();
    expect(() => heap.allocate(2 ** 33)).toThrow(
      /^wasm: no memory for another 8192\.0 MiB: \d+\.\d MiB of at most \d+\.0 MiB are in use \(use a smaller batch/,
    );
  });
});

describe('where something is missing', () => {
  it('without workers it runs on the caller and says why', async () => {
    vi.doMock('node:worker_threads', () => ({
      Worker: class {
        constructor() {
          throw new Error('threads are forbidden here');
        }
      },
    }));
    const fresh = await import('../../engine/backends/wasm/wasm.ts');
    const backend = await fresh.wasm({ threads: 2 });
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      build: ({ x }) => ({ outputs: { y: mul(x, 2) } }),
    });
    expect(step.report).toMatchObject({
      executor: 'caller',
      threads: 1,
      fallback: 'no workers here: threads are forbidden here',
    });
    expect([...(await step.run({ x: Float32Array.of(1, 2) })).y.data]).toEqual([2, 4]);
    await step.close();
    await backend.close();
  });

  it('without shared memory it says so and offers the reference backend', async () => {
    const { Memory: _, ...rest } = Object.getOwnPropertyDescriptors(WebAssembly);
    vi.stubGlobal(
      'WebAssembly',
      Object.defineProperties(
        {
          Memory: class {
            constructor() {
              throw new TypeError('shared memory is disabled');
            }
          },
        },
        rest,
      ),
    );
    const fresh = await import('../../engine/backends/wasm/wasm.ts');
    await expect(fresh.wasm()).rejects.toThrow(
      "wasm: this JavaScript engine gives no shared memory: TypeError: shared memory is disabled (browsers need cross-origin isolation; or use the 'reference' backend, which runs anywhere)",
    );
  });

  it('without WebAssembly likewise', async () => {
    vi.stubGlobal('WebAssembly', undefined);
    const fresh = await import('../../engine/backends/wasm/wasm.ts');
    await expect(fresh.wasm()).rejects.toThrow(
      "wasm: there is no WebAssembly here (is it switched off? use the 'reference' backend)",
    );
  });

  it.each([
    [{ threads: 0 }, 'wasm: threads must be an integer from 1 to 256, got 0'],
    [{ threads: 1.5 }, 'wasm: threads must be an integer from 1 to 256, got 1.5'],
    [{ simd: 'fast' }, "wasm: simd must be 'auto' or 'plain' or 'relaxed' or 'wide', got 'fast'"],
    [
      { thread: 2 },
      "wasm: unknown option 'thread' (did you mean 'threads'? known: threads, simd, convolution, workers)",
    ],
  ])('refuses %j', async (options, message) => {
    await expect(wasm(options as never)).rejects.toThrow(message);
  });
});

describe('the team', () => {
  it('refuses to close under open stores, and to run afterwards', async () => {
    const backend = await wasm({ threads: 1 });
    const step = await compile(backend, {
      inputs: { x: f32(2) },
      build: ({ x }) => ({ outputs: { y: mul(x, 2) } }),
    });
    await expect(backend.close()).rejects.toThrow(
      'wasm: close: a compiled step or store is still open (close it first: await compiled.close())',
    );
    await step.close();
    // By name: the driver, which is loaded on first use, has a class of its own after a reset of the modules.
    await expect(step.run({ x: Float32Array.of(1, 2) })).rejects.toMatchObject({ name: 'BackendError' });
    await backend.close();
  });

  it.each([true, false])(
    'a closed backend refuses everything but to be closed again (workers: %s)',
    async (workers) => {
      const backend = await wasm({ threads: 1, workers });
      const store = await backend.createStore({});
      await store.close();
      await backend.close();
      await backend.close();
      const other = await wasm({ threads: 1, workers });
      await expect(backend.createStore({})).rejects.toThrow(
        'wasm: createStore: the backend is closed (open a new one)',
      );
      await expect(
        compile(backend, { inputs: { x: f32(2) }, build: ({ x }) => ({ outputs: { y: mul(x, 2) } }) }),
      ).rejects.toThrow('the backend is closed');
      await other.close();
    },
  );

  it('trains the network of the paper to the same bytes with 1, 2, 7 and 16 threads', async () => {
    const expected = await trainPaperNetwork(await wasm({ threads: 1 }), 3);
    for (const threads of [2, 7, 16]) {
      // oxlint-disable-next-line no-await-in-loop -- one team at a time
      const state = await trainPaperNetwork(await wasm({ threads }), 3);
      expectSameBitsByName(`${threads} threads`, state, expected);
    }
    expect(Object.keys(expected).length).toBeGreaterThan(0);
  });

  /** A team of two threads for a program of no steps, and the word of its control block at an offset. */
  async function emptyTeam(): Promise<{ team: Team; program: number; word: (offset: number) => Int32Array }> {
    const heap = new Heap();
    const bytes = K.CONTROL_BYTES + 2 * K.SHARE_BYTES;
    // The heap gives the team the block that was freed last.
    const control = heap.allocate(bytes);
    heap.free(control);
    const team = await workerTeam(heap, (await loadKernels('plain')).module, 2, 2);
    const program = heap.allocate(12);
    heap.i32(program, 3).set([K.K_END, 3, 1]);
    return { team, program, word: (offset) => heap.i32(control + offset, 1) };
  }

  it.each([
    ['counts a thread that is not there', K.CONTROL_ARRIVED, 1],
    [
      'lets a thread pass before the other has arrived',
      K.CONTROL_SHARES + K.SHARE_BYTES + K.SHARE_ARRIVALS,
      7,
    ],
  ])('a run whose barrier %s is an error, and so is the next one', async (_, offset, value) => {
    const message =
      /^wasm: a run ended after \d+ barriers, but its threads have arrived at \d+, \d+ and [01] wait: its results are wrong/;
    const { team, program, word } = await emptyTeam();
    expect(await team.run(program, 0)).toBeNull();
    word(offset)[0] = value;
    await expect(team.run(program, 0)).rejects.toThrow(message);
    await expect(team.run(program, 0)).rejects.toThrow(message);
    await team.close();
  });
});
