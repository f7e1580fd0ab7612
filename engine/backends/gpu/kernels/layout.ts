/** Operations that move elements: the same for every dtype, since an i32 is one axis of two floats more. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { broadcastStrides, sizeOf, stridesOf } from '../../../shape.ts';
import type { BufferView } from '../kernel.ts';
import type { Check, Lowering, LoweringContext } from '../lowering.ts';
import { expectExact, floatsOf, floatsPer, int, literal } from '../text.ts';
import { copySource, stridedIndexing } from './elementwise.ts';

/** A strided copy of x from element `first` on. */
function emitStridedCopy(
  { inputs: [x], outputs: [to], types, results: [type], emit }: LoweringContext,
  strides: readonly number[],
  first = 0,
): void {
  const halves = floatsPer(type.dtype);
  const { output, setup, offsetOf } = stridedIndexing(
    [...type.shape, halves],
    [[...strides.map((stride) => stride * halves), 1]],
  );
  // WebGL's texture lookups take no sum of two literals.
  const terms = [`${first * halves}`, offsetOf(0)].filter((term) => term !== '0').join(' + ');
  emit({
    body: `${setup}return x[${terms === '' ? '0' : terms}];`,
    args: { x: { buffer: x, dims: [floatsOf(types[0])] } },
    output,
    to,
  });
}

const copy: Lowering = ({ inputs: [x], outputs: [y], results: [type], emit }) => {
  if (x !== y) emit(copySource(x, y, floatsOf(type)));
};

const transpose: Lowering<AttrsOf<'transpose'>> = (context) => {
  const strides = stridesOf(context.types[0].shape);
  emitStridedCopy(
    context,
    context.attrs.perm.map((axis) => strides[axis]),
  );
};

const broadcastTo: Lowering = (context) =>
  emitStridedCopy(context, broadcastStrides(context.types[0].shape, context.results[0].shape));

const slice: Lowering<AttrsOf<'slice'>> = (context) => {
  const { begin, step } = context.attrs;
  const own = stridesOf(context.types[0].shape);
  const first = own.reduce((sum, stride, axis) => sum + stride * begin[axis], 0);
  emitStridedCopy(
    context,
    own.map((stride, axis) => stride * step[axis]),
    first,
  );
};

/** Each thread finds its element in x. */
const pad: Lowering<AttrsOf<'pad'>> = ({ inputs: [x], outputs: [to], types, results, attrs, emit }) => {
  const { begin, step, value } = attrs;
  const [{ shape, dtype }] = results;
  const halves = floatsPer(dtype);
  const own = types[0].shape;
  expectExact('padding', floatsOf(results[0]));
  const [outside, outsideHigh] = dtype === 'i32' ? [value & 0xffff, value >> 16] : [value, 0];
  const missing =
    halves === 1
      ? `return ${literal(outside)};`
      : `if (half < 1) { return ${literal(outside)}; }\nreturn ${literal(outsideHigh)};`;
  const digits = [...stridesOf(shape)].map((stride, axis) => {
    const [from, steps] =
      step[axis] < 0 ? [`${begin[axis]} - c${axis}`, -step[axis]] : [`c${axis} - ${begin[axis]}`, step[axis]];
    return `const c${axis} = remainder(quotient(element, ${stride}), ${shape[axis]});
      const d${axis} = ${from};
      if (d${axis} < 0) { ${missing} }
      const k${axis} = quotient(d${axis}, ${steps});
      if (k${axis} * ${steps} !== d${axis} || k${axis} >= ${own[axis]}) { ${missing} }`;
  });
  const index = stridesOf(own)
    .map((stride, axis) => `k${axis} * ${stride * halves}`)
    .join(' + ');
  if (sizeOf(own) === 0) {
    emit({
      body: `const half = remainder(X, ${halves});\n${missing}`,
      args: {},
      output: [floatsOf(results[0])],
      to,
    });
    return;
  }
  emit({
    body: `const element = quotient(X, ${halves});
      const half = X - element * ${halves};
      ${digits.join('\n')}
      return x[${index === '' ? '0' : index} + half];`,
    args: { x: { buffer: x, dims: [floatsOf(types[0])] } },
    output: [floatsOf(results[0])],
    to,
  });
};

