/** PyTorch as an arm: a Python process, which sleeps between requests. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HostTensor } from '../../engine/index.ts';
import { packageFolder } from '../environment.ts';
import type { Arm } from '../measure.ts';
import type { Workload } from '../workloads.ts';
import { missing, type Found } from './found.ts';

export const layouts = ['channels_last', 'contiguous'] as const;
export type Layout = (typeof layouts)[number];

export interface TorchVersions {
  readonly torch: string;
  readonly python: string;
  /** The number of threads that PyTorch reports. */
  readonly threads: number;
  readonly mkldnn: boolean;
  /** The instruction set of its kernels, for instance AVX2. */
  readonly cpu: string | null;
  /** The BLAS library. Null if it is unknown. */
  readonly blas: string | null;
  /** The memory allocator of the process: glibc, jemalloc, tcmalloc or mimalloc. Null if it is unknown. */
  readonly allocator: string | null;
  /** MALLOC_CONF of the process, the settings of jemalloc. Null or absent if it was not set. */
  readonly allocatorSettings?: string | null;
  /** The first CUDA device. Null without one. */
  readonly cuda: string | null;
}

/** The version without its build: 2.6.0 for 2.6.0+debian. */
export const torchName = ({ torch }: TorchVersions): string => `PyTorch ${torch.split('+')[0]}`;

/** Where PyTorch computes, and whether a CUDA graph replays the whole step. */
export type TorchDevice = 'cpu' | 'cuda' | 'cuda graph';

interface TurnAnswer {
  readonly ms: readonly number[];
  readonly losses: readonly number[];
}

/** The Python of the system has the packages of Debian, even if a version manager comes first in the path. */
const PYTHONS = ['python3', '/usr/bin/python3', 'python'];

/**
 * By default jemalloc, too, returns large arrays to the system. These settings keep them. Settings of the user come first.
 * MALLOC_CONF is documented in jemalloc(3).
 */
export const keptMemory = (
  allocator: string,
  environment: NodeJS.ProcessEnv,
): { readonly MALLOC_CONF?: string } =>
  allocator.includes('jemalloc')
    ? {
        MALLOC_CONF:
          environment['MALLOC_CONF'] ??
          'oversize_threshold:1,background_thread:true,dirty_decay_ms:-1,muzzy_decay_ms:-1',
      }
    : {};

/** The first Python that can import torch, or `python` if it can. */
export function findTorch(python?: string): Found<string> {
  const candidates = python === undefined ? PYTHONS : [python];
  const match = candidates.find(
    (candidate) => spawnSync(candidate, ['-c', 'import torch, numpy'], { stdio: 'ignore' }).status === 0,
  );
  if (match !== undefined) return { found: true, value: match };
  return missing(
    'PyTorch',
    `none of ${candidates.join(', ')} can import torch and numpy (Debian: python3-torch)`,
  );
}

export interface ConvTask {
  readonly pass: 'forward' | 'gradInput' | 'gradWeight';
  readonly batch: number;
  readonly size: number;
  readonly kernel: number;
  readonly inputs: number;
  readonly outputs: number;
}

export interface TorchOptions {
  /** Whether to allow the reference BLAS, which is slow. Default false. */
  readonly anyBlas?: boolean;
  /**
   * Whether glibc keeps freed memory. By default it returns large arrays to the system, which clears the same pages again in every
   * step. Default false.
   */
  readonly keepsMemory?: boolean;
  /**
   * A library that the process preloads as its memory allocator, for example /usr/lib/x86_64-linux-gnu/libjemalloc.so.2. jemalloc keeps
   * freed memory unless MALLOC_CONF is set.
   */
  readonly allocator?: string;
}

export class Torch {
  readonly versions: TorchVersions;
  readonly #process: ChildProcess;
  readonly #ask: (request: object) => Promise<unknown>;

  private constructor(
    process: ChildProcess,
    ask: (request: object) => Promise<unknown>,
    versions: TorchVersions,
  ) {
    this.#process = process;
    this.#ask = ask;
    this.versions = versions;
  }

