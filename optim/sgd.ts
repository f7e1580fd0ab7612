/** Stochastic gradient descent with momentum, in the two forms that differ under a changing rate. */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkOneOf, checkOptions } from '../engine/options.ts';
import { add, mul, sub } from '../engine/ops/index.ts';
import type { Schedule } from '../schedulers/index.ts';
import { withGroups, type Group } from './partition.ts';
import { addWeightDecay, belowOne, hyperParameter, isOff, notNegative, perParameter } from './optimizer.ts';

export interface SgdOptions {
  /** Learning rate. */
  readonly lr: number | Schedule;
  /** Fraction of the velocity that an update keeps. Default 0. */
  readonly momentum?: number | Schedule;
  /** Nesterov momentum. Default false. */
  readonly nesterov?: boolean;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Whether the velocity contains the learning rate ('caffe') or not ('pytorch'). Default 'pytorch'. */
  readonly form?: 'caffe' | 'pytorch';
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<SgdOptions>[];
}

/**
 * Stochastic gradient descent.
 *
 *   g ← g + weightDecay · w
 *   pytorch: v ← momentum · v + g;       w ← w − lr · v;  nesterov: w ← w − lr · (g + momentum · v)
 *   caffe:   v ← momentum · v + lr · g;  w ← w − v;       nesterov: w ← w − ((1 + momentum) · v − momentum · old v)
 *
 * For a constant rate, both forms agree. When the rate changes, Caffe's update lags by about 1 / (1 − momentum) updates. The paper
 * used Caffe.
 *
 * Groups have options of their own for some of the parameters, and the other options of the optimizer. The hyperparameters that a group
 * replaces have its name in front: 'head/lr'.
 *
 * Throws RangeError unless lr >= 0, 0 <= momentum < 1, weightDecay >= 0, and for `nesterov` without momentum. Throws TypeError for
 * an unknown option. When the state is initialized, throws RangeError for a group without parameters, and for a parameter in two groups.
 * Source: Caffe, sgd_solver.cpp and nesterov_solver.cpp; torch.optim.SGD.
 *
 * @example sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' })
 * @example
 * const groups = [{ match: /bias$/, weightDecay: 0 }, { match: 'dense.weight', name: 'head', lr: 0.01 }];
 * sgd({ lr: 0.1, weightDecay: 5e-4, groups }).at(0) // { lr: 0.1, weightDecay: 0.0005, 'head/lr': 0.01 }
 */
export function sgd(options: SgdOptions): Optimizer {
  return withGroups('sgd', options, makeSgd);
}

function makeSgd(where: string, options: SgdOptions): Optimizer {
  checkOptions(where, options, ['lr', 'momentum', 'nesterov', 'weightDecay', 'form', 'groups']);
  const { lr, momentum = 0, nesterov = false, weightDecay = 0, form = 'pytorch' } = options;
  checkOneOf(where, 'nesterov', nesterov, [true, false]);
  checkOneOf(where, 'form', form, ['caffe', 'pytorch']);
  if (nesterov && isOff(momentum)) {
    throw new RangeError(
      `${where}: nesterov needs momentum, but momentum is 0 (pass momentum, for instance 0.9)`,
    );
  }
  const hyper = {
    lr: hyperParameter(where, 'lr', lr, notNegative),
    ...(!isOff(momentum) && { momentum: hyperParameter(where, 'momentum', momentum, belowOne) }),
    ...(!isOff(weightDecay) && {
      weightDecay: hyperParameter(where, 'weightDecay', weightDecay, notNegative),
    }),
  };
  return perParameter({
    kind: 'sgd',
    where,
    options: { form, nesterov },
    hyper,
    slots: isOff(momentum) ? [] : ['velocity'],
    update(at) {
      const { param, lr: rate } = at;
      const g = addWeightDecay(at);
      const mu = at.hyper['momentum'];
      if (mu === undefined) return { param: sub(param, mul(g, rate)), slots: {} };
      const previous = mul(at.slots['velocity'], mu);
      if (form === 'caffe') {
        const velocity = add(previous, mul(g, rate));
        const step = nesterov ? sub(mul(velocity, add(mu, 1)), previous) : velocity;
        return { param: sub(param, step), slots: { velocity } };
      }
      const velocity = add(previous, g);
      const step = nesterov ? add(g, mul(velocity, mu)) : velocity;
      return { param: sub(param, mul(step, rate)), slots: { velocity } };
    },
  });
}
