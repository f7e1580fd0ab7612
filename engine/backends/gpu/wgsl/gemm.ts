/**
 * The one template of matrix products and of convolutions as products: a tile of results in registers, both operands
 * through workgroup memory. What the operands are is text of their own.
 */
import type { KernelModule } from '../kernel.ts';
import { bindingsOf, declarationsOf, type Binding, type Variable } from './template.ts';
import { foldWorkgroups } from './fold.ts';
import type { ProductSize, Tiling } from './tile.ts';

/**
 * One operand of a product, as a matrix of rows (of A) or columns (of B) along the sum of k terms.
 *
 * `origin` is the body of `fn(z: u32, r: u32) -> vec4<i32>`: what does not depend on k in the position of row r of product z.
 * `fetch` is the body of `fn(p: vec4<i32>, k: u32)`, which loads term k of the row with origin p, or 0 outside the operand:
 * an `f32`, or with `vectors` a `vec4<f32>` of four neighbors along the axis that is contiguous in memory.
 */
export interface Operand {
  /** The axis along which memory is contiguous: along the sum, or across it. */
  readonly along: 'depth' | 'across';
  readonly vectors: boolean;
  readonly origin: string;
  readonly fetch: string;
  readonly binding: Binding;
  /** Constants and functions that the bodies use. */
  readonly helpers?: string;
}

export interface Product extends ProductSize {
  readonly name: string;
  readonly a: Operand;
  readonly b: Operand;
  readonly output: Binding;
  /** WGSL expression of z and m: where row m of product z begins in the output, in floats (a multiple of n). */
  readonly row: string;
  /** A value for each column, added to it. */
  readonly bias?: Binding;
  /** max(0, x) of the result, which keeps NaN. */
  readonly relu?: boolean;
  /** The sums of B over k, beside the product. */
  readonly columnSums?: Binding;
}

const variable = (
  name: string,
  binding: Binding,
  access: Variable['access'],
  vectors: boolean,
): Variable => ({ name, binding, access, type: vectors ? 'vec4<f32>' : 'f32' });

/** Results and what they are made of besides the product, bound in this order in both modules. */
function resultsOf({ n, bias, output, columnSums }: Product): Variable[] {
  const vectors = n % 4 === 0;
  return [
    ...(bias === undefined ? [] : [variable('bias', bias, 'read', vectors)]),
    variable('result', output, 'read_write', vectors),
    ...(columnSums === undefined ? [] : [variable('sums', columnSums, 'read_write', vectors)]),
  ];
}

/** Multiply-adds from which on the sum of a tile is left to be unrolled. */
const UNROLLED = 2 ** 26;

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** The modules of a product: one, or two for a split sum. */
export function gemm(product: Product, tiling: Tiling): KernelModule<Binding>[] {
  const { batch, m, n, k, columnSums } = product;
  if (batch * m * n === 0) return [];
  if (k === 0) return [addParts(product, 0)];
  if (tiling.splits === 1) return [multiply(product, tiling)];
  const parts: Product = {
    name: product.name,
    batch,
    m,
    n,
    k,
    a: product.a,
    b: product.b,
    output: { scratch: 0, elements: tiling.splits * batch * m * n },
    row: `((part * ${batch}u + z) * ${m}u + m) * ${n}u`,
    ...(columnSums && { columnSums: { scratch: 1, elements: tiling.splits * n } }),
  };
  return [multiply(parts, tiling), addParts(product, tiling.splits)];
}

/** `fn put(…)`: stores four neighboring results, as vectors where rows of the output begin at multiples of four. */
function putText({ n, row, bias, relu }: Product): string {
  const vectors = n % 4 === 0;
  const plus = bias === undefined ? 'v' : vectors ? 'v + bias[n / 4u]' : 'v + biasOf(n)';
  const value = relu === true ? `select(${plus}, vec4<f32>(), ${plus} < vec4<f32>())` : plus;
  const store = vectors
    ? 'result[(at + n) / 4u] = w;'
    : range(4)
        .map((i) => `if (n + ${i}u < ${n}u) { result[at + n + ${i}u] = w[${i}]; }`)
        .join('\n  ');
  const tail =
    bias !== undefined && !vectors
      ? `fn biasOf(n: u32) -> vec4<f32> { return vec4<f32>(${range(4)
          .map((i) => `bias[min(n + ${i}u, ${n - 1}u)]`)
          .join(', ')}); }\n`
      : '';
  return `${tail}fn put(part: u32, z: u32, m: u32, n: u32, v: vec4<f32>) {
  let at = ${row};
  let w = ${value};
  ${store}
}`;
}

