/**
 * Reverse-mode differentiation as a graph rewrite: the derivative rule of each operation adds operations. There is no tape and no
 * gradient field. The planner keeps a value alive only if one of the new operations uses it.
 */
import { PlanError, ShapeError } from './errors.ts';
import { dependenciesOf, nodesOf } from './graph.ts';
import { copyNode, expectTensor, noDerivative } from './op.ts';
import { checkFunction, show } from './options.ts';
// Not from ops/index.ts: some derivative rules call grad, so the two files would import each other.
import { toTensor } from './ops/convert.ts';
import { scalar, type TensorLike } from './ops/create.ts';
import { add, mul, stopGradient } from './ops/elementwise.ts';
import { broadcastTo } from './ops/layout.ts';
import { joinedPads } from './ops/primitives/layout.ts';
import { sum } from './ops/reduce.ts';
import { withPath } from './path.ts';
import { Recomputation } from './recompute.ts';
import { checkList, formatType, sameShape } from './shape.ts';
import { Tensor, type Node } from './tensor.ts';

/** The same number of tensors: a tuple for a tuple. */
type Same<W extends readonly Tensor[]> = { -readonly [I in keyof W]: Tensor };

/**
 * The gradients of a scalar with respect to tensors, which may be results of operations. The gradient of a tensor that the loss does
 * not depend on is 0. Gradients are tensors and can be differentiated again.
 *
 * Shapes: loss `f32` [], each tensor of wrt `f32` [...] -> a gradient with its shape.
 * Throws PlanError unless the loss is a scalar `f32`, for an operation without a derivative, and if a tensor between loss and `wrt` was
 * evaluated, because evaluated tensors drop their history.
 *
 * @example
 * const w = tensor([1, 2, 3]);
 * const [g] = grad(sum(mul(w, w)), [w]);
 * g // [2, 4, 6]
 */
export function grad<const W extends readonly Tensor[]>(loss: Tensor, wrt: W): Same<W> {
  checkArguments('grad', loss, wrt, 'grad(loss, [w])');
  if (loss.rank !== 0 || loss.dtype !== 'f32') {
    throw new PlanError(
      `grad: the loss must be a scalar f32 but is ${formatType(loss)} (reduce it with sum() or mean())`,
    );
  }
  const targets = new Set<Tensor>(wrt);
  const nodes = nodesTowards(loss, targets);
  const gradients = new Map<Tensor, Tensor>();
  checkHistory(loss, wrt);
  if (isOn(loss, nodes, targets)) gradients.set(loss, scalar(1));

  const again = new Recomputation(targets, copyNode);
  for (const node of [...nodes].reverse()) {
    const grads = node.results.map((result) => gradients.get(result) ?? null);
    if (grads.every((g) => g === null)) continue;
    const { vjp, name } = node.op;
    if (vjp === null) throw noDerivative(name, node.path);
    const needs = (i: number): boolean => isOn(node.inputs[i], nodes, targets);
    const results = withPath(node.path, () =>
      vjp({
        inputs: again.values(node, node.inputs),
        outputs: again.values(node, node.results),
        grads,
        attrs: node.attrs,
        needs,
      }),
    );
    node.inputs.forEach((input, i) => {
      const g = results[i] ?? null;
      if (g === null || !needs(i)) return;
      if (!sameShape(g.shape, input.shape) || g.dtype !== input.dtype) {
        throw new PlanError(
          `grad: the derivative rule of ${name} returned ${formatType(g)} for input ${i}, which is ${formatType(input)}`,
        );
      }
      const sofar = gradients.get(input);
      gradients.set(input, sofar === undefined ? g : withPath(node.path, () => addGradients(sofar, g)));
    });
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? zerosLike(tensor)) as Same<W>;
}

/** The sum of two gradients. Those of neighboring slices, as of the parts of `split`, are joined without zeros to add. */
const addGradients = (a: Tensor, b: Tensor): Tensor => joinedPads(a, b) ?? joinedPads(b, a) ?? add(a, b);

/**
 * A function that returns the value of `fn`, a scalar, and its gradients with respect to the arguments.
 *
 * Shapes: value `f32` []; each gradient has the shape of its argument.
 * Throws as `grad` does.
 *
 * @example
 * const { value, gradients } = valueAndGrad((w, b) => sum(mul(w, w).add(b)))([1, 2], 0);
 * value // 5
 * gradients // [[2, 4], 2]
 */
