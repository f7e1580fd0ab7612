/** A plain convolutional network. */
import * as nn from '../nn/index.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { MODEL, checkModel, conv, input, list, type ModelOptions } from './parts.ts';

export interface ConvnetOptions extends ModelOptions {
  /** Channels of the first block. Each of the others doubles them. Default 16. */
  readonly width?: number;
  /** Number of blocks, each of which halves height and width. Default 4. */
  readonly blocks?: number;
}

/**
 * A plain convolutional network for a few hundred images: blocks of a 3 × 3 convolution, batch normalization, ReLU and maximum pooling,
 * then the mean over all positions and a dense layer. With 10 classes it has 98,970 parameters.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes]. H and W are at least 2^blocks.
 * Throws TypeError for an unknown option, and RangeError for a number of classes, channels, blocks or a width below 1.
 *
 * @example nn.countParameters(convnet({ classes: 10 })) // 98970
 */
export function convnet(options: ConvnetOptions): nn.Layer {
  checkOptions('convnet', options, [...MODEL, 'width', 'blocks']);
  checkModel('convnet', options);
  const { classes, channels = 3, width = 16, blocks = 4 } = options;
  checkInteger('convnet', 'width', width, 1);
  checkInteger('convnet', 'blocks', blocks, 1, 12);
  const widthOf = (block: number): number => width * 2 ** block;
  const features = Array.from({ length: blocks }, (_, block) =>
    nn.sequential({
      conv: conv(block === 0 ? channels : widthOf(block - 1), widthOf(block), 3),
      norm: nn.batchNorm(widthOf(block)),
      relu: nn.relu(),
      pool: nn.maxPool2d(2),
    }),
  );
  return nn.sequential({
    ...input(options),
    features: list(features),
    pool: nn.globalAvgPool2d(),
    head: nn.dense(widthOf(blocks - 1), classes),
  });
}