/** `fn putSum(…)`: stores four neighboring column sums. */
function putSumText(n: number): string {
  const store =
    n % 4 === 0
      ? `sums[(part * ${n}u + n) / 4u] = v;`
      : range(4)
          .map((i) => `if (n + ${i}u < ${n}u) { sums[part * ${n}u + n + ${i}u] = v[${i}]; }`)
          .join('\n  ');
  return `fn putSum(part: u32, n: u32, v: vec4<f32>) {
  ${store}
}`;
}

/** The functions of an operand, and `loadA`, with which all threads together load a tile into workgroup memory. */
function operandText(
  name: 'A' | 'B',
  { along, vectors, origin, fetch, helpers = '' }: Operand,
  { extent, depth, stride, threads }: { extent: number; depth: number; stride: number; threads: number },
): string {
  const across = extent / 4;
  const at = (i: number): string => `fetch${name}(origin${name}(z, first + 4u * r + ${i}u), start + k)`;
  const four = range(4).map(at).join(', ');
  // A unit is four rows at one k, or a block of 4 × 4 where a load has four terms of one row.
  const block = along === 'depth' && vectors;
  const units = block ? (across * depth) / 4 : across * depth;
  const deep = block ? depth / 4 : depth;
  const body = block
    ? `let v = transpose(mat4x4<f32>(${four}));
    ${range(4)
      .map((i) => `tile${name}[(k + ${i}u) * ${stride}u + r] = v[${i}];`)
      .join(' ')}`
    : `tile${name}[k * ${stride}u + r] = ${vectors ? at(0) : `vec4<f32>(${four})`};`;
  // Neighboring threads take neighboring memory.
  const [r, k] =
    along === 'depth'
      ? [`unit / ${deep}u`, `unit % ${deep}u${block ? ' * 4u' : ''}`]
      : [`unit % ${across}u`, `unit / ${across}u`];
  const loop =
    units > threads
      ? `for (var unit = thread; unit < ${units}u; unit += ${threads}u) {`
      : `let unit = thread;
  if (unit < ${units}u) {`;
  return `${helpers}
var<workgroup> tile${name}: array<vec4<f32>, ${depth * stride}>;
fn origin${name}(z: u32, r: u32) -> vec4<i32> {
  ${origin}
}
fn fetch${name}(p: vec4<i32>, k: u32) -> ${vectors ? 'vec4<f32>' : 'f32'} {
  ${fetch}
}
fn load${name}(thread: u32, z: u32, first: u32, start: u32) {
  ${loop}
    let r = ${r};
    let k = ${k};
    ${body}
  }
}`;
}

