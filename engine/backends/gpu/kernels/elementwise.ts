/** Operations on each element, one line each, and the kernels made of them: alone with broadcasting, or in chains. */
import { BackendError } from '../../../errors.ts';
import type { ChainAttrs } from '../../../plan/chain.ts';
import { broadcastStrides, mergeAxes, sizeOf } from '../../../shape.ts';
import type { Shape } from '../../../types.ts';
import { expectExact, type Call, type Dims, type Lower, type Place, type Site } from '../kernel.ts';

/** An operation as an expression of gpu.js's language. Operands are names: they may be used more than once. */
export const expressions = {
  add: (a: string, b: string) => `${a} + ${b}`,
  sub: (a: string, b: string) => `${a} - ${b}`,
  mul: (a: string, b: string) => `${a} * ${b}`,
  div: (a: string, b: string) => `${a} / ${b}`,
  pow: (a: string, b: string) => `power(${a}, ${b})`,
  neg: (x: string) => `-${x}`,
  exp: (x: string) => `exponential(${x})`,
  log: (x: string) => `logarithm(${x})`,
  sqrt: (x: string) => `Math.sqrt(${x})`,
  tanh: (x: string) => `hyperbolic(${x})`,
  sigmoid: (x: string) => `1 / (1 + exponential(-${x}))`,
  // Not max(x, 0), which is 0 for NaN.
  relu: (x: string) => `${x} < 0 ? 0 : ${x}`,
  reluGrad: (g: string, y: string) => `${y} > 0 ? ${g} : 0`,
} as const;

type Name = keyof typeof expressions;
type Expression = (...operands: readonly string[]) => string;

/** How threads walk through a result, and where in each operand, whose strides fit the result's axes, they are. */
export interface Walk {
  readonly output: Dims;
  /** Statements that come first. */
  readonly before: string;
  readonly index: (operand: number) => string;
}

/** `strides`: for every operand, one for each axis of the shape. */
export function walk(shape: Shape, strides: readonly (readonly number[])[]): Walk {
  const axes = mergeAxes(shape, strides);
  const sizes = axes.map(([size]) => size).reverse();
  const coordinates = ['X', 'Y', 'Z'].slice(0, sizes.length);
  let before = '';
  if (sizes.length > 3) {
    // The outermost axes share the third of gpu.js.
    const rest = sizes.slice(2);
    expectExact('a walk over more than three axes', sizeOf(shape));
    let left = 'Z';
    coordinates.length = 2;
    rest.forEach((size, i) => {
      const last = i === rest.length - 1;
      if (!last) before += `const left${i} = quotient(${left}, ${size});\n`;
      before += `const at${i} = ${last ? left : `${left} - left${i} * ${size}`};\n`;
      coordinates.push(`at${i}`);
      left = `left${i}`;
    });
    sizes.splice(2, rest.length, sizeOf(rest));
  }
  coordinates.reverse();
  return {
    output: sizes as unknown as Dims,
    before,
    index(operand) {
      const terms = axes.flatMap((axis, d) => {
        const stride = axis[1 + operand];
        if (stride === 0) return [];
        return [stride === 1 ? coordinates[d] : `${coordinates[d]} * ${stride}`];
      });
      return terms.length === 0 ? '0' : terms.join(' + ');
    },
  };
}

/** One operation, with broadcasting. */
const single =
  (op: Name): Lower =>
  (site) => {
    const { shape } = site.results[0];
    const strides = [...site.types, site.results[0]].map((type) => broadcastStrides(type.shape, shape));
    emitChain(site, [[op, ...site.inputs.keys()]], [site.inputs.length], walk(shape, strides));
  };

/** A chain: several operations, of which some results are kept. */
export const elementwise: Lower = (site) => {
  const { program, results } = site.attrs as ChainAttrs;
  emitChain(site, program, results, walkRows(site));
};

/** The walk of a chain, whose inputs are as large as the results, or one element, or rows of the results, over and over. */
function walkRows({ types, results }: Site): Walk {
  const n = sizeOf(results[0].shape);
  const sizes = types.map(({ shape }) => sizeOf(shape));
  const lengths = [...new Set([1, ...sizes, n])].sort((a, b) => a - b);
  if (lengths.some((length, i) => i > 0 && length % lengths[i - 1] !== 0)) {
    expectExact('a chain with rows that do not fit into each other', n);
    const index = (size: number): string => (size === n ? 'X' : `remainder(X, ${size})`);
    return { output: [n], before: '', index: (operand) => index(sizes[operand] ?? n) };
  }
  const shape = lengths
    .slice(1)
    .map((length, i) => length / lengths[i])
    .reverse();
  const strides = [...sizes, n].map((size) =>
    lengths
      .slice(0, -1)
      .map((length) => (length < size ? length : 0))
      .reverse(),
  );
  return walk(shape, strides);
}

