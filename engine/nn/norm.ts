/** Normalization of input images, over the batch, over channels, and over neighboring responses. */
import { ShapeError } from '../errors.ts';
import {
  checkBoolean,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkOptions,
  isPromise,
  isRecord,
  show,
} from '../options.ts';
import * as ops from '../ops/index.ts';
import type { LrnOptions, Nested } from '../ops/index.ts';
import { toHost } from '../ops/convert.ts';
import { checkList, formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostData, HostTensor } from '../types.ts';
import { fromArray, ones, zeros, type Initializer } from './initializers.ts';
import { checkScope, type Layer, type ParamSpec, type Scope } from './layer.ts';
import { trained, type ParamOptions } from './linear.ts';

const frozen = (shape: readonly number[], init: Initializer): ParamSpec => ({
  shape,
  init,
  lrMult: 0,
  decayMult: 0,
  frozen: true,
});

/** Gamma and beta, which PyTorch calls weight and bias. */
const scaleAndShift = (
  where: string,
  shape: readonly number[],
  options: ParamOptions,
): Readonly<Record<'gamma' | 'beta', ParamSpec>> => {
  // Images [H, W, C] are [C, H, W] in PyTorch. Two axes are those of tokens, [T, C], in both.
  const axes = shape.map((_, axis) => axis);
  const layout = shape.length > 2 ? { axes: [axes.length - 1, ...axes.slice(0, -1)] } : {};
  return {
    gamma: { ...trained(where, shape, ones, options), torch: { name: 'weight', ...layout } },
    beta: { ...trained(where, shape, zeros, options), torch: { name: 'bias', ...layout } },
  };
};

const statistic = (shape: readonly number[], init: Initializer): ParamSpec => ({
  ...frozen(shape, init),
  statistic: true,
});

export interface NormalizeOptions {
  /** Divisor, in the units of the data: a number, [C], or [H, W, C]. Give `std` or `scale`. */
  readonly std?: HostTensor | Nested | HostData;
  /** Factor: a number, [C], or [H, W, C]. Default 1. */
  readonly scale?: HostTensor | Nested | HostData;
}

/**
 * First layer of an image model: converts bytes to floats, (x − mean) · scale, and applies the augmentation that the loader
 * draws.
 *
 * Mean and scale are saved with the model. Mean and std have the units of the data, 0 … 255 for images. `meanImage` and
 * `channelStats` compute them from a dataset.
 *
 * Shapes: x `u8` or `f32` [N, H, W, C] -> `f32` [N, H, W, C]; mean and scale broadcast to [H, W, C]. Without augmentation,
 * x can be [N, ...].
 * Throws RangeError if a standard deviation is not positive, or both `std` and `scale` are given.
 * Throws ShapeError, when the layer is applied, if mean or scale do not broadcast to an example.
 *
 * @example nn.normalize(meanImage(train))
 * @example
 * const { mean, std } = channelStats(train);
 * nn.normalize(mean, { std })
 */
export function normalize(mean: HostTensor | Nested | HostData, options: NormalizeOptions = {}): Layer {
  checkOptions('normalize', options, ['std', 'scale']);
  const center = toHost('normalize: mean', mean);
  const factor = factorOf(options);
  const params: Record<string, ParamSpec> = {
    mean: { ...frozen(center.shape, fromArray(center)), torch: null },
  };
  if (factor !== null) params['scale'] = { ...frozen(factor.shape, fromArray(factor)), torch: null };
  return {
    params,
    config: { kind: 'normalize' },
    apply(x, scope) {
      checkScope('normalize', scope);
      const shift = scope.param('mean');
      const scale = factor === null ? null : scope.param('scale');
      // Only images use the augmentation. `bind` throws if no layer does.
      if (x.rank === 4) return (scope.augmentation() ?? ops.normalizeImages)(x, shift, scale ?? 1);
      const centered = ops.sub(ops.cast(x), shift);
      return scale === null ? centered : ops.mul(centered, scale);
    },
  };
}

function factorOf({ std, scale }: NormalizeOptions): HostTensor | null {
  if (scale !== undefined && std !== undefined) {
    throw new RangeError('normalize: got both std and scale (give one of them)');
  }
  if (scale !== undefined) return toHost('normalize: scale', scale);
  if (std === undefined) return null;
  const { shape, data } = toHost('normalize: std', std);
  const zero = data.findIndex((value) => !(value > 0));
  if (zero >= 0) {
    throw new RangeError(`normalize: std must be positive, got ${data[zero]} at element ${zero}`);
  }
  return { shape, dtype: 'f32', data: Float32Array.from(data, (value) => 1 / value) };
}

