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
  exp: (x: string) => `Math.exp(${x})`,
  log: (x: string) => `Math.log(${x})`,
  sqrt: (x: string) => `Math.sqrt(${x})`,
  tanh: (x: string) => `hyperbolic(${x})`,
  sigmoid: (x: string) => `1 / (1 + Math.exp(-${x}))`,
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

/**
 * One kernel for each result. A result that is stored already is read, not computed again, so it does not matter to the
 * bits which buffers it shares. `walk` has the results as its last operand.
 */
function emitChain(
  site: Site,
  program: ChainAttrs['program'],
  kept: readonly number[],
  { output, before, index }: Walk,
): void {
  const { inputs, outputs, types, results } = site;
  const n = sizeOf(results[0].shape);
  const whole = index(inputs.length);

  /** Where an operand is read: an input, or a result stored before. */
  const sources = new Map<number, { place: Place; elements: number; index: string }>();
  inputs.forEach((place, i) => sources.set(i, { place, elements: sizeOf(types[i].shape), index: index(i) }));

  const kernels = kept.map((number) => {
    const used = new Set<number>();
    const lines: string[] = [];
    const visit = (operand: number): void => {
      if (used.has(operand)) return;
      used.add(operand);
      const source = sources.get(operand);
      if (source !== undefined) {
        lines.push(`const t${operand} = v${operand}[${source.index}];`);
        return;
      }
      const [op, ...operands] = program[operand - inputs.length];
      operands.forEach(visit);
      if (!Object.hasOwn(expressions, op))
        throw new BackendError(`gpu: there is no chained kernel for '${op}'`);
      const expression = expressions[op as Name] as Expression;
      lines.push(`const t${operand} = ${expression(...operands.map((own) => `t${own}`))};`);
    };
    visit(number);
    const read = [...used].filter((operand) => sources.has(operand));
    sources.set(number, { place: -1, elements: n, index: whole });
    return { number, read, body: `${before}${lines.join('\n')}\nreturn t${number};` };
  });

  const moves: Call[] = [];
  kernels.forEach(({ number, read, body }, k) => {
    const own = outputs[k];
    // An input that lies where this result goes, and that a later kernel still reads, must stay until then.
    const early = kernels
      .slice(k + 1)
      .some((later) => later.read.some((operand) => sources.get(operand)!.place === own));
    const to = early ? site.scratch(n) : own;
    const args = Object.fromEntries(
      read.map((operand) => {
        const { place, elements } = sources.get(operand)!;
        return [`v${operand}`, { place, dims: [elements] as const }];
      }),
    );
    site.emit({ body, args, output, to });
    sources.set(number, { place: to, elements: n, index: whole });
    if (early) moves.push(copyCall(to, own, n));
  });
  moves.forEach(site.emit);
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
