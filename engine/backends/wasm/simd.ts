/** Which SIMD instructions this JavaScript engine has, and which of V8's flags bring more. */
import { BackendError } from '../../errors.ts';

/**
 * Vectors of 128 bits, the same with relaxed multiply-add, and vectors of 256 bits with it. The last two give the same bits: those of
 * fused multiply-adds where `isFused()`.
 */
export const SIMD_KINDS = ['plain', 'relaxed', 'wide'] as const;
export type Simd = (typeof SIMD_KINDS)[number];

/**
 * Resolves 'auto' to the fastest supported kind. 'auto' picks 'wide' only on tested Node versions; an explicit 'wide' runs
 * wherever 'relaxed' does. Does not check for 'plain'.
 * Throws BackendError when the JavaScript engine lacks the named kind.
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

/** Major versions of V8 (those of Node 24 to 26) on which the wide binary is tested. Its flag is experimental. */
const JOINING = ['13', '14'];

/**
 * Why V8 does not combine pairs of 128-bit vectors into 256-bit ones here when it optimizes code; null where it does: on Node 24
 * to 26 on x64, except on macOS.
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

/** Node lets V8's flags be set at run time: they count for what is compiled from then on, in the whole process. */
async function setFlag(flag: string): Promise<boolean> {
  if (typeof process === 'undefined' || process.versions?.v8 === undefined) return false;
  try {
    (await import('node:v8')).setFlagsFromString(flag);
    return true;
  } catch {
    return false; // other runtimes name a V8 and have none
  }
}

/**
 * A module with one function, of three floats: a · b + c by f32x4.relaxed_madd. To validate the kernels themselves takes longer
 * than to compile them.
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
 * Whether relaxed multiply-adds are fused, that is, rounded once. Processors for x64 that fuse them have vectors of 256 bits too, except
 * a few of AMD's from 2012 to 2014.
 */
export function isFused(): boolean {
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(PROBE)).exports;
  const x = 1 + 2 ** -12;
  return (f as (a: number, b: number, c: number) => number)(x, x, -(1 + 2 ** -11)) !== 0;
}
