/** Normalizations: of the input images, by the batch, and by neighboring responses. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import type { LrnOptions, Nested } from '../ops/index.ts';
import { toHost } from '../ops/convert.ts';
import { formatType, sameShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import type { HostData, HostTensor } from '../types.ts';
import { fromArray, ones, zeros, type Initializer } from './initializers.ts';
import type { Layer, ParamSpec, Scope } from './layer.ts';
import { trained } from './linear.ts';

const frozen = (shape: readonly number[], init: Initializer): ParamSpec => ({
  shape,
  init,
  lrMult: 0,
  decayMult: 0,
  frozen: true,
});

export interface NormalizeOptions {
  /** What to divide by, in the units of the data: one number, or [C], or [H, W, C]. */
  readonly std?: HostTensor | Nested | HostData;
  /** What to multiply by instead. Default 1. */
  readonly scale?: HostTensor | Nested | HostData;
}

/**
 * The first layer: (x − mean) · scale, and the augmentation that the loader draws. Images arrive as bytes and leave as
 * floats. Mean and scale are saved with the model, as it is useless without them.
 *
 * Shapes: x u8 or f32 [N, H, W, C] -> f32 (without augmentation any [N, ...]); mean and scale broadcast to one example.
 * Throws RangeError for a standard deviation of 0, and when both `std` and `scale` are given.
 *
 * @example nn.normalize(meanImage(train))
 * @example nn.normalize(stats.mean, { std: stats.std }) // of channelStats(train)
 */
export function normalize(mean: HostTensor | Nested | HostData, options: NormalizeOptions = {}): Layer {
  checkOptions('normalize', options, ['std', 'scale']);
  const center = toHost('normalize: mean', mean);
  const factor = factorOf(options);
  const params: Record<string, ParamSpec> = { mean: frozen(center.shape, fromArray(center)) };
  if (factor !== null) params['scale'] = frozen(factor.shape, fromArray(factor));
  return {
    params,
    config: { kind: 'normalize' },
    apply(x, scope) {
      const shift = scope.param('mean');
      const scale = factor === null ? null : scope.param('scale');
      const augmentation = scope.augmentation();
      if (x.rank === 4) return ops.normalizeImages(x, shift, scale ?? 1, augmentation ?? undefined);
      const centered = ops.sub(ops.cast(x), shift);
      return scale === null ? centered : ops.mul(centered, scale);
    },
  };
}

