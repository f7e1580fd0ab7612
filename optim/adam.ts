/** Adam, with weight decay in the gradient or decoupled from it (AdamW). */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkBoolean, checkNumber, checkOneOf, checkOptions } from '../engine/options.ts';
import { add, div, maximum, mul, sqrt, sub } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Schedule } from '../schedulers/index.ts';
import { addWeightDecay, belowOne, hyperParameter, isOff, notNegative, perParameter } from './optimizer.ts';
import { withGroups, type Group } from './partition.ts';

export interface AdamOptions {
  /** Learning rate. Default 0.001. */
  readonly lr?: number | Schedule;
  /** Decay of the mean of gradients, per update. Default 0.9. */
  readonly beta1?: number | Schedule;
  /** Decay of the mean of squared gradients, per update. Default 0.999. */
  readonly beta2?: number | Schedule;
  /** Added to the denominator. Default 1e-8. */
  readonly epsilon?: number;
  /** L2 penalty for `adam`, default 0. Decoupled decay for `adamw`, default 0.01. */
  readonly weightDecay?: number | Schedule;
  /** Whether epsilon is added to the root after ('pytorch') or before ('caffe') the bias correction. Default 'pytorch'. */
  readonly form?: 'caffe' | 'pytorch';
  /** Whether v is replaced by its largest value so far in the update (AMSGrad). Default false. */
  readonly amsgrad?: boolean;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<AdamOptions>[];
}

/**
 * Adam, with weight decay in the gradient (an L2 penalty).
 *
 *   g ← g + weightDecay · w
 *   m ← β1 m + (1 − β1) g;  v ← β2 v + (1 − β2) g²;  ci ← βi ci + (1 − βi), which is 1 − βi^t for a constant βi
 *   pytorch: w ← w − lr / c1 · m / (√v / √c2 + epsilon)
 *   caffe:   w ← w − lr · √c2 / c1 · m / (√v + epsilon)
 *
 *   default      here, PyTorch        Keras 3   Caffe
 *   lr           0.001                0.001     none
 *   β1, β2       0.9, 0.999           the same  none, 0.999
 *   epsilon      1e-8                 1e-7      1e-8
 *   form         pytorch              caffe     caffe
 *   weightDecay  0; of adamw 0.01     0; 0.004  0
 *
 * With `amsgrad`, the largest v of all updates takes the place of v in the update.
 *
 * Throws RangeError unless lr >= 0, 0 <= β1, β2 < 1, epsilon > 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: D. Kingma and J. Ba, Adam, 2015; S. Reddi et al., On the Convergence of Adam and Beyond, 2018, for AMSGrad;
 * torch.optim.Adam; Caffe, adam_solver.cpp.
 *
 * @example adam({ lr: cyclicLR({ base: 1e-4, max: 1e-3, stepSize: 2000 }) })
 */
export function adam(options: AdamOptions = {}): Optimizer {
  return withGroups('adam', options, (where, own) => adamOf('adam', where, own, 0));
}

/**
 * Adam with decoupled weight decay: w ← w − lr · weightDecay · w before the update of Adam. The decay is not part of the gradient.
 *
 * Throws as `adam` does.
 * Source: I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, 2019; torch.optim.AdamW.
 *
 * @example adamw({ lr: 0.001, weightDecay: 0.05 })
 */
export function adamw(options: AdamOptions = {}): Optimizer {
  return withGroups('adamw', options, (where, own) => adamOf('adamw', where, own, 0.01));
}

function adamOf(
  kind: 'adam' | 'adamw',
  where: string,
  options: AdamOptions,
  defaultDecay: number,
): Optimizer {
  checkOptions(where, options, [
    'lr',
    'beta1',
    'beta2',
    'epsilon',
    'weightDecay',
    'form',
    'amsgrad',
    'groups',
  ]);
  const { lr = 0.001, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
  const { weightDecay = defaultDecay, form = 'pytorch', amsgrad = false } = options;
  checkBoolean(where, 'amsgrad', amsgrad);
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  checkOneOf(where, 'form', form, ['caffe', 'pytorch']);
  return perParameter({
    kind,
    where,
    options: { form, epsilon, ...(amsgrad && { amsgrad }) },
    hyper: {
      lr: hyperParameter(where, 'lr', lr, notNegative),
      beta1: hyperParameter(where, 'beta1', beta1, belowOne),
      beta2: hyperParameter(where, 'beta2', beta2, belowOne),
      ...(!isOff(weightDecay) && {
        weightDecay: hyperParameter(where, 'weightDecay', weightDecay, notNegative),
      }),
    },
    slots: amsgrad ? ['m', 'v', 'vMax'] : ['m', 'v'],
    scalars: {
      // The corrections are running means of the constant 1. They stay correct under scheduled betas, and avoid the
      // cancellation of 1 − β^t in single precision.
      names: ['correction1', 'correction2'],
      next(old, hyper) {
        const complement1 = sub(1, hyper['beta1']);
        const complement2 = sub(1, hyper['beta2']);
        return {
          complement1,
          complement2,
          correction1: add(mul(old['correction1'], hyper['beta1']), complement1),
          correction2: add(mul(old['correction2'], hyper['beta2']), complement2),
        };
      },
    },
    update(at) {
      const { lr: rate, decay, hyper } = at;
      const { complement1, complement2, correction1, correction2 } = at.shared as Record<string, Tensor>;
      const g = kind === 'adam' ? addWeightDecay(at) : at.grad;
      const param =
        kind === 'adam' || decay === null ? at.param : sub(at.param, mul(at.param, mul(rate, decay)));
      const m = add(mul(at.slots['m'], hyper['beta1']), mul(g, complement1));
      const v = add(mul(at.slots['v'], hyper['beta2']), mul(mul(g, g), complement2));
      const vMax = amsgrad ? maximum(at.slots['vMax'], v) : v;
      const root = sqrt(vMax);
      const step =
        form === 'pytorch'
          ? mul(div(m, add(div(root, sqrt(correction2)), epsilon)), div(rate, correction1))
          : mul(div(m, add(root, epsilon)), div(mul(rate, sqrt(correction2)), correction1));
      return { param: sub(param, step), slots: { m, v, ...(amsgrad && { vMax }) } };
    },
  });
}
