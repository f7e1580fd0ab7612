/**
 * The kernels of the reference backend: slow, obvious, and the specification of every operation, with its ties and
 * borders. Values are dense ndarrays; arithmetic is double precision, rounded on store in the f32 mode.
 */
import ndarray, { type NdArray, type TypedArray } from 'ndarray';
import ndops from 'ndarray-ops';
import { NonFiniteError } from '../../errors.ts';
import type { Attrs } from '../../op.ts';
import type { ConvAttrs } from '../../ops/conv.ts';
import { matmulSizes } from '../../ops/matmul.ts';
import type { PoolAttrs } from '../../ops/pool.ts';
import { resizeTable, type ResizeAttrs } from '../../ops/resize.ts';
import { normalOf, philox } from '../../rng.ts';
import { broadcastStrides, stridesOf } from '../../shape.ts';
import type { DType } from '../../types.ts';
import type { KernelTable } from '../backend.ts';
import { indexError, labelError } from '../failures.ts';

export type Nd = NdArray<TypedArray>;

export interface Call {
  readonly inputs: readonly Nd[];
  readonly outputs: readonly Nd[];
  readonly attrs: Attrs;
  readonly path: string;
}

export type ReferenceKernel = (call: Call) => void;

/** A view of `x` that repeats along the axes along which it broadcasts to `shape`. */
function broadcast(x: Nd, shape: readonly number[]): Nd {
  return ndarray(x.data, [...shape], broadcastStrides(x.shape, shape), x.offset);
}

function binary(apply: (out: Nd, a: Nd, b: Nd) => unknown): ReferenceKernel {
  return ({ inputs: [a, b], outputs: [out] }) => {
    // The result may lie in an operand's buffer, which is safe: element i is read before it is written.
    apply(out, broadcast(a, out.shape), broadcast(b, out.shape));
  };
}

/** A function of the elements of the inputs, broadcast to the result, one by one. */
function map(f: (...x: number[]) => number): ReferenceKernel {
  return ({ inputs, outputs: [out] }) => {
    const { shape, data, size } = out;
    const own = stridesOf(shape);
    const strides = inputs.map((x) => broadcastStrides(x.shape, shape));
    const place = (i: number, walk: readonly number[]): number =>
      own.reduce((sum, stride, axis) => sum + walk[axis] * (Math.floor(i / stride) % shape[axis]), 0);
    for (let i = 0; i < size; i++) data[i] = f(...inputs.map((x, n) => x.data[place(i, strides[n])]));
  };
}

/** Comparisons and logic: 1 for true. */
const test = (f: (...x: number[]) => boolean): ReferenceKernel => map((...x) => Number(f(...x)));

