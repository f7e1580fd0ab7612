/** Elementwise operations: single ones with any broadcasting, and chains. */
import type { ChainAttrs } from '../../../plan/fusions/elementwise.ts';
import { broadcastStrides, mergeAxes, sizeOf } from '../../../shape.ts';
import type { DType, Shape } from '../../../types.ts';
import type { BufferId, Dims, KernelSource } from '../kernel.ts';
import type { Lowering, LoweringContext } from '../lowering.ts';
import { expectExact, floatsPer, halvesAt } from '../text.ts';
import { compute, expressions, type ElementwiseName, type Names } from './expressions.ts';

/** How threads are numbered over a result, and where the operands of a thread lie. */
export interface Indexing {
  readonly output: Dims;
  /** Statements that the offsets need. */
  readonly setup: string;
  /** The offset of an operand in its buffer. */
  readonly offsetOf: (operand: number) => string;
}

/** The indexing of strided operands. `strides` has one for each operand and axis of the shape. */
export function stridedIndexing(shape: Shape, strides: readonly (readonly number[])[]): Indexing {
  const axes = mergeAxes(shape, strides);
  const sizes = axes.map(([size]) => size).reverse();
  const coordinates = ['X', 'Y', 'Z'].slice(0, sizes.length);
  let setup = '';
  if (sizes.length > 3) {
    // gpu.js has three axes: the third stands for all outer ones.
    const rest = sizes.slice(2);
    expectExact('indexing more than three axes', sizeOf(shape));
    let left = 'Z';
    coordinates.length = 2;
    rest.forEach((size, i) => {
      const last = i === rest.length - 1;
      if (!last) setup += `const left${i} = quotient(${left}, ${size});\n`;
      setup += `const at${i} = ${last ? left : `${left} - left${i} * ${size}`};\n`;
      coordinates.push(`at${i}`);
      left = `left${i}`;
    });
    sizes.splice(2, rest.length, sizeOf(rest));
  }
  coordinates.reverse();
  return {
    output: sizes as unknown as Dims,
    setup,
    offsetOf(operand) {
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

/** A single operation. */
const single =
  (op: ElementwiseName): Lowering =>
  (context) => {
    const [{ shape, dtype }] = context.results;
    const strides = [...context.types, context.results[0]].map((type) => broadcastStrides(type.shape, shape));
    emitChain(context, [[op, dtype, ...context.inputs.keys()]], [context.inputs.length], { shape, strides });
  };

/** A chain of operations, of which some results are stored. */
const elementwise: Lowering<ChainAttrs> = (context) => {
  const { program, times, results } = context.attrs;
  emitChain(context, program, results, axesOfChain(context, times));
};

/** The axes of a chain. An input is as large as the results, or one element, or is repeated (see ChainAttrs). */
function axesOfChain({ types, results }: LoweringContext, times: readonly number[]): Axes | RepeatedRows {
  const n = sizeOf(results[0].shape);
  const operands = [...types, results[0]].map(({ shape }, i) => ({
    size: sizeOf(shape),
    each: times[i] ?? 1,
  }));
  const borders = operands.flatMap(({ size, each }) => (size === 1 ? [] : [each, each * size]));
  const lengths = [...new Set([1, ...borders, n])].sort((a, b) => a - b);
  if (lengths.some((length, i) => i > 0 && length % lengths[i - 1] !== 0)) {
    expectExact('a chain with rows whose lengths do not divide each other', n);
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

/** Operands whose row lengths do not divide each other: offsets are computed by division. */
interface RepeatedRows {
  readonly n: number;
  readonly operands: readonly { readonly size: number; readonly each: number }[];
}

/** An indexing with one thread for each float of the results: an i32 has two. `half` is 0 or 1, the half of a thread. */
function indexingOf(axes: Axes | RepeatedRows, dtype: DType): Indexing & { readonly half: string } {
  const halves = floatsPer(dtype);
  if ('operands' in axes) {
    const { n, operands } = axes;
    const element = halves === 1 ? 'X' : 'element';
    return {
      output: [n * halves],
      setup: halves === 1 ? '' : 'const element = quotient(X, 2);\n',
      offsetOf(operand) {
        const { size, each } = operands[operand];
        if (size === n) return element;
        const row = each === 1 ? element : `quotient(${element}, ${each})`;
        return size === 1 ? '0' : `remainder(${row}, ${size})`;
      },
      half: 'X - element * 2',
    };
  }
  const { shape, strides } = axes;
  if (halves === 1) return { ...stridedIndexing(shape, strides), half: '0' };
  const none = shape.map(() => 0);
  const indexing = stridedIndexing([...shape, 2], [...strides.map((list) => [...list, 0]), [...none, 1]]);
  return { ...indexing, half: indexing.offsetOf(strides.length) };
}

/** An operand in memory. */
interface StoredOperand {
  readonly buffer: BufferId;
  readonly elements: number;
  readonly dtype: DType;
  /** Its number among the operands of the indexing. */
  readonly operand: number;
}

/**
 * Emits one kernel for each result, and for each intermediate value that must be stored because a kernel would have too many
 * arguments. Stored values are read and not computed again, so buffer sharing does not change a bit. The results are the
 * last operand of the axes.
 */
function emitChain(
  context: LoweringContext,
  program: ChainAttrs['program'],
  results: readonly number[],
  axes: Axes | RepeatedRows,
): void {
  const { inputs, types } = context;
  const n = sizeOf(context.results[0].shape);
  const stored = new Map<number, StoredOperand>(
    inputs.map((buffer, i) => [
      i,
      { buffer, elements: sizeOf(types[i].shape), dtype: types[i].dtype, operand: i },
    ]),
  );
  const resultIn = (buffer: BufferId, dtype: DType): StoredOperand => ({
    buffer,
    elements: n,
    dtype,
    operand: inputs.length,
  });

  const kernels = storedNumbers(program, results, inputs.length, context.maxArguments).map((number) => {
    const [, dtype] = program[number - inputs.length];
    const indexing = indexingOf(axes, dtype);
    const { read, body } = bodyOf(number, program, stored, inputs.length, indexing);
    const result = results.indexOf(number);
    const to = result < 0 ? context.scratch(n * floatsPer(dtype)) : context.outputs[result];
    stored.set(number, resultIn(to, dtype));
    return { number, read, body, to, dtype, output: indexing.output };
  });

  const copies: KernelSource[] = [];
  kernels.forEach(({ number, read, body, to, dtype, output }, k) => {
    const readsResult = (operand: number): boolean => operand < inputs.length && inputs[operand] === to;
    // An input in the result's buffer must stay while later kernels read it, and while this one reads both halves of an i32.
    const mustStay =
      kernels.slice(k + 1).some((later) => later.read.some(readsResult)) ||
      (dtype === 'i32' && read.some(readsResult));
    const floats = n * floatsPer(dtype);
    const buffer = mustStay ? context.scratch(floats) : to;
    stored.set(number, resultIn(buffer, dtype));
    const args = Object.fromEntries(
      read.map((operand) => {
        const source = stored.get(operand)!;
        return [
          `v${operand}`,
          { buffer: source.buffer, dims: [source.elements * floatsPer(source.dtype)] as const },
        ];
      }),
    );
    context.emit({ body, args, output, to: buffer });
    if (mustStay) copies.push(copySource(buffer, to, floats));
  });
  copies.forEach(context.emit);
}

/** The statements that compute an operand from stored ones, and which of these they read. */
function bodyOf(
  number: number,
  program: ChainAttrs['program'],
  stored: ReadonlyMap<number, StoredOperand>,
  inputs: number,
  { setup, offsetOf, half }: ReturnType<typeof indexingOf>,
): { readonly read: readonly number[]; readonly body: string } {
  const values = new Map<number, { readonly names: Names; readonly dtype: DType }>();
  const read: number[] = [];
  const lines: string[] = [];
  const visit = (operand: number): { readonly names: Names; readonly dtype: DType } => {
    const known = values.get(operand);
    if (known !== undefined) return known;
    const t = `t${operand}`;
    const source = stored.get(operand);
    let value: { readonly names: Names; readonly dtype: DType };
    if (source !== undefined) {
      read.push(operand);
      const at = offsetOf(source.operand);
      const pair = source.dtype === 'i32';
      lines.push(
        pair
          ? `const ${t}l = v${operand}[${halvesAt(at)[0]}];\nconst ${t}h = v${operand}[${halvesAt(at)[1]}];`
          : `const ${t} = v${operand}[${at}];`,
      );
      value = { names: pair ? [`${t}l`, `${t}h`] : [t], dtype: source.dtype };
    } else {
      const [op, dtype, ...operands] = program[operand - inputs];
      const from = operands.map(visit);
      const computed = compute(
        op,
        t,
        dtype,
        from.map(({ names }) => names),
        from.map((value) => value.dtype),
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
  return { read, body: `${setup}${lines.join('\n')}\n${end}` };
}

/** The operands to store, in order: the results, and others where a kernel would have more than `max` arguments. */
function storedNumbers(
  program: ChainAttrs['program'],
  results: readonly number[],
  inputs: number,
  max: number,
): readonly number[] {
  const chosen = new Set(results);
  /** The stored operands that an operand's expression reads. */
  const readBy = new Map<number, ReadonlySet<number>>();
  const readOf = (operand: number): ReadonlySet<number> =>
    operand < inputs || !readBy.has(operand) ? new Set([operand]) : readBy.get(operand)!;
  program.forEach(([, , ...operands], i) => {
    const all = (): Set<number> => new Set(operands.flatMap((operand) => [...readOf(operand)]));
    let read = all();
    while (read.size > max) {
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

/** Copies floats from one buffer to another. */
export const copySource = (from: BufferId, to: BufferId, elements: number): KernelSource => ({
  body: 'return x[X];',
  args: { x: { buffer: from, dims: [elements] } },
  output: [elements],
  to,
});

/** A lowering for each operation of the table, and for chains of them. */
export const elementwiseKernels = {
  ...(Object.fromEntries(
    Object.keys(expressions).map((name) => [name, single(name as ElementwiseName)]),
  ) as Readonly<Record<ElementwiseName, Lowering>>),
  elementwise,
};
