/** Adaptive methods with a first moment besides Adam: RAdam, NAdam, LAMB and Lion. */
import type { Optimizer } from '../engine/nn/optimizer.ts';
import { checkNumber, checkOptions } from '../engine/options.ts';
import {
  add,
  and,
  div,
  exp,
  greater,
  maximum,
  mul,
  norm,
  sign,
  sqrt,
  sub,
  where as select,
} from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Schedule } from '../schedulers/index.ts';
import {
  addWeightDecay,
  belowOne,
  hyperParameter,
  isOff,
  notNegative,
  perParameter,
  type HyperParameter,
  type ParamUpdate,
} from './optimizer.ts';
import { withGroups, type Group } from './partition.ts';

/** The options that all of these methods have. */
interface MomentOptions {
  /** Decay of the mean of gradients, per update. Default 0.9. */
  readonly beta1?: number | Schedule;
  /** Decay of the mean of squared gradients, per update. Default 0.999. */
  readonly beta2?: number | Schedule;
}

export interface RadamOptions extends MomentOptions {
  /** Learning rate. Default 0.001. */
  readonly lr?: number | Schedule;
  /** Added to the root. Default 1e-8. */
  readonly epsilon?: number;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<RadamOptions>[];
}

/**
 * RAdam: Adam that rectifies the variance of its rate in the first updates. It replaces a warm-up.
 *
 *   m, v, c1 and c2 as in `adam`;  ρ∞ = 2 / (1 − β2) − 1;  ρ = ρ∞ − 2 t β2^t / (1 − β2^t)
 *   r = √((ρ − 4) (ρ − 2) ρ∞ / ((ρ∞ − 4) (ρ∞ − 2) ρ))
 *   ρ > 5: w ← w − lr · r · √c2 / c1 · m / (√v + epsilon);  else: w ← w − lr · m / c1
 *
 * Throws RangeError unless lr >= 0, 0 <= β1, β2 < 1, epsilon > 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020; torch.optim.RAdam.
 *
 * @example radam({ lr: 0.001 })
 */
export function radam(options: RadamOptions = {}): Optimizer {
  return withGroups('radam', options, makeRadam);
}

function makeRadam(where: string, options: RadamOptions): Optimizer {
  checkOptions(where, options, ['lr', 'beta1', 'beta2', 'epsilon', 'weightDecay', 'groups']);
  const { lr = 0.001, epsilon = 1e-8, weightDecay = 0 } = options;
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  return perParameter({
    kind: 'radam',
    where,
    options: { epsilon },
    hyper: momentHyper(where, { ...options, lr, weightDecay }),
    slots: ['m', 'v'],
    scalars: {
      names: ['correction1', 'correction2', 'age'],
      next(old, { beta1, beta2 }) {
        const c2 = old['correction2'];
        const next2 = toward(c2, 1, beta2);
        // ρ = 2 · age / c2 + 1, where age / c2 is the mean age of the squared gradients. This sum has no cancellation.
        const age = mul(beta2, add(old['age'], c2));
        const rho = add(mul(div(age, next2), 2), 1);
        const limit = div(add(1, beta2), sub(1, beta2));
        const ratio = div(
          mul(mul(sub(rho, 4), sub(rho, 2)), limit),
          mul(mul(sub(limit, 4), sub(limit, 2)), rho),
        );
        const isRectified = and(greater(rho, 5), greater(limit, 5));
        return {
          correction1: toward(old['correction1'], 1, beta1),
          correction2: next2,
          age,
          isRectified,
          rectification: sqrt(maximum(ratio, 0)),
        };
      },
    },
    update(at) {
      const { m, v } = moments(at, addWeightDecay(at));
      const { correction1, correction2, isRectified, rectification } = at.shared as Record<string, Tensor>;
      const rate = div(at.lr, correction1);
      const adapted = div(mul(m, mul(rectification, sqrt(correction2))), add(sqrt(v), epsilon));
      return { param: sub(at.param, mul(select(isRectified, adapted, m), rate)), slots: { m, v } };
    },
  });
}

