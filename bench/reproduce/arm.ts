/** What an arm of an experiment is, and the parts that several experiments share. */
import type { LoaderOptions } from '../../datasets/index.ts';
import type { HostTensor } from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { sgd, type Optimizer } from '../../optim/index.ts';
import type { Schedule } from '../../schedulers/index.ts';

export const experimentNames = [
  'table1',
  'budget',
  'table3',
  'sigmoid-bn',
  'one-cycle',
  'super-convergence',
  'table4',
  'quick',
] as const;
export type ExperimentName = (typeof experimentNames)[number];

/** Mean and standard deviation of each channel, in the units of the data. */
export interface ChannelStatistics {
  readonly mean: Float32Array;
  readonly std: Float32Array;
}

export interface Arm {
  readonly experiment: ExperimentName;
  /** Unique within its experiment. With the seed, it is the name of the file. */
  readonly name: string;
  readonly title: string;
  /** The name at its line in a figure. Default: the title without the number of steps. */
  readonly short?: string;
  /** Arms of the same family share a color in figures. Default: the name. */
  readonly family?: string;
  readonly steps: number;
  readonly batchSize: number;
  /** Steps between evaluations on all test images. */
  readonly evalEvery: number;
  readonly model: (meanImage: HostTensor, channels: ChannelStatistics) => nn.Layer;
  readonly optimizer: () => Optimizer;
  /** The order and augmentation of the training images. Default: the order of the files, without augmentation, as in Caffe. */
  readonly images?: Pick<LoaderOptions, 'shuffle' | 'augment'>;
  /** Test accuracy in the paper. Null if the paper has no such row. */
  readonly paper: number | null;
  /** What the source does not specify or contradicts, and our choice. '' without a note. */
  readonly note: string;
}

/** The solver of Caffe with the settings of cifar10_full. */
export const caffeSgd = (
  lr: Schedule,
  {
    nesterov = false,
    momentum = 0.9,
  }: { readonly nesterov?: boolean; readonly momentum?: number | Schedule } = {},
): Optimizer => sgd({ lr, momentum, weightDecay: 0.004, form: 'caffe', nesterov });

export const full = (mean: HostTensor): nn.Layer => nn.caffeFull({ mean });
