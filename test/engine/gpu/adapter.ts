/** A WebGPU device for tests of WGSL, software or hardware, and one step's modules run on it. */
import { afterAll } from 'vitest';
import type { KernelModule } from '../../../engine/backends/gpu/kernel.ts';
import type { Binding } from '../../../engine/backends/gpu/wgsl/index.ts';
import { describeUnless, hasAdapter } from './available.ts';

/** Dawn's instance ends with this object. */
let dawn: GPU | null = null;

const NO_ADAPTER = 'no WebGPU adapter (no Vulkan driver that Dawn accepts)';

/** A device with the default limits of WebGPU, or why there is none. */
async function open(): Promise<GPUDevice | string> {
  try {
    if (!hasAdapter()) return NO_ADAPTER;
    const { create, globals } = await import('webgpu');
    Object.assign(globalThis, globals);
    dawn ??= create([]);
    const adapter = await dawn.requestAdapter();
    if (adapter === null) return NO_ADAPTER;
    return await adapter.requestDevice();
  } catch (error) {
    return `the package webgpu does not load here: ${(error as Error).message.split('\n')[0]}`;
  }
}

type Run = (
  modules: readonly KernelModule<Binding>[],
  inputs: readonly Float32Array[],
  outputs: readonly number[],
  inPlace?: readonly number[],
) => Promise<Float32Array[]>;

export interface TestDevice {
  /** Declares a suite, skipped by name and with the reason where there is no device. */
  readonly describeHere: (name: string, suite: () => void) => void;
  readonly runModules: Run;
}

/** A device for the tests of one file, closed after them. */
export async function testDevice(): Promise<TestDevice> {
  const opened = await open();
  const [device, missing] = typeof opened === 'string' ? [null, opened] : [opened, null];
  afterAll(() => device?.destroy());
  return {
    describeHere: (name, suite) => describeUnless(missing, name, suite),
    runModules: (...step) => runModules(device!, ...step),
  };
}

/**
 * Runs the modules of one step in one pass; returns its results and throws what the device has to say. Result i lies in
 * the memory of input `inPlace[i]`, where there is one.
 */
async function runModules(
  device: GPUDevice,
  ...[modules, inputs, outputs, inPlace = []]: Parameters<Run>
): Promise<Float32Array[]> {
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffers = new Map<string, GPUBuffer>();
  const bufferOf = (key: string, elements: number): GPUBuffer => {
    let buffer = buffers.get(key);
    if (buffer === undefined) {
      const size = Math.max(16, Math.ceil(elements / 4) * 16);
      buffer = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
      // What a dispatch fails to write must not look like a result.
      device.queue.writeBuffer(buffer, 0, new Float32Array(size / 4).fill(NaN));
      buffers.set(key, buffer);
    }
    return buffer;
  };
  inputs.forEach((data, i) =>
    device.queue.writeBuffer(bufferOf(`input ${i}`, data.length), 0, new Float32Array(data)),
  );
  outputs.forEach((elements, i) => {
    if (inPlace[i] === undefined) bufferOf(`output ${i}`, elements);
    else buffers.set(`output ${i}`, buffers.get(`input ${inPlace[i]}`)!);
  });
  const bound = (binding: Binding): GPUBuffer => {
    if ('scratch' in binding) return bufferOf(`scratch ${binding.scratch}`, binding.elements);
    return buffers.get('input' in binding ? `input ${binding.input}` : `output ${binding.output}`)!;
  };
  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const { code, bindings, workgroups } of modules) {
    const shader = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: shader } });
    const entries = bindings.map((binding, i) => ({ binding: i, resource: { buffer: bound(binding) } }));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(...workgroups);
  }
  pass.end();
  const reads = outputs.map((elements, i) => {
    const staging = device.createBuffer({ size: Math.max(16, elements * 4), usage: MAP_READ | COPY_DST });
    if (elements > 0) encoder.copyBufferToBuffer(buffers.get(`output ${i}`)!, 0, staging, 0, elements * 4);
    return staging;
  });
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error !== null) throw new Error(`${modules.map(({ name }) => name).join(', ')}: ${error.message}`);
  const results: Float32Array[] = [];
  for (const [i, staging] of reads.entries()) {
    // oxlint-disable-next-line no-await-in-loop -- a handful, already computed
    await staging.mapAsync(GPUMapMode.READ);
    results.push(new Float32Array(staging.getMappedRange().slice(0, outputs[i] * 4)));
    staging.destroy();
  }
  for (const buffer of buffers.values()) buffer.destroy();
  return results;
}
