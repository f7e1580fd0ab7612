/** What the models share: their options, and layers under PyTorch's names. */
import type { HostData, HostTensor, Tensor } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkNumber } from '../options.ts';

/** Options of all classifiers. */
export interface ModelOptions {
  /** Number of classes. */
  readonly classes: number;
  /** Channels of the images. Default 3. */
  readonly channels?: number;
  /** Mean of the images in the units of the data: `channelStats(train).mean`. Default: the images are normalized already. */
  readonly mean?: HostTensor | HostData | readonly number[];
  /** Standard deviation of the images in the units of the data. Needs `mean`. Default 1. */
  readonly std?: HostTensor | HostData | readonly number[];
}

/** Options of models made of blocks. */
export interface BlockOptions extends ModelOptions {
  /**
   * Compute the activations of each block again in the backward pass instead of keeping them (`nn.recompute`). It takes less memory and
   * more time, and gives the same bytes. Default false.
   */
  readonly recompute?: boolean;
}

export const MODEL = ['classes', 'channels', 'mean', 'std'] as const;

/** Throws RangeError for a number of classes or channels below 1, or `std` without `mean`. */
export function checkModel(where: string, options: ModelOptions): void {
  checkInteger(where, 'classes', options.classes, 1);
  if (options.channels !== undefined) checkInteger(where, 'channels', options.channels, 1);
  if (options.std !== undefined && options.mean === undefined) {
    throw new RangeError(`${where}: got std without mean (give both: channelStats(train) returns them)`);
  }
}

/** The options of models made of blocks. */
export const BLOCKS = [...MODEL, 'recompute'] as const;

/** What becomes of each block. */
export const blockIn = ({ recompute = false }: BlockOptions): (<X>(block: nn.Layer<X>) => nn.Layer<X>) =>
  recompute ? nn.recompute : (block) => block;

/** The layer `input`, which normalizes the images, if the options have their statistics. */
export const input = ({ mean, std }: ModelOptions): { readonly input?: nn.Layer } =>
  mean === undefined ? {} : { input: nn.normalize(mean, std === undefined ? {} : { std }) };

/** Layers in order under the names _0, _1, …, which are 0, 1, … in PyTorch. */
export const list = (layers: readonly nn.Layer[]): nn.Layer =>
  nn.sequential(Object.fromEntries(layers.map((layer, i) => [`_${i}`, layer])));

/** The parts of a module, applied in order. */
export const inOrder = (parts: Readonly<Record<string, (x: Tensor) => Tensor>>, x: Tensor): Tensor =>
  Object.values(parts).reduce((value, part) => part(value), x);

export interface ConvOptions {
  /** Default 1. */
  readonly stride?: number;
  /** Default 1. */
  readonly groups?: number;
}

/** A convolution without bias, whose padding keeps the size at stride 1, with He initialization by fan-out. */
export const conv = (inputs: number, outputs: number, kernel: number, options: ConvOptions = {}): nn.Layer =>
  nn.conv2d(inputs, outputs, kernel, {
    ...options,
    padding: (kernel - 1) / 2,
    bias: false,
    init: nn.init.he({ fan: 'out' }),
  });

export const identity: nn.Layer = nn.activation((x) => x, 'identity');

/** Throws RangeError unless a rate of stochastic depth is in [0, 1). */
export const checkDepthRate = (where: string, rate: number): void =>
  checkNumber(where, 'stochasticDepth', rate, 'in [0, 1)', (x) => x >= 0 && x < 1);

/** The rate of stochastic depth of block `index` of `count`, which grows linearly from 0 to `rate`. */
export const depthRate = (rate: number, index: number, count: number): number =>
  count === 1 ? rate : (rate * index) / (count - 1);
