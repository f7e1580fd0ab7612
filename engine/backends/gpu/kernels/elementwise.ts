/** Operations on each element: alone with any broadcasting, or in chains. */
import type { ChainAttrs } from '../../../plan/fusions/elementwise.ts';
import { broadcastStrides, mergeAxes, sizeOf } from '../../../shape.ts';
import type { DType, Shape } from '../../../types.ts';
import {
  expectExact,
  floatsPer,
  type Call,
  type Dims,
  type Lower,
  type Place,
  type Site,
  halvesAt,
} from '../kernel.ts';
import { compute, expressions, type ElementwiseName, type Names } from './expressions.ts';

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

/** The axes of a result, and the strides of every operand along them. */
interface Axes {
  readonly shape: Shape;
  readonly strides: readonly (readonly number[])[];
}

/** One operation. */
const single =
  (op: ElementwiseName): Lower =>
  (site) => {
    const [{ shape, dtype }] = site.results;
    const strides = [...site.types, site.results[0]].map((type) => broadcastStrides(type.shape, shape));
    emitChain(site, [[op, dtype, ...site.inputs.keys()]], [site.inputs.length], { shape, strides });
  };

/** A chain: several operations, of which some results are kept. */
export const elementwise: Lower<ChainAttrs> = (site) => {
  const { program, times, results } = site.attrs;
  emitChain(site, program, results, axesOfChain(site, times));
};

/** The axes of a chain, whose inputs are as large as the results, or one element, or come over and over (see ChainAttrs). */
function axesOfChain({ types, results }: Site, times: readonly number[]): Axes | Loose {
  const n = sizeOf(results[0].shape);
  const operands = [...types, results[0]].map(({ shape }, i) => ({
    size: sizeOf(shape),
    each: times[i] ?? 1,
  }));
  const borders = operands.flatMap(({ size, each }) => (size === 1 ? [] : [each, each * size]));
  const lengths = [...new Set([1, ...borders, n])].sort((a, b) => a - b);
  if (lengths.some((length, i) => i > 0 && length % lengths[i - 1] !== 0)) {
    expectExact('a chain with rows that do not fit into each other', n);
    return { n, operands };
  }
  const begins = lengths.slice(0, -1);
  return {
    shape: begins.map((length, i) => lengths[i + 1] / length).reverse(),
    strides: operands.map(({ size, each }) =>
      begins
        .map((length) => (size > 1 && length >= each && length < each * size ? length / each : 0))
        .reverse(),
    ),
  };
}

/** Operands whose rows do not fit into each other: found by dividing. */
interface Loose {
  readonly n: number;
  readonly operands: readonly { readonly size: number; readonly each: number }[];
}

/** A walk with one thread for each float of the results: of an i32 there are two. `half` tells which. */
function walkOf(axes: Axes | Loose, dtype: DType): Walk & { readonly half: string } {
  const halves = floatsPer(dtype);
  if ('operands' in axes) {
    const { n, operands } = axes;
    const element = halves === 1 ? 'X' : 'element';
    return {
      output: [n * halves],
      before: halves === 1 ? '' : 'const element = quotient(X, 2);\n',
      index(operand) {
        const { size, each } = operands[operand];
        if (size === n) return element;
        const turn = each === 1 ? element : `quotient(${element}, ${each})`;
        return size === 1 ? '0' : `remainder(${turn}, ${size})`;
      },
      half: 'X - element * 2',
    };
  }
  const { shape, strides } = axes;
  if (halves === 1) return { ...walk(shape, strides), half: '0' };
  const none = shape.map(() => 0);
  const own = walk([...shape, 2], [...strides.map((list) => [...list, 0]), [...none, 1]]);
  return { ...own, half: own.index(strides.length) };
}

/** Where an operand is read. */
interface Source {
  readonly place: Place;
  readonly elements: number;
  readonly dtype: DType;
  /** Its number among the walk's operands. */
  readonly operand: number;
}

/**
 * One kernel for each result, and for what a kernel with too many arguments has to find in memory. What is stored already is
 * read, not computed again, so it does not matter to the bits which buffers results share. The axes have the results as
 * their last operand.
 */
