/** Averages of predictions: over views of an input, and over states of a model. Both are layers, so that everything takes them. */
import { checkArrays } from '../host.ts';
import { checkFunction, checkOneOf, checkOptions, show } from '../options.ts';
import { div, exp, log, logSoftmax } from '../ops/index.ts';
import type { Tensor } from '../tensor.ts';
import type { State } from '../types.ts';
import { checkLayer, checkScope, childConfigs, childParams, type Layer } from './layer.ts';

export interface MeanOptions {
  /**
   * What is averaged. 'probabilities': the softmax of the outputs, of which the new output is the logarithm, so that its softmax is the mean.
   * 'outputs': the outputs themselves, for instance regression values or logits. Default 'probabilities'.
   */
  readonly mean?: 'probabilities' | 'outputs';
}

const MEANS = ['probabilities', 'outputs'] as const;

function meanOf(outputs: readonly Tensor[], mean: NonNullable<MeanOptions['mean']>): Tensor {
  const average = (values: readonly Tensor[]): Tensor =>
    div(
      values.reduce((sum, value) => sum.add(value)),
      values.length,
    );
  if (outputs.length === 1) return outputs[0];
  if (mean === 'outputs') return average(outputs);
  return log(average(outputs.map((output) => exp(logSoftmax(output)))));
}

/**
 * Test-time augmentation: the mean of the outputs for several views of the input, for instance the image and its mirror image. Training is
 * that of the layer itself. The parameters keep their names, so the state is that of the layer.
 *
 * Shapes: each view has the shape that the layer takes; the output is that of the layer. With 'probabilities', classes are the last axis.
 * Throws TypeError for views that are not an array of functions, and for an unknown option.
 *
 * @example
 * const mirrored = nn.withViews(model, [(x) => x, (x) => x.flip(2)]);
 * await evaluate({ model: mirrored, state: result.state, data: test, backend });
 */
export function withViews(
  layer: Layer,
  views: readonly ((x: Tensor) => Tensor)[],
  options: MeanOptions = {},
): Layer {
  checkLayer('withViews', layer);
  checkOptions('withViews', options, ['mean']);
  const { mean = 'probabilities' } = options;
  checkOneOf('withViews', 'mean', mean, MEANS);
  if (!Array.isArray(views) || views.length === 0) {
    throw new TypeError(
      `withViews: views must be an array of at least one function, got ${show(views)} (write [(x) => x, (x) => x.flip(2)])`,
    );
  }
  for (const view of views) checkFunction('withViews', 'views', view, 'functions of the input');
  return {
    ...layer,
    apply(x, scope) {
      checkScope('withViews', scope);
      if (scope.training) return layer.apply(x, scope);
      return meanOf(
        views.map((view) => layer.apply(view(x), scope)),
        mean,
      );
    },
  };
}

/** A model and its state. */
export interface Ensemble {
  readonly model: Layer;
  readonly state: State;
}

/**
 * An ensemble: the mean of the outputs of one model in several states, for instance the ends of the cycles of a run (snapshot ensembles).
 * It is a model and a state, for `evaluate`, `predict` and `forward`. The parameters are named 'member1.…', 'member2.…'.
 *
 * Shapes: those of the model. With 'probabilities', classes are the last axis.
 * Throws TypeError for states that are not arrays by name, for a state without an array of the model, and for an unknown option.
 * Source: Huang et al., Snapshot Ensembles: Train 1, Get M for Free, 2017.
 *
 * @example
 * const all = nn.ensemble(model, [nn.initState(model, null, 1), nn.initState(model, null, 2)]);
 * await evaluate({ ...all, data: test, backend });
 */
export function ensemble(model: Layer, states: readonly State[], options: MeanOptions = {}): Ensemble {
  checkLayer('ensemble', model);
  checkOptions('ensemble', options, ['mean']);
  const { mean = 'probabilities' } = options;
  checkOneOf('ensemble', 'mean', mean, MEANS);
  if (!Array.isArray(states) || states.length === 0) {
    throw new TypeError(
      `ensemble: states must be an array of at least one state, got ${show(states)} (for instance [first.state, second.state])`,
    );
  }
  const members = Object.fromEntries(states.map((_, i) => [`member${i + 1}`, model]));
  const state = states.flatMap((each: State, i) => {
    checkArrays(`ensemble: state ${i + 1}`, each);
    return Object.keys(model.params).map((name) => {
      if (each[name] === undefined) {
        throw new TypeError(
          `ensemble: state ${i + 1} has no '${name}' (pass states of this model, for instance result.state of fit)`,
        );
      }
      return [`member${i + 1}.${name}`, each[name]] as const;
    });
  });
  return {
    model: {
      params: childParams('ensemble', members),
      config: { kind: 'ensemble', mean, layers: childConfigs(members) },
      apply(x, scope) {
        checkScope('ensemble', scope);
        return meanOf(
          Object.entries(members).map(([name, member]) => scope.child(name, member, x)),
          mean,
        );
      },
    },
    state: Object.fromEntries(state),
  };
}
