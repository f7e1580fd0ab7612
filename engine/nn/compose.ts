/** Layers made of layers. */
import { ShapeError } from '../errors.ts';
import { add } from '../ops/elementwise.ts';
import { concat } from '../ops/layout.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { childConfigs, childParams, type Described, type Layer } from './layer.ts';

/**
 * One layer after another. Keys are the layers' names: they name parameters, and places in errors and plans. A layer
 * that is used under two names has two sets of parameters.
 *
 * @example sequential({ flat: flatten(), fc: dense(3072, 10) }) // parameters 'fc.weight' and 'fc.bias'
 */
export function sequential(layers: Readonly<Record<string, Layer>>): Layer {
  return {
    params: childParams('sequential', layers),
    config: { kind: 'sequential', layers: childConfigs(layers) },
    apply: (x, scope) =>
      Object.entries(layers).reduce((value, [name, layer]) => scope.child(name, layer, value), x),
  };
}

/**
 * main(x) + shortcut(x); without a shortcut, main(x) + x. Parameters are named 'main. …' and 'shortcut. …'.
 * Throws ShapeError unless both have the same shape.
 *
 * @example residual(sequential({ conv1: conv2d(16, 16, 3), relu1: relu(), conv2: conv2d(16, 16, 3) }))
 */
export function residual(main: Layer, shortcut?: Layer): Layer {
  const layers = { main, ...(shortcut !== undefined && { shortcut }) };
  return {
    params: childParams('residual', layers),
    config: { kind: 'residual', layers: childConfigs(layers) },
    apply(x, scope) {
      const a = scope.child('main', main, x);
      const b = shortcut === undefined ? x : scope.child('shortcut', shortcut, x);
      if (!sameShape(a.shape, b.shape)) {
        throw new ShapeError(
          `residual: main gives ${formatType(a)} but the shortcut gives ${formatType(b)} ` +
            `(give a shortcut that changes size as main does, for instance a 1×1 convolution)`,
        );
      }
      return add(a, b);
    },
  };
}

/**
 * Several layers of the same input, whose results are put side by side along an axis, by default that of the channels.
 * Keys name the layers as in `sequential`. Throws ShapeError where the results differ in another axis.
 *
 * @example parallel({ wide: conv2d(16, 8, 5), narrow: conv2d(16, 24, 1) }) // 32 channels
 */
export function parallel(layers: Readonly<Record<string, Layer>>, axis = -1): Layer {
  return {
    params: childParams('parallel', layers),
    config: { kind: 'parallel', axis, layers: childConfigs(layers) },
    apply: (x, scope) =>
      concat(
        Object.entries(layers).map(([name, layer]) => scope.child(name, layer, x)),
        axis,
      ),
  };
}

/** Layers by name as functions of what they take. */
type Callable<L> = { readonly [N in keyof L]: L[N] extends Layer<infer X> ? (x: X) => Tensor : never };

/**
 * A layer from others and a function that says how they are connected: for branches, several inputs, and layers that are
 * used more than once, which share their parameters then. `name` stands for the function in checkpoints.
 *
 * @example
 * const siamese = network({ tower: mlp([64, 32]) }, (x: { a: Tensor; b: Tensor }, { tower }) =>
 *   tower(x.a).sub(tower(x.b)).pow(2),
 * );
 */
export function network<const L extends Readonly<Record<string, Described>>, X = Tensor>(
  layers: L,
  connect: (x: X, layers: Callable<L>) => Tensor,
  name = 'network',
): Layer<X> {
  return {
    params: childParams(name, layers),
    config: { kind: name, layers: childConfigs(layers) },
    apply(x, scope) {
      const bound = Object.entries(layers).map(([key, layer]) => [
        key,
        (value: unknown) => scope.child(key, layer as Layer<unknown>, value),
      ]);
      return connect(x, Object.fromEntries(bound) as Callable<L>);
    },
  };
}
