/** The SIMD instructions of this JavaScript engine, and the V8 flags that enable more of them. */
import { BackendError } from '../../errors.ts';

/**
 * The SIMD binaries: 'plain' has vectors of 128 bits, 'relaxed' adds relaxed multiply-adds, 'wide' has them on vectors of 256 bits. The
 * last two give the same bits.
 */
export const SIMD_KINDS = ['plain', 'relaxed', 'wide'] as const;
/** The name of a SIMD binary. */
export type Simd = (typeof SIMD_KINDS)[number];

/**
 * Resolves 'auto' to the fastest supported binary. 'auto' takes 'wide' only on tested versions of Node. An explicit 'wide' runs wherever
 * 'relaxed' does. It does not check for 'plain'.
 * Throws BackendError if the JavaScript engine lacks the named instructions.
 */
export async function chooseSimd(caller: string, wanted: Simd | 'auto'): Promise<Simd> {
  if (wanted === 'plain') return 'plain';
  const relaxed =
    hasRelaxedSimd() || ((await setFlag('--experimental-wasm-relaxed-simd')) && hasRelaxedSimd());
  if (!relaxed && wanted === 'auto') return 'plain';
  if (!relaxed)
    throw new BackendError(
      `${caller}: this JavaScript engine has no relaxed SIMD (use simd: 'plain' or 'auto')`,
    );
  if (wanted === 'relaxed') return 'relaxed';
  const joins = wideSimdUnavailableReason() === null && (await setFlag('--experimental-wasm-revectorize'));
  return joins || wanted === 'wide' ? 'wide' : 'relaxed';
}

/** Major versions of V8 (Node 24 to 26) with which the wide binary is tested. Its flag is experimental. */
const JOINING = ['13', '14'];

/**
 * Why the 'wide' binary does not run fast here: why V8 does not join pairs of 128-bit vectors into vectors of 256 bits. Null if it does,
 * on Node 24 to 26 on x64, except macOS.
 *
 * @example console.log(wideSimdUnavailableReason() ?? 'wide SIMD is available');
 */
export function wideSimdUnavailableReason(): string | null {
  if (typeof process === 'undefined' || process.versions?.v8 === undefined) return 'this is not Node';
  if (process.arch !== 'x64') return `the processor is ${process.arch}, not x64`;
  const major = process.versions.v8.split('.')[0];
  if (!JOINING.includes(major)) return `it was tested with Node 24 to 26, not with V8 ${major}`;
  const variables = process.config?.variables as Readonly<Record<string, unknown>> | undefined;
  if (variables?.['v8_enable_wasm_simd256_revec'] !== 1) return 'this build of Node cannot';
  return isFused() ? null : 'the processor has no fused multiply-add, and so hardly such vectors';
}

/** Sets a flag of V8 at run time. It applies to all code of the process that is compiled later. */
async function setFlag(flag: string): Promise<boolean> {
  if (typeof process === 'undefined' || process.versions?.v8 === undefined) return false;
  try {
    (await import('node:v8')).setFlagsFromString(flag);
    return true;
  } catch {
    return false; // other runtimes report a version of V8 without having V8
  }
}

/**
 * A module with one function of three floats: a · b + c by f32x4.relaxed_madd. Validation of the kernels themselves would take longer
 * than their compilation.
 */
const PROBE = Uint8Array.from(
  [
    [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // \0asm, version 1
    [1, 8, 1, 0x60, 3, 0x7d, 0x7d, 0x7d, 1, 0x7d], // one type: (f32, f32, f32) -> f32
    [3, 2, 1, 0], // one function of it
    [7, 5, 1, 1, 0x66, 0, 0], // exported as f
    [10, 22, 1, 20, 0], // its body
    ...[0, 1, 2].map((local) => [0x20, local, 0xfd, 0x13]), // f32x4.splat
    [0xfd, 0x85, 2, 0xfd, 0x1f, 0, 0x0b], // f32x4.relaxed_madd, f32x4.extract_lane 0, end
  ].flat(),
);

const hasRelaxedSimd = (): boolean => WebAssembly.validate(PROBE);

/**
 * Whether relaxed multiply-adds are fused, that is, rounded once. x64 processors that fuse them also have vectors of 256 bits, except a
 * few AMD processors from 2012 to 2014.
 */
export function isFused(): boolean {
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports;
  const x = 1 + 2 ** -12;
  return (f as (a: number, b: number, c: number) => number)(x, x, -(1 + 2 ** -11)) !== 0;
}
