/** The compiled kernels: the binary that suits this engine, and how it is instantiated. */
import { BackendError } from '../../errors.ts';
import { K } from './kernels.generated.ts';
import { chooseSimd, isFused, type Simd } from './simd.ts';

export interface Kernels {
  readonly simd: Simd;
  /** Whether multiply-adds are rounded once. */
  readonly fused: boolean;
  readonly module: WebAssembly.Module;
  /** Floats of a vector in micro-kernels and transforms. */
  readonly lanes: number;
}

/** What the module exports, as far as the host calls it. */
export interface KernelExports {
  runPlan(control: number, thread: number): number;
  heapBase(): number;
}

/** The binaries as base64. A program loads the one that it runs. */
const BINARIES: Readonly<Record<Simd, () => Promise<{ readonly default: string }>>> = {
  plain: () => import('./binaries/plain.generated.ts'),
  relaxed: () => import('./binaries/relaxed.generated.ts'),
  wide: () => import('./binaries/wide.generated.ts'),
};

/** The binary of the kind asked for. Throws BackendError when the engine does not accept it. */
export async function loadKernels(wanted: Simd | 'auto'): Promise<Kernels> {
  const simd = await chooseSimd('wasm', wanted);
  const lanes = simd === 'wide' ? 2 * K.LANES : K.LANES;
  const { default: base64 } = await BINARIES[simd]();
  try {
    const module = await WebAssembly.compile(decode(base64));
    return { simd, fused: simd !== 'plain' && isFused(), module, lanes };
  } catch (error) {
    if (/content security policy|code generation disallowed/i.test(String(error))) {
      throw new BackendError(
        "wasm: the content security policy of this page forbids WebAssembly (add 'wasm-unsafe-eval' to its script-src)",
        { cause: error },
      );
    }
    throw new BackendError(
      "wasm: this JavaScript engine has no WebAssembly SIMD with threads (use a newer one, or the 'reference' backend)",
      { cause: error },
    );
  }
}

/** An instance for the calling thread, which meets no other threads. */
export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): KernelExports {
  const env = {
    memory,
    now: () => performance.now(),
    sleep(): never {
      throw new BackendError('wasm: the calling thread must not sleep');
    },
  };
  const { exports } = new WebAssembly.Instance(module, { env });
  return exports as unknown as KernelExports;
}

function decode(base64: string): Uint8Array<ArrayBuffer> {
  if (typeof Buffer !== 'undefined') return Buffer.from(base64, 'base64');
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}
