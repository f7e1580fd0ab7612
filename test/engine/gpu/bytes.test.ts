// Bytes on WebGPU: four in a word wherever a program keeps them, and data sets larger than a binding.

import { describe, expect, it, vi } from 'vitest';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import type { KernelSource } from '../../../engine/backends/gpu/kernel.ts';
import { Codec } from '../../../engine/backends/gpu/memory.ts';
import { loadGpuJs } from '../../../engine/backends/gpu/packages.ts';
import { Translator } from '../../../engine/backends/gpu/translate.ts';
import { compile } from '../../../engine/compile.ts';
import { add, cast, equal, i32, not, sum, gather, u8, where, xor } from '../../../engine/ops/index.ts';
import { testDevice } from './adapter.ts';
import { describeWhere, openWebGpu } from './available.ts';

describe('words', () => {
  const packed = new Codec(true);

  it('holds four bytes each, and other numbers as they were', () => {
    expect([0, 1, 4, 5].map((n) => packed.words(u8(n)))).toEqual([0, 1, 1, 2]);
    expect([packed.words(i32(5)), new Codec(false).words(u8(5))]).toEqual([10, 5]);
  });

  it.each([0, 1, 3, 4, 5, 255])('gives back %i bytes, wherever they lay', (n) => {
    for (const offset of [0, 1]) {
      const data = Uint8Array.from({ length: offset + n }, (_, i) => 251 * i).subarray(offset);
      const value = { shape: [n], dtype: 'u8', data } as const;
      const words = packed.encoded(value);
      expect(words.length).toBe(packed.words(value));
      const back = packed.decode(value, words);
      expect(back).toEqual(value);
      expect(back.data.buffer).not.toBe(data.buffer);
    }
  });

  it('takes bytes that fill words without a copy', () => {
    const data = new Uint8Array(64).subarray(8, 24);
    const words = packed.encoded({ shape: [16], dtype: 'u8', data });
    expect([words.buffer, words.byteOffset, words.length]).toEqual([data.buffer, 8, 4]);
  });
});

const { describeHere, runModules } = await testDevice();
const module = await loadGpuJs();