function emitChain(
  site: Site,
  program: ChainAttrs['program'],
  results: readonly number[],
  axes: Axes | Loose,
): void {
  const { inputs, types } = site;
  const n = sizeOf(site.results[0].shape);
  const sources = new Map<number, Source>(
    inputs.map((place, i) => [
      i,
      { place, elements: sizeOf(types[i].shape), dtype: types[i].dtype, operand: i },
    ]),
  );
  const stored = (place: Place, dtype: DType): Source => ({
    place,
    elements: n,
    dtype,
    operand: inputs.length,
  });

  const kernels = storedNumbers(program, results, inputs.length, site.mostArguments).map((number) => {
    const [, dtype] = program[number - inputs.length];
    const walked = walkOf(axes, dtype);
    const { read, body } = bodyOf(number, program, sources, inputs.length, walked);
    const result = results.indexOf(number);
    const to = result < 0 ? site.scratch(n * floatsPer(dtype)) : site.outputs[result];
    sources.set(number, stored(to, dtype));
    return { number, read, body, to, dtype, output: walked.output };
  });

  const moves: Call[] = [];
  kernels.forEach(({ number, read, body, to, dtype, output }, k) => {
    const readsPlace = (operand: number): boolean => operand < inputs.length && inputs[operand] === to;
    // An input that lies where this result goes must stay while later kernels read it, and while both halves of an i32 are read.
    const needed =
      kernels.slice(k + 1).some((later) => later.read.some(readsPlace)) ||
      (dtype === 'i32' && read.some(readsPlace));
    const floats = n * floatsPer(dtype);
    const place = needed ? site.scratch(floats) : to;
    sources.set(number, stored(place, dtype));
    const args = Object.fromEntries(
      read.map((operand) => {
        const source = sources.get(operand)!;
        return [
          `v${operand}`,
          { place: source.place, dims: [source.elements * floatsPer(source.dtype)] as const },
        ];
      }),
    );
    site.emit({ body, args, output, to: place });
    if (needed) moves.push(copyCall(place, to, floats));
  });
  moves.forEach(site.emit);
}

/** The statements that compute an operand from what is in memory, and which operands they read there. */
function bodyOf(
  number: number,
  program: ChainAttrs['program'],
  sources: ReadonlyMap<number, Source>,
  inputs: number,
  { before, index, half }: ReturnType<typeof walkOf>,
): { readonly read: readonly number[]; readonly body: string } {
  const values = new Map<number, { readonly names: Names; readonly dtype: DType }>();
  const read: number[] = [];
  const lines: string[] = [];
  const visit = (operand: number): { readonly names: Names; readonly dtype: DType } => {
    const known = values.get(operand);
    if (known !== undefined) return known;
    const t = `t${operand}`;
    const source = sources.get(operand);
    let value: { readonly names: Names; readonly dtype: DType };
    if (source !== undefined) {
      read.push(operand);
      const at = index(source.operand);
      const pair = source.dtype === 'i32';
      lines.push(
        pair
          ? `const ${t}l = v${operand}[${halvesAt(at)[0]}];\nconst ${t}h = v${operand}[${halvesAt(at)[1]}];`
          : `const ${t} = v${operand}[${at}];`,
      );
      value = { names: pair ? [`${t}l`, `${t}h`] : [t], dtype: source.dtype };
    } else {
      const [op, dtype, ...operands] = program[operand - inputs];
      const own = operands.map(visit);
      const computed = compute(
        op,
        t,
        dtype,
        own.map(({ names }) => names),
        own.map((each) => each.dtype),
      );
      lines.push(computed.lines);
      value = { names: computed.names, dtype };
    }
    values.set(operand, value);
    return value;
  };
  const [name, high] = visit(number).names;
  const end =
    high === undefined ? `return ${name};` : `if (${half} < 1) { return ${name}; }\nreturn ${high};`;
  return { read, body: `${before}${lines.join('\n')}\n${end}` };
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
  program.forEach(([, , ...operands], i) => {
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
  Object.keys(expressions).map((name) => [name, single(name as ElementwiseName)]),
) as Readonly<Record<ElementwiseName, Lower>>;
