/** Operations that move elements: the same for every dtype, since an i32 is one axis of two floats more. */
import type { AttrsOf } from '../../../ops/index.ts';
import { broadcastStrides, sizeOf, stridesOf } from '../../../shape.ts';
import { floatsOf, floatsPer, int, type Lower, type Site } from '../kernel.ts';
import { copyCall, walk } from './elementwise.ts';

function strided(
  { inputs: [x], outputs: [to], types, results: [type], emit }: Site,
  strides: readonly number[],
): void {
  const halves = floatsPer(type.dtype);
  const { output, before, index } = walk(
    [...type.shape, halves],
    [[...strides.map((stride) => stride * halves), 1]],
  );
  emit({
    body: `${before}return x[${index(0)}];`,
    args: { x: { place: x, dims: [floatsOf(types[0])] } },
    output,
    to,
  });
}

export const copy: Lower = ({ inputs: [x], outputs: [y], results: [type], emit }) => {
  if (x !== y) emit(copyCall(x, y, floatsOf(type)));
};

export const transpose: Lower = (site) => {
  const strides = stridesOf(site.types[0].shape);
  strided(
    site,
    (site.attrs as AttrsOf<'transpose'>).perm.map((axis) => strides[axis]),
  );
};

export const broadcastTo: Lower = (site) =>
  strided(site, broadcastStrides(site.types[0].shape, site.results[0].shape));

export const cast: Lower = (site) => {
  const { inputs, outputs, types, emit } = site;
  const [{ dtype, shape }] = types;
  if (dtype !== 'i32') {
    copy(site);
    return;
  }
  const n = sizeOf(shape);
  emit({
    body: `return ${int('x', 'X')};`,
    args: { x: { place: inputs[0], dims: [2 * n] } },
    output: [n],
    to: outputs[0],
  });
};

export const takeRows: Lower = ({ inputs: [x, index], outputs: [to], types, results, emit, check }) => {
  const count = sizeOf(types[1].shape);
  const rows = types[0].shape[0];
  const row = floatsOf({ shape: types[0].shape.slice(1), dtype: results[0].dtype });
  const indexView = { place: index, dims: [2 * count] } as const;
  check({
    kind: 'index',
    count,
    args: { index: indexView },
    wrong: `${int('index', 'i')} < 0 || ${int('index', 'i')} >= ${rows}`,
    value: ['index[2 * i]', 'index[2 * i + 1]'],
  });
  emit({
    body: `const row = ${int('index', 'Y')};\nreturn x[row][X];`,
    args: { x: { place: x, dims: [row, rows] }, index: indexView },
    output: [row, count],
    to,
  });
};

export const checkFinite: Lower = (site) => {
  const count = sizeOf(site.results[0].shape);
  site.check({
    kind: 'not finite',
    count,
    args: { x: { place: site.inputs[0], dims: [count] } },
    wrong: 'finite(x[i]) < 1',
    value: ['x[i]', '0'],
  });
  copy(site);
};
