/** Adaptive methods without a first moment: RMSprop, AdaGrad, AdaDelta. The paper's Table 3 uses those of Caffe. */
import type { Optimizer, Specs } from '../engine/nn/optimizer.ts';
import { checkBoolean, checkNumber, checkOptions } from '../engine/options.ts';
import { add, div, maximum, mul, sqrt, sub } from '../engine/ops/index.ts';
import type { State } from '../engine/types.ts';
import type { Schedule } from '../schedulers/index.ts';
import {
  addWeightDecay,
  belowOne,
  hyperParameter,
  isOff,
  notNegative,
  perParameter,
  type HyperParameter,
} from './optimizer.ts';
import { withGroups, type Group } from './partition.ts';

export interface RmspropOptions {
  /** Learning rate. Default 0.01. */
  readonly lr?: number | Schedule;
  /** Decay of the mean of squared gradients, per update. Default 0.99. */
  readonly rho?: number | Schedule;
  /** Added to the root. Default 1e-8. */
  readonly epsilon?: number;
  /** Momentum, as in PyTorch: the velocity does not contain the learning rate. Caffe's RMSprop has no momentum. Default 0. */
  readonly momentum?: number | Schedule;
  /** Whether the squared mean of the gradients is subtracted from the mean of their squares, which gives their variance. Default false. */
  readonly centered?: boolean;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<RmspropOptions>[];
}

/**
 * RMSprop. Without momentum, Caffe and PyTorch use the same formula.
 *
 *   g ← g + weightDecay · w;  h ← ρ h + (1 − ρ) g²
 *   w ← w − lr · g / (√h + epsilon);  with momentum: v ← momentum · v + g / (√h + epsilon), w ← w − lr · v
 *
 *   default   here, PyTorch   Keras 3             Caffe
 *   lr        0.01            0.001               none
 *   ρ         0.99            0.9                 0.99
 *   epsilon   1e-8            1e-7, in the root   1e-8
 *
 * With `centered`, h − a² takes the place of h in the root, where a ← ρ a + (1 − ρ) g. A negative difference, which rounding can cause,
 * counts as 0.
 *
 * Throws RangeError unless lr >= 0, 0 <= ρ, momentum < 1, epsilon > 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: T. Tieleman and G. Hinton, lecture 6.5, 2012; Caffe, rmsprop_solver.cpp; torch.optim.RMSprop.
 *
 * @example rmsprop({ lr: cyclicLR({ base: 1e-4, max: 3e-4, stepSize: 2000 }), weightDecay: 0.004 })
 */
export function rmsprop(options: RmspropOptions = {}): Optimizer {
  return withGroups('rmsprop', options, makeRmsprop);
}

function makeRmsprop(where: string, options: RmspropOptions): Optimizer {
  checkOptions(where, options, ['lr', 'rho', 'epsilon', 'momentum', 'centered', 'weightDecay', 'groups']);
  const { lr = 0.01, rho = 0.99, epsilon = 1e-8, momentum = 0, weightDecay = 0, centered = false } = options;
  checkBoolean(where, 'centered', centered);
  checkEpsilon(where, epsilon);
  const hasMomentum = !isOff(momentum);
  return perParameter({
    kind: 'rmsprop',
    where,
    options: { epsilon, ...(centered && { centered }) },
    hyper: {
      ...commonHyper(where, lr, weightDecay),
      rho: hyperParameter(where, 'rho', rho, belowOne),
      ...(hasMomentum && { momentum: hyperParameter(where, 'momentum', momentum, belowOne) }),
    },
    slots: ['square', ...(centered ? ['mean'] : []), ...(hasMomentum ? ['velocity'] : [])],
    scalars: { names: [], next: (_, hyper) => ({ complement: sub(1, hyper['rho']) }) },
    update(at) {
      const g = addWeightDecay(at);
      const square = add(mul(at.slots['square'], at.hyper['rho']), mul(mul(g, g), at.shared['complement']));
      const mean = centered
        ? add(mul(at.slots['mean'], at.hyper['rho']), mul(g, at.shared['complement']))
        : null;
      const variance = mean === null ? square : maximum(sub(square, mul(mean, mean)), 0);
      const scaled = div(g, add(sqrt(variance), epsilon));
      const slots = { square, ...(mean !== null && { mean }) };
      if (!hasMomentum) return { param: sub(at.param, mul(scaled, at.lr)), slots };
      const velocity = add(mul(at.slots['velocity'], at.hyper['momentum']), scaled);
      return { param: sub(at.param, mul(velocity, at.lr)), slots: { ...slots, velocity } };
    },
  });
}

export interface AdagradOptions {
  /** Learning rate. Default 0.01. */
  readonly lr?: number | Schedule;
  /** Added to the root. Default 1e-10, as in PyTorch. */
  readonly epsilon?: number;
  /** Initial sum of squared gradients. With 0, the first update changes every element by lr. Default 0. */
  readonly initialAccumulator?: number;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<AdagradOptions>[];
}