export function valueAndGrad<A extends readonly Tensor[]>(
  fn: (...inputs: A) => Tensor,
): (...inputs: { readonly [I in keyof A]: TensorLike }) => {
  readonly value: Tensor;
  readonly gradients: Readonly<Same<A>>;
} {
  checkFunction('valueAndGrad', 'fn', fn, 'a function of tensors');
  return (...inputs) => {
    if (inputs.length < fn.length) {
      throw new TypeError(`valueAndGrad: the function takes ${fn.length} inputs, got ${inputs.length}`);
    }
    const tensors = inputs.map((value) => toTensor('valueAndGrad', value)) as readonly Tensor[] as A;
    const value = fn(...tensors);
    expectTensor('valueAndGrad: the function', value);
    return { value, gradients: grad(value, tensors) };
  };
}

/**
 * The product of the Hessian of a scalar and a vector: the directional derivative of the gradient. It costs a few gradients.
 *
 * Shapes: loss `f32` [], each tensor of wrt `f32` [...], one part of the vector with its shape -> a product with its shape.
 * Throws ShapeError for a vector that does not match `wrt`, and PlanError as `grad` does, also for an operation without a second
 * derivative.
 *
 * @example
 * const w = tensor([1, 2]);
 * hessianVector(sum(pow(w, 3)), [w], [[1, 0]]) // [[6, 0]]
 */
export function hessianVector<const W extends readonly Tensor[]>(
  loss: Tensor,
  wrt: W,
  vector: readonly TensorLike[],
): Same<W> {
  checkArguments('hessianVector', loss, wrt, 'hessianVector(loss, [w], [v])');
  checkList('hessianVector', 'vector', vector);
  const parts = vector.map((part) => stopGradient(toTensor('hessianVector', part)));
  if (parts.length !== wrt.length) {
    throw new ShapeError(
      `hessianVector: there are ${wrt.length} tensors but ${parts.length} parts of the vector (pass one part per tensor)`,
    );
  }
  parts.forEach((part, i) => {
    if (!sameShape(part.shape, wrt[i].shape)) {
      throw new ShapeError(
        `hessianVector: part ${i} of the vector is ${formatType(part)} but its tensor is ${formatType(wrt[i])} (both must be equal)`,
      );
    }
  });
  const slopes = grad(loss, wrt).map((g, i) => sum(mul(g, parts[i])));
  if (slopes.length === 0) return [] as unknown as Same<W>;
  return grad(
    slopes.reduce((total, slope) => add(total, slope)),
    wrt,
  );
}

/** Throws TypeError unless `loss` is a tensor, and `wrt` an array of tensors. */
function checkArguments(where: string, loss: unknown, wrt: unknown, fix: string): void {
  if (!(loss instanceof Tensor)) {
    throw new TypeError(`${where}: loss must be a tensor, got ${show(loss)} (the loss comes first: ${fix})`);
  }
  const list: readonly unknown[] = Array.isArray(wrt) ? wrt : [wrt];
  const wrong = list.find((tensor) => !(tensor instanceof Tensor));
  if (Array.isArray(wrt) && wrong === undefined && !list.includes(undefined)) return;
  const got = wrt instanceof Tensor ? 'a tensor' : Array.isArray(wrt) ? `${show(wrong)} in it` : show(wrt);
  throw new TypeError(`${where}: wrt must be an array of tensors, got ${got} (write ${fix})`);
}

/**
 * The gradient of a tensor that the loss does not depend on is 0. Throws if an evaluated value may hide a dependence, because zeros
 * would then be a silent error.
 */
function checkHistory(loss: Tensor, wrt: readonly Tensor[]): void {
  const seen = dependenciesOf([loss]);
  const missing = wrt.findIndex((tensor) => !seen.has(tensor));
  if (missing < 0) return;
  for (const tensor of seen) {
    if (tensor.source.kind !== 'constant' || tensor.source.evaluated !== true || wrt.includes(tensor))
      continue;
    throw new PlanError(
      `grad: the loss does not depend on tensor ${missing} of wrt (${formatType(wrt[missing])}), but it contains a ` +
        `${formatType(tensor)} that was evaluated and dropped its history ` +
        `(compute gradients before data(), array(), ndarray() or print())`,
    );
  }
}

function zerosLike(tensor: Tensor): Tensor {
  if (tensor.dtype !== 'f32') {
    throw new PlanError(
      `grad: cannot differentiate with respect to ${formatType(tensor)} (only f32 has derivatives)`,
    );
  }
  return broadcastTo(scalar(0), tensor.shape);
}

/** The nodes on some path from a tensor in `wrt` to the loss, in order of creation. */
function nodesTowards(loss: Tensor, wrt: ReadonlySet<Tensor>): Set<Node> {
  const on = new Set<Node>();
  for (const node of nodesOf([loss])) if (node.inputs.some((t) => isOn(t, on, wrt))) on.add(node);
  return on;
}

function isOn(tensor: Tensor, nodes: ReadonlySet<Node>, wrt: ReadonlySet<Tensor>): boolean {
  return (tensor.source.kind === 'node' && nodes.has(tensor.source.node)) || wrt.has(tensor);
}