function factorOf({ std, scale }: NormalizeOptions): HostTensor | null {
  if (scale !== undefined && std !== undefined) {
    throw new RangeError('normalize: std and scale are the same thing twice (give one of them)');
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
  /** How the running statistics are kept: see `batchNorm`. Default 'pytorch'. */
  readonly form?: 'pytorch' | 'caffe';
  /** Scale and shift per channel (gamma and beta). Default: true for 'pytorch', false for 'caffe'. */
  readonly affine?: boolean;
  /** 'pytorch': weight of the batch in the running statistics. Default 0.1. */
  readonly momentum?: number;
  /** 'caffe': what the running sums keep. Default 0.999. */
  readonly fraction?: number;
  /** Default 1e-5. */
  readonly epsilon?: number;
  /** Factor on the learning rate of gamma and beta. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay of gamma and beta. Default 1. */
  readonly decayMult?: number;
}

/**
 * Batch normalization: y = gamma · (x − mean) / √(variance + epsilon) + beta, by the batch's own statistics in
 * training and by running ones else. m = elements per channel; stored variances are multiplied by m / (m − 1).
 *
 *   pytorch: r ← (1 − momentum) · r + momentum · batch, from mean 0 and variance 1
 *   caffe:   S ← fraction · S + batch, n ← fraction · n + 1, both from 0; running value S / n
 *
 * Shapes: x [..., channels] -> the same. Throws ShapeError in training where m is 1.
 * Source: Ioffe and Szegedy, 2015; Caffe, batch_norm_layer.cpp; torch.nn.BatchNorm2d.
 *
 * @example nn.batchNorm(32, { form: 'caffe' })
 */
export function batchNorm(channels: number, options: BatchNormLayerOptions = {}): Layer {
  const { form = 'pytorch' } = options;
  checkInteger('batchNorm', 'channels', channels, 1);
  checkOneOf('batchNorm', 'form', form, ['pytorch', 'caffe']);
  const own = form === 'caffe' ? 'fraction' : 'momentum';
  checkOptions(`batchNorm (${form})`, options, ['form', 'affine', own, 'epsilon', 'lrMult', 'decayMult']);
  const { affine = form === 'pytorch', momentum = 0.1, fraction = 0.999, epsilon = 1e-5 } = options;
  checkNumber('batchNorm', 'momentum', momentum, 'a number >= 0 and <= 1', (x) => x >= 0 && x <= 1);
  checkNumber('batchNorm', 'fraction', fraction, 'a number >= 0 and <= 1', (x) => x >= 0 && x <= 1);
  checkNumber('batchNorm', 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  const running = form === 'caffe' ? caffeStatistics(channels, fraction) : averages(channels, momentum);
  const { lrMult = 1, decayMult = 1 } = options;
  const scaling = { lrMult, decayMult };
  return {
    params: {
      ...(affine && {
        gamma: trained('batchNorm', [channels], ones, scaling),
        beta: trained('batchNorm', [channels], zeros, scaling),
      }),
      ...running.params,
    },
    config: { kind: 'batchNorm', form, epsilon, [own]: form === 'caffe' ? fraction : momentum },
    apply(x, scope) {
      const shared = {
        epsilon,
        ...(affine && { gamma: scope.param('gamma'), beta: scope.param('beta') }),
      };
      if (!scope.training) {
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
  read(scope: Scope): { readonly mean: Tensor; readonly variance: Tensor };
  update(scope: Scope, mean: Tensor, variance: Tensor): void;
}

function averages(channels: number, momentum: number): Running {
  const mix = (scope: Scope, name: string, batch: Tensor): void =>
    scope.update(name, ops.add(ops.mul(scope.param(name), 1 - momentum), ops.mul(batch, momentum)));
  return {
    params: { mean: frozen([channels], zeros), variance: frozen([channels], ones) },
    read: (scope) => ({ mean: scope.param('mean'), variance: scope.param('variance') }),
    update(scope, mean, variance) {
      mix(scope, 'mean', mean);
      mix(scope, 'variance', variance);
    },
  };
}

function caffeStatistics(channels: number, fraction: number): Running {
  const accumulate = (scope: Scope, name: string, batch: Tensor | number): void =>
    scope.update(name, ops.add(ops.mul(scope.param(name), fraction), batch));
  return {
    params: {
      meanSum: frozen([channels], zeros),
      varianceSum: frozen([channels], zeros),
      count: frozen([], zeros),
    },
    read(scope) {
      // n is 0, where Caffe uses 0, or at least 1, which the addition does not change.
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
  /** Scale and shift (gamma and beta). Default true. */
  readonly affine?: boolean;
  /** Default 1e-5. */
  readonly epsilon?: number;
  /** Factor on the learning rate of gamma and beta. Default 1. */
  readonly lrMult?: number;
  /** Factor on the weight decay of gamma and beta. Default 1. */
  readonly decayMult?: number;
}

type Affine = { readonly gamma?: Tensor; readonly beta?: Tensor; readonly epsilon: number };

/** A layer that normalizes each example by itself, with gamma and beta of a shape. */
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
    params: affine
      ? {
          gamma: trained(kind, shape, ones, { lrMult, decayMult }),
          beta: trained(kind, shape, zeros, { lrMult, decayMult }),
        }
      : {},
    config: { kind, epsilon, ...config },
    apply: (x, scope) =>
      normalize(x, {
        epsilon,
        ...(affine && { gamma: scope.param('gamma'), beta: scope.param('beta') }),
      }),
  };
}

/**
 * Layer normalization over the last axes, which have the sizes of `shape`: y = gamma · (x − mean) / √(variance + epsilon)
 * + beta. Shapes: x [..., ...shape] -> the same; gamma and beta `shape`.
 *
 * @example nn.layerNorm(64)
 */
export function layerNorm(shape: number | readonly number[], options: NormLayerOptions = {}): Layer {
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
 * Group normalization: each example by the statistics of each group of neighboring channels.
 * Shapes: x [N, ..., channels] -> the same; gamma and beta [channels]. Throws RangeError unless groups divide channels.
 *
 * @example nn.groupNorm(8, 64)
 */
export function groupNorm(groups: number, channels: number, options: NormLayerOptions = {}): Layer {
  const words = `a positive integer that divides ${channels} channels`;
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

/** Instance normalization: each channel of each example by itself. Shapes as in `groupNorm`. */
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
  /** Where neighbors are: in the square around a position of the same channel (default), or in channels beside it. */
  readonly region?: 'within-channel' | 'across-channels';
}

/**
 * Local response normalization: y = x · (1 + alpha / size² · Σ x²)^−beta over the size × size square around each
 * position of the same channel, or · (1 + alpha / size · Σ x²)^−beta over `size` channels. It needs responses in the tens
 * or more to do anything: inputs of 0 … 255.
 *
 * Shapes: x [N, H, W, C] -> the same. Source: Caffe, lrn_layer.cpp.
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
