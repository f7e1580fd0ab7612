/** A program on WebGPU: a run, or many, is one submission, in which the state is written in place. */
import type { Runner, RunResult } from '../device.ts';
import { isModule, type BufferId } from '../kernel.ts';
import { BINDING_BYTES, WORD, type Layout } from '../memory.ts';
import { errorOf, REPORT, type Program } from '../program.ts';
import {
  COPY_DST,
  COPY_SRC,
  MAP_READ,
  QUERY_RESOLVE,
  type BufferRange,
  type DeviceBuffers,
} from './buffers.ts';
import type { Dispatch } from './pipelines.ts';

/** The buffers of a program on the device. */
export interface ProgramBuffers {
  /** By BufferId. */
  readonly ranges: readonly BufferRange[];
  /** The buffers that are destroyed with the program. */
  readonly owned: readonly GPUBuffer[];
  /** The feeds of one run. */
  readonly fed: GPUBuffer;
  /** A flag: −1, or the number of the check that failed first. */
  readonly failed: BufferId;
}

/** A copy from a buffer to the results of a run. */
interface Copy {
  readonly from: BufferRange;
  readonly bytes: number;
  readonly to: number;
}

export class WebGpuRunner implements Runner {
  readonly bytes: number;
  readonly kernels: Runner['kernels'];
  readonly #device: DeviceBuffers;
  readonly #program: Program;
  /** The dispatches of each step, the gates' as a step of their own. */
  readonly #steps: readonly (readonly Dispatch[])[];
  readonly #buffers: ProgramBuffers;
  readonly #feeds: Layout;
  readonly #outputs: Layout;
  readonly #copies: readonly Copy[];
  /** Bytes that each run copies to the results: outputs, then reports. */
  readonly #resultBytes: number;
  #many: GPUBuffer | null = null;
  #results: GPUBuffer | null = null;

