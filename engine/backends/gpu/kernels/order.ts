/**
 * Prefix sums, sorting and scatter-adds along the middle axis of [outer, n, inner]; a scatter-add sorts its index. One thread
 * handles a block; beyond that, merges double the sorted runs, and threads search them by bisection.
 */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { sizeOf } from '../../../shape.ts';
import type { Shape } from '../../../types.ts';
import type { BufferId, KernelSource } from '../kernel.ts';
import type { Lowering, LoweringContext } from '../lowering.ts';
import { expectExact, int, literal, returnHalf } from '../text.ts';
import { copySource } from './elementwise.ts';
import { indexCheck } from './layout.ts';

/** Elements that one thread searches itself: iterations of a loop instead of more kernels. A power of two. */
const BLOCK = 128;

/**
 * Iterations of a binary search, which ends after at most 24. Mesa unrolls loops of up to 32 iterations, and then takes far
 * longer to compile the merges.
 */
const SEARCH_STEPS = 33;

/** The number of the block that a position lies in; `size` is a power of two. */
const blockOf = (at: string, size: number): string => `Math.floor(${at} * ${literal(1 / size)})`;

const cumsum: Lowering<AttrsOf<'cumsum'>> = (context) => {
  const { inputs, outputs, types, attrs, emit, scratch } = context;
  const [x, y] = [inputs[0], outputs[0]];
  const [{ shape }] = types;
  const elements = sizeOf(shape);
  if (elements === 0) return;
  expectExact('cumsum', shape[1]);
  // A kernel reads elements of x that another thread would overwrite.
  const to = x === y ? scratch(elements) : y;
  emitPrefixSum(context, x, shape, attrs, to);
  if (to !== y) emit(copySource(to, y, elements));
};

/** Each thread adds up its own block and the prefix sum of the blocks before it. */
function emitPrefixSum(
  context: LoweringContext,
  x: BufferId,
  [outer, n, inner]: Shape,
  { exclusive, reverse }: AttrsOf<'cumsum'>,
  to: BufferId,
): void {
  const { emit, scratch } = context;
  const blocks = Math.ceil(n / BLOCK);
  const at = (r: string): string => (reverse ? `${n - 1} - (${r})` : r);
  let args: KernelSource['args'] = { x: { buffer: x, dims: [inner, n, outer] } };
  if (blocks > 1) {
    const [sums, earlier] = [scratch(outer * blocks * inner), scratch(outer * blocks * inner)];
    emit({
      body: `let sum = 0;
        for (let k = 0; k < ${BLOCK}; k++) {
          if (Y * ${BLOCK} + k < ${n}) { sum += x[Z][${at(`Y * ${BLOCK} + k`)}][X]; }
        }
        return sum;`,
      args,
      output: [inner, blocks, outer],
      to: sums,
    });
    emitPrefixSum(context, sums, [outer, blocks, inner], { exclusive: true, reverse: false }, earlier);
    args = { ...args, earlier: { buffer: earlier, dims: [inner, blocks, outer] } };
  }
  emit({
    body: `const own = ${at('Y')};
      const block = ${blockOf('own', BLOCK)};
      let sum = ${blocks > 1 ? 'earlier[Z][block][X]' : '0'};
      for (let k = 0; k < ${Math.min(BLOCK, n)}; k++) {
        const r = block * ${BLOCK} + k;
        if (r ${exclusive ? '<' : '<='} own) { sum += x[Z][${at('r')}][X]; }
      }
      return sum;`,
    args,
    output: [inner, n, outer],
    to,
  });
}

const sort: Lowering<AttrsOf<'sort'>> = (context) => {
  const {
    inputs: [x],
    outputs: [values, indices],
    types: [{ shape }],
    attrs,
    emit,
  } = context;
  const [rows, n] = shape;
  if (sizeOf(shape) === 0) return;
  const { descending } = attrs;
  const order = { buffer: emitOrder(context, x, [rows, n, 1], descending), dims: [n, rows] } as const;
  emit({
    body: 'const found = order[Y][X];\nreturn x[Y][found];',
    args: { x: { buffer: x, dims: [n, rows] }, order },
    output: [n, rows],
    to: values,
  });
  emit({
    body: `const found = order[Z][Y];\n${returnHalf('found', 'X')}`,
    args: { order },
    output: [2, n, rows],
    to: indices,
  });
};

/**
 * A stable sort of the middle axis of keys [outer, n, inner]; returns a buffer with the index of each position's key. Blocks
 * are sorted by rank, then runs are merged in pairs: each position finds by bisection how many of the left run precede it.
 */
