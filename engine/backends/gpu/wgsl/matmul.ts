/** Matrix products of dense matrices of any size, transposed or not. */
import { gemm, type Operand } from './gemm.ts';
import type { KernelModule } from '../kernel.ts';
import type { Binding, WgslLimits } from './template.ts';
import { chooseTiling, type ProductSize, type Tiling } from './tile.ts';

export interface MatmulSizes extends ProductSize {
  readonly transA: boolean;
  readonly transB: boolean;
}

/**
 * Returns what lies at offset `at` where `inside` holds, else 0. Without branches: compilers of shaders take long over
 * them, and a load from the beginning costs nothing.
 */
export const loadOrZero = (name: string, inside: string, at: string, vectors: boolean): string =>
  `let inside = ${inside};
  let offset = select(0u, ${at}, inside);
  return ${vectors ? `select(vec4<f32>(), ${name}[offset / 4u], inside)` : `select(0.0, ${name}[offset], inside)`};`;

/**
 * A dense operand of `rows` × `depth` values for each of a batch, stored [rows, depth] (`deep`) or [depth, rows]. Four
 * neighbors are one load where the inner axis is a multiple of four.
 */
export function matrix(
  name: 'a' | 'b',
  { rows, depth, deep }: { readonly rows: number; readonly depth: number; readonly deep: boolean },
  binding: Binding,
): Operand {
  const inner = deep ? depth : rows;
  const vectors = inner % 4 === 0;
  const start = deep ? `r * ${depth}u` : 'r';
  const at = deep ? 'u32(p.x) + k' : `u32(p.x) + k * ${rows}u`;
  return {
    along: deep ? 'depth' : 'across',
    vectors,
    binding,
    origin: `return vec4<i32>(i32(z * ${rows * depth}u + ${start}), select(0, 1, r < ${rows}u), 0, 0);`,
    fetch: loadOrZero(name, `p.y != 0 && k < ${depth}u`, at, vectors),
  };
}

/** Inputs 0 and 1: a [batch, m, k] and b [batch, k, n], or their transposes; output 0 [batch, m, n]. */
export function matmul(
  { batch, m, n, k, transA, transB }: MatmulSizes,
  limits: WgslLimits,
  tiling: Tiling | null = chooseTiling({ batch, m, n, k }, limits),
): readonly KernelModule<Binding>[] | null {
  if (tiling === null) return null;
  return gemm(
    {
      name: 'matmul',
      batch,
      m,
      n,
      k,
      a: matrix('a', { rows: m, depth: k, deep: !transA }, { input: 0 }),
      b: matrix('b', { rows: n, depth: k, deep: transB }, { input: 1 }),
      output: { output: 0 },
      row: `(z * ${m}u + m) * ${n}u`,
    },
    tiling,
  );
}
