/** Muon: momentum whose update is orthogonalized, for weights that are matrices. */
import { patternsOf, type Match } from '../engine/match.ts';
import type { Optimizer } from '../engine/nn/optimizer.ts';
import {
  checkBoolean,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkOptimizer,
  checkOptions,
  show,
} from '../engine/options.ts';
import { add, div, matmul, mul, norm, reshape, sub } from '../engine/ops/index.ts';
import type { Tensor } from '../engine/tensor.ts';
import type { Schedule } from '../schedulers/index.ts';
import { belowOne, hyperParameter, isOff, notNegative, perParameter } from './optimizer.ts';
import { withGroups, withOthers, type Group } from './partition.ts';

export interface MuonOptions {
  /** Learning rate. Default 0.02. */
  readonly lr?: number | Schedule;
  /** Fraction of the velocity that an update keeps. Default 0.95. */
  readonly momentum?: number | Schedule;
  /** Nesterov momentum. Default true. */
  readonly nesterov?: boolean;
  /** Decoupled weight decay: w ← w − lr · weightDecay · w. Default 0. */
  readonly weightDecay?: number | Schedule;
  /** Iterations of Newton and Schulz. Default 5. */
  readonly iterations?: number;
  /** The polynomial a x + b x³ + c x⁵ of an iteration. Default [3.4445, −4.775, 2.0315]. */
  readonly coefficients?: readonly [a: number, b: number, c: number];
  /**
   * Factor on the update: √max(1, out / in) ('original'), 0.2 · √max(out, in), which gives updates the size of AdamW's ('adamw'), or 1
   * ('none'). Default 'original'.
   */
  readonly scale?: 'original' | 'adamw' | 'none';
  /** Whether each weight is scaled to the norm √out before its update, as in airbench. Default false. */
  readonly normalize?: boolean;
  /** The optimizer of all other parameters. Required if the model has parameters that are no matrices, such as biases. */
  readonly others?: Optimizer;
  /** The parameters for Muon. Needs `others`. Default: those of rank 2 and more. */
  readonly match?: Match;
  /** Parameters with options of their own: `[{ match: 'head', lr: 0.01 }]`. See `Group`. Not together with `others`. Default: none. */
  readonly groups?: readonly Group<MuonOptions>[];
}

const isMatrix = {
  name: 'matrices',
  fn: ({ shape }: { readonly shape: readonly number[] }) => shape.length > 1,
};

/**
 * Muon: the momentum of a weight matrix is replaced by the nearest semi-orthogonal matrix, approximately. Weights of convolutions
 * [KH, KW, in, out] are matrices [KH · KW · in, out].
 *
 *   v ← momentum · v + g;  u = v, or with nesterov: u = g + momentum · v
 *   X = u / (‖u‖ + 1e-7), then `iterations` times: X ← a X + b (X Xᵀ) X + c (X Xᵀ)² X
 *   w ← w − lr · weightDecay · w;  w ← w − lr · factor · X
 *
 * Biases, gains, embeddings and the last layer are usually trained with another optimizer, `others`. Its hyperparameters have the
 * prefix 'others/'.
 *
 * Throws RangeError unless lr >= 0, 0 <= momentum < 1, weightDecay >= 0 and iterations >= 1, and for `match` without `others`. Throws
 * TypeError for an unknown option. When the state is initialized, throws RangeError for a parameter of rank 0 or 1.
 * Source: K. Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; torch.optim.Muon; J. Liu et al., Muon is
 * Scalable for LLM Training, 2025, for the scale 'adamw'.
 *
 * @example muon({ lr: 0.02, match: /^conv/, others: adamw({ lr: 0.001 }) })
 */
export function muon(options: MuonOptions = {}): Optimizer {
  const base = makeMuon('muon', options);
  const { others, match } = options;
  if (others === undefined) {
    if (match !== undefined) {
      throw new RangeError(
        'muon: match needs others, the optimizer of the other parameters (write others: adamw())',
      );
    }
    return withGroups('muon', options, makeMuon);
  }
  checkOptimizer('muon: others', others);
  if (options.groups !== undefined) {
    throw new RangeError('muon: groups cannot be combined with others (use partition)');
  }
  return withOthers('muon', base, patternsOf('muon: match', match ?? isMatrix), others);
}

