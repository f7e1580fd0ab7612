/** Initial values of parameters. Each is a pure function of the seed and the path of the parameter. */
import { ShapeError } from '../errors.ts';
import { isFloat64Array } from '../host.ts';
import { qr } from '../linalg.ts';
import { checkFunction, checkNumber, checkOneOf, checkOptions } from '../options.ts';
import { toHost, type Nested } from '../ops/convert.ts';
import type { Stream } from '../rng.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { HostData, HostTensor, Shape } from '../types.ts';

/** Gives initial values for a parameter of a shape. Random numbers come only from the given stream. */
export type Initializer = (shape: Shape, draws: Stream) => Float32Array | Float64Array;

const drawn = (shape: Shape, draw: () => number): Float32Array =>
  Float32Array.from({ length: sizeOf(shape) }, draw);

/**
 * Fills a parameter with one value.
 * Throws RangeError if the value is not a finite number.
 *
 * @example nn.dense(64, 10, { bias: { init: nn.init.constant(0.1) } })
 */
export function constant(value: number): Initializer {
  checkNumber('constant', 'value', value);
  return (shape) => new Float32Array(sizeOf(shape)).fill(value);
}

/**
 * Fills a parameter with 0.
 *
 * @example nn.dense(64, 10, { init: nn.init.zeros })
 */
export const zeros: Initializer = constant(0);

/**
 * Fills a parameter with 1.
 *
 * @example nn.dense(64, 10, { init: nn.init.ones })
 */
export const ones: Initializer = constant(1);

/**
 * Draws from a normal distribution with standard deviation `std` and the given mean.
 * Throws RangeError if the standard deviation is negative or a number is not finite.
 *
 * @example nn.dense(64, 10, { init: nn.init.normal(0.01) })
 */
export function normal(std: number, mean = 0): Initializer {
  checkNumber('normal', 'std', std, 'a number >= 0', (x) => x >= 0);
  checkNumber('normal', 'mean', mean);
  return (shape, draws) => drawn(shape, () => mean + std * draws.normal());
}

/**
 * Draws from the uniform distribution on [low, high).
 * Throws RangeError if high is not above low, or a number is not finite.
 *
 * @example nn.dense(64, 10, { init: nn.init.uniform(-0.1, 0.1) })
 */
export function uniform(low: number, high: number): Initializer {
  checkNumber('uniform', 'low', low);
  checkNumber('uniform', 'high', high, `a number above low, which is ${low}`, (x) => x > low);
  return (shape, draws) => drawn(shape, () => low + (high - low) * draws.uniform());
}

export interface FanOptions {
  /**
   * Divisor of the variance: the number of inputs of each unit ('in'), the number of outputs of each input ('out'), or their
   * mean ('average'). Default 'in'.
   */
  readonly fan?: 'in' | 'out' | 'average';
  /** Default 'uniform' for `xavier`, 'normal' for `he`. */
  readonly distribution?: 'uniform' | 'normal';
}

/**
 * Xavier (Glorot) initialization, which keeps the variance of activations through linear layers.
 *
 *   variance = 1 / fan
 *
 * The default is uniform in ±√(3 / fan_in), as in Caffe. PyTorch's `xavier_uniform_` corresponds to `fan: 'average'`.
 *
 * Source: Glorot and Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks, 2010; Caffe,
 * filler.hpp.
 * Throws TypeError for an unknown option.
 * Throws RangeError for an unknown fan or distribution.
 *
 * @example nn.dense(64, 10, { init: nn.init.xavier({ fan: 'average' }) })
 */
export function xavier(options: FanOptions = {}): Initializer {
  return scaled('xavier', 1, 'uniform', options);
}

/**
 * He (Kaiming) initialization, which keeps the variance of activations through layers followed by ReLU.
 *
 *   variance = 2 / fan
 *
 * The default is normal with standard deviation √(2 / fan_in), as PyTorch's `kaiming_normal_` and Caffe's MSRAFiller.
 *
 * Source: He et al., Delving Deep into Rectifiers, 2015.
 * Throws TypeError for an unknown option.
 * Throws RangeError for an unknown fan or distribution.
 *
 * @example nn.conv2d(3, 32, 3, { init: nn.init.he({ fan: 'out' }) })
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

/** Fan-in and fan-out: the inputs of each output, and the outputs of each input. Weights are [..., in, out]. */
function fansOf(shape: Shape): { in: number; out: number } {
  const size = sizeOf(shape);
  return { in: size / (shape.at(-1) ?? 1), out: size / (shape.at(-2) ?? 1) };
}

