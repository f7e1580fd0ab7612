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
  if (wanted !== 'plain') {
    const bytes = decode(relaxed);
    if (WebAssembly.validate(bytes) || ((await enableRelaxedSimd()) && WebAssembly.validate(bytes))) {
      return { simd: 'relaxed', module: await WebAssembly.compile(bytes) };
    }
    if (wanted === 'relaxed') {
      throw new BackendError(
        "wasm: this JavaScript engine has no relaxed SIMD (use simd: 'plain' or 'auto')",
      );
    }
  }
  const bytes = decode(plain);
  if (!WebAssembly.validate(bytes)) {
    throw new BackendError(
      "wasm: this JavaScript engine has no WebAssembly SIMD with threads (use a newer one, or the 'reference' backend)",
    );
  }
  return { simd: 'plain', module: await WebAssembly.compile(bytes) };
}

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
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