/** To the nearest integer, of two the even one. */
function roundToEven(x: number): number {
  const nearest = Math.round(x);
  return nearest - x === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

/** a to the power b as in C and IEEE 754. JavaScript gives NaN for 1 ** NaN and (±1) ** ±Infinity, where C gives 1. */
function power(a: number, b: number): number {
  return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b;
}

/** The error function, by a series of positive terms: 2/√π e^−x² Σ 2^n x^(2n+1) / (1·3·…·(2n+1)). */
function erf(x: number): number {
  if (Number.isNaN(x) || Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-18 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** 1 / (1 + e^−x). It uses e^−|x|, which does not overflow, so small results are not flushed to 0. */
function sigmoid(x: number): number {
  const e = Math.exp(-Math.abs(x));
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

/** 1 − erf x. Beyond 2.5 it is computed by its continued fraction. */
function erfc(x: number): number {
  if (x < 0) return 2 - erfc(-x);
  if (!(x > 2.5)) return 1 - erf(x);
  let fraction = x;
  for (let k = 100; k > 0; k--) fraction = x + k / 2 / fraction;
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** What a number becomes in another dtype: towards 0, the nearest in range, and 0 for NaN. */
const CASTS: Readonly<Record<DType, (x: number) => number>> = {
  f32: (x) => x,
  i32: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), -(2 ** 31)), 2 ** 31 - 1)),
  u8: (x) => (Number.isNaN(x) ? 0 : Math.min(Math.max(Math.trunc(x), 0), 255)),
};

/** A view of every step-th element of each axis from `begin` on. */
function walk(x: Nd, shape: readonly number[], begin: readonly number[], step: readonly number[]): Nd {
  const first = begin.reduce((sum, b, axis) => sum + b * x.stride[axis], x.offset);
  return ndarray(
    x.data,
    [...shape],
    x.stride.map((stride, axis) => stride * step[axis]),
    first,
  );
}

const copy: ReferenceKernel = ({ inputs: [x], outputs: [y] }) => {
  ndops.assign(y, x);
};

/** Visits every (window, position inside the image) pair of a pooling. */
function forWindows(
  attrs: PoolAttrs,
  visit: (oy: number, ox: number, iy: number, ix: number, divisor: number) => void,
): void {
  const { kernel, stride, pad, input, output, insideOnly } = attrs;
  for (let oy = 0; oy < output[0]; oy++) {
    for (let ox = 0; ox < output[1]; ox++) {
      const y0 = oy * stride[0] - pad[0];
      const x0 = ox * stride[1] - pad[2];
      const y1 = Math.min(y0 + kernel[0], input[0] + pad[1]);
      const x1 = Math.min(x0 + kernel[1], input[1] + pad[3]);
      const inside = {
        y0: Math.max(y0, 0),
        x0: Math.max(x0, 0),
        y1: Math.min(y1, input[0]),
        x1: Math.min(x1, input[1]),
      };
      const divisor = insideOnly ? (inside.y1 - inside.y0) * (inside.x1 - inside.x0) : (y1 - y0) * (x1 - x0);
      for (let iy = inside.y0; iy < inside.y1; iy++) {
        for (let ix = inside.x0; ix < inside.x1; ix++) visit(oy, ox, iy, ix, divisor);
      }
    }
  }
}

/** Visits every (image, output position, tap inside the image) triple of a convolution. */
function forTaps(
  { stride, pad, input, kernel, output, dilation }: ConvAttrs,
  images: number,
  visit: (n: number, oy: number, ox: number, iy: number, ix: number, ky: number, kx: number) => void,
): void {
  for (let n = 0; n < images; n++) {
    for (let oy = 0; oy < output[0]; oy++) {
      for (let ox = 0; ox < output[1]; ox++) {
        for (let ky = 0; ky < kernel[0]; ky++) {
          for (let kx = 0; kx < kernel[1]; kx++) {
            const iy = oy * stride[0] - pad[0] + ky * dilation[0];
            const ix = ox * stride[1] - pad[2] + kx * dilation[1];
            if (iy >= 0 && iy < input[0] && ix >= 0 && ix < input[1]) visit(n, oy, ox, iy, ix, ky, kx);
          }
        }
      }
    }
  }
}

/** The first input channel that output channel o sees, of groups of `channels` channels. */
const firstChannel = (o: number, filters: number, channels: number, groups: number): number =>
  Math.floor((o * groups) / filters) * channels;

/**
 * Sums of products are kept in double precision and rounded once, in every mode: the oracle must be closer to the truth
 * than what it judges.
 */
function accumulate(
  out: Nd,
  fill: (add: (index: number, value: number) => void) => void,
  finish = (sum: number, _index: number): number => sum,
): void {
  const sums = new Float64Array(out.size);
  fill((index, value) => {
    sums[index] += value;
  });
  for (let i = 0; i < sums.length; i++) out.data[i] = finish(sums[i], i);
}

/** Whether `value` replaces `best` as a maximum: strictly larger, or the first NaN. */
const wins = (value: number, best: number): boolean =>
  value > best || (Number.isNaN(value) && !Number.isNaN(best));

/** Box sums of f over the size × size square around each position, zero outside. */
function boxSum(
  x: Nd,
  size: number,
  f: (n: number, y: number, x: number, c: number) => number,
): Float64Array {
  const [images, height, width, channels] = x.shape;
  const radius = (size - 1) / 2;
  const sums = new Float64Array(x.size);
  let at = 0;
  for (let n = 0; n < images; n++) {
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        for (let c = 0; c < channels; c++) {
          let sum = 0;
          for (let y = Math.max(i - radius, 0); y <= Math.min(i + radius, height - 1); y++) {
            for (let z = Math.max(j - radius, 0); z <= Math.min(j + radius, width - 1); z++)
              sum += f(n, y, z, c);
          }
          sums[at++] = sum;
        }
      }
    }
  }
  return sums;
}

