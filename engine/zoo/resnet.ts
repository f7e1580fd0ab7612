/** Residual networks, with the names of torchvision. */
import { add, pad, relu, slice } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkOneOf, checkOptions } from '../options.ts';
import { BLOCKS, blockIn, checkModel, conv, identity, input, list, type BlockOptions } from './parts.ts';

export interface ResnetOptions extends BlockOptions {
  /**
   * 'imagenet': a 7 × 7 convolution and a pooling layer, both with stride 2. 'cifar': a 3 × 3 convolution, for images of about 32 × 32.
   * Default 'imagenet'.
   */
  readonly stem?: 'imagenet' | 'cifar';
  /** Channels of the first stage. Each of the three others doubles them. Default 64. */
  readonly width?: number;
}

/** A residual block from `inputs` channels to `width` channels, or `width` times its expansion. */
type Block = (inputs: number, width: number, stride: number, shortcut: nn.Layer) => nn.Layer;

/** relu(conv3(relu(conv3(x))) + shortcut), with batch normalization after each convolution. */
const basicBlock: Block = (inputs, width, stride, shortcut) =>
  nn.module(
    {
      conv1: conv(inputs, width, 3, { stride }),
      bn1: nn.batchNorm(width),
      conv2: conv(width, width, 3),
      bn2: nn.batchNorm(width),
      downsample: shortcut,
    },
    (x, { conv1, bn1, conv2, bn2, downsample }) => relu(add(bn2(conv2(relu(bn1(conv1(x))))), downsample(x))),
    'basicBlock',
  );

/** relu(conv1(relu(conv3(relu(conv1(x))))) + shortcut). The stride is in the 3 × 3 convolution, as in torchvision. */
const bottleneck: Block = (inputs, width, stride, shortcut) =>
  nn.module(
    {
      conv1: conv(inputs, width, 1),
      bn1: nn.batchNorm(width),
      conv2: conv(width, width, 3, { stride }),
      bn2: nn.batchNorm(width),
      conv3: conv(width, 4 * width, 1),
      bn3: nn.batchNorm(4 * width),
      downsample: shortcut,
    },
    (x, { conv1, bn1, conv2, bn2, conv3, bn3, downsample }) =>
      relu(add(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))), downsample(x))),
    'bottleneck',
  );

type Shortcut = (inputs: number, outputs: number, stride: number) => nn.Layer;

/** Option B: a 1 × 1 convolution where the shape changes. */
const projection: Shortcut = (inputs, outputs, stride) =>
  inputs === outputs && stride === 1
    ? identity
    : list([conv(inputs, outputs, 1, { stride }), nn.batchNorm(outputs)]);

/** Option A: every second pixel, with zeros in the new channels, and no parameters. */
const zeroPadding: Shortcut = (inputs, outputs, stride) =>
  inputs === outputs && stride === 1
    ? identity
    : nn.activation((x) => {
        const [before, after] = [(outputs - inputs) >> 1, (outputs - inputs + 1) >> 1];
        const steps = { step: stride };
        return pad(slice(x, [{}, steps, steps]), [
          [0, 0],
          [0, 0],
          [0, 0],
          [before, after],
        ]);
      }, 'zeroPadding');

interface Stage {
  readonly block: Block;
  /** What becomes of each block. */
  readonly wrap: (block: nn.Layer) => nn.Layer;
  /** Channels of a block's output divided by its width. */
  readonly expansion: number;
  readonly shortcut: Shortcut;
}

/** `blocks` residual blocks, the first with the stride. */
function stage(
  { block, expansion, shortcut, wrap }: Stage,
  inputs: number,
  width: number,
  blocks: number,
  stride: number,
): nn.Layer {
  const outputs = expansion * width;
  return list(
    Array.from({ length: blocks }, (_, i) =>
      wrap(
        i === 0
          ? block(inputs, width, stride, shortcut(inputs, outputs, stride))
          : block(outputs, width, 1, identity),
      ),
    ),
  );
}

function resnet(where: string, options: ResnetOptions, shape: Shape, blocks: readonly number[]): nn.Layer {
  checkOptions(where, options, [...BLOCKS, 'stem', 'width']);
  checkModel(where, options);
  const kind: Stage = { ...shape, wrap: blockIn(options) };
  const { classes, channels = 3, stem = 'imagenet', width = 64 } = options;
  checkOneOf(where, 'stem', stem, ['imagenet', 'cifar']);
  checkInteger(where, 'width', width, 1);
  const { expansion } = kind;
  return nn.sequential({
    ...input(options),
    conv1: stem === 'imagenet' ? conv(channels, width, 7, { stride: 2 }) : conv(channels, width, 3),
    bn1: nn.batchNorm(width),
    relu: nn.relu(),
    ...(stem === 'imagenet' && { maxpool: nn.maxPool2d(3, 2, { padding: 1 }) }),
    layer1: stage(kind, width, width, blocks[0], 1),
    layer2: stage(kind, width * expansion, 2 * width, blocks[1], 2),
    layer3: stage(kind, 2 * width * expansion, 4 * width, blocks[2], 2),
    layer4: stage(kind, 4 * width * expansion, 8 * width, blocks[3], 2),
    avgpool: nn.globalAvgPool2d(),
    fc: nn.dense(8 * width * expansion, classes),
  });
}