export interface NadamOptions extends MomentOptions {
  /** Learning rate. Default 0.002. */
  readonly lr?: number | Schedule;
  /** Added to the root. Default 1e-8. */
  readonly epsilon?: number;
  /** Decay of the momentum's warm-up. Default 0.004. */
  readonly momentumDecay?: number;
  /** L2 penalty, added to the gradient as weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<NadamOptions>[];
}

/**
 * NAdam: Adam with Nesterov momentum.
 *
 *   m, v and c2 as in `adam`;  μ_t = β1 · (1 − 0.96^(t · momentumDecay) / 2);  M_t = μ_1 · … · μ_t
 *   w ← w − lr · ((1 − μ_t) / (1 − M_t) · g + μ_t+1 / (1 − M_t · μ_t+1) · m) / (√(v / c2) + epsilon)
 *
 * Throws RangeError unless lr >= 0, 0 <= β1, β2 < 1, epsilon > 0, momentumDecay >= 0, weightDecay >= 0, and TypeError for an unknown
 * option.
 * Source: T. Dozat, Incorporating Nesterov Momentum into Adam, 2016; torch.optim.NAdam of PyTorch 2. PyTorch 1.13 divides the
 * second term by 1 − M_t · μ_t · μ_t+1.
 *
 * @example nadam({ lr: 0.002 })
 */
export function nadam(options: NadamOptions = {}): Optimizer {
  return withGroups('nadam', options, makeNadam);
}

function makeNadam(where: string, options: NadamOptions): Optimizer {
  checkOptions(where, options, ['lr', 'beta1', 'beta2', 'epsilon', 'momentumDecay', 'weightDecay', 'groups']);
  const { lr = 0.002, epsilon = 1e-8, momentumDecay = 0.004, weightDecay = 0 } = options;
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  checkNumber(where, 'momentumDecay', momentumDecay, 'a number >= 0', (x) => x >= 0);
  const logDecay = momentumDecay * Math.log(0.96);
  const momentumAt = (t: Tensor, beta1: Tensor): Tensor =>
    mul(beta1, sub(1, mul(exp(mul(t, logDecay)), 0.5)));
  return perParameter({
    kind: 'nadam',
    where,
    options: { epsilon, momentumDecay },
    hyper: momentHyper(where, { ...options, lr, weightDecay }),
    slots: ['m', 'v'],
    scalars: {
      // The product of momenta is stored as 1 − M, which begins with 0 and has no cancellation.
      names: ['correction2', 'updates', 'complement'],
      next(old, { beta1, beta2 }) {
        const updates = add(old['updates'], 1);
        const [mu, nextMu] = [momentumAt(updates, beta1), momentumAt(add(updates, 1), beta1)];
        const complement = toward(old['complement'], 1, mu);
        return {
          correction2: toward(old['correction2'], 1, beta2),
          updates,
          complement,
          ofGradient: div(sub(1, mu), complement),
          ofMean: div(nextMu, toward(complement, 1, nextMu)),
        };
      },
    },
    update(at) {
      const g = addWeightDecay(at);
      const { m, v } = moments(at, g);
      const { correction2, ofGradient, ofMean } = at.shared as Record<string, Tensor>;
      const step = div(add(mul(g, ofGradient), mul(m, ofMean)), add(sqrt(div(v, correction2)), epsilon));
      return { param: sub(at.param, mul(step, at.lr)), slots: { m, v } };
    },
  });
}

export interface LambOptions extends MomentOptions {
  /** Learning rate. Default 0.001. */
  readonly lr?: number | Schedule;
  /** Added to the root. Default 1e-6. */
  readonly epsilon?: number;
  /** Decoupled weight decay, part of the direction. Default 0.01. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<LambOptions>[];
}

/**
 * LAMB: Adam whose update is scaled to the norm of each parameter, for large batches.
 *
 *   m, v, c1 and c2 as in `adam`;  u = (m / c1) / (√(v / c2) + epsilon) + weightDecay · w
 *   w ← w − lr · ‖w‖ / ‖u‖ · u, with the ratio 1 if one of the norms is 0
 *
 * Throws RangeError unless lr >= 0, 0 <= β1, β2 < 1, epsilon > 0, weightDecay >= 0, and TypeError for an unknown option.
 * Source: Y. You et al., Large Batch Optimization for Deep Learning: Training BERT in 76 minutes, 2020.
 *
 * @example lamb({ lr: 0.005, groups: [{ match: /bias$/, weightDecay: 0 }] })
 */
export function lamb(options: LambOptions = {}): Optimizer {
  return withGroups('lamb', options, makeLamb);
}

function makeLamb(where: string, options: LambOptions): Optimizer {
  checkOptions(where, options, ['lr', 'beta1', 'beta2', 'epsilon', 'weightDecay', 'groups']);
  const { lr = 0.001, epsilon = 1e-6, weightDecay = 0.01 } = options;
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  return perParameter({
    kind: 'lamb',
    where,
    options: { epsilon },
    hyper: momentHyper(where, { ...options, lr, weightDecay }),
    slots: ['m', 'v'],
    scalars: {
      names: ['correction1', 'correction2'],
      next: (old, { beta1, beta2 }) => ({
        correction1: toward(old['correction1'], 1, beta1),
        correction2: toward(old['correction2'], 1, beta2),
      }),
    },
    update(at) {
      const { param, lr: rate, decay } = at;
      const { m, v } = moments(at, at.grad);
      const { correction1, correction2 } = at.shared as Record<string, Tensor>;
      const adam = div(div(m, correction1), add(sqrt(div(v, correction2)), epsilon));
      const u = decay === null ? adam : add(adam, mul(param, decay));
      const [size, step] = [norm(param), norm(u)];
      const hasRatio = and(greater(size, 0), greater(step, 0));
      const ratio = select(hasRatio, div(size, select(hasRatio, step, 1)), 1);
      return { param: sub(param, mul(u, mul(rate, ratio))), slots: { m, v } };
    },
  });
}

export interface LionOptions {
  /** Learning rate. Default 1e-4, about a tenth of AdamW's. */
  readonly lr?: number | Schedule;
  /** Weight of the mean in the direction. Default 0.9. */
  readonly beta1?: number | Schedule;
  /** Decay of the mean of gradients, per update. Default 0.99. */
  readonly beta2?: number | Schedule;
  /** Decoupled weight decay, about ten times AdamW's. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Parameters with options of their own: `[{ match: /bias$/, weightDecay: 0 }]`. See `Group`. Default: none. */
  readonly groups?: readonly Group<LionOptions>[];
}

/**
 * Lion: the sign of an interpolation between the gradient and its mean. It stores one array for each parameter.
 *
 *   u = sign(β1 m + (1 − β1) g);  w ← w − lr · (u + weightDecay · w);  m ← β2 m + (1 − β2) g
 *
 * Throws RangeError unless lr >= 0, 0 <= β1, β2 < 1, weightDecay >= 0, and TypeError for an unknown option.
 * Source: X. Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.
 *
 * @example lion({ lr: 1e-4, weightDecay: 0.1 })
 */
export function lion(options: LionOptions = {}): Optimizer {
  return withGroups('lion', options, makeLion);
}

function makeLion(where: string, options: LionOptions): Optimizer {
  checkOptions(where, options, ['lr', 'beta1', 'beta2', 'weightDecay', 'groups']);
  const { lr = 1e-4, beta2 = 0.99, weightDecay = 0 } = options;
  return perParameter({
    kind: 'lion',
    where,
    options: {},
    hyper: momentHyper(where, { ...options, lr, beta2, weightDecay }),
    slots: ['m'],
    update({ param, grad, slots, lr: rate, decay, hyper }) {
      const u = sign(toward(slots['m'], grad, hyper['beta1']));
      const step = decay === null ? u : add(u, mul(param, decay));
      return { param: sub(param, mul(step, rate)), slots: { m: toward(slots['m'], grad, hyper['beta2']) } };
    },
  });
}

/** decay · old + (1 − decay) · value. */
const toward = (old: Tensor, value: Tensor | number, decay: Tensor): Tensor =>
  add(mul(old, decay), mul(value, sub(1, decay)));

/** The new means of the gradients and of their squares. */
function moments({ slots, hyper }: ParamUpdate, g: Tensor): { readonly m: Tensor; readonly v: Tensor } {
  return { m: toward(slots['m'], g, hyper['beta1']), v: toward(slots['v'], mul(g, g), hyper['beta2']) };
}

function momentHyper(
  where: string,
  options: MomentOptions & { readonly lr: number | Schedule; readonly weightDecay: number | Schedule },
): Record<string, HyperParameter> {
  const { lr, beta1 = 0.9, beta2 = 0.999, weightDecay } = options;
  return {
    lr: hyperParameter(where, 'lr', lr, notNegative),
    beta1: hyperParameter(where, 'beta1', beta1, belowOne),
    beta2: hyperParameter(where, 'beta2', beta2, belowOne),
    ...(!isOff(weightDecay) && {
      weightDecay: hyperParameter(where, 'weightDecay', weightDecay, notNegative),
    }),
  };
}