/** Visits every group of [images, positions, groups, channels of a group] with the places of its elements. */
function forGroups(
  shape: readonly number[],
  visit: (n: number, group: number, elements: readonly number[]) => void,
): void {
  const [images, positions, groups, each] = shape;
  for (let n = 0; n < images; n++) {
    for (let group = 0; group < groups; group++) {
      const place = (k: number): number =>
        ((n * positions + Math.floor(k / each)) * groups + group) * each + (k % each);
      visit(
        n,
        group,
        Array.from({ length: positions * each }, (_, k) => place(k)),
      );
    }
  }
}

/** Visits every (image, output position, input position that it mixes) triple of a resize, with the weight. */
function forMixed(
  attrs: ResizeAttrs,
  images: number,
  visit: (n: number, oy: number, ox: number, iy: number, ix: number, weight: number) => void,
): void {
  const parts = ([0, 1] as const).map((axis) =>
    resizeTable(attrs, axis).map(({ from, to, weight }) => [
      { at: from, share: 1 - weight },
      ...(weight === 0 ? [] : [{ at: to, share: weight }]),
    ]),
  );
  for (let n = 0; n < images; n++) {
    parts[0].forEach((rows, oy) => {
      parts[1].forEach((columns, ox) => {
        for (const y of rows) for (const x of columns) visit(n, oy, ox, y.at, x.at, y.share * x.share);
      });
    });
  }
}

function checkLabel(op: string, path: string, label: number, row: number, classes: number): void {
  if (label < 0 || label >= classes) throw labelError(path, op, label, row, classes);
}

/** The order of sorting: NaN counts as larger than every number. */
function compare(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
}

function checkedIndex(op: string, path: string, index: number, position: number, n: number): number {
  if (index < 0 || index >= n) throw indexError(path, op, index, position, n);
  return index;
}

/** Visits every element of an index [outer, m, inner] with the position of [outer, n, inner] that it names. */
function forAlong(
  op: string,
  path: string,
  index: Nd,
  n: number,
  visit: (at: number, o: number, position: number, i: number) => void,
): void {
  const [outer, m, inner] = index.shape;
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < m; j++) {
      for (let i = 0; i < inner; i++) {
        visit(at, o, checkedIndex(op, path, index.data[at], at, n), i);
        at++;
      }
    }
  }
}