describeHere('parts', () => {
  const translator = new Translator(module, {} as GPUAdapter, {} as GPUDevice);
  const [row, count] = [6, 50];

  /** Rows by an index, from a table that is bound in parts of 64 words. */
  async function gather(
    bytes: boolean,
    table: Float32Array,
    index: readonly number[],
  ): Promise<Float32Array> {
    const source: KernelSource = {
      body: 'return x[index[Y]][X];',
      args: {
        x: { buffer: 0, dims: [row, (table.length * (bytes ? 4 : 1)) / row] },
        index: { buffer: 1, dims: [count] },
      },
      output: [row, count],
      to: 2,
      bytes: new Set(bytes ? [0, 2] : []),
    };
    const module = translator.translate('gather', source, 64);
    const inputs = module.bindings
      .slice(0, -1)
      .map(({ buffer, part }) =>
        buffer === 0 ? table.slice(64 * part, 64 * (part + 1)) : Float32Array.from(index),
      );
    const bindings = module.bindings.map((_, i) => (i === inputs.length ? { output: 0 } : { input: i }));
    const words = (row * count) / (bytes ? 4 : 1);
    const [result] = await runModules([{ ...module, bindings }], inputs, [words]);
    expect(inputs.length).toBe(1 + Math.ceil(table.length / 64));
    return result;
  }

  const indexInto = (rows: number) => Array.from({ length: count }, (_, i) => (i * 37 + rows - 1) % rows);

  it('of floats are one table', async () => {
    // Six parts, index and result: as many bindings as every device has.
    const table = Float32Array.from({ length: 60 * row }, (_, i) => i);
    const index = indexInto(60);
    const expected = index.flatMap((i) => Array.from({ length: row }, (_, k) => i * row + k));
    expect([...(await gather(false, table, index))]).toEqual(expected);
  });

  it('of bytes too, where a row begins and ends within words', async () => {
    const bytes = Uint8Array.from({ length: 90 * row }, (_, i) => i * 7);
    const index = indexInto(90);
    const expected = index.flatMap((i) => [...bytes.subarray(i * row, (i + 1) * row)]);
    const result = await gather(true, new Float32Array(bytes.buffer), index);
    expect([...new Uint8Array(result.buffer)]).toEqual(expected);
  });
});

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  it('a store and what is fed take as many bytes as they have', async () => {
    const { backend, device } = await openWebGpu();
    const create = vi.spyOn(device.gpu, 'createBuffer');
    const step = await compile(backend, {
      inputs: { x: u8(4096) },
      state: { images: { shape: [8192], dtype: 'u8', data: new Uint8Array(8192).fill(3) } },
      build: ({ x }, { images }) => ({ outputs: { n: add(sum(cast(x)), sum(cast(images))) } }),
    });
    const sizes = create.mock.calls.map(([{ size }]) => size);
    expect(sizes).toContain(8192);
    expect(sizes).toContain(4096);
    const { n } = await step.run({ x: new Uint8Array(4096).fill(2) });
    expect(n.data[0]).toBe(4096 * 2 + 8192 * 3);
    await step.close();
    await backend.close();
  });

  it.each([1, 3, 4, 7, 300])('%i bytes are new states, in place and not', async (size) => {
    const backend = await gpu({ mode: 'webgpu' });
    const a = Uint8Array.from({ length: size }, (_, i) => i * 11);
    const b = Uint8Array.from({ length: size }, (_, i) => i % 2);
    const step = await compile(backend, {
      inputs: { x: u8(size) },
      state: { a: { shape: [size], dtype: 'u8', data: a }, b: { shape: [size], dtype: 'u8', data: b } },
      build: ({ x }, state) => ({
        outputs: { same: equal(state['a'], x) },
        next: { a: where(state['b'], x, state['a']), b: xor(not(state['b']), x) },
      }),
    });
    const x = Uint8Array.from({ length: size }, (_, i) => (i % 3 === 0 ? i * 11 : i % 2));
    const { same } = await step.run({ x });
    expect([...same.data]).toEqual([...a].map((v, i) => Number(v === x[i])));
    const next = await step.store.read();
    expect([...next['a'].data]).toEqual([...a].map((v, i) => (b[i] !== 0 ? x[i] : v)));
    expect([...next['b'].data]).toEqual([...b].map((v, i) => Number((v === 0) !== (x[i] !== 0))));
    await step.close();
    await backend.close();
  });

  it('a data set larger than a binding', async ({ skip }) => {
    const { backend, device } = await openWebGpu();
    const { maxStorageBufferBindingSize: most } = device.gpu.limits;
    if (most > 2 ** 28) {
      await backend.close();
      skip(`a binding of ${most} bytes holds more than a test should`);
    }
    const row = 3072;
    const rows = Math.ceil(most / row) + 10;
    const data = new Uint8Array(rows * row);
    const edge = Math.floor(most / row); // half of it in the next part
    const index = Int32Array.of(0, edge - 1, edge, edge + 1, rows - 1);
    for (const r of index) for (let i = 0; i < row; i++) data[r * row + i] = r + i * 5;
    const step = await compile(backend, {
      inputs: { index: i32(index.length) },
      state: { images: { shape: [rows, row], dtype: 'u8', data } },
      build: (inputs, { images }) => ({ outputs: { batch: gather(images, inputs.index) } }),
    });
    const { batch } = await step.run({ index });
    const expected = [...index].flatMap((r) => [...data.subarray(r * row, (r + 1) * row)]);
    expect(batch.data).toEqual(Uint8Array.from(expected));
    expect(Buffer.compare((await step.store.read())['images'].data as Uint8Array, data)).toBe(0);
    await step.close();
    await backend.close();
  });
});
