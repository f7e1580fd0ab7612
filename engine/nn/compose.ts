/** Layers composed of layers. */
import { ShapeError } from '../errors.ts';
import type { Named } from '../named.ts';
import { add, concat } from '../ops/index.ts';
import { formatType, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { childConfigs, childParams, checkScope, type Described, type Layer } from './layer.ts';
import { checkFunction, checkText, show } from '../options.ts';

/**
 * Applies layers in order.
 *
 * Keys name the layers. They prefix the names of parameters and appear in errors and plans. A layer object under two names
 * has two sets of parameters.
 *
 * Shapes: each layer takes the output of the one before it.
 * Throws TypeError unless the argument is an object of layers by name.
 * Throws RangeError for a name that is not a letter or _ followed by letters, digits, _ and -.
 *
 * @example
 * const model = nn.sequential({ flat: nn.flatten(), fc: nn.dense(3072, 10) });
 * Object.keys(model.params) // ['fc.weight', 'fc.bias']
 */
export function sequential(layers: Readonly<Record<string, Layer>>): Layer {
  return {
    params: childParams('sequential', layers),
    config: { kind: 'sequential', layers: childConfigs(layers) },
    apply(x, scope) {
      checkScope('sequential', scope);
      return Object.entries(layers).reduce((value, [name, layer]) => scope.child(name, layer, value), x);
    },
  };
}

/**
 * Residual block: main(x) + shortcut(x), or main(x) + x without a shortcut. Parameters are named 'main.…' and 'shortcut.…'.
 *
 * Shapes: main and shortcut give the same shape.
 * Source: He et al., Deep Residual Learning for Image Recognition, 2016.
 * Throws ShapeError, when the layer is applied, if the shapes of the two branches differ.
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
      checkScope('residual', scope);
      const a = scope.child('main', main, x);
      const b = shortcut === undefined ? x : scope.child('shortcut', shortcut, x);
      if (!sameShape(a.shape, b.shape)) {
        throw new ShapeError(
          `residual: main gives ${formatType(a)} but the shortcut gives ${formatType(b)} ` +
            `(use a shortcut with the output shape of main, for instance a 1×1 convolution)`,
        );
      }
      return add(a, b);
    },
  };
}

/**
 * Applies several layers to the same input, and concatenates their outputs along an axis. The default is the last axis, the
 * channels.
 *
 * Keys name the layers, as in `sequential`.
 *
 * Shapes: outputs agree in all axes but the one that is concatenated.
 * Throws TypeError unless `layers` is an object of layers by name.
 * Throws ShapeError, when the layer is applied, if the outputs differ in another axis.
 *
 * @example nn.branches({ wide: nn.conv2d(16, 8, 5, { padding: 'same' }), narrow: nn.conv2d(16, 24, 1) })
 */
export function branches(layers: Readonly<Record<string, Layer>>, axis = -1): Layer {
  if (!Number.isSafeInteger(axis))
    throw new TypeError(`branches: axis must be an integer, got ${show(axis)}`);
  return {
    params: childParams('branches', layers),
    config: { kind: 'branches', axis, layers: childConfigs(layers) },
    apply(x, scope) {
      checkScope('branches', scope);
      return concat(
        Object.entries(layers).map(([name, layer]) => scope.child(name, layer, x)),
        axis,
      );
    },
  };
}

/** Layers by name, as functions of their input. */
type Callable<L> = { readonly [N in keyof L]: L[N] extends Layer<infer X, infer Y> ? (x: X) => Y : never };

/**
 * Makes a layer from layers and a function that connects them, like a PyTorch module with its `forward`.
 *
 * Use it for models with several inputs or outputs, and for layers that are used more than once, which share their parameters.
 * Checkpoints identify the function by `name`.
 *
 * Shapes: those of the function. The input and the output are a tensor each, or an object of tensors by name.
 * Throws TypeError unless `layers` is an object of layers by name.
 *
 * @example
 * const siamese = nn.module({ tower: nn.mlp([64, 32]) }, (x: { a: Tensor; b: Tensor }, { tower }) =>
 *   tower(x.a).sub(tower(x.b)).pow(2),
 * );
 */
export function module<
  const L extends Readonly<Record<string, Described>>,
  X = Tensor,
  Y extends Named<Tensor> = Tensor,
>(layers: L, forward: (x: X, layers: Callable<L>) => Y, name = 'module'): Layer<X, Y> {
  checkText('module', 'name', name);
  checkFunction('module', 'forward', forward, 'a function of the input and the layers');
  return {
    params: childParams(name, layers),
    config: { kind: name, layers: childConfigs(layers) },
    apply(x, scope) {
      checkScope(name, scope);
      const bound = Object.entries(layers).map(([key, layer]) => [
        key,
        (value: unknown) => scope.child(key, layer as Layer<unknown, Named<Tensor>>, value),
      ]);
      return forward(x, Object.fromEntries(bound) as Callable<L>);
    },
  };
}