export interface BatchNormLayerOptions {
  /** Rule of the running statistics: see `batchNorm`. Default 'pytorch'. */
  readonly form?: 'pytorch' | 'caffe';
  /** Scale and shift each channel with trained gamma and beta. Default true for 'pytorch', false for 'caffe'. */
  readonly affine?: boolean;
  /** Scale each channel with a trained gamma. Default: `affine`. */
  readonly scale?: boolean;
  /** Shift each channel by a trained beta. Default: `affine`. */
  readonly shift?: boolean;
  /** Form 'pytorch': weight of the batch in the running statistics, from 0 to 1. Default 0.1. */
  readonly momentum?: number;
  /** Form 'caffe': factor on the running sums in each update, from 0 to 1. Default 0.999. */
  readonly fraction?: number;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  /** Factor on the learning rate of gamma and beta. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay of gamma and beta. Default 1. */
  readonly decayMult?: number;
}

/**
 * Batch normalization, with the statistics of the batch in training and running statistics in inference.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Each training step updates the running statistics r, or S and n. Running variances are unbiased: m / (m − 1) times the
 * variance of the batch, where m is the number of elements for each channel.
 *
 *   pytorch: r ← (1 − momentum) · r + momentum · batch, from mean 0 and variance 1
 *   caffe:   S ← fraction · S + batch, n ← fraction · n + 1, both from 0; running value S / n
 *
 * Shapes: x `f32` [..., channels] -> the same; gamma, beta, mean and variance [channels].
 * Source: Ioffe and Szegedy, Batch Normalization, 2015; Caffe, batch_norm_layer.cpp; torch.nn.BatchNorm2d.
 * Throws RangeError if the number of channels, the form, or an option is out of range.
 * Throws TypeError for an unknown option, such as `momentum` with form 'caffe'.
 * Throws ShapeError, when the layer is applied, if x has other channels, or if m is 1 in training.
 *
 * @example nn.countParameters(nn.batchNorm(32)) // 64
 * @example nn.batchNorm(32, { form: 'caffe' })
 */
