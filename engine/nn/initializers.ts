/** Initial values of parameters. Each is pure in (seed, path): the stream it draws from is made of nothing else. */
import { ShapeError } from '../errors.ts';
import { isFloat64Array } from '../host.ts';
import { checkNumber, checkOneOf, checkOptions } from '../options.ts';
import { toHost, type Nested } from '../ops/convert.ts';
import type { Stream } from '../rng.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { HostData, HostTensor, Shape } from '../types.ts';

/** Values for a parameter of a shape. Draws from the stream it is given, and from nothing else. */
export type Initializer = (shape: Shape, draws: Stream) => Float32Array | Float64Array;

const drawn = (shape: Shape, draw: () => number): Float32Array =>
  Float32Array.from({ length: sizeOf(shape) }, draw);

/** The same value everywhere. */
export function constant(value: number): Initializer {
  checkNumber('constant', 'value', value);
  return (shape) => new Float32Array(sizeOf(shape)).fill(value);
}

/** 0 everywhere. */
export const zeros: Initializer = constant(0);
/** 1 everywhere. */
export const ones: Initializer = constant(1);

/** Normally distributed values. Throws RangeError for a negative standard deviation. */
export function normal(std: number, mean = 0): Initializer {
  checkNumber('normal', 'std', std, 'a number >= 0', (x) => x >= 0);
  checkNumber('normal', 'mean', mean);
  return (shape, draws) => drawn(shape, () => mean + std * draws.normal());
}

/** Uniform values in [low, high). */
export function uniform(low: number, high: number): Initializer {
  checkNumber('uniform', 'low', low);
  checkNumber('uniform', 'high', high, `a number above low, which is ${low}`, (x) => x > low);
  return (shape, draws) => drawn(shape, () => low + (high - low) * draws.uniform());
}

export interface FanOptions {
  /** What the variance is divided by: inputs of each unit, outputs of each input, or the mean of both. Default 'in'. */
  readonly fan?: 'in' | 'out' | 'average';
  /** Default 'uniform' for `xavier`, 'normal' for `he`. */
  readonly distribution?: 'uniform' | 'normal';
}

/**
 * Keeps the variance of signals through linear layers.
 *
 *   variance = 1 / fan; by default uniform in ±√(3 / fan_in), as Caffe's filler
 *
 * Source: X. Glorot and Y. Bengio, 2010 (which averages both fans); Caffe, filler.hpp.
 *
 * @example nn.dense(64, 10, { init: nn.init.xavier() })
 */
export function xavier(options: FanOptions = {}): Initializer {
  return scaled('xavier', 1, 'uniform', options);
}

/**
 * Keeps the variance of signals through layers followed by relu.
 *
 *   variance = 2 / fan; by default normal with standard deviation √(2 / fan_in)
 *
 * Source: K. He et al., Delving Deep into Rectifiers, 2015; PyTorch's kaiming_normal_; Caffe's MSRAFiller.
 */
export function he(options: FanOptions = {}): Initializer {
  return scaled('he', 2, 'normal', options);
}

function scaled(where: string, gain: number, usual: 'uniform' | 'normal', options: FanOptions): Initializer {
  checkOptions(where, options, ['fan', 'distribution']);
  const { fan = 'in', distribution = usual } = options;
  checkOneOf(where, 'fan', fan, ['in', 'out', 'average']);
  checkOneOf(where, 'distribution', distribution, ['uniform', 'normal']);
  return (shape, draws) => {
    const fans = fansOf(shape);
    const variance = gain / (fan === 'average' ? (fans.in + fans.out) / 2 : fans[fan]);
    const values = distribution === 'normal' ? normal(Math.sqrt(variance)) : symmetric(3 * variance);
    return values(shape, draws);
  };
}

const symmetric = (square: number): Initializer => uniform(-Math.sqrt(square), Math.sqrt(square));

/** Inputs that one output sums over, and outputs that one input goes to. Weights are [..., in, out]. */
function fansOf(shape: Shape): { in: number; out: number } {
  const size = sizeOf(shape);
  return { in: size / (shape.at(-1) ?? 1), out: size / (shape.at(-2) ?? 1) };
}

/** The given values. Throws ShapeError, when the model is initialized, unless they fill the parameter. */
export function fromArray(data: HostTensor | Nested | HostData): Initializer {
  const value = toHost('fromArray', data);
  return (shape) => {
    if (value.data.length !== sizeOf(shape)) {
      throw new ShapeError(
        `fromArray: ${formatShape(value.shape)} does not fill a parameter ${formatShape(shape)}`,
      );
    }
    return isFloat64Array(value.data) ? value.data.slice() : Float32Array.from(value.data);
  };
}