function multiply(product: Product, { tile, splits, part }: Tiling): KernelModule<Binding> {
  const { m, n, k, batch, a, b, columnSums } = product;
  const threadColumns = tile.n / tile.columns;
  const threadRows = tile.m / tile.rows;
  const threads = threadColumns * threadRows;
  const tiles = { m: Math.ceil(m / tile.m), n: Math.ceil(n / tile.n) };
  const fold = foldWorkgroups(tiles.m * tiles.n * batch * splits);

  // A row is longer by one where the threads that store a column of it would meet in one bank.
  const shape = (extent: number, { along }: Operand) => ({
    extent,
    depth: tile.k,
    stride: extent / 4 + (along === 'depth' ? 1 : 0),
    threads,
  });
  const sideA = shape(tile.m, a);
  const sideB = shape(tile.n, b);
  const rows = range(tile.rows);
  const vectors = range(tile.columns / 4);
  const accumulators = rows.flatMap((i) => vectors.map((j) => `c${i}_${j}`));
  const sums = columnSums === undefined ? [] : vectors.map((j) => `sum${j}`);
  const variables = [
    variable('a', a.binding, 'read', a.vectors),
    variable('b', b.binding, 'read', b.vectors),
    ...resultsOf(product),
  ];
  // Compilers unroll loops whose length they know. Large products gain from that; a software adapter takes seconds over it,
  // so small products hide theirs behind a zero that no compiler sees.
  const zero = batch * m * n * k >= UNROLLED ? '0u' : 'group.z';
  const inside = (at: string, bound: number, extent: number, body: string): string =>
    bound % extent === 0 ? body : `if (${at} < ${bound}u) { ${body} }`;

  const code = `${declarationsOf(variables)}
${operandText('A', a, sideA)}
${operandText('B', b, sideB)}
${putText(product)}
${columnSums === undefined ? '' : putSumText(n)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${fold.number}
  let n0 = (number % ${tiles.n}u) * ${tile.n}u;
  let m0 = (number / ${tiles.n}u % ${tiles.m}u) * ${tile.m}u;
  let part = number / ${tiles.n * tiles.m}u % ${splits}u;
  let z = number / ${tiles.n * tiles.m * splits}u;
  let tx = thread % ${threadColumns}u;
  let ty = thread / ${threadColumns}u;
  ${accumulators.map((c) => `var ${c}: vec4<f32>;`).join(' ')}
  ${sums.map((s) => `var ${s}: vec4<f32>;`).join(' ')}
  let begin = part * ${part}u + ${zero};
  let end = min(begin + ${part}u, ${k}u);
  for (var k = begin; k < end; k += ${tile.k}u) {
    loadA(thread, z, m0, k);
    loadB(${threads - 1}u - thread, z, n0, k);
    workgroupBarrier();
    for (var i = 0u; i < ${tile.k}u - ${zero}; i++) {
      ${range(tile.rows / 4)
        .map((i) => `let a${i} = tileA[i * ${sideA.stride}u + ${i * threadRows}u + ty];`)
        .join(' ')}
      ${vectors.map((j) => `let b${j} = tileB[i * ${sideB.stride}u + ${j * threadColumns}u + tx];`).join(' ')}
      ${rows
        .flatMap((i) =>
          vectors.map(
            (j) => `c${i}_${j} = fma(vec4<f32>(a${Math.floor(i / 4)}[${i % 4}]), b${j}, c${i}_${j});`,
          ),
        )
        .join('\n      ')}
      ${columnSums === undefined ? '' : `if (m0 == 0u) { ${vectors.map((j) => `sum${j} += b${j};`).join(' ')} }`}
    }
    workgroupBarrier();
  }
  ${rows
    .flatMap((i) =>
      vectors.map((j) => {
        const row = `m0 + ${4 * Math.floor(i / 4) * threadRows + (i % 4)}u + 4u * ty`;
        const column = `n0 + ${4 * j * threadColumns}u + 4u * tx`;
        return inside(
          row,
          m,
          tile.m,
          inside(column, n, tile.n, `put(part, z, ${row}, ${column}, c${i}_${j});`),
        );
      }),
    )
    .join('\n  ')}
  ${
    columnSums === undefined
      ? ''
      : `if (m0 == 0u && ty == 0u) { ${vectors
          .map((j) => {
            const column = `n0 + ${4 * j * threadColumns}u + 4u * tx`;
            return inside(column, n, tile.n, `putSum(part, ${column}, sum${j});`);
          })
          .join(' ')} }`
  }
}
`;
  return {
    name: `${product.name} ${tile.m}×${tile.n}×${tile.k}${splits === 1 ? '' : ` in ${splits} parts`}`,
    code,
    bindings: bindingsOf(variables),
    workgroups: fold.workgroups,
  };
}

/** Adds the parts of a split sum, in order; none at all leaves zeros. */
function addParts(product: Product, splits: number): KernelModule<Binding> {
  const { name, batch, m, n, columnSums } = product;
  const vectors = n % 4 === 0;
  const width = Math.ceil(n / 4); // a thread has four columns of a row, the last one perhaps fewer
  const threads = (batch * m + (columnSums === undefined ? 0 : 1)) * width;
  const fold = foldWorkgroups(Math.ceil(threads / 64));
  const total = batch * m * n;
  const scratch = splits === 0 ? [] : [{ scratch: 0, elements: splits * total }];
  const sumScratch = splits === 0 || columnSums === undefined ? [] : [{ scratch: 1, elements: splits * n }];
  const variables = [
    ...scratch.map((binding) => variable('parts', binding, 'read', vectors)),
    ...sumScratch.map((binding) => variable('sumParts', binding, 'read', vectors)),
    ...resultsOf(product),
  ];
  const adding = (from: string, at: string, each: number): string => {
    if (splits === 0) return '';
    const value = vectors
      ? `${from}[(${at} + i * ${each}u) / 4u]`
      : `vec4<f32>(${range(4)
          .map((i) => `${from}[${at} + i * ${each}u + min(${i}u, ${n - 1}u - n)]`)
          .join(', ')})`;
    return `for (var i = 0u; i < ${splits}u; i++) { v += ${value}; }`;
  };
  return {
    name: splits === 0 ? `${name} of nothing` : `${name}: adds ${splits} parts`,
    code: `${declarationsOf(variables)}
${putText(product)}
${columnSums === undefined ? '' : putSumText(n)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
  ${fold.number}
  let own = number * 64u + thread;
  if (own >= ${threads}u) { return; }
  let n = own % ${width}u * 4u;
  let row = own / ${width}u;
  var v: vec4<f32>;
  ${
    columnSums === undefined
      ? ''
      : `if (row == ${batch * m}u) {
    ${adding('sumParts', 'n', n)}
    putSum(0u, n, v);
    return;
  }`
  }
  ${adding('parts', `row * ${n}u + n`, total)}
  put(0u, row / ${m}u, row % ${m}u, n, v);
}
`,
    bindings: bindingsOf(variables),
    workgroups: fold.workgroups,
  };
}