  constructor(
    device: DeviceBuffers,
    program: Program,
    steps: readonly (readonly Dispatch[])[],
    buffers: ProgramBuffers,
    feeds: Layout,
    outputs: Layout,
  ) {
    this.#device = device;
    this.#program = program;
    this.#steps = steps;
    this.#buffers = buffers;
    this.#feeds = feeds;
    this.#outputs = outputs;
    const { plan, checks } = program;
    const wanted = [...outputs.at.values()].map(({ v, offset, length }) => ({
      from: buffers.ranges[plan.bufferOf[v]],
      bytes: length * WORD,
      to: offset * WORD,
    }));
    const reports = checks.map(({ buffer }, i) => ({
      from: buffers.ranges[buffer],
      bytes: REPORT * WORD,
      to: outputs.length * WORD + i * REPORT * WORD,
    }));
    this.#copies = [...wanted, ...reports].filter(({ bytes }) => bytes > 0);
    this.#resultBytes = Math.max(
      BINDING_BYTES,
      Math.ceil((outputs.length * WORD + checks.length * REPORT * WORD) / BINDING_BYTES) * BINDING_BYTES,
    );
    this.bytes = buffers.owned.reduce((sum, buffer) => sum + buffer.size, 0);
    const kernels = program.steps.flatMap((step) => step.kernels);
    const wgsl = kernels.filter(isModule).length;
    this.kernels = { gpujs: kernels.length - wgsl, wgsl };
  }

  async run(feeds: Float32Array, count: number): Promise<RunResult> {
    const encoder = this.#begin(feeds, count);
    for (let k = 0; k < count; k++) {
      if (count > 1 && this.#feeds.length > 0) {
        const bytes = this.#feeds.length * WORD;
        encoder.copyBufferToBuffer(this.#many!, k * bytes, this.#buffers.fed, 0, bytes);
      }
      const pass = encoder.beginComputePass();
      for (const step of this.#steps) dispatch(pass, step);
      pass.end();
      this.#copyResults(encoder, k);
    }
    this.#device.gpu.queue.submit([encoder.finish()]);
    return this.#finish(count);
  }

  async profile(feeds: Float32Array): Promise<readonly number[]> {
    const { gpu } = this.#device;
    const encoder = this.#begin(feeds, 1);
    if (!gpu.features.has('timestamp-query')) return this.#profileByWaiting(encoder);
    const count = 2 * this.#steps.length;
    const querySet = gpu.createQuerySet({ type: 'timestamp', count: Math.max(count, 2) });
    const resolved = gpu.createBuffer({ size: Math.max(count, 2) * 8, usage: QUERY_RESOLVE | COPY_SRC });
    const read = gpu.createBuffer({ size: resolved.size, usage: MAP_READ | COPY_DST });
    try {
      this.#steps.forEach((step, i) => {
        const timestampWrites = {
          querySet,
          beginningOfPassWriteIndex: 2 * i,
          endOfPassWriteIndex: 2 * i + 1,
        };
        const pass = encoder.beginComputePass({ timestampWrites });
        dispatch(pass, step);
        pass.end();
      });
      if (count > 0) encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, read, 0, resolved.size);
      this.#copyResults(encoder, 0);
      gpu.queue.submit([encoder.finish()]);
      this.#expectNoError(await this.#finish(1));
      await this.#device.map(read, 'profile');
      const stamps = new BigUint64Array(read.getMappedRange());
      return this.#withoutGates((i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6);
    } finally {
      querySet.destroy();
      resolved.destroy();
      read.destroy();
    }
  }

  /** Without timestamps: one submission for each step, whose latency is part of its time. */
  async #profileByWaiting(encoder: GPUCommandEncoder): Promise<readonly number[]> {
    const { queue } = this.#device.gpu;
    queue.submit([encoder.finish()]);
    const times: number[] = [];
    for (const step of this.#steps) {
      const stepEncoder = this.#device.gpu.createCommandEncoder();
      const pass = stepEncoder.beginComputePass();
      dispatch(pass, step);
      pass.end();
      const begin = performance.now();
      queue.submit([stepEncoder.finish()]);
      // oxlint-disable-next-line no-await-in-loop -- one after the other is what is measured
      await queue.onSubmittedWorkDone();
      times.push(performance.now() - begin);
    }
    const last = this.#device.gpu.createCommandEncoder();
    this.#copyResults(last, 0);
    queue.submit([last.finish()]);
    this.#expectNoError(await this.#finish(1));
    return this.#withoutGates((i) => times[i]);
  }

  /** Times of the program's steps: that of the gates is added to the step before them. */
  #withoutGates(timeOf: (i: number) => number): number[] {
    const times = this.#steps.map((_, i) => timeOf(i));
    if (this.#program.checks.length > 0) {
      const gate = this.#program.plan.commitStep;
      const [time] = times.splice(gate, 1);
      times[gate - 1] += time;
    }
    return times;
  }

  /** Writes the feeds and clears the flag. */
  #begin(feeds: Float32Array, count: number): GPUCommandEncoder {
    const { gpu } = this.#device;
    this.#device.expectHealthy('run');
    if (count === 1) {
      this.#device.fill(this.#buffers.fed, feeds);
    } else if (feeds.length > 0) {
      this.#many = this.#grown(this.#many, feeds.byteLength, COPY_SRC | COPY_DST);
      this.#device.fill(this.#many, feeds);
    }
    this.#results = this.#grown(this.#results, count * this.#resultBytes, MAP_READ | COPY_DST);
    this.#device.fill(this.#buffers.ranges[this.#buffers.failed].buffer, Float32Array.of(-1));
    return gpu.createCommandEncoder();
  }

  #grown(buffer: GPUBuffer | null, size: number, usage: number): GPUBuffer {
    if (buffer !== null && buffer.size >= size) return buffer;
    buffer?.destroy();
    return this.#device.gpu.createBuffer({ size, usage });
  }

  #copyResults(encoder: GPUCommandEncoder, run: number): void {
    for (const { from, bytes, to } of this.#copies) {
      encoder.copyBufferToBuffer(
        from.buffer,
        from.offset,
        this.#results!,
        run * this.#resultBytes + to,
        bytes,
      );
    }
  }

  async #finish(count: number): Promise<RunResult> {
    const { checks } = this.#program;
    const buffer = this.#results!;
    await this.#device.map(buffer, 'run');
    try {
      const words = new Float32Array(buffer.getMappedRange().slice(0, count * this.#resultBytes));
      const results: Float32Array[] = [];
      for (let k = 0; k < count; k++) {
        const result = words.subarray((k * this.#resultBytes) / WORD);
        for (const [i, check] of checks.entries()) {
          const begin = this.#outputs.length + i * REPORT;
          const error = errorOf(check, result.subarray(begin, begin + REPORT));
          if (error !== null) return { results, error };
        }
        results.push(result.subarray(0, this.#outputs.length));
      }
      return { results, error: null };
    } finally {
      buffer.unmap();
    }
  }

  #expectNoError({ error }: RunResult): void {
    if (error !== null) throw error;
  }

  close(): void {
    for (const buffer of this.#buffers.owned) buffer.destroy();
    this.#many?.destroy();
    this.#results?.destroy();
  }
}

function dispatch(pass: GPUComputePassEncoder, dispatches: readonly Dispatch[]): void {
  for (const { pipeline, group, workgroups } of dispatches) {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
  }
}
