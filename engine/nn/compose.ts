/** Layers made of layers. */
import { ShapeError } from '../errors.ts';
import { add, concat } from '../ops/index.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { childConfigs, childParams, type Described, type Layer } from './layer.ts';

/**
 * One layer after another. Keys are the layers' names: they name parameters, and places in errors and plans. A layer
 * that is used under two names has two sets of parameters.
 *
 * @example nn.sequential({ flat: nn.flatten(), fc: nn.dense(3072, 10) }) // parameters 'fc.weight' and 'fc.bias'
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
 * @example
 * nn.residual(
 *   nn.sequential({
 *     conv1: nn.conv2d(16, 16, 3, { padding: 'same' }),
 *     relu1: nn.relu(),
 *     conv2: nn.conv2d(16, 16, 3, { padding: 'same' }),
 *   }),
 * );
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
 * Several layers of the same input, whose results are concatenated along an axis, by default that of the channels.
 * Keys name the layers as in `sequential`. Throws ShapeError where the results differ in another axis.
 *
 * @example nn.branches({ wide: nn.conv2d(16, 8, 5, { padding: 'same' }), narrow: nn.conv2d(16, 24, 1) }) // 32 channels
 */
export function branches(layers: Readonly<Record<string, Layer>>, axis = -1): Layer {
  return {
    params: childParams('branches', layers),
    config: { kind: 'branches', axis, layers: childConfigs(layers) },
    apply: (x, scope) =>
      concat(
        Object.entries(layers).map(([name, layer]) => scope.child(name, layer, x)),
        axis,
      ),
  };
}

/** Layers by name as functions of their input. */
type Callable<L> = { readonly [N in keyof L]: L[N] extends Layer<infer X> ? (x: X) => Tensor : never };

/**
 * A layer from others and a function that connects them, as a PyTorch module is from its submodules and `forward`. It
 * serves for several inputs and for layers that are used more than once, which then share their parameters. `name`
 * identifies the function in checkpoints.
 *
 * @example
 * const siamese = nn.module({ tower: nn.mlp([64, 32]) }, (x: { a: Tensor; b: Tensor }, { tower }) =>
 *   tower(x.a).sub(tower(x.b)).pow(2),
 * );
 */
export function module<const L extends Readonly<Record<string, Described>>, X = Tensor>(
  layers: L,
  forward: (x: X, layers: Callable<L>) => Tensor,
  name = 'module',
): Layer<X> {
  return {
    params: childParams(name, layers),
    config: { kind: name, layers: childConfigs(layers) },
    apply(x, scope) {
      const bound = Object.entries(layers).map(([key, layer]) => [
        key,
        (value: unknown) => scope.child(key, layer as Layer<unknown>, value),
      ]);
      return forward(x, Object.fromEntries(bound) as Callable<L>);
    },
  };
}