export const kernels: KernelTable<Call> = {
  copy,
  add: binary(ndops.add),
  sub: binary(ndops.sub),
  // Products of integers wrap around; as doubles they would lose their last digits first.
  mul: (call) => (call.outputs[0].data instanceof Int32Array ? map(Math.imul) : binary(ndops.mul))(call),
  div: binary(ndops.div),
  pow: map(power),
  neg: ({ inputs: [x], outputs: [y] }) => void ndops.neg(y, x),
  exp: ({ inputs: [x], outputs: [y] }) => void ndops.exp(y, x),
  log: ({ inputs: [x], outputs: [y] }) => void ndops.log(y, x),
  sqrt: ({ inputs: [x], outputs: [y] }) => void ndops.sqrt(y, x),
  tanh: map(Math.tanh),
  sigmoid: map(sigmoid),
  sigmoidSlope: map((y, x) => y * (x > 2 ? sigmoid(-x) : 1 - y)),
  relu: map((x) => (x < 0 ? 0 : x)),
  reluGrad: map((g, y) => (y > 0 ? g : 0)),
  abs: map(Math.abs),
  sign: map(Math.sign),
  floor: map(Math.floor),
  ceil: map(Math.ceil),
  round: map(roundToEven),
  expm1: map(Math.expm1),
  log1p: map(Math.log1p),
  sin: map(Math.sin),
  cos: map(Math.cos),
  atan: map(Math.atan),
  erf: map(erf),
  erfc: map(erfc),
  maximum: map(Math.max),
  minimum: map(Math.min),
  equal: test((a, b) => a === b),
  less: test((a, b) => a < b),
  lessEqual: test((a, b) => a <= b),
  and: test((a, b) => a !== 0 && b !== 0),
  or: test((a, b) => a !== 0 || b !== 0),
  xor: test((a, b) => (a !== 0) !== (b !== 0)),
  where: map((condition, a, b) => (condition !== 0 ? a : b)),
  cast: (call) => map(CASTS[call.attrs.dtype])(call),

  checkFinite(call) {
    const [x] = call.inputs;
    for (let i = 0; i < x.size; i++) {
      if (!Number.isFinite(x.data[i])) {
        throw new NonFiniteError(call.attrs.label, x.data[i], i);
      }
    }
    copy(call);
  },

  transpose({ inputs: [x], outputs: [y], attrs: { perm } }) {
    ndops.assign(y, x.transpose(...perm));
  },

  broadcastTo({ inputs: [x], outputs: [y] }) {
    ndops.assign(y, broadcast(x, y.shape));
  },

  slice({ inputs: [x], outputs: [y], attrs: { begin, step } }) {
    ndops.assign(y, walk(x, y.shape, begin, step));
  },

  pad({ inputs: [x], outputs: [y], attrs: { begin, step, value } }) {
    ndops.assigns(y, value);
    ndops.assign(walk(y, x.shape, begin, step), x);
  },

  concat({ inputs, outputs: [y], attrs: { axis } }) {
    const begin = y.shape.map(() => 0);
    const step = y.shape.map(() => 1);
    for (const x of inputs) {
      ndops.assign(walk(y, x.shape, begin, step), x);
      begin[axis] += x.shape[axis];
    }
  },

  sum({ inputs: [x], outputs: [y] }) {
    const [outer, n, inner] = x.shape;
    accumulate(y, (add) => {
      for (let o = 0; o < outer; o++) {
        for (let r = 0; r < n; r++) {
          for (let i = 0; i < inner; i++) add(o * inner + i, x.get(o, r, i));
        }
      }
    });
  },

  max({ inputs: [x], outputs: [y, at] }) {
    const [outer, n, inner] = x.shape;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let best = 0;
        for (let r = 1; r < n; r++) if (wins(x.get(o, r, i), x.get(o, best, i))) best = r;
        y.set(o, i, x.get(o, best, i));
        at.set(o, i, best);
      }
    }
  },

  cumulativeSum({ inputs: [x], outputs: [y], attrs: { exclusive, reverse } }) {
    const [outer, n, inner] = x.shape;
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0;
        for (let k = 0; k < n; k++) {
          const r = reverse ? n - 1 - k : k;
          const value = x.get(o, r, i);
          y.set(o, r, i, exclusive ? sum : sum + value);
          sum += value;
        }
      }
    }
  },

  sort({ inputs: [x], outputs: [values, indices], attrs: { descending } }) {
    const [rows, n] = x.shape;
    for (let row = 0; row < rows; row++) {
      const order = Array.from({ length: n }, (_, i) => i);
      const at = (i: number): number => x.get(row, i);
      order.sort((i, j) => (descending ? compare(at(j), at(i)) : compare(at(i), at(j))));
      order.forEach((from, i) => {
        values.set(row, i, at(from));
        indices.set(row, i, from);
      });
    }
  },

  matmul({ inputs: [a, b], outputs: [c], attrs: flags }) {
    const type = (x: Nd) => ({ shape: x.shape, dtype: 'f32' }) as const;
    const { batch, m, n, k } = matmulSizes([type(a), type(b)], flags);
    const matrix = (x: Nd, transposed: boolean, i: number): Nd => {
      const view = x.dimension === 3 ? x.pick(i, null, null) : x;
      return transposed ? view.transpose(1, 0) : view;
    };
    accumulate(c, (add) => {
      for (let i = 0; i < batch; i++) {
        const left = matrix(a, flags.transA, i);
        const right = matrix(b, flags.transB, i);
        for (let row = 0; row < m; row++) {
          for (let column = 0; column < n; column++) {
            let sum = 0;
            for (let j = 0; j < k; j++) sum += left.get(row, j) * right.get(j, column);
            add((i * m + row) * n + column, sum);
          }
        }
      }
    });
  },

  conv2d({ inputs: [x, w], outputs: [y], attrs: conv }) {
    const [, , channels, filters] = w.shape;
    accumulate(y, (add) => {
      forTaps(conv, x.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        const row = ((n * conv.output[0] + oy) * conv.output[1] + ox) * filters;
        for (let o = 0; o < filters; o++) {
          const first = firstChannel(o, filters, channels, conv.groups);
          let sum = 0;
          for (let c = 0; c < channels; c++) sum += x.get(n, iy, ix, first + c) * w.get(ky, kx, c, o);
          add(row + o, sum);
        }
      });
    });
  },

  conv2dGradInput({ inputs: [g, w], outputs: [dx], attrs: conv }) {
    const [, , channels, filters] = w.shape;
    accumulate(dx, (add) => {
      forTaps(conv, g.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        const row = ((n * conv.input[0] + iy) * conv.input[1] + ix) * channels * conv.groups;
        for (let o = 0; o < filters; o++) {
          const first = firstChannel(o, filters, channels, conv.groups);
          for (let c = 0; c < channels; c++) add(row + first + c, g.get(n, oy, ox, o) * w.get(ky, kx, c, o));
        }
      });
    });
  },

  conv2dGradWeight({ inputs: [x, g], outputs: [dw], attrs: conv }) {
    const [, , channels, filters] = dw.shape;
    accumulate(dw, (add) => {
      forTaps(conv, x.shape[0], (n, oy, ox, iy, ix, ky, kx) => {
        for (let c = 0; c < channels; c++) {
          const row = ((ky * conv.kernel[1] + kx) * channels + c) * filters;
          for (let o = 0; o < filters; o++) {
            const first = firstChannel(o, filters, channels, conv.groups);
            add(row + o, x.get(n, iy, ix, first + c) * g.get(n, oy, ox, o));
          }
        }
      });
    });
  },

  maxPool2d({ inputs: [x], outputs: [y, at], attrs: pool }) {
    const [images, , , channels] = x.shape;
    ndops.assigns(at, -1);
    for (let n = 0; n < images; n++) {
      forWindows(pool, (oy, ox, iy, ix) => {
        for (let c = 0; c < channels; c++) {
          const value = x.get(n, iy, ix, c);
          if (at.get(n, oy, ox, c) >= 0 && !wins(value, y.get(n, oy, ox, c))) continue;
          y.set(n, oy, ox, c, value);
          at.set(n, oy, ox, c, iy * pool.input[1] + ix);
        }
      });
    }
  },

  maxPool2dGrad({ inputs: [g, at], outputs: [dx] }) {
    const [images, rows, columns, channels] = g.shape;
    const imageSize = dx.shape[1] * dx.shape[2] * channels;
    accumulate(dx, (add) => {
      for (let n = 0; n < images; n++) {
        for (let oy = 0; oy < rows; oy++) {
          for (let ox = 0; ox < columns; ox++) {
            for (let c = 0; c < channels; c++) {
              add(n * imageSize + at.get(n, oy, ox, c) * channels + c, g.get(n, oy, ox, c));
            }
          }
        }
      }
    });
  },

  avgPool2d({ inputs: [x], outputs: [y], attrs: pool }) {
    const [images, , , channels] = x.shape;
    const divisors = new Float64Array(y.size / Math.max(channels, 1)).fill(1);
    accumulate(
      y,
      (add) => {
        for (let n = 0; n < images; n++) {
          forWindows(pool, (oy, ox, iy, ix, divisor) => {
            const window = (n * pool.output[0] + oy) * pool.output[1] + ox;
            divisors[window] = divisor;
            for (let c = 0; c < channels; c++) add(window * channels + c, x.get(n, iy, ix, c));
          });
        }
      },
      (sum, i) => sum / divisors[Math.floor(i / channels)],
    );
  },

  avgPool2dGrad({ inputs: [g], outputs: [dx], attrs: pool }) {
    const [images, , , channels] = g.shape;
    accumulate(dx, (add) => {
      for (let n = 0; n < images; n++) {
        forWindows(pool, (oy, ox, iy, ix, divisor) => {
          const row = ((n * pool.input[0] + iy) * pool.input[1] + ix) * channels;
          for (let c = 0; c < channels; c++) add(row + c, g.get(n, oy, ox, c) / divisor);
        });
      }
    });
  },

  lrnWithin({ inputs: [x], outputs: [y, s], attrs: { size, alpha, beta } }) {
    const sums = boxSum(x, size, (n, i, j, c) => x.get(n, i, j, c) ** 2);
    for (let i = 0; i < x.size; i++) {
      const scale = 1 + (alpha / size ** 2) * sums[i];
      s.data[i] = scale;
      y.data[i] = x.data[i] * scale ** -beta;
    }
  },

  lrnWithinGrad({ inputs: [g, x, s], outputs: [dx], attrs: { size, alpha, beta } }) {
    const sums = boxSum(
      x,
      size,
      (n, i, j, c) => g.get(n, i, j, c) * x.get(n, i, j, c) * s.get(n, i, j, c) ** (-beta - 1),
    );
    const factor = (2 * alpha * beta) / size ** 2;
    for (let i = 0; i < x.size; i++) {
      dx.data[i] = g.data[i] * s.data[i] ** -beta - factor * x.data[i] * sums[i];
    }
  },

  batchNorm({ inputs: [x, gamma, beta], outputs: [y, mean, variance], attrs: { epsilon } }) {
    const channels = mean.size;
    const count = x.size / channels;
    for (let c = 0; c < channels; c++) {
      let sum = 0;
      for (let i = c; i < x.size; i += channels) sum += x.data[i];
      const center = sum / count;
      let squares = 0;
      for (let i = c; i < x.size; i += channels) squares += (x.data[i] - center) ** 2;
      const scale = (gamma?.data[c] ?? 1) / Math.sqrt(squares / count + epsilon);
      for (let i = c; i < x.size; i += channels)
        y.data[i] = (x.data[i] - center) * scale + (beta?.data[c] ?? 0);
      mean.data[c] = center;
      variance.data[c] = squares / count;
    }
  },

  batchNormGrad({ inputs: [g, x, mean, variance, gamma], outputs: [dx, dGamma, dBeta], attrs: { epsilon } }) {
    const channels = mean.size;
    const count = x.size / channels;
    for (let c = 0; c < channels; c++) {
      const inverse = 1 / Math.sqrt(variance.data[c] + epsilon);
      const normalised = (i: number): number => (x.data[i] - mean.data[c]) * inverse;
      let sum = 0;
      let product = 0;
      for (let i = c; i < x.size; i += channels) {
        sum += g.data[i];
        product += g.data[i] * normalised(i);
      }
      const scale = (gamma?.data[c] ?? 1) * inverse;
      for (let i = c; i < x.size; i += channels) {
        dx.data[i] = scale * (g.data[i] - sum / count - normalised(i) * (product / count));
      }
      dGamma.data[c] = product;
      dBeta.data[c] = sum;
    }
  },

  standardize({ inputs: [x], outputs: [y, mean, variance], attrs: { epsilon } }) {
    forGroups(x.shape, (n, group, elements) => {
      const count = elements.length;
      const center = elements.reduce((sum, i) => sum + x.data[i], 0) / count;
      const squares = elements.reduce((sum, i) => sum + (x.data[i] - center) ** 2, 0);
      mean.set(n, group, center);
      variance.set(n, group, squares / count);
      for (const i of elements) y.data[i] = (x.data[i] - center) / Math.sqrt(squares / count + epsilon);
    });
  },

  standardizeGrad({ inputs: [g, y, variance], outputs: [dx], attrs: { epsilon } }) {
    forGroups(y.shape, (n, group, elements) => {
      const count = elements.length;
      const sum = elements.reduce((total, i) => total + g.data[i], 0);
      const product = elements.reduce((total, i) => total + g.data[i] * y.data[i], 0);
      const deviation = Math.sqrt(variance.get(n, group) + epsilon);
      for (const i of elements)
        dx.data[i] = (g.data[i] - sum / count - (y.data[i] * product) / count) / deviation;
    });
  },

  resize2d({ inputs: [x], outputs: [y], attrs }) {
    const [images, , , channels] = x.shape;
    accumulate(y, (add) => {
      forMixed(attrs, images, (n, oy, ox, iy, ix, weight) => {
        for (let c = 0; c < channels; c++) add(y.index(n, oy, ox, c), weight * x.get(n, iy, ix, c));
      });
    });
  },

  resize2dGrad({ inputs: [g], outputs: [dx], attrs }) {
    const [images, , , channels] = g.shape;
    accumulate(dx, (add) => {
      forMixed(attrs, images, (n, oy, ox, iy, ix, weight) => {
        for (let c = 0; c < channels; c++) add(dx.index(n, iy, ix, c), weight * g.get(n, oy, ox, c));
      });
    });
  },

  softmaxCrossEntropy({ inputs: [logits, labels], outputs: [loss, softmax], path }) {
    const [rows, classes] = logits.shape;
    for (let n = 0; n < rows; n++) {
      const label = labels.get(n);
      checkLabel('softmaxCrossEntropy', path, label, n, classes);
      let best = 0;
      for (let c = 1; c < classes; c++) if (wins(logits.get(n, c), logits.get(n, best))) best = c;
      const top = logits.get(n, best);
      // Adding small terms to the 1 of the largest logit would lose their digits. The sum leaves it out; log1p adds it.
      let others = 0;
      for (let c = 0; c < classes; c++) if (c !== best) others += Math.exp(logits.get(n, c) - top);
      for (let c = 0; c < classes; c++) softmax.set(n, c, Math.exp(logits.get(n, c) - top) / (1 + others));
      loss.set(n, Math.log1p(others) + (top - logits.get(n, label)));
    }
  },

  softmaxCrossEntropyGrad({ inputs: [g, softmax, labels], outputs: [out] }) {
    const [rows, classes] = out.shape;
    for (let n = 0; n < rows; n++) {
      const label = labels.get(n);
      let others = 0;
      for (let c = 0; c < classes; c++) if (c !== label) others += softmax.get(n, c);
      for (let c = 0; c < classes; c++) {
        const p = softmax.get(n, c);
        out.set(n, c, g.get(n) * (c !== label ? p : p > 0.5 ? 0 - others : p - 1));
      }
    }
  },

  correct({ inputs: [logits, labels], outputs: [out], path }) {
    const [rows, classes] = logits.shape;
    for (let n = 0; n < rows; n++) {
      checkLabel('correct', path, labels.get(n), n, classes);
      let best = 0;
      for (let c = 1; c < classes; c++) if (wins(logits.get(n, c), logits.get(n, best))) best = c;
      out.set(n, best === labels.get(n) && !Number.isNaN(logits.get(n, best)) ? 1 : 0);
    }
  },

  dropout({ inputs: [x, step], outputs: [y], attrs: { rate, key0, key1 } }) {
    const words = new Uint32Array(4);
    const threshold = Math.round(rate * 2 ** 32);
    for (let i = 0; i < x.size; i++) {
      if (i % 4 === 0) philox([key0, key1], i / 4, 0, step.data[0], 0, words);
      y.data[i] = words[i % 4] >= threshold ? x.data[i] / (1 - rate) : 0;
    }
  },

  random({ inputs: [step], outputs: [y], attrs: { distribution, key0, key1 } }) {
    const words = new Uint32Array(4);
    for (let i = 0; i < y.size; i++) {
      if (i % 4 === 0) philox([key0, key1], i / 4, 0, step.data[0], 0, words);
      const word = words[i % 4];
      // Rounded to single precision in every mode: the same numbers on every backend.
      y.data[i] = distribution === 'normal' ? Math.fround(normalOf(word)) : (word >>> 8) / 2 ** 24;
    }
  },

  takeRows({ inputs: [x, index], outputs: [y], path }) {
    const rows = x.shape[0];
    for (let n = 0; n < index.size; n++) {
      const row = checkedIndex('takeRows', path, index.data[n], n, rows);
      ndops.assign(y.lo(n).hi(1), x.lo(row).hi(1));
    }
  },

  scatterRows({ inputs: [g, index], outputs: [y], path }) {
    const rows = y.shape[0];
    const width = g.size / Math.max(index.size, 1);
    accumulate(y, (add) => {
      for (let n = 0; n < index.size; n++) {
        const row = checkedIndex('scatterRows', path, index.data[n], n, rows);
        for (let i = 0; i < width; i++) add(row * width + i, g.data[n * width + i]);
      }
    });
  },

  takeAlong({ inputs: [x, index], outputs: [y], path }) {
    const [, n, inner] = x.shape;
    forAlong('takeAlong', path, index, n, (at, o, position, i) => {
      y.data[at] = x.data[(o * n + position) * inner + i];
    });
  },

  scatterAlong({ inputs: [g, index], outputs: [y], path }) {
    const [, n, inner] = y.shape;
    accumulate(y, (add) => {
      forAlong('scatterAlong', path, index, n, (at, o, position, i) =>
        add((o * n + position) * inner + i, g.data[at]),
      );
    });
  },

  normalizeImages({ inputs: [x, mean, scale, draws], outputs: [y] }) {
    const [images, height, width, channels] = x.shape;
    const center = broadcast(mean, [height, width, channels]);
    const factor = broadcast(scale, [height, width, channels]);
    for (let n = 0; n < images; n++) {
      const [dy, dx, flip] = draws === undefined ? [0, 0, 0] : [0, 1, 2].map((i) => draws.get(n, i));
      for (let i = 0; i < height; i++) {
        for (let j = 0; j < width; j++) {
          const sy = i + dy;
          const sx = (flip === 0 ? j : width - 1 - j) + dx;
          const inside = sy >= 0 && sy < height && sx >= 0 && sx < width;
          for (let c = 0; c < channels; c++) {
            y.set(
              n,
              i,
              j,
              c,
              inside ? (x.get(n, sy, sx, c) - center.get(sy, sx, c)) * factor.get(sy, sx, c) : 0,
            );
          }
        }
      }
    }
  },
};