function makeMuon(where: string, options: MuonOptions): Optimizer {
  checkOptions(where, options, [
    'lr',
    'momentum',
    'nesterov',
    'weightDecay',
    'iterations',
    'coefficients',
    'scale',
    'normalize',
    'others',
    'match',
    'groups',
  ]);
  const { lr = 0.02, momentum = 0.95, nesterov = true, weightDecay = 0, iterations = 5 } = options;
  const { coefficients = [3.4445, -4.775, 2.0315], scale = 'original', normalize = false } = options;
  checkBoolean(where, 'nesterov', nesterov);
  checkInteger(where, 'iterations', iterations, 1, 100);
  checkOneOf(where, 'scale', scale, ['original', 'adamw', 'none']);
  checkBoolean(where, 'normalize', normalize);
  if (!Array.isArray(coefficients) || coefficients.length !== 3) {
    throw new TypeError(`${where}: coefficients must be [a, b, c], got ${show(coefficients)}`);
  }
  for (const value of coefficients) checkNumber(where, 'coefficients', value);
  const optimizer = perParameter({
    kind: 'muon',
    where,
    options: { nesterov, iterations, coefficients: [...coefficients], scale, normalize },
    hyper: {
      lr: hyperParameter(where, 'lr', lr, notNegative),
      momentum: hyperParameter(where, 'momentum', momentum, belowOne),
      ...(!isOff(weightDecay) && {
        weightDecay: hyperParameter(where, 'weightDecay', weightDecay, notNegative),
      }),
    },
    slots: ['velocity'],
    update({ param, grad, slots, lr: rate, decay, hyper }) {
      const mu = hyper['momentum'];
      const velocity = add(mul(slots['velocity'], mu), grad);
      const direction = nesterov ? add(grad, mul(velocity, mu)) : velocity;
      const outputs = param.shape.at(-1)!;
      const step = orthogonalize(reshape(direction, [-1, outputs]), iterations, coefficients);
      const factor = factorOf(scale, step.shape[0], outputs);
      const start = normalize ? mul(param, div(Math.sqrt(outputs), add(norm(param), 1e-30))) : param;
      const decayed = decay === null ? start : sub(start, mul(start, mul(rate, decay)));
      return {
        param: sub(decayed, mul(reshape(step, param.shape), mul(rate, factor))),
        slots: { velocity },
      };
    },
  });
  return {
    ...optimizer,
    init(specs) {
      const vectors = Object.keys(specs).filter((name) => specs[name].shape.length < 2);
      if (vectors.length === 0) return optimizer.init(specs);
      throw new RangeError(
        `${where}: ${vectors.join(', ')} are no matrices (give them another optimizer: muon({ others: adamw() }), or narrow match)`,
      );
    },
  };
}

function factorOf(scale: MuonOptions['scale'], inputs: number, outputs: number): number {
  if (scale === 'none') return 1;
  return scale === 'adamw'
    ? 0.2 * Math.sqrt(Math.max(inputs, outputs))
    : Math.sqrt(Math.max(1, outputs / inputs));
}

/** The iterations of Newton and Schulz, which bring all singular values near 1. The products are formed on the shorter side. */
function orthogonalize(u: Tensor, iterations: number, [a, b, c]: readonly number[]): Tensor {
  const isTall = u.shape[0] > u.shape[1];
  let x = div(u, add(norm(u), 1e-7));
  for (let i = 0; i < iterations; i++) {
    const gram = isTall ? matmul(x, x, { transA: true }) : matmul(x, x, { transB: true });
    const polynomial = add(mul(gram, b), mul(matmul(gram, gram), c));
    x = add(mul(x, a), isTall ? matmul(x, polynomial) : matmul(polynomial, x));
  }
  return x;
}
