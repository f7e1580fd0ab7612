// The host side of the wasm backend: the heap, the team of workers, and what happens where something is missing.
/* oxlint-disable vitest/no-conditional-expect -- a random walk checks what it meets */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Heap } from '../../engine/backends/wasm/heap.ts';
import { compile } from '../../engine/compile.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { BackendError } from '../../engine/errors.ts';
import { applyGradients, bind, caffeFull, initState } from '../../engine/nn/index.ts';
import { f32, i32, mul, softmaxCrossEntropy, u8 } from '../../engine/ops/index.ts';
import { stream } from '../../engine/rng.ts';
import { sgd } from '../../optim/index.ts';
import { expectSameBits } from './compare.ts';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.doUnmock('node:worker_threads');
  vi.resetModules();
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
      /^wasm: no memory for another 8192\.0 MiB: .* are in use and the memory does not grow further \(use a smaller batch/,
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
    [{ thread: 2 }, "wasm: unknown option 'thread' (known: threads, simd, convolution, workers)"],
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
    await expect(backend.close()).rejects.toThrow('wasm: 1 stores are still open (close them first)');
    await step.close();
    await expect(step.run({ x: Float32Array.of(1, 2) })).rejects.toThrow(BackendError);
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
        'wasm: createStore: the backend is closed (make a new one)',
      );
      await expect(
        compile(backend, { inputs: { x: f32(2) }, build: ({ x }) => ({ outputs: { y: mul(x, 2) } }) }),
      ).rejects.toThrow('the backend is closed');
      await other.close();
    },
  );

  it('trains the network of the paper to the same bytes with 1, 2, 7 and 16 threads', async () => {
    const optimizer = sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });
    const mean = { shape: [32, 32, 3], dtype: 'f32', data: new Float32Array(3072).fill(120) } as const;
    const model = caffeFull({ mean });
    const draws = stream(3, 'images');
    const x = Uint8Array.from({ length: 20 * 3072 }, () => draws.below(256));
    const y = Int32Array.from({ length: 20 }, () => draws.below(10));
    const results = [];
    for (const threads of [1, 2, 7, 16]) {
      // oxlint-disable-next-line no-await-in-loop -- one team at a time
      const backend = await wasm({ threads });
      // oxlint-disable-next-line no-await-in-loop
      const step = await compile(backend, {
        inputs: { x: u8(20, 32, 32, 3), y: i32(20) },
        hyper: optimizer.at(0),
        state: initState(model, optimizer, 1),
        build({ x: images, y: labels, hyper }, state) {
          const { output, updates } = bind(model, state, { training: true })(images);
          const loss = softmaxCrossEntropy(output, labels);
          return {
            outputs: { loss },
            next: { ...updates, ...applyGradients(optimizer, model, state, loss, hyper) },
          };
        },
      });
      // oxlint-disable-next-line no-await-in-loop
      for (let i = 0; i < 3; i++) await step.run({ x, y, ...optimizer.at(i) });
      // oxlint-disable-next-line no-await-in-loop
      results.push(await step.store.read());
      // oxlint-disable-next-line no-await-in-loop
      await step.close();
      // oxlint-disable-next-line no-await-in-loop
      await backend.close();
    }
    const [first, ...others] = results;
    for (const other of others) {
      for (const [name, value] of Object.entries(first)) expectSameBits(name, other[name], value);
    }
    expect(others).toHaveLength(3);
  });
});
