/**
 * What an operation case is, how its inputs are drawn, and how it is run on a backend. The cases themselves are in the
 * files beside this one; gradient checks, conformance suites and timings all use the same table (index.ts).
 */
import type { Evaluator } from '../../engine/evaluate.ts';
import { grad } from '../../engine/grad.ts';
import { add, mul, scalar, sum } from '../../engine/ops/index.ts';
import { allocate } from '../../engine/ops/convert.ts';
import { stream, type Stream } from '../../engine/rng.ts';
import { sizeOf } from '../../engine/shape.ts';
import { constant, type Tensor } from '../../engine/tensor.ts';
import type { HostTensor, Shape, TensorType } from '../../engine/types.ts';

/** An input: its type, and how its elements are drawn. */
export interface Draw extends TensorType {
  values(draws: Stream, size: number): readonly number[];
}

export type Tag =
  /** Too much work for one difference per element: checked along random directions. */
  | 'large'
  /** Contains NaN, infinities or values where the operation is not smooth. */
  | 'special';

type Results = Tensor | readonly Tensor[];

export interface CaseOptions<N extends string> {
  /** Inputs to differentiate by. Default: every `f32` input. */
  readonly wrt?: readonly N[];
  /** Results, by position, that the gradient's loss is made of. Default: every `f32` result. */
  readonly through?: readonly number[];
  /** Largest difference of two single-precision backends, relative to the largest element. Default 1e-6; 0 is exact. */
  readonly tolerance?: number;
  readonly tags?: readonly Tag[];
}

export interface Case {
  /** `operation: what is special`, unique. Inputs are drawn from a stream of this name. */
  readonly name: string;
  readonly inputs: Readonly<Record<string, Draw>>;
  build(inputs: Readonly<Record<string, Tensor>>): Results;
  readonly wrt: readonly string[];
  readonly through: readonly number[] | null;
  readonly tolerance: number;
  readonly tags: readonly Tag[];
}

/** Declares a case; the table adds the operation's name to its own. */
export function define<const I extends Readonly<Record<string, Draw>>>(
  name: string,
  inputs: I,
  build: (inputs: { readonly [N in keyof I]: Tensor }) => Results,
  options: CaseOptions<Extract<keyof I, string>> = {},
): Case {
  const floats = Object.keys(inputs).filter((key) => inputs[key].dtype === 'f32');
  const { wrt = floats, through = null, tolerance = 1e-6, tags = [] } = options;
  return { name, inputs, build: build, wrt, through, tolerance, tags };
}

// ---- domains: every value is exact in single precision, so that all backends start from the same numbers

const each = (draw: (draws: Stream, i: number) => number) => (draws: Stream, size: number) =>
  Array.from({ length: size }, (_, i) => Math.fround(draw(draws, i)));

/** Uniform in [low, high). */
export const uniform = (shape: Shape, low = -2, high = 2): Draw => ({
  shape,
  dtype: 'f32',
  values: each((draws) => low + (high - low) * draws.uniform()),
});

/** Both signs, at least `gap` away from 0: for operations with a kink there. */
export const away = (shape: Shape, gap = 0.1, high = 2): Draw => ({
  shape,
  dtype: 'f32',
  values: each((draws) => (gap + (high - gap) * draws.uniform()) * (draws.below(2) === 0 ? -1 : 1)),
});

/** No two elements closer than 1/64, or 8/size of a large value: for maxima, whose gradient jumps at ties. */
export const distinct = (shape: Shape): Draw => ({
  shape,
  dtype: 'f32',
  values(draws, size) {
    const order = Array.from({ length: size }, (_, i) => i);
    for (let i = size - 1; i > 0; i--) {
      const j = draws.below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    const gap = Math.min(1 / 64, 8 / size);
    return order.map((rank) => Math.fround((rank - (size >> 1)) * gap));
  },
});

/** The given elements, repeated to fill the shape. */
export const given = (shape: Shape, list: readonly number[], dtype: TensorType['dtype'] = 'f32'): Draw => ({
  shape,
  dtype,
  values: each((_, i) => list[i % list.length]),
});

/** Integers in [0, n): labels, positions. */
export const integers = (shape: Shape, n: number): Draw => ({
  shape,
  dtype: 'i32',
  values: each((draws) => draws.below(n)),
});

export const bytes = (shape: Shape): Draw => ({
  shape,
  dtype: 'u8',
  values: each((draws) => draws.below(256)),
});

// ---- running

/** Draws the inputs of a case: the same numbers at every call. */
export function drawInputs(item: Case): Readonly<Record<string, HostTensor>> {
  return Object.fromEntries(
    Object.entries(item.inputs).map(([name, draw]) => {
      const { shape, dtype } = draw;
      const data = allocate(dtype, sizeOf(shape));
      data.set(draw.values(stream(1, `${item.name} / ${name}`), data.length));
      return [name, { shape, dtype, data }];
    }),
  );
}

const drawn = new WeakMap<Case, Readonly<Record<string, HostTensor>>>();

/** The inputs of a case, drawn once in a process: suites run each case on many backends. Nobody may write into them. */
export function inputsOf(item: Case): Readonly<Record<string, HostTensor>> {
  const inputs = drawn.get(item) ?? drawInputs(item);
  drawn.set(item, inputs);
  return inputs;
}

export function buildCase(item: Case, inputs: Readonly<Record<string, Tensor>>): readonly Tensor[] {
  const results = item.build(inputs);
  return Array.isArray(results) ? (results as readonly Tensor[]) : [results as Tensor];
}

/** A scalar in which every element of the differentiable results counts with its own random weight. */
export function lossOf(item: Case, results: readonly Tensor[]): Tensor {
  let loss = scalar(0);
  for (const [i, result] of results.entries()) {
    if (result.dtype !== 'f32' || (item.through !== null && !item.through.includes(i))) continue;
    loss = add(loss, sum(mul(result, weightsFor(`${item.name} / loss ${i}`, result.shape))));
  }
  return loss;
}

const weights = new Map<string, HostTensor>();

/** Random weights from ±[0.5, 1.5], drawn once in a process for each purpose and shape. */
export function weightsFor(purpose: string, shape: Shape): Tensor {
  const id = `${purpose} ${shape.join('x')}`;
  let host = weights.get(id);
  if (host === undefined) {
    const values = away(shape, 0.5, 1.5).values(stream(2, purpose), sizeOf(shape));
    host = { shape, dtype: 'f32', data: Float32Array.from(values) };
    weights.set(id, host);
  }
  return constant(host);
}

export interface CaseResult {
  readonly results: readonly HostTensor[];
  /** By input, in the order of `wrt`. */
  readonly gradients: ReadonlyMap<string, HostTensor>;
}

/** Runs a case, and its gradients, on the evaluator's backend. */
export async function runCase(evaluator: Evaluator, item: Case): Promise<CaseResult> {
  const inputs = Object.fromEntries(
    Object.entries(inputsOf(item)).map(([name, value]) => [name, constant(value)]),
  );
  const results = buildCase(item, inputs);
  const gradients =
    item.wrt.length === 0
      ? []
      : grad(
          lossOf(item, results),
          item.wrt.map((name) => inputs[name]),
        );
  const values = await evaluator.evaluate([...results, ...gradients]);
  return {
    results: values.slice(0, results.length),
    gradients: new Map(item.wrt.map((name, i) => [name, values[results.length + i]])),
  };
}