function emitOrder(
  { emit, scratch }: LoweringContext,
  buffer: BufferId,
  shape: Shape,
  descending = false,
): BufferId {
  const [outer, n, inner] = shape;
  expectExact('sorting', n);
  const output = [inner, n, outer] as const;
  const keys = { buffer, dims: output };
  const before = (a: string, b: string): string => (descending ? `before(${b}, ${a})` : `before(${a}, ${b})`);
  let [order, other] = [scratch(sizeOf(shape)), scratch(sizeOf(shape))];
  const inBlock = (act: string): string => `const first = ${blockOf('Y', BLOCK)} * ${BLOCK};
    let result = first;
    for (let k = 0; k < ${Math.min(BLOCK, n)}; k++) {
      const r = first + k;
      if (r < ${n}) { ${act} }
    }
    return result;`;
  emit({
    body: `const own = keys[Z][Y][X];
      ${inBlock(`const key = keys[Z][r][X];
        if (r < Y) { result += 1 - ${before('own', 'key')}; } else { result += ${before('key', 'own')}; }`)}`,
    args: { keys },
    output,
    to: other,
  });
  emit({
    body: inBlock('if (rank[Z][r][X] === Y) { result = r; }'),
    args: { rank: { buffer: other, dims: output } },
    output,
    to: order,
  });
  for (let run = BLOCK; run < n; run *= 2) {
    emit({
      body: `const first = ${blockOf('Y', 2 * run)} * ${2 * run};
        const middle = Math.min(first + ${run}, ${n});
        const end = Math.min(middle + ${run}, ${n});
        const own = Y - first;
        let low = Math.max(own - (end - middle), 0);
        let high = Math.min(own, middle - first);
        for (let turn = 0; turn < ${SEARCH_STEPS}; turn++) {
          if (low >= high) { break; }
          const half = Math.floor((low + high) * 0.5);
          const left = order[Z][first + half][X];
          const right = order[Z][middle + own - 1 - half][X];
          if (${before('keys[Z][right][X]', 'keys[Z][left][X]')} > 0) { high = half; } else { low = half + 1; }
        }
        const l = first + low;
        const r = middle + own - low;
        if (l >= middle) { return order[Z][r][X]; }
        const left = order[Z][l][X];
        if (r >= end) { return left; }
        const right = order[Z][r][X];
        if (${before('keys[Z][right][X]', 'keys[Z][left][X]')} > 0) { return right; }
        return left;`,
      args: { keys, order: { buffer: order, dims: output } },
      output,
      to: other,
    });
    [order, other] = [other, order];
  }
  return order;
}

/** Adds rows at the positions of an index. */
const scatterAddRows: Lowering<AttrsOf<'scatterAddRows'>> = (context) => {
  const { shape } = context.types[0];
  emitScatter(context, [1, shape[0], sizeOf(shape.slice(1))], context.attrs.n, 1);
};

const scatterAddAlongAxis: Lowering<AttrsOf<'scatterAddAlongAxis'>> = (context) => {
  const { shape } = context.types[0];
  emitScatter(context, shape, context.attrs.n, shape[2]);
};

/**
 * Adds g [outer, m, inner] into [outer, n, inner] by an index [outer, m, columns], which has one column or as many as g. Each
 * thread scans a short index; a long one is sorted, so that each thread reads its own entries, in the order of the index.
 */
function emitScatter(context: LoweringContext, [outer, m, inner]: Shape, n: number, columns: number): void {
  const {
    inputs: [g, at],
    outputs: [to],
    emit,
    check,
    scratch,
  } = context;
  expectExact('adding by an index', n);
  const entries = outer * m * columns;
  const column = columns === 1 ? '0' : 'X';
  const output = [inner, n, outer] as const;
  const values = { buffer: g, dims: [inner, m, outer] } as const;
  const index = { buffer: at, dims: [2 * columns, m, outer] } as const;
  check(indexCheck({ buffer: at, dims: [2 * entries] }, entries, n));
  if (m === 0) {
    emit({ body: 'return 0;', args: {}, output, to });
    return;
  }
  if (m <= BLOCK) {
    emit({
      body: `let sum = 0;
        for (let k = 0; k < ${m}; k++) { if (${int('index[Z][k]', column)} === Y) { sum += g[Z][k][X]; } }
        return sum;`,
      args: { g: values, index },
      output,
      to,
    });
    return;
  }
  const keys = { buffer: scratch(entries), dims: [columns, m, outer] } as const;
  emit({ body: `return ${int('index[Z][Y]', 'X')};`, args: { index }, output: keys.dims, to: keys.buffer });
  const order = { buffer: emitOrder(context, keys.buffer, [outer, m, columns]), dims: keys.dims };
  const starts = { buffer: scratch(outer * (n + 1) * columns), dims: [columns, n + 1, outer] } as const;
  emit({
    body: `let low = 0;
      let high = ${m};
      for (let turn = 0; turn < ${SEARCH_STEPS}; turn++) {
        if (low >= high) { break; }
        const half = Math.floor((low + high) * 0.5);
        const k = order[Z][half][X];
        if (keys[Z][k][X] < Y) { low = half + 1; } else { high = half; }
      }
      return low;`,
    args: { keys, order },
    output: starts.dims,
    to: starts.buffer,
  });
  emit({
    body: `const first = starts[Z][Y][${column}];
      const count = starts[Z][Y + 1][${column}] - first;
      let sum = 0;
      for (let k = 0; k < ${m}; k++) {
        if (k >= count) { break; }
        const r = order[Z][first + k][${column}];
        sum += g[Z][r][X];
      }
      return sum;`,
    args: { g: values, order, starts },
    output,
    to,
  });
}

export const orderKernels = {
  cumsum,
  sort,
  scatterAddRows,
  scatterAddAlongAxis,
};