export function batchNorm(channels: number, options: BatchNormLayerOptions = {}): Layer {
  const given: unknown = options;
  if (!isRecord(given) || isPromise(given)) {
    throw new TypeError(`batchNorm: options must be an object, got ${show(given)}`);
  }
  const { form = 'pytorch' } = options;
  checkInteger('batchNorm', 'channels', channels, 1);
  checkOneOf('batchNorm', 'form', form, ['pytorch', 'caffe']);
  const own = form === 'caffe' ? 'fraction' : 'momentum';
  checkOptions(`batchNorm (${form})`, options, [
    'form',
    'affine',
    'scale',
    'shift',
    own,
    'epsilon',
    'lrMult',
    'decayMult',
  ]);
  const { affine = form === 'pytorch', scale = affine, shift = affine } = options;
  checkBoolean('batchNorm', 'scale', scale);
  checkBoolean('batchNorm', 'shift', shift);
  const { momentum = 0.1, fraction = 0.999, epsilon = 1e-5 } = options;
  checkNumber('batchNorm', 'momentum', momentum, 'a number >= 0 and <= 1', (x) => x >= 0 && x <= 1);
  checkNumber('batchNorm', 'fraction', fraction, 'a number >= 0 and <= 1', (x) => x >= 0 && x <= 1);
  checkNumber('batchNorm', 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  const running = form === 'caffe' ? caffeStatistics(channels, fraction) : averages(channels, momentum);
  const { lrMult = 1, decayMult = 1 } = options;
  const { gamma, beta } = scaleAndShift('batchNorm', [channels], { lrMult, decayMult });
  return {
    params: {
      ...(scale && { gamma }),
      ...(shift && { beta }),
      ...running.params,
    },
    config: { kind: 'batchNorm', form, epsilon, [own]: form === 'caffe' ? fraction : momentum },
    apply(x, scope) {
      checkScope('batchNorm', scope);
      const shared = {
        epsilon,
        ...((scale || shift) && {
          gamma: scale ? scope.param('gamma') : ops.ones([channels]),
          beta: shift ? scope.param('beta') : ops.zeros([channels]),
        }),
      };
      if (!scope.training || running.isFixed(scope)) {
        const { mean, variance } = running.read(scope);
        return ops.batchNormInference(x, mean, variance, shared);
      }
      const { y, mean, variance } = ops.batchNorm(x, shared);
      const m = sizeOf(x.shape) / channels;
      running.update(scope, mean, ops.mul(variance, m / (m - 1)));
      return y;
    },
  };
}

interface Running {
  readonly params: Readonly<Record<string, ParamSpec>>;
  /** Whether training uses the running statistics. */
  isFixed(scope: Scope): boolean;
  read(scope: Scope): { readonly mean: Tensor; readonly variance: Tensor };
  update(scope: Scope, mean: Tensor, variance: Tensor): void;
}

function averages(channels: number, momentum: number): Running {
  const mix = (scope: Scope, name: string, batch: Tensor): void => {
    const batches = scope.batches();
    const weight = batches === null ? momentum : ops.div(1, ops.add(batches, 1));
    const rest = typeof weight === 'number' ? 1 - weight : ops.sub(1, weight);
    scope.update(name, ops.add(ops.mul(scope.param(name), rest), ops.mul(batch, weight)));
  };
  return {
    params: {
      mean: { ...statistic([channels], zeros), torch: { name: 'running_mean' } },
      variance: { ...statistic([channels], ones), torch: { name: 'running_var' } },
    },
    isFixed: (scope) => scope.isFixed('mean') && scope.isFixed('variance'),
    read: (scope) => ({ mean: scope.param('mean'), variance: scope.param('variance') }),
    update(scope, mean, variance) {
      mix(scope, 'mean', mean);
      mix(scope, 'variance', variance);
    },
  };
}

function caffeStatistics(channels: number, fraction: number): Running {
  const accumulate = (scope: Scope, name: string, batch: Tensor | number): void =>
    scope.update(name, ops.add(ops.mul(scope.param(name), scope.batches() === null ? fraction : 1), batch));
  return {
    params: {
      meanSum: statistic([channels], zeros),
      varianceSum: statistic([channels], zeros),
      count: statistic([], zeros),
    },
    isFixed: (scope) => ['meanSum', 'varianceSum', 'count'].every((name) => scope.isFixed(name)),
    read(scope) {
      // If n is 0, the mean and the variance are 0, as in Caffe. If n >= 1, the addition does not change it.
      const n = ops.add(scope.param('count'), 1e-20);
      return { mean: ops.div(scope.param('meanSum'), n), variance: ops.div(scope.param('varianceSum'), n) };
    },
    update(scope, mean, variance) {
      accumulate(scope, 'meanSum', mean);
      accumulate(scope, 'varianceSum', variance);
      accumulate(scope, 'count', 1);
    },
  };
}

export interface NormLayerOptions {
  /** Scale and shift with trained gamma and beta. Default true. */
  readonly affine?: boolean;
  /** Added to the variance. Default 1e-5. */
  readonly epsilon?: number;
  /** Factor on the learning rate of gamma and beta. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay of gamma and beta. Default 1. */
  readonly decayMult?: number;
}

type Affine = { readonly gamma?: Tensor; readonly beta?: Tensor; readonly epsilon: number };

/** A layer that normalizes each example by itself, with gamma and beta of a given shape. */
function normLayer(
  kind: string,
  shape: readonly number[],
  options: NormLayerOptions,
  config: Readonly<Record<string, unknown>>,
  normalize: (x: Tensor, affine: Affine) => Tensor,
): Layer {
  checkOptions(kind, options, ['affine', 'epsilon', 'lrMult', 'decayMult']);
  for (const size of shape) checkInteger(kind, 'size', size, 1);
  const { affine = true, epsilon = 1e-5, lrMult = 1, decayMult = 1 } = options;
  checkNumber(kind, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  return {
    params: affine ? scaleAndShift(kind, shape, { lrMult, decayMult }) : {},
    config: { kind, epsilon, ...config },
    apply: (x, scope) =>
      normalize(x, {
        epsilon,
        ...(affine && { gamma: scope.param('gamma'), beta: scope.param('beta') }),
      }),
  };
}

/**
 * Layer normalization over the last axes, whose sizes are `shape`.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [..., ...shape] -> the same; gamma and beta have the shape `shape`.
 * Source: Ba et al., Layer Normalization, 2016.
 * Throws RangeError if a size is not a positive integer or an option is out of range.
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if the last axes of x have other sizes.
 *
 * @example nn.countParameters(nn.layerNorm(64)) // 128
 */
export function layerNorm(shape: number | readonly number[], options: NormLayerOptions = {}): Layer {
  if (typeof shape !== 'number') checkList('layerNorm', 'shape', shape);
  const sizes = typeof shape === 'number' ? [shape] : [...shape];
  const normalize = (x: Tensor, affine: Affine): Tensor => {
    const last = x.shape.slice(-sizes.length);
    if (!sameShape(last, sizes)) {
      throw new ShapeError(`layerNorm: expects [..., ${sizes.join(', ')}] but got ${formatType(x)}`);
    }
    return ops.layerNorm(x, { axes: sizes.length, ...affine });
  };
  return normLayer('layerNorm', sizes, options, { shape: sizes }, normalize);
}

/**
 * Group normalization: each group of adjacent channels of each example by its own mean and variance.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [N, ..., channels] -> the same; gamma and beta [channels].
 * Source: Wu and He, Group Normalization, 2018.
 * Throws RangeError if `groups` does not divide `channels` or an option is out of range.
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if x has another number of channels.
 *
 * @example nn.groupNorm(8, 64)
 */
export function groupNorm(groups: number, channels: number, options: NormLayerOptions = {}): Layer {
  const words = `a positive integer that divides ${show(channels)} channels`;
  checkNumber(
    'groupNorm',
    'groups',
    groups,
    words,
    (n) => Number.isSafeInteger(n) && n > 0 && channels % n === 0,
  );
  return normLayer('groupNorm', [channels], options, { groups }, (x, affine) =>
    ops.groupNorm(expectChannels('groupNorm', x, channels), groups, affine),
  );
}

/**
 * Instance normalization: each channel of each example by its own mean and variance.
 *
 *   y = gamma · (x − mean) / √(variance + epsilon) + beta
 *
 * Shapes: x `f32` [N, ..., channels] -> the same; gamma and beta [channels].
 * Source: Ulyanov et al., Instance Normalization, 2016.
 * Throws RangeError if the number of channels is not a positive integer or an option is out of range.
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or one position.
 *
 * @example nn.instanceNorm(64)
 */
export function instanceNorm(channels: number, options: NormLayerOptions = {}): Layer {
  return normLayer('instanceNorm', [channels], options, {}, (x, affine) =>
    ops.instanceNorm(expectChannels('instanceNorm', x, channels), affine),
  );
}

function expectChannels(where: string, x: Tensor, channels: number): Tensor {
  if (x.shape.at(-1) === channels) return x;
  throw new ShapeError(`${where}: expects [N, ..., ${channels}] but got ${formatType(x)}`);
}

export interface LrnLayerOptions extends LrnOptions {
  /**
   * Where neighbors are: in a square around the position in the same channel ('within-channel'), or in adjacent channels
   * ('across-channels'). Default 'within-channel'.
   */
  readonly region?: 'within-channel' | 'across-channels';
}

/**
 * Local response normalization.
 *
 *   within-channel:  y = x · (1 + alpha / size² · Σ x²)^−beta   over the size × size square around the position
 *   across-channels: y = x · (1 + alpha / size · Σ x²)^−beta    over `size` adjacent channels
 *
 * With the usual small alpha, it has an effect only on large responses, such as those to inputs in 0 … 255.
 *
 * Shapes: x `f32` [N, H, W, C] -> the same; for 'across-channels' any [..., C].
 * Source: Krizhevsky et al., ImageNet Classification, 2012; Caffe, lrn_layer.cpp.
 * Throws RangeError if the size is not a positive integer (odd for 'within-channel'), the region is unknown, or a number is
 * not finite.
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if x is not `f32` or has another rank.
 *
 * @example nn.lrn({ region: 'within-channel', size: 3, alpha: 5e-5, beta: 0.75 })
 */
export function lrn(options: LrnLayerOptions = {}): Layer {
  checkOptions('lrn', options, ['region', 'size', 'alpha', 'beta']);
  const { region = 'within-channel', size = 5, alpha = 1, beta = 0.75 } = options;
  checkOneOf('lrn', 'region', region, ['within-channel', 'across-channels']);
  const odd = (x: number): boolean => Number.isSafeInteger(x) && x > 0 && x % 2 === 1;
  if (region === 'within-channel') checkNumber('lrn', 'size', size, 'a positive odd integer', odd);
  else checkInteger('lrn', 'size', size, 1);
  checkNumber('lrn', 'alpha', alpha);
  checkNumber('lrn', 'beta', beta);
  return {
    params: {},
    config: { kind: 'lrn', region, size, alpha, beta },
    apply: (x) => (region === 'within-channel' ? ops.lrnWithin : ops.lrnAcross)(x, { size, alpha, beta }),
  };
}
