/**
 * The CPU backend: AssemblyScript kernels with SIMD in one shared memory, run by a team of workers. One thread and
 * N threads give the same bytes. Its driver is loaded on first use, so that pages that only build tensors do not carry it.
 */
import { BackendError } from '../../errors.ts';
import { checkBoolean, checkInteger, checkOneOf, checkOptions } from '../../options.ts';
import type { Backend } from '../backend.ts';
import { availableCores } from './cores.ts';
import { SIMD_KINDS, type Simd } from './simd.ts';
import type { Waiting } from './team.ts';

export interface WasmOptions {
  /** Number of threads, 1 to 256. Default: the number of cores, or the CPU quota of the container if that is less. */
  readonly threads?: number;
  /**
   * The SIMD binary: 'plain', 'relaxed' (relaxed multiply-add) or 'wide' (the same on vectors of 256 bits, with the same bits). 'auto'
   * takes the fastest one, which is 'wide' on Node 24 to 26 (x64, except macOS). It then sets the V8 flag
   * --experimental-wasm-revectorize for the process. On other systems, 'wide' is correct but slower than 'relaxed'. Default 'auto'.
   */
  readonly simd?: Simd | 'auto';
  /**
   * The algorithm of convolutions. 'auto' uses Winograd's algorithm if it should be faster. With 'direct', a NaN, an infinity or an
   * outlier affects only the outputs and input gradients whose window contains it. Weight gradients sum over all windows, including
   * padding, so they become NaN with both algorithms. Default 'auto'.
   */
  readonly convolution?: 'auto' | 'direct';
  /** Whether worker threads compute. With false, the calling thread computes and blocks during a run. Default true. */
  readonly workers?: boolean;
}

/**
 * Makes a CPU backend: WebAssembly kernels with SIMD on several threads.
 *
 * Throws BackendError without WebAssembly, shared memory or the SIMD instructions, and RangeError for options out of range.
 *
 * @example const backend = await wasm({ threads: 2 });
 */
export function wasm(options: WasmOptions = {}): Promise<Backend> {
  return wasmWith({}, options);
}

/** Options for the engine and its tests. They are not public. */
interface Internals {
  /** The report's `noGpu`; null leaves it out. */
  readonly noGpu?: string | null;
  readonly waiting?: Waiting;
}

/** `wasm` with internal options. */
export async function wasmWith(
  { noGpu = null, waiting }: Internals,
  options: WasmOptions = {},
): Promise<Backend> {
  checkOptions('wasm', options, ['threads', 'simd', 'convolution', 'workers']);
  const { simd = 'auto', convolution = 'auto', workers = true } = options;
  const cores = await availableCores();
  const { threads = cores } = options;
  checkInteger('wasm', 'threads', threads, 1, 256);
  checkOneOf('wasm', 'simd', simd, ['auto', ...SIMD_KINDS]);
  checkOneOf('wasm', 'convolution', convolution, ['auto', 'direct']);
  checkBoolean('wasm', 'workers', workers);
  if (typeof WebAssembly === 'undefined') {
    throw new BackendError(
      "wasm: there is no WebAssembly here (is it switched off? use the 'reference' backend)",
    );
  }
  const { openWasm } = await import('./driver.ts');
  return openWasm({ simd, convolution, workers, cores, threads, waiting, noGpu });
}
