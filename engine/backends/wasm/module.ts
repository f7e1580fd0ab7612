/** The compiled kernels: which of the two SIMD binaries this engine accepts, and how it is instantiated. */
import { BackendError } from '../../errors.ts';
import { plain, relaxed } from './kernels.generated.ts';

export type Simd = 'plain' | 'relaxed';

export interface Kernels {
  readonly simd: Simd;
  readonly module: WebAssembly.Module;
}

/** What the module exports, as far as the host calls it. */
export interface KernelExports {
  runPlan(control: number, thread: number): number;
  heapBase(): number;
}

/**
 * The binary of the kind asked for; 'auto' takes relaxed SIMD (fused multiply-add) where the engine has it.
 * Throws BackendError when the engine does not accept it.
 */
export async function loadKernels(wanted: Simd | 'auto'): Promise<Kernels> {
  if (wanted !== 'plain' && (hasRelaxedSimd() || ((await enableRelaxedSimd()) && hasRelaxedSimd()))) {
    return { simd: 'relaxed', module: await WebAssembly.compile(decode(relaxed)) };
  }
  if (wanted === 'relaxed') {
    throw new BackendError("wasm: this JavaScript engine has no relaxed SIMD (use simd: 'plain' or 'auto')");
  }
  try {
    return { simd: 'plain', module: await WebAssembly.compile(decode(plain)) };
  } catch (error) {
    throw new BackendError(
      "wasm: this JavaScript engine has no WebAssembly SIMD with threads (use a newer one, or the 'reference' backend)",
      { cause: error },
    );
  }
}

/** A module with one function, f32x4.relaxed_madd of three zeros: to validate the kernels themselves takes longer than to compile them. */
const PROBE = Uint8Array.from(
  [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // \0asm, version 1
    [1, 5, 1, 0x60, 0, 1, 0x7b], // one type: () -> v128
    [3, 2, 1, 0], // one function of it
    [10, 61, 1, 59, 0], // its body
    ...Array.from({ length: 3 }, () => [0xfd, 12, ...new Uint8Array(16)]), // v128.const 0
    [0xfd, 0x85, 2, 0x0b], // f32x4.relaxed_madd, end
  ].flat(),
);

const hasRelaxedSimd = (): boolean => WebAssembly.validate(PROBE);

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): KernelExports {
  const { exports } = new WebAssembly.Instance(module, { env: { memory, now: () => performance.now() } });
  return exports as unknown as KernelExports;
}

/** Node 20 has relaxed SIMD behind a flag of V8 that may be set at run time, before the module is compiled. */
async function enableRelaxedSimd(): Promise<boolean> {
  if (typeof process === 'undefined' || process.versions?.v8 === undefined) return false;
  const v8 = await import('node:v8');
  v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
  return true;
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  if (typeof Buffer !== 'undefined') return Buffer.from(base64, 'base64');
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
