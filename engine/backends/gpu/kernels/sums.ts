/**
 * Sums of products as text: one result a thread, with two fetches for each product, or four neighboring results a thread, from
 * operands that are fetched four neighbors at a time.
 */
import type { KernelSource } from '../kernel.ts';

interface Operand {
  readonly name: string;
  /** Whether its innermost axis is the one that is summed. */
  readonly deep: boolean;
}

/** The terms of a thread: products of a row of a with a row or column of b for each result. */
export interface Terms {
  readonly depth: number;
  /** Results along the innermost axis. */
  readonly results: number;
  readonly a: Operand;
  /** If not deep, its innermost axis is the results'. */
  readonly b: Operand;
  /** An argument with a number for each result, to add at the end. */
  readonly bias?: string | null;
  readonly relu?: boolean;
}

type AtA = (k: string) => string;
type AtB = (k: string, x: string) => string;

/** The parts of a body, and the vectors of its source. */
export interface Sums extends Pick<KernelSource, 'vectors'> {
  /** Declares the sums, initially 0. */
  readonly begin: string;
  /** Adds a(k) · b(k, x) for all k below the depth, x being the position of a result. */
  readonly add: (a: AtA, b: AtB) => string;
  /** Returns them. */
  readonly end: string;
}

/**
 * Four results a thread if `vectors` allows it, the number of results is a multiple of four, and so is the depth where b is
 * deep; else one. With four results, a is also fetched by four if it is deep and the depth is a multiple of four.
 */
export function sumsOf(terms: Terms, vectors: boolean): Sums {
  const { depth, results, b } = terms;
  return vectors && results % 4 === 0 && (!b.deep || depth % 4 === 0) ? four(terms) : one(terms);
}

/** Adds along the depth, `step` terms at a time. */
const along = (depth: number, step: number, add: (k: string) => string): string =>
  depth === step ? add('0') : `for (let k = 0; k < ${depth / step}; k++) { ${add('k')} }`;

function one({ depth, bias = null, relu = false }: Terms): Sums {
  return {
    begin: 'let sum = 0;',
    add: (a, b) => along(depth, 1, (k) => `sum += ${a(k)} * ${b(k, 'X')};`),
    end: `${bias === null ? '' : `sum += ${bias}[X];`}
      ${relu ? 'if (sum < 0) { return 0; }' : ''}
      return sum;`,
  };
}

const each = (text: (i: number) => string, between = '\n'): string => [0, 1, 2, 3].map(text).join(between);

function four({ depth, a, b, bias = null, relu = false }: Terms): Sums {
  const blocks = depth % 4 === 0 && (a.deep || b.deep);
  const aByFour = blocks && a.deep;
  // u has neighbors of a along the depth; v_j neighbors of b, along the depth for result j, or along the results at step j.
  const block = (k: string, atA: AtA, atB: AtB): string => {
    const step = (j: number): string => (k === '0' ? `${j}` : `4 * ${k} + ${j}`);
    const product = (i: number, j: number): string => `u[${j}] * ${b.deep ? `v${i}[${j}]` : `v${j}[${i}]`}`;
    return `const u = ${aByFour ? atA(k) : `[${each((j) => atA(step(j)), ', ')}]`};
      ${each((j) => `const v${j} = ${b.deep ? atB(k, `4 * X + ${j}`) : atB(step(j), 'X')};`)}
      ${each((i) => `s${i} += ${each((j) => product(i, j), ' + ')};`)}`;
  };
  const row = (k: string, atA: AtA, atB: AtB): string => `const u = ${atA(k)};
    const v = ${atB(k, 'X')};
    ${each((i) => `s${i} += u * v[${i}];`)}`;
  return {
    begin: each((i) => `let s${i} = 0;`),
    add: (atA, atB) => along(depth, blocks ? 4 : 1, (k) => (blocks ? block : row)(k, atA, atB)),
    end: `${bias === null ? '' : `const shift = ${bias}[X];\n${each((i) => `s${i} += shift[${i}];`)}`}
      ${relu ? each((i) => `if (s${i} < 0) { s${i} = 0; }`) : ''}
      return [${each((i) => `s${i}`, ', ')}];`,
    vectors: {
      args: new Set([b.name, ...(aByFour ? [a.name] : []), ...(bias === null ? [] : [bias])]),
      note: `four results a thread, ${aByFour ? 5 : 8} fetches for 16 products`,
    },
  };
}