type Shape = Omit<Stage, 'wrap'>;

const basic: Shape = { block: basicBlock, expansion: 1, shortcut: projection };
const deep: Shape = { block: bottleneck, expansion: 4, shortcut: projection };

/**
 * ResNet-18. It has 11,689,512 parameters with 1,000 classes, and 11,173,962 with 10 classes and the CIFAR stem.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes].
 * Source: He et al., Deep Residual Learning for Image Recognition, 2016; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for an unknown stem, or a width or a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet18({ classes: 1000 })) // 11689512
 */
export const resnet18 = (options: ResnetOptions): nn.Layer =>
  resnet('resnet18', options, basic, [2, 2, 2, 2]);

/**
 * ResNet-34. It has 21,797,672 parameters with 1,000 classes, and 21,282,122 with 10 classes and the CIFAR stem.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes].
 * Source: He et al., Deep Residual Learning for Image Recognition, 2016; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for an unknown stem, or a width or a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet34({ classes: 10, stem: 'cifar' })) // 21282122
 */
export const resnet34 = (options: ResnetOptions): nn.Layer =>
  resnet('resnet34', options, basic, [3, 4, 6, 3]);

/**
 * ResNet-50, with the stride in the 3 × 3 convolution of a block (version 1.5). It has 25,557,032 parameters with 1,000 classes, and
 * 23,520,842 with 10 classes and the CIFAR stem.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes].
 * Source: He et al., Deep Residual Learning for Image Recognition, 2016; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for an unknown stem, or a width or a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet50({ classes: 1000 })) // 25557032
 */
export const resnet50 = (options: ResnetOptions): nn.Layer => resnet('resnet50', options, deep, [3, 4, 6, 3]);

/** The CIFAR network with 6n + 2 layers, whose shortcuts have no parameters. */
function cifarResnet(where: string, options: BlockOptions, n: number): nn.Layer {
  checkOptions(where, options, BLOCKS);
  checkModel(where, options);
  const { classes, channels = 3 } = options;
  const kind: Stage = { block: basicBlock, expansion: 1, shortcut: zeroPadding, wrap: blockIn(options) };
  return nn.sequential({
    ...input(options),
    conv1: conv(channels, 16, 3),
    bn1: nn.batchNorm(16),
    relu: nn.relu(),
    layer1: stage(kind, 16, 16, n, 1),
    layer2: stage(kind, 16, 32, n, 2),
    layer3: stage(kind, 32, 64, n, 2),
    avgpool: nn.globalAvgPool2d(),
    fc: nn.dense(64, classes),
  });
}

/**
 * ResNet-20 for CIFAR. It has 269,722 parameters with 10 classes (0.27 million in the paper).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: He et al., Deep Residual Learning for Image Recognition, 2016, section 4.2 and option A of section 4.1.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example
 * const { mean, std } = channelStats(train);
 * nn.countParameters(resnet20({ classes: 10, mean, std })) // 269722
 */
export const resnet20 = (options: BlockOptions): nn.Layer => cifarResnet('resnet20', options, 3);

/**
 * ResNet-32 for CIFAR. It has 464,154 parameters with 10 classes (0.46 million in the paper).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: as `resnet20`.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet32({ classes: 10 })) // 464154
 */
export const resnet32 = (options: BlockOptions): nn.Layer => cifarResnet('resnet32', options, 5);

/**
 * ResNet-44 for CIFAR. It has 658,586 parameters with 10 classes (0.66 million in the paper).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: as `resnet20`.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet44({ classes: 10 })) // 658586
 */
export const resnet44 = (options: BlockOptions): nn.Layer => cifarResnet('resnet44', options, 7);

/**
 * ResNet-56 for CIFAR. It has 853,018 parameters with 10 classes (0.85 million in the paper).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: as `resnet20`.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet56({ classes: 10 })) // 853018
 */
export const resnet56 = (options: BlockOptions): nn.Layer => cifarResnet('resnet56', options, 9);

/**
 * ResNet-110 for CIFAR. It has 1,727,962 parameters with 10 classes (1.7 million in the paper).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: as `resnet20`.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(resnet110({ classes: 10 })) // 1727962
 */
export const resnet110 = (options: BlockOptions): nn.Layer => cifarResnet('resnet110', options, 18);