/**
 * Uses the given values.
 * Throws ShapeError, when the state is initialized, if the number of values differs from the size of the parameter.
 *
 * @example nn.dense(2, 2, { init: nn.init.fromArray([[1, 0], [0, 1]]) })
 */
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

export interface DiracOptions {
  /** Initial values of the outputs beyond the number of inputs. Default `zeros`, as PyTorch's `dirac_`. */
  readonly rest?: Initializer;
}

/**
 * The identity: output i of a convolution begins as input i. For `dense`, ones on the diagonal. A convolution with more outputs than
 * inputs begins with the identity followed by `rest`; one with fewer passes the first inputs on.
 *
 * Weights are [..., in, out]. The identity is at the center of the kernel, at index floor(size / 2).
 *
 * Source: torch.nn.init.dirac_; K. Jordan, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU, 2024, for the partial form.
 * Throws TypeError for an unknown option, or if `rest` is not a function.
 * Throws ShapeError, when the state is initialized, for a parameter with fewer than 2 axes.
 *
 * @example nn.conv2d(24, 64, 3, { padding: 1, bias: false, init: nn.init.dirac({ rest: nn.init.he() }) })
 */
export function dirac(options: DiracOptions = {}): Initializer {
  checkOptions('dirac', options, ['rest']);
  const { rest = zeros } = options;
  checkFunction('dirac', 'rest', rest, 'an initializer, for instance nn.init.he()');
  return (shape, draws) => {
    const [inputs, outputs] = matrixSizes('dirac', shape);
    const values = Float32Array.from(rest(shape, draws));
    const kernel = shape.slice(0, -2);
    const center = kernel.reduce((index, size) => index * size + Math.floor(size / 2), 0);
    const identical = Math.min(inputs, outputs);
    for (let row = 0; row < values.length / outputs; row++) {
      for (let i = 0; i < identical; i++) values[row * outputs + i] = row === center * inputs + i ? 1 : 0;
    }
    return values;
  };
}

/**
 * A random orthogonal matrix, times `gain`: its columns are orthonormal if there are as many outputs as inputs or fewer, else its rows.
 * Weights [..., in, out] of convolutions are matrices [kernel · in, out].
 *
 * Source: A. Saxe et al., Exact Solutions to the Nonlinear Dynamics of Learning in Deep Linear Neural Networks, 2014;
 * torch.nn.init.orthogonal_.
 * Throws RangeError if the gain is not a finite number.
 * Throws ShapeError, when the state is initialized, for a parameter with fewer than 2 axes.
 *
 * @example nn.dense(64, 64, { init: nn.init.orthogonal(Math.SQRT2) })
 */
export function orthogonal(gain = 1): Initializer {
  checkNumber('orthogonal', 'gain', gain);
  return (shape, draws) => {
    const [, outputs] = matrixSizes('orthogonal', shape);
    const inputs = sizeOf(shape) / outputs;
    const [long, short] = [Math.max(inputs, outputs), Math.min(inputs, outputs)];
    const gaussian = Float64Array.from({ length: long * short }, () => draws.normal());
    const { q } = qr({ shape: [long, short], data: gaussian });
    return Float32Array.from({ length: sizeOf(shape) }, (_, at) => {
      const [i, o] = [Math.floor(at / outputs), at % outputs];
      return gain * q.data[inputs >= outputs ? i * short + o : o * short + i];
    });
  };
}

function matrixSizes(where: string, shape: Shape): readonly [inputs: number, outputs: number] {
  if (shape.length < 2) {
    throw new ShapeError(
      `${where}: expects a weight [..., in, out] but the parameter is ${formatShape(shape)}`,
    );
  }
  return [shape.at(-2)!, shape.at(-1)!];
}
