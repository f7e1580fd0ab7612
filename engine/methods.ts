/** The methods of a tensor: `x.matmul(w).add(b).relu()` and `await t.data()`. Importing this file installs them. */
import ndarray, { type NdArray } from 'ndarray';
import { defaultEvaluator } from './backends/select.ts';
import * as ops from './ops/index.ts';
import { formatType, stridesOf } from './shape.ts';
import { Tensor } from './tensor.ts';
import type { Nested, TensorLike } from './ops/create.ts';
import type { HostData, HostTensor, Shape } from './types.ts';

type Axes = number | readonly number[];

const methods = {
  add(this: Tensor, b: TensorLike) {
    return ops.add(this, b);
  },
  sub(this: Tensor, b: TensorLike) {
    return ops.sub(this, b);
  },
  mul(this: Tensor, b: TensorLike) {
    return ops.mul(this, b);
  },
  div(this: Tensor, b: TensorLike) {
    return ops.div(this, b);
  },
  pow(this: Tensor, b: TensorLike) {
    return ops.pow(this, b);
  },
  neg(this: Tensor) {
    return ops.neg(this);
  },
  exp(this: Tensor) {
    return ops.exp(this);
  },
  log(this: Tensor) {
    return ops.log(this);
  },
  sqrt(this: Tensor) {
    return ops.sqrt(this);
  },
  tanh(this: Tensor) {
    return ops.tanh(this);
  },
  sigmoid(this: Tensor) {
    return ops.sigmoid(this);
  },
  relu(this: Tensor) {
    return ops.relu(this);
  },
  cast(this: Tensor) {
    return ops.cast(this);
  },
  sum(this: Tensor, axes?: Axes, options?: ops.ReduceOptions) {
    return ops.sum(this, axes, options);
  },
  mean(this: Tensor, axes?: Axes, options?: ops.ReduceOptions) {
    return ops.mean(this, axes, options);
  },
  max(this: Tensor, axes?: Axes, options?: ops.ReduceOptions) {
    return ops.max(this, axes, options);
  },
  reshape(this: Tensor, shape: Shape) {
    return ops.reshape(this, shape);
  },
  transpose(this: Tensor, perm?: readonly number[]) {
    return ops.transpose(this, perm);
  },
  broadcastTo(this: Tensor, shape: Shape) {
    return ops.broadcastTo(this, shape);
  },
  matmul(this: Tensor, b: TensorLike, options?: ops.MatmulOptions) {
    return ops.matmul(this, b, options);
  },

  /** The value as a flat typed array, row-major. The array is shared: copy it before changing it. */
  async data(this: Tensor): Promise<HostData> {
    return (await evaluate(this)).data;
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

type Methods = typeof methods;

declare module './tensor.ts' {
  // Merging is how methods defined outside a class get into its type.
  // eslint-disable-next-line typescript/no-empty-interface
  interface Tensor extends Methods {}
}

Object.assign(Tensor.prototype, methods);

async function evaluate(tensor: Tensor): Promise<HostTensor> {
  const [value] = await (await defaultEvaluator()).evaluate([tensor]);
  return value!;
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
    const parts = shown.map((item) => (item === null ? '…' : show(item as Nested, `${indent} `)));
    return `[${parts.join(flat ? ', ' : `,\n${indent} `)}]`;
  };
  return `${formatType(value)}\n${show(nested(value), '')}`;
}
