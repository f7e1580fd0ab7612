/**
 * The declaration of an operation with `defineOp`: name, shape rule, derivative, buffer reuse and cost. Backends have the kernels
 * (see backends/backend.ts).
 */
import { PlanError, ShapeError, type EngineError } from './errors.ts';
import { isRecord, show } from './options.ts';
import { currentPath } from './path.ts';
import { currentRegion } from './region.ts';
import { formatType } from './shape.ts';
import { Tensor, type Node } from './tensor.ts';
import type { DType, TensorType } from './types.ts';

export type AttrValue =
  number | string | boolean | readonly number[] | readonly (readonly (number | string)[])[] | Attrs;
export interface Attrs {
  readonly [name: string]: AttrValue;
}

/** The arguments of a derivative rule. */
export interface Vjp<A extends Attrs> {
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The gradient of each result. Null if the loss does not depend on the result. */
  readonly grads: readonly (Tensor | null)[];
  readonly attrs: A;
  /** Whether the gradient of input i is needed. A rule may skip the others. */
  readonly needs: (i: number) => boolean;
}

/** One gradient for each input. Null if there is none, or if it is not needed. */
export type Grads = readonly (Tensor | null)[];

export interface OpDef<N extends string, A extends Attrs> {
  readonly name: N;
  /** Types of the results. Throws ShapeError with the name of the operation and all types that disagree. */
  infer(inputs: readonly TensorType[], attrs: A): readonly TensorType[];
  /** Gradients of the inputs, written with operations. Null for an operation without a derivative. */
  readonly vjp: ((at: Vjp<A>) => Grads) | null;
  /** Inputs whose buffer the first result may overwrite after their last use. */
  readonly mayReuse?: readonly number[];
  /**
   * Present if the operation acts on each element alone (with broadcasting), so the planner may compute it in one pass with its
   * neighbors. Returns the function that the operation applies to the elements, for results of this dtype.
   */
  readonly elementwise?: (result: DType) => ElementFunction;
  /** The result is the first input's memory under another type or name: no kernel, no cost. */
  readonly alias?: true;
  /** A run's values can stop it here: the planner puts it before any state is written. */
  readonly mayFail?: true;
  /** For an operation that fails when an element of its index is outside 0 … n − 1: n. */
  readonly indexRange?: (inputs: readonly TensorType[], outputs: readonly TensorType[]) => number;
  /** Arithmetic operations of one application; 0 when left out (memory traffic dominates). */
  readonly flops?: (inputs: readonly TensorType[], outputs: readonly TensorType[], attrs: A) => number;
  /** All arithmetic is multiply-adds, half as many as `flops`. */
  readonly multiplyAdds?: true;
  /** Reads only as many elements of its first input as it writes. */
  readonly readsPart?: true;
}

/** An element of the result from one element of each input, in double precision. The backends round it to the result's dtype. */
export type ElementFunction = (...elements: number[]) => number;

/** The declaration of an operation that acts on each element alone. */
export type ElementwiseDef<N extends string, A extends Attrs> = OpDef<N, A> &
  Required<Pick<OpDef<N, A>, 'elementwise'>>;

// Derivative and shape rules take their own attributes, which no common type can name; the name ties them together.
// eslint-disable-next-line typescript/no-explicit-any
export type AnyOp = OpDef<string, any>;

export interface Op<N extends string, A extends Attrs> extends OpDef<N, A> {
  (inputs: readonly Tensor[], attrs: A): readonly Tensor[];
}

/**
 * Declares an operation. The result is callable: `op(inputs, attrs)` checks the shapes, adds an application to the graph and returns
 * its results.
 */
export function defineOp<const N extends string, A extends Attrs>(def: OpDef<N, A>): Op<N, A> {
  const apply = (inputs: readonly Tensor[], attrs: A): readonly Tensor[] =>
    addNode(
      { op: def, attrs, inputs: [...inputs], path: currentPath(), region: currentRegion() },
      def.infer(inputs, attrs),
    ).results;
  const { name, ...rest } = def;
  return Object.assign(Object.defineProperty(apply, 'name', { value: name }), rest) as unknown as Op<N, A>;
}

let nextId = 0;

/** Adds the application of an operation to the graph. */
function addNode(parts: Omit<Node, 'id' | 'results'>, types: readonly TensorType[]): Node {
  const results: Tensor[] = [];
  const node: Node = { id: nextId++, ...parts, results };
  types.forEach((type, index) => results.push(new Tensor(type, { kind: 'node', node, index })));
  return node;
}

/** Applies the operation of a node to other inputs of the same types. */
export const copyNode = ({ op, attrs, path, results }: Node, inputs: readonly Tensor[]): Node =>
  addNode({ op, attrs, inputs, path: `${path}${AGAIN}`, region: currentRegion() }, results);

/** The results of the operation of a node, whose name may be that of a custom operation, on other inputs. */
export const onInputs = ({ op, attrs, path }: Node, inputs: readonly Tensor[]): readonly Tensor[] =>
  addNode({ op, attrs, inputs, path, region: currentRegion() }, op.infer(inputs, attrs)).results;

/** After the path of operations that are computed again. */
const AGAIN = ', again';

/** Throws TypeError unless `value`, which `called` returned, is a tensor. */
export function expectTensor(called: string, value: unknown): asserts value is Tensor {
  if (value instanceof Tensor) return;
  throw new TypeError(`${called} must return a tensor, got ${show(value)}`);
}

const NORMALIZE = ', or begin the model with nn.normalize(…)';

/** Whether a value is images in bytes that reach a layer, where normalization is usually missing. */
const inLayer = (type: TensorType): boolean => type.dtype === 'u8' && currentPath() !== '';

/** Throws ShapeError unless every input has the dtype. */
export function expectDType(
  where: string,
  dtype: TensorType['dtype'],
  ...types: readonly TensorType[]
): void {
  for (const type of types) {
    expectType(where, type);
    if (type.dtype !== dtype) {
      throw new ShapeError(
        `${where}: expects ${dtype} but got ${formatType(type)}` +
          (dtype === 'f32' ? ` (convert it with cast(x)${inLayer(type) ? NORMALIZE : ''})` : ''),
      );
    }
  }
}

/** Throws TypeError for what is no tensor, for instance the input of a layer in an object. */
function expectType(where: string, type: unknown): void {
  if (isRecord(type) && Array.isArray(type['shape'])) return;
  throw new TypeError(`${where}: expects a tensor, got ${show(type)}`);
}

/** The tensor. Throws ShapeError unless it has the dtype. `where` names a function that is composed of operations. */
export function withDType(where: string, dtype: TensorType['dtype'], tensor: Tensor): Tensor {
  expectDType(where, dtype, tensor);
  return tensor;
}

/** Throws ShapeError unless the value has the rank. `meaning` names the axes, for instance '[N, H, W, C]'. */
export function expectRank(where: string, type: TensorType, rank: number, meaning: string): void {
  expectType(where, type);
  if (type.shape.length !== rank) {
    throw new ShapeError(`${where}: expects ${meaning} but got ${formatType(type)}`);
  }
}

/** The error for an operation without a derivative. */
export function noDerivative(name: string, path: string): EngineError {
  return new PlanError(
    `grad: operation ${name}${path === '' ? '' : ` in ${path}`} has no derivative ` +
      `(differentiate another expression, or use stopGradient on its inputs)`,
  );
}