  /**
   * Starts the process. Throws if PyTorch does not use the requested number of threads, if the allocator was not loaded, or if PyTorch
   * uses the reference BLAS, which is about twenty times slower than others and no meaningful baseline.
   */
  static async start(
    python: string,
    threads: number,
    { anyBlas = false, keepsMemory = false, allocator }: TorchOptions = {},
  ): Promise<Torch> {
    const script = fileURLToPath(new URL('bench/peers/torch.py', packageFolder()));
    const child = spawn(python, ['-u', script], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: {
        ...process.env,
        OMP_NUM_THREADS: String(threads),
        OPENBLAS_NUM_THREADS: String(threads),
        MKL_NUM_THREADS: String(threads),
        ...(keepsMemory
          ? { MALLOC_TRIM_THRESHOLD_: String(2 ** 31), MALLOC_MMAP_THRESHOLD_: String(2 ** 31) }
          : {}),
        ...(allocator !== undefined && { LD_PRELOAD: allocator, ...keptMemory(allocator, process.env) }),
      },
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`PyTorch's process ended with exit code ${code}`)));
    });
    ended.catch(() => undefined); // the next request throws the error
    const ask = async (request: object): Promise<unknown> => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await Promise.race([lines.next(), ended]);
      if (done === true) return ended;
      const answer = JSON.parse(value) as { readonly error?: string };
      if (answer.error !== undefined) throw new Error(`PyTorch: ${answer.error}`);
      return answer;
    };
    try {
      const versions = (await ask({ cmd: 'hello', threads })) as TorchVersions;
      if (versions.threads !== threads)
        throw new Error(`PyTorch: expected ${threads} threads, but it uses ${versions.threads}`);
      if (allocator !== undefined && (versions.allocator === null || versions.allocator === 'glibc')) {
        throw new Error(
          `PyTorch: its process did not load the allocator ${allocator} (it uses ${versions.allocator ?? 'an unknown one'}; pass the path ` +
            'of a jemalloc, tcmalloc or mimalloc library)',
        );
      }
      if (versions.blas === 'reference' && !anyBlas) {
        throw new Error(
          'PyTorch uses the reference BLAS, which is far slower than others ' +
            '(install another one, on Debian libopenblas0-openmp, or allow it with --any-blas)',
        );
      }
      return new Torch(child, ask, versions);
    } catch (error) {
      child.kill();
      throw error;
    }
  }

  /** Builds the network with these weights, for training on this batch. `fused` is whether the optimizer is a fused one. */
  async network(
    { optimizer, lr, momentum, weightDecay, ...network }: Workload,
    layout: Layout,
    arrays: Readonly<Record<string, HostTensor>>,
    device: TorchDevice = 'cpu',
  ): Promise<{ readonly parameters: number; readonly fused: boolean }> {
    const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-bench-'));
    try {
      let offset = 0;
      const parts: Uint8Array[] = [];
      const table = Object.entries(arrays).map(([name, { shape, dtype, data }]) => {
        const entry = { name, shape, dtype, offset };
        parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
        offset += data.byteLength;
        return entry;
      });
      const path = join(dir, 'arrays.bin');
      writeFileSync(path, Buffer.concat(parts));
      const built = 'zoo' in network ? { zoo: network.zoo } : { layers: network.layers };
      const workload = { ...built, optimizer, lr, momentum, weightDecay };
      const answer = await this.#ask({ cmd: 'network', workload, layout, device, data: path, arrays: table });
      return answer as { readonly parameters: number; readonly fused: boolean };
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }

  /** a · b · b · …: `chain` products of n × n matrices in a step. */
  async matmul({ n, chain }: { readonly n: number; readonly chain: number }): Promise<void> {
    await this.#ask({ cmd: 'matmul', n, chain });
  }

  async conv(task: ConvTask, layout: Layout): Promise<void> {
    await this.#ask({ cmd: 'conv', ...task, layout });
  }

  /** Runs steps of the task that was built last. */
  async turn(skip: number, count: number, grad: boolean): Promise<TurnAnswer> {
    return (await this.#ask({ cmd: 'turn', skip, count, grad })) as TurnAnswer;
  }

  arm(name: string, grad: boolean): Arm {
    return { name, turn: async (skip, count) => (await this.turn(skip, count, grad)).ms };
  }

  async close(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const exit = new Promise<void>((resolve) => this.#process.once('exit', () => resolve()));
    this.#process.stdin!.end();
    await exit;
  }
}
