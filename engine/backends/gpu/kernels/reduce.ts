/** Reductions over the middle axis of [outer, n, inner]: in two stages where there are too few results for many threads. */
import type { BufferId, BufferView, KernelSource } from '../kernel.ts';
import type { Lowering, LoweringContext } from '../lowering.ts';
import { expectExact, returnHalf } from '../text.ts';

interface Sum {
  readonly args: Readonly<Record<string, BufferView>>;
  /** The term of a position, as an expression of its indices on the three axes. */
  readonly term: (outer: string, r: string, inner: string) => string;
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
  readonly to: BufferId;
  /** The result for a sum. Default: the sum. */
  readonly finish?: (sum: string) => string;
}

/** Partial sums for each result: as many as keep a GPU busy, each of at least 32 terms. */
function partsOf(results: number, n: number): number {
  if (results >= 4096 || n < 128) return 1;
  return Math.min(256, Math.ceil(n / 32), Math.ceil(16_384 / Math.max(results, 1)));
}

export function emitSum(
  context: LoweringContext,
  { args, term, outer, n, inner, to, finish = (sum) => sum }: Sum,
): void {
  const parts = partsOf(outer * inner, n);
  const length = Math.ceil(n / parts);
  const [zAxis, xAxis] = parts === 1 ? ['Y', 'X'] : ['Z', 'X'];
  const loop = addUp(length, (k, sum) => {
    // Neighboring threads read neighboring terms.
    const r = parts === 1 ? k : `(${k} * ${parts} + Y)`;
    const add = `${sum} += ${term(zAxis, r, xAxis)};`;
    return length * parts === n ? add : `if (${r} < ${n}) { ${add} }`;
  });
  if (parts === 1) {
    const body = n === 0 ? `return ${finish('0')};` : `${loop}\nreturn ${finish('sum')};`;
    context.emit({ body, args: n === 0 ? {} : args, output: [inner, outer], to });
    return;
  }
  const partial = context.scratch(inner * parts * outer);
  context.emit({ body: `${loop}\nreturn sum;`, args, output: [inner, parts, outer], to: partial });
  context.emit({
    body: `${addUp(parts, (k, sum) => `${sum} += partial[Y][${k}][X];`)}
      return ${finish('sum')};`,
    args: { partial: { buffer: partial, dims: [inner, parts, outer] } },
    output: [inner, outer],
    to,
  });
}

/**
 * Statements that add up terms 0 … length − 1 in `sum`. A long sum has about √length parts of that length, so that rounding
 * errors grow with the root of the length.
 */
function addUp(length: number, add: (k: string, sum: string) => string): string {
  if (length <= 64) return `let sum = 0;\nfor (let i = 0; i < ${length}; i++) { ${add('i', 'sum')} }`;
  const run = Math.ceil(Math.sqrt(length));
  const runs = Math.ceil(length / run);
  const k = `(j * ${run} + i)`;
  const addNext = add(k, 'part');
  return `let sum = 0;
    for (let j = 0; j < ${runs}; j++) {
      let part = 0;
      for (let i = 0; i < ${run}; i++) { ${run * runs === length ? addNext : `if (${k} < ${length}) { ${addNext} }`} }
      sum += part;
    }`;
}

const sum: Lowering = (context) => {
  const [outer, n, inner] = context.types[0].shape;
  emitSum(context, {
    args: { x: { buffer: context.inputs[0], dims: [inner, n, outer] } },
    term: (z, r, x) => `x[${z}][${r}][${x}]`,
    outer,
    n,
    inner,
    to: context.outputs[0],
  });
};

/** The condition for a value to replace the best so far: larger, or the first NaN. */
export const wins = (value: string, best: string): string =>
  `${value} > ${best} || nan(${value}) > nan(${best})`;

/** The first maximum and its index. A long axis is searched in parts, then among the maxima of the parts. */
const max: Lowering = ({ inputs: [x], outputs: [y, at], types: [{ shape }], emit, scratch }) => {
  const [outer, n, inner] = shape;
  expectExact('max', n);
  let args: KernelSource['args'] = { x: { buffer: x, dims: [inner, n, outer] } };
  // Statements that find the best of `count` candidates and its position.
  const search = (count: number, candidate: (k: string) => string, line: string, column: string): string =>
    `let position = ${candidate('0')};
    let best = x[${line}][position][${column}];
    for (let k = 1; k < ${count}; k++) {
      const r = ${candidate('k')};
      if (r < ${n}) {
        const value = x[${line}][r][${column}];
        if (${wins('value', 'best')}) { best = value; position = r; }
      }
    }`;
  const length = Math.ceil(n / partsOf(outer * inner, n));
  const parts = Math.ceil(n / length);
  if (parts > 1) {
    const winners = { buffer: scratch(inner * parts * outer), dims: [inner, parts, outer] } as const;
    emit({
      body: `${search(length, (k) => `Y * ${length} + ${k}`, 'Z', 'X')}\nreturn position;`,
      args,
      output: winners.dims,
      to: winners.buffer,
    });
    args = { ...args, winners };
  }
  const among = (line: string, column: string): string =>
    parts > 1
      ? search(parts, (k) => `winners[${line}][${k}][${column}]`, line, column)
      : search(n, (k) => k, line, column);
  emit({ body: `${among('Y', 'X')}\nreturn best;`, args, output: [inner, outer], to: y });
  emit({
    body: `${among('Z', 'Y')}\n${returnHalf('position', 'X')}`,
    args,
    output: [2, inner, outer],
    to: at,
  });
};

export const reduceKernels = {
  sum,
  max,
};
