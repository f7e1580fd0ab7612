// What WebGPU adds to the contract: nothing is allocated while runs go on, and failures of the device name the operation.

import { assert, expect, it, vi, type Mock } from 'vitest';
import { gpu } from '../../../engine/backends/gpu/gpu.ts';
import type { Program } from '../../../engine/backends/gpu/program.ts';
import type { Backend } from '../../../engine/backends/backend.ts';
import { compile } from '../../../engine/compile.ts';
import { BackendError } from '../../../engine/errors.ts';
import { add, broadcastTo, f32, matmul, mul, sum } from '../../../engine/ops/index.ts';
import { withPath } from '../../../engine/path.ts';
import { describeWhere, openWebGpu } from './available.ts';

const counting = (backend: Backend) =>
  compile(backend, {
    inputs: { x: f32(64, 64), rate: f32() },
    state: { w: { shape: [64, 64], dtype: 'f32', data: new Float32Array(64 * 64) } },
    build: ({ x, rate }, { w }) => {
      const product = matmul(x, w);
      return { outputs: { loss: sum(product) }, next: { w: add(w, mul(x, rate)) } };
    },
  });

await describeWhere('WebGPU', { mode: 'webgpu' }, () => {
  it('allocates nothing on the device while runs go on', async () => {
    const {
      backend,
      device: { gpu: device },
    } = await openWebGpu();
    const step = await counting(backend);
    const feeds = { x: new Float32Array(64 * 64).fill(1), rate: 0.5 };
    const K = 4;
    const many = {
      x: new Float32Array(K * 64 * 64).fill(1),
      rate: new Float32Array(K).fill(0.5),
    };
    await step.run(feeds);
    await step.runMany(many);
    const made = [vi.spyOn(device, 'createBuffer'), vi.spyOn(device, 'createBindGroup')];
    for (let i = 0; i < 100; i++) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      await (i % 10 === 0 ? step.runMany(many) : step.run(feeds));
    }
    for (const spy of made) expect(spy).not.toHaveBeenCalled();
    expect((await step.store.read())['w'].data[0]).toBe(0.5 * (1 + K + 90 + 10 * K));
    await step.close();
    await backend.close();
  });

  it('one submission for all runs of a call', async () => {
    const {
      backend,
      device: { gpu: device },
    } = await openWebGpu();
    const step = await counting(backend);
    const submit = vi.spyOn(device.queue, 'submit');
    const K = 8;
    const { loss } = await step.runMany({
      x: new Float32Array(K * 64 * 64).fill(1),
      rate: new Float32Array(K).fill(0.5),
    });
    expect(submit).toHaveBeenCalledTimes(1);
    expect([...loss.data]).toEqual(Array.from({ length: K }, (_, k) => 64 ** 3 * 0.5 * k));
    await step.close();
    await backend.close();
  });

  it('counts the kernels of each kind, and names its adapter', async () => {
    const backend = await gpu({ mode: 'webgpu' });
    const plain = await gpu({ mode: 'webgpu', overrides: false });
    const [own, generated] = [await counting(backend), await counting(plain)];
    assert(own.report.backend === 'gpu' && generated.report.backend === 'gpu');
    expect(own.report.kernels.wgsl).toBeGreaterThan(0);
    expect(generated.report.kernels).toEqual({ gpujs: expect.any(Number) as number, wgsl: 0 });
    expect(own.report.adapter).not.toBe('');
    expect(own.report.executor).toMatch(/^webgpu: /);
    await Promise.all([own.close(), generated.close()]);
    await Promise.all([backend.close(), plain.close()]);
  });

  it('a value that does not fit names the operation and both sizes', async () => {
    const backend = await gpu({ mode: 'webgpu' });
    const failing = compile(backend, {
      inputs: { x: f32() },
      build: ({ x }) => ({ outputs: { y: sum(withPath('wide', () => broadcastTo(x, [2 ** 24, 2 ** 18]))) } }),
    });
    await expect(failing).rejects.toThrow(
      /^gpu: wide \/ broadcastTo needs 17592186044416 bytes in one buffer, but .+ allows \d+/,
    );
    await backend.close();
  });

  it('refuses a store with an array that it has no room for, by name, and keeps nothing of it', async () => {
    const { backend, device } = await openWebGpu();
    const freed: Mock[] = [];
    const create = device.gpu.createBuffer.bind(device.gpu);
    vi.spyOn(device.gpu, 'createBuffer').mockImplementation((descriptor) => {
      const buffer = create(descriptor);
      freed.push(vi.spyOn(buffer, 'destroy'));
      return buffer;
    });
    const small = { shape: [8], dtype: 'u8', data: new Uint8Array(8) } as const;
    const error = { message: 'no more memory' } as GPUError;
    vi.spyOn(device.gpu, 'popErrorScope').mockResolvedValueOnce(null).mockResolvedValueOnce(error);
    await expect(backend.createStore({ small, other: small })).rejects.toThrow(
      /^gpu: .+ has no room for the array 'other' of 16 bytes: no more memory$/,
    );
    expect(freed.length).toBe(2);
    for (const free of freed) expect(free).toHaveBeenCalledTimes(1);
    await expect(device.upload({ length: 2 ** 40 } as Float32Array, 'large')).rejects.toThrow(
      /^gpu: the array 'large' needs 4398046511104 bytes in one buffer, but .+ allows \d+$/,
    );
    await backend.close();
  });

  it('a kernel that does not compile names the operation', async () => {
    const { backend, device } = await openWebGpu();
    const step = await counting(backend);
    const [first] = step.plan.steps;
    const code =
      '@group(0) @binding(0) var<storage, read_write> y : array<f32>;\n@compute @workgroup_size(1) fn main() { y[0] = oops; }';
    const broken: Program = {
      plan: { ...step.plan, steps: [first], buffers: [], commitStep: 1, constants: new Map() },
      steps: [
        {
          step: first,
          kernels: [{ name: 'broken', code, bindings: [{ buffer: 0, part: 0 }], workgroups: [1, 1, 1] }],
        },
      ],
      bufferWords: [4],
      checks: [],
    };
    const none = { at: new Map(), length: 0 };
    const preparing = device.prepare(broken, new Map(), none, none);
    await expect(preparing).rejects.toBeInstanceOf(BackendError);
    await expect(preparing).rejects.toThrow(/^gpu: matmul: broken: the kernel does not compile: [^]*oops/);
    await step.close();
    await backend.close();
  });

  it('a lost device ends the run with an error, and the store was saved before', async () => {
    const { backend, device } = await openWebGpu();
    const step = await counting(backend);
    const feeds = { x: new Float32Array(64 * 64).fill(1), rate: 0.5 };
    await step.run(feeds);
    const saved = await step.store.read();
    device.gpu.destroy();
    await expect(step.run(feeds)).rejects.toBeInstanceOf(BackendError);
    await expect(step.run(feeds)).rejects.toThrow(
      /^gpu: run: the device was lost .+ \(make a new backend, and load the last checkpoint\)/,
    );
    const other = await gpu({ mode: 'webgpu' });
    const again = await counting(other);
    await again.store.write(saved);
    expect((await again.run(feeds))['loss'].data[0]).toBe(64 ** 3 * 0.5);
    await again.close();
    await other.close();
    await step.close();
    await backend.close();
  });
});