/**
 * AdaGrad.
 *
 *   g ← g + weightDecay · w;  h ← h + g², from initialAccumulator;  w ← w − lr · g / (√h + epsilon)
 *
 *   default              here, PyTorch   Keras 3             Caffe
 *   lr                   0.01            0.001               none
 *   epsilon              1e-10           1e-7, in the root   1e-8
 *   initialAccumulator   0               0.1                 0
 *
 * For PyTorch's lr_decay, use the schedule `inv`.
 *
 * Throws RangeError unless lr >= 0, epsilon > 0, initialAccumulator >= 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: J. Duchi, E. Hazan and Y. Singer, 2011; Caffe, adagrad_solver.cpp; torch.optim.Adagrad.
 *
 * @example adagrad({ lr: 0.003, weightDecay: 0.004 })
 */
export function adagrad(options: AdagradOptions = {}): Optimizer {
  return withGroups('adagrad', options, makeAdagrad);
}

function makeAdagrad(where: string, options: AdagradOptions): Optimizer {
  checkOptions(where, options, ['lr', 'epsilon', 'initialAccumulator', 'weightDecay', 'groups']);
  const { lr = 0.01, epsilon = 1e-10, initialAccumulator = 0, weightDecay = 0 } = options;
  checkEpsilon(where, epsilon);
  checkNumber(where, 'initialAccumulator', initialAccumulator, 'a number >= 0', (x) => x >= 0);
  const optimizer = perParameter({
    kind: 'adagrad',
    where,
    options: { epsilon, ...(initialAccumulator !== 0 && { initialAccumulator }) },
    hyper: commonHyper(where, lr, weightDecay),
    slots: ['square'],
    update(at) {
      const g = addWeightDecay(at);
      const square = add(at.slots['square'], mul(g, g));
      return { param: sub(at.param, mul(div(g, add(sqrt(square), epsilon)), at.lr)), slots: { square } };
    },
  });
  const init = (specs: Specs): State =>
    Object.fromEntries(
      Object.entries(optimizer.init(specs)).map(([name, slot]) => [
        name,
        { ...slot, data: Float32Array.from(slot.data).fill(initialAccumulator) },
      ]),
    );
  return initialAccumulator === 0 ? optimizer : { ...optimizer, init };
}

export interface AdadeltaOptions {
  /** Learning rate. Default 1. */
  readonly lr?: number | Schedule;
  /** Decay of both means of squares, per update. Caffe calls it `momentum`. Default 0.9. */
  readonly rho?: number | Schedule;
  /** Added to both means of squares. Default 1e-6, as in PyTorch. Caffe uses 1e-8. */
  readonly epsilon?: number;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<AdadeltaOptions>[];
}

/**
 * AdaDelta. Caffe and PyTorch differ only in their defaults.
 *
 *   g ← g + weightDecay · w;  h ← ρ h + (1 − ρ) g²
 *   u = g · √((d + epsilon) / (h + epsilon));  d ← ρ d + (1 − ρ) u²;  w ← w − lr · u
 *
 *   default   here, PyTorch   Keras 3   Caffe
 *   lr        1               0.001     none
 *   ρ         0.9             0.95      none
 *   epsilon   1e-6            1e-7      1e-8
 *
 * Throws RangeError unless lr >= 0, 0 <= ρ < 1, epsilon > 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: M. Zeiler, 2012; Caffe, adadelta_solver.cpp; torch.optim.Adadelta.
 *
 * @example adadelta({ lr: 0.01, rho: 0.95, epsilon: 1e-8 })
 */
export function adadelta(options: AdadeltaOptions = {}): Optimizer {
  return withGroups('adadelta', options, makeAdadelta);
}

function makeAdadelta(where: string, options: AdadeltaOptions): Optimizer {
  checkOptions(where, options, ['lr', 'rho', 'epsilon', 'weightDecay', 'groups']);
  const { lr = 1, rho = 0.9, epsilon = 1e-6, weightDecay = 0 } = options;
  checkEpsilon(where, epsilon);
  return perParameter({
    kind: 'adadelta',
    where,
    options: { epsilon },
    hyper: {
      ...commonHyper(where, lr, weightDecay),
      rho: hyperParameter(where, 'rho', rho, belowOne),
    },
    slots: ['square', 'delta'],
    scalars: { names: [], next: (_, hyper) => ({ complement: sub(1, hyper['rho']) }) },
    update(at) {
      const rho = at.hyper['rho'];
      const complement = at.shared['complement'];
      const g = addWeightDecay(at);
      const square = add(mul(at.slots['square'], rho), mul(mul(g, g), complement));
      const step = mul(g, sqrt(div(add(at.slots['delta'], epsilon), add(square, epsilon))));
      const delta = add(mul(at.slots['delta'], rho), mul(mul(step, step), complement));
      return { param: sub(at.param, mul(step, at.lr)), slots: { square, delta } };
    },
  });
}

/** The hyperparameters that all of these methods have. */
function commonHyper(
  where: string,
  lr: number | Schedule,
  weightDecay: number | Schedule,
): Record<string, HyperParameter> {
  return {
    lr: hyperParameter(where, 'lr', lr, notNegative),
    ...(!isOff(weightDecay) && {
      weightDecay: hyperParameter(where, 'weightDecay', weightDecay, notNegative),
    }),
  };
}

function checkEpsilon(where: string, epsilon: number): void {
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
}
