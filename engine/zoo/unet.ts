/** U-Net. */
import { concat, ShapeError, type Tensor } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { BLOCKS, blockIn, checkModel, conv, identity, input, list, type BlockOptions } from './parts.ts';

export interface UnetOptions extends BlockOptions {
  /** Channels at the full size. Each of the four halvings doubles them. Default 64. */
  readonly width?: number;
}

/** Two 3 × 3 convolutions, each with batch normalization and ReLU. */
const doubleConv = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({
    double_conv: list([
      conv(inputs, outputs, 3),
      nn.batchNorm(outputs),
      nn.relu(),
      conv(outputs, outputs, 3),
      nn.batchNorm(outputs),
      nn.relu(),
    ]),
  });

const down = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({ maxpool_conv: list([nn.maxPool2d(2), doubleConv(inputs, outputs)]) });

/** Doubles the size of `small`, and joins it with `large`, which has half the channels. */
const up = (inputs: number): nn.Layer<{ readonly small: Tensor; readonly large: Tensor }> =>
  nn.module(
    {
      up: nn.conv2dTranspose(inputs, inputs / 2, 2, { stride: 2 }),
      conv: doubleConv(inputs, inputs / 2),
    },
    ({ small, large }: { readonly small: Tensor; readonly large: Tensor }, parts) =>
      parts.conv(concat([large, parts.up(small)], -1)),
    'up',
  );

/**
 * U-Net for segmentation, with batch normalization, and padding that keeps the size. It has 31,037,698 parameters with 3 channels and
 * 2 classes.
 *
 * Shapes: images x [N, H, W, channels] -> logits of each pixel [N, H, W, classes]. H and W are multiples of 16.
 * Source: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015.
 * Throws TypeError for an unknown option, and RangeError for a width, or a number of classes or channels, below 1.
 * Throws ShapeError, when the model is applied, if the size is not a multiple of 16.
 *
 * @example nn.countParameters(unet({ classes: 2 })) // 31037698
 */
export function unet(options: UnetOptions): nn.Layer {
  checkOptions('unet', options, [...BLOCKS, 'width']);
  checkModel('unet', options);
  const { classes, channels = 3, width = 64 } = options;
  checkInteger('unet', 'width', width, 1);
  const wrap = blockIn(options);
  return nn.module(
    {
      normalize: input(options).input ?? identity,
      inc: wrap(doubleConv(channels, width)),
      down1: wrap(down(width, 2 * width)),
      down2: wrap(down(2 * width, 4 * width)),
      down3: wrap(down(4 * width, 8 * width)),
      down4: wrap(down(8 * width, 16 * width)),
      up1: wrap(up(16 * width)),
      up2: wrap(up(8 * width)),
      up3: wrap(up(4 * width)),
      up4: wrap(up(2 * width)),
      outc: nn.sequential({ conv: nn.conv2d(width, classes, 1) }),
    },
    (x, parts) => {
      if (x.shape[1] % 16 !== 0 || x.shape[2] % 16 !== 0) {
        throw new ShapeError(
          `unet: the size must be a multiple of 16, got ${x.shape[1]} × ${x.shape[2]} (resize or pad the images)`,
        );
      }
      const x1 = parts.inc(parts.normalize(x));
      const x2 = parts.down1(x1);
      const x3 = parts.down2(x2);
      const x4 = parts.down3(x3);
      const x5 = parts.down4(x4);
      const y4 = parts.up1({ small: x5, large: x4 });
      const y3 = parts.up2({ small: y4, large: x3 });
      const y2 = parts.up3({ small: y3, large: x2 });
      return parts.outc(parts.up4({ small: y2, large: x1 }));
    },
    'unet',
  );
}