/** Joins as many parts as a kernel has arguments, until one is left. */
const concat: Lowering<AttrsOf<'concat'>> = ({
  inputs,
  outputs: [to],
  types,
  results,
  attrs,
  maxArguments,
  emit,
  scratch,
}) => {
  const { axis } = attrs;
  const { shape, dtype } = results[0];
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1)) * floatsPer(dtype);
  let parts = inputs
    .map((buffer, i) => ({ buffer, size: types[i].shape[axis] }))
    .filter(({ size }) => size > 0);
  while (parts.length > 0) {
    const last = parts.length <= maxArguments;
    const groups = Array.from({ length: Math.ceil(parts.length / maxArguments) }, (_, i) =>
      parts.slice(i * maxArguments, (i + 1) * maxArguments),
    );
    parts = groups.map((group) => {
      const size = group.reduce((sum, part) => sum + part.size, 0);
      const buffer = last ? to : scratch(outer * size * inner);
      let begin = 0;
      const lines = group.map((part, i) => {
        const line = `if (Y < ${begin + part.size}) { return x${i}[Z][Y - ${begin}][X]; }`;
        begin += part.size;
        return i === group.length - 1 ? `return x${i}[Z][Y - ${begin - part.size}][X];` : line;
      });
      emit({
        body: lines.join('\n'),
        args: Object.fromEntries(
          group.map((part, i) => [
            `x${i}`,
            { buffer: part.buffer, dims: [inner, part.size, outer] as const },
          ]),
        ),
        output: [inner, size, outer],
        to: buffer,
      });
      return { buffer, size };
    });
    if (last) return;
  }
};

/** An index of `count` elements into `n`. */
export const indexCheck = (index: BufferView, count: number, n: number): Check => ({
  failure: { kind: 'index', n },
  count,
  args: { index },
  wrong: `${int('index', 'i')} < 0 || ${int('index', 'i')} >= ${n}`,
  value: ['index[2 * i]', 'index[2 * i + 1]'],
});

const gatherRows: Lowering = ({ inputs: [x, index], outputs: [to], types, results, emit, check }) => {
  const count = sizeOf(types[1].shape);
  const rows = types[0].shape[0];
  const row = floatsOf({ shape: types[0].shape.slice(1), dtype: results[0].dtype });
  const indexView = { buffer: index, dims: [2 * count] } as const;
  expectExact('gather', rows);
  check(indexCheck(indexView, count, rows));
  emit({
    body: `const row = ${int('index', 'Y')};\nreturn x[row][X];`,
    args: { x: { buffer: x, dims: [row, rows] }, index: indexView },
    output: [row, count],
    to,
  });
};

const takeAlongAxis: Lowering = ({ inputs: [x, index], outputs: [to], types, emit, check }) => {
  const [outer, n, inner] = types[0].shape;
  const m = types[1].shape[1];
  const halves = floatsPer(types[0].dtype);
  expectExact('takeAlongAxis', Math.max(n, inner * halves));
  check(indexCheck({ buffer: index, dims: [2 * sizeOf(types[1].shape)] }, sizeOf(types[1].shape), n));
  emit({
    body: `const column = quotient(X, ${halves});
      const position = ${int('index[Z][Y]', 'column')};
      return x[Z][position][X];`,
    args: {
      x: { buffer: x, dims: [inner * halves, n, outer] },
      index: { buffer: index, dims: [2 * inner, m, outer] },
    },
    output: [inner * halves, m, outer],
    to,
  });
};

const checkFinite: Lowering<AttrsOf<'checkFinite'>> = (context) => {
  const count = sizeOf(context.results[0].shape);
  context.check({
    failure: { kind: 'not finite', label: context.attrs.label },
    count,
    args: { x: { buffer: context.inputs[0], dims: [count] } },
    wrong: 'finite(x[i]) < 1',
    value: ['x[i]', '0'],
  });
  copy(context);
};

export const layoutKernels = {
  copy,
  checkFinite,
  transpose,
  broadcastTo,
  slice,
  pad,
  concat,
  gatherRows,
  takeAlongAxis,
};
