/** The methods of a tensor: `x.matmul(w).add(b).relu()` and `await t.data()`. Importing this file installs them. */
import ndarray, { type NdArray } from 'ndarray';
import { ShapeError } from './errors.ts';
import { defaultEvaluator } from './select.ts';
import * as elementwise from './ops/elementwise.ts';
import {
  all,
  any,
  argMax,
  argMin,
  argSort,
  broadcastTo,
  celu,
  cumsum,
  dot,
  elu,
  expandDims,
  flip,
  gather,
  gelu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  leakyRelu,
  logSoftmax,
  logSumExp,
  matmul,
  max,
  mean,
  min,
  norm,
  oneHot,
  outer,
  pad,
  prod,
  repeat,
  reshape,
  silu,
  slice,
  softmax,
  softplus,
  sort,
  split,
  squeeze,
  sum,
  takeAlongAxis,
  tile,
  topK,
  transpose,
  variance,
  tan,
  asin,
  acos,
  asinh,
  acosh,
  atanh,
  std,
  median,
  quantile,
  cumprod,
  roll,
  diag,
  triu,
  tril,
  selu,
  mish,
  prelu,
} from './ops/index.ts';
import { formatType, sizeOf, stridesOf } from './shape.ts';
import { Tensor } from './tensor.ts';
import type { Nested, TensorLike } from './ops/create.ts';
import type * as ops from './ops/index.ts';
import type { HostData, HostTensor } from './types.ts';

/** Elementwise functions that are not methods: the first argument of `where` is a condition, and `checkFinite` is for training steps. */
const NOT_METHODS = ['where', 'checkFinite'] as const;
/**
 * The other operations that are methods: their first argument is the tensor. They are named one by one, so that bundlers leave out
 * the operations that are neither methods nor used.
 */
const OPERATIONS = {
  prelu,
  mish,
  selu,
  tril,
  triu,
  diag,
  roll,
  cumprod,
  quantile,
  median,
  std,
  atanh,
  acosh,
  asinh,
  acos,
  asin,
  tan,
  gelu,
  silu,
  softplus,
  leakyRelu,
  elu,
  celu,
  hardSigmoid,
  hardSwish,
  hardTanh,
  sum,
  mean,
  max,
  min,
  prod,
  argMax,
  argMin,
  any,
  all,
  variance,
  norm,
  logSumExp,
  softmax,
  logSoftmax,
  cumsum,
  reshape,
  transpose,
  broadcastTo,
  slice,
  split,
  squeeze,
  expandDims,
  flip,
  tile,
  repeat,
  pad,
  gather,
  takeAlongAxis,
  sort,
  argSort,
  topK,
  oneHot,
  matmul,
  dot,
  outer,
};

type Elementwise = Exclude<keyof typeof elementwise, (typeof NOT_METHODS)[number]>;
type Operation = Elementwise | keyof typeof OPERATIONS;

/** The types of the arguments after the first. */
type Rest<F> = F extends (x: TensorLike, ...rest: infer R) => unknown ? R : never;
/** The operations as methods. Mapping over the keys of a type keeps the documentation of each in editors. */
type OperationMethods = {
  readonly [N in keyof Pick<typeof ops, Operation>]: (
    ...rest: Rest<(typeof ops)[N]>
  ) => ReturnType<(typeof ops)[N]>;
};

const isMethod = ([name]: readonly [string, unknown]): boolean =>
  !NOT_METHODS.some((other) => other === name);
const operations = Object.fromEntries(
  Object.entries({ ...elementwise, ...OPERATIONS })
    .filter(isMethod)
    .map(([name, value]) => {
      const operation = value as (x: Tensor, ...rest: readonly unknown[]) => unknown;
      return [
        name,
        function (this: Tensor, ...rest: readonly unknown[]) {
          return operation(this, ...rest);
        },
      ];
    }),
) as unknown as OperationMethods;

const methods = {
  /** The value as a flat typed array, row-major. The array is shared: copy it before changing it. */
  async data(this: Tensor): Promise<HostData> {
    return (await evaluate(this)).data;
  },
  /**
   * The value of a tensor with one element, as a number.
   * Throws ShapeError for any other number of elements.
   */
  async item(this: Tensor): Promise<number> {
    if (sizeOf(this.shape) !== 1) {
      throw new ShapeError(
        `item: expects a tensor with one element, got ${formatType(this)} (use data() or array())`,
      );
    }
    return (await evaluate(this)).data[0];
  },
  /** The value as nested arrays; a number for a scalar. */
  async array(this: Tensor): Promise<Nested> {
    return nested(await evaluate(this));
  },
  /** The value as an ndarray over the same memory. */
  async ndarray(this: Tensor): Promise<NdArray<HostData>> {
    const { data, shape } = await evaluate(this);
    return ndarray(data, [...shape], stridesOf(shape));
  },
  /** Prints type and values. */
  async print(this: Tensor): Promise<void> {
    const value = await evaluate(this);
    // eslint-disable-next-line no-console -- printing is what was asked for
    console.log(formatValue(value));
  },
};

type Methods = typeof methods & OperationMethods;

declare module './tensor.ts' {
  // Merging is how methods defined outside a class get into its type.
  // eslint-disable-next-line typescript/no-empty-interface
  interface Tensor extends Methods {}
}

Object.assign(Tensor.prototype, operations, methods);

async function evaluate(tensor: Tensor): Promise<HostTensor> {
  const [value] = await (await defaultEvaluator()).evaluate([tensor]);
  return value;
}

/** Nested arrays of a host value; a number for a scalar. */
export function nested({ data, shape }: HostTensor): Nested {
  if (shape.length === 0) return data[0];
  const strides = stridesOf(shape);
  const build = (axis: number, offset: number): Nested[] =>
    Array.from({ length: shape[axis] }, (_, i) =>
      axis === shape.length - 1 ? data[offset + i] : build(axis + 1, offset + i * strides[axis]),
    );
  return build(0, 0);
}

/** `f32 [2,2]` and the values, long axes shortened. */
export function formatValue(value: HostTensor): string {
  const show = (v: Nested, indent: string): string => {
    if (typeof v === 'number') return String(Number(v.toPrecision(6)));
    const shown = v.length > 8 ? [...v.slice(0, 4), null, ...v.slice(-3)] : v;
    const flat = typeof v[0] === 'number' || v.length === 0;
    const parts = shown.map((item) => (item === null ? '…' : show(item, `${indent} `)));
    return `[${parts.join(flat ? ', ' : `,\n${indent} `)}]`;
  };
  return `${formatType(value)}\n${show(nested(value), '')}`;
}