/** Where an operand is read. */
interface Source {
  readonly place: Place;
  readonly elements: number;
  readonly index: string;
}

/**
 * One kernel for each result, and for what a kernel with too many arguments has to find in memory. What is stored already is
 * read, not computed again, so it does not matter to the bits which buffers results share. `walk` has the results as its last
 * operand.
 */
function emitChain(
  site: Site,
  program: ChainAttrs['program'],
  results: readonly number[],
  { output, before, index }: Walk,
): void {
  const { inputs, types } = site;
  const n = sizeOf(site.results[0].shape);
  const sources = new Map<number, Source>(
    inputs.map((place, i) => [i, { place, elements: sizeOf(types[i].shape), index: index(i) }]),
  );
  const stored = (place: Place): Source => ({ place, elements: n, index: index(inputs.length) });

  const kernels = storedNumbers(program, results, inputs.length, site.mostArguments).map((number) => {
    const { read, body } = bodyOf(number, program, sources, inputs.length);
    const result = results.indexOf(number);
    const to = result < 0 ? site.scratch(n) : site.outputs[result];
    sources.set(number, stored(to));
    return { number, read, body: `${before}${body}`, to };
  });

  const moves: Call[] = [];
  kernels.forEach(({ number, read, body, to }, k) => {
    // An input that lies where this result goes, and that a later kernel still reads, must stay until then.
    const needed = kernels
      .slice(k + 1)
      .some((later) => later.read.some((operand) => operand < inputs.length && inputs[operand] === to));
    const place = needed ? site.scratch(n) : to;
    sources.set(number, stored(place));
    const args = Object.fromEntries(
      read.map((operand) => {
        const { place: own, elements } = sources.get(operand)!;
        return [`v${operand}`, { place: own, dims: [elements] as const }];
      }),
    );
    site.emit({ body, args, output, to: place });
    if (needed) moves.push(copyCall(place, to, n));
  });
  moves.forEach(site.emit);
}

/** The statements that compute an operand from what is in memory, and which operands they read there. */
function bodyOf(
  number: number,
  program: ChainAttrs['program'],
  sources: ReadonlyMap<number, Source>,
  inputs: number,
): { readonly read: readonly number[]; readonly body: string } {
  const seen = new Set<number>();
  const read: number[] = [];
  const lines: string[] = [];
  const visit = (operand: number): void => {
    if (seen.has(operand)) return;
    seen.add(operand);
    const source = sources.get(operand);
    if (source !== undefined) {
      read.push(operand);
      lines.push(`const t${operand} = v${operand}[${source.index}];`);
      return;
    }
    const [op, ...operands] = program[operand - inputs];
    operands.forEach(visit);
    if (!Object.hasOwn(expressions, op))
      throw new BackendError(`gpu: there is no chained kernel for '${op}'`);
    const expression = expressions[op as Name] as Expression;
    lines.push(`const t${operand} = ${expression(...operands.map((own) => `t${own}`))};`);
  };
  visit(number);
  return { read, body: `${lines.join('\n')}\nreturn t${number};` };
}

/** The operands to store, rising: the results, and others where a kernel would have more arguments than it may. */
function storedNumbers(
  program: ChainAttrs['program'],
  results: readonly number[],
  inputs: number,
  most: number,
): readonly number[] {
  const chosen = new Set(results);
  /** What an operand's expression reads from memory. */
  const readBy = new Map<number, ReadonlySet<number>>();
  const readOf = (operand: number): ReadonlySet<number> =>
    operand < inputs || !readBy.has(operand) ? new Set([operand]) : readBy.get(operand)!;
  program.forEach(([, ...operands], i) => {
    const all = (): Set<number> => new Set(operands.flatMap((operand) => [...readOf(operand)]));
    let read = all();
    while (read.size > most) {
      const widest = operands.reduce((a, b) => (readOf(b).size > readOf(a).size ? b : a));
      chosen.add(widest);
      readBy.delete(widest);
      read = all();
    }
    // A result is stored, so later instructions read it alone.
    if (!chosen.has(inputs + i)) readBy.set(inputs + i, read);
  });
  return [...chosen].sort((a, b) => a - b);
}

/** So many floats from one place to another. */
export const copyCall = (from: Place, to: Place, elements: number): Call => ({
  body: 'return x[X];',
  args: { x: { place: from, dims: [elements] } },
  output: [elements],
  to,
});

/** A kernel for each operation of the table. */
export const elementwiseKernels = Object.fromEntries(
  Object.keys(expressions).map((name) => [name, single(name as Name)]),
) as Readonly<Record<Name, Lower>>;
