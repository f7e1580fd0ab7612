/** Wide residual networks. */
import { add } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkOptions } from '../options.ts';
import { BLOCKS, blockIn, checkModel, conv, input, list, type BlockOptions } from './parts.ts';

export interface WideResnetOptions extends BlockOptions {
  /** Number of layers, 6n + 4: 16, 22, 28, 40. */
  readonly depth: number;
  /** Factor on the widths 16, 32 and 64. */
  readonly widen: number;
  /** Rate of the dropout between the convolutions of a block. Default 0. */
  readonly dropout?: number;
}

/** Normalization and ReLU come before each convolution. A 1 × 1 convolution of them is the shortcut where the width changes. */
function block(inputs: number, outputs: number, stride: number, rate: number): nn.Layer {
  const body = {
    bn1: nn.batchNorm(inputs),
    relu: nn.relu(),
    conv1: conv(inputs, outputs, 3, { stride }),
    bn2: nn.batchNorm(outputs),
    dropout: nn.dropout(rate),
    conv2: conv(outputs, outputs, 3),
  };
  if (inputs === outputs) {
    return nn.module(
      body,
      (x, { bn1, relu, conv1, bn2, dropout, conv2 }) =>
        add(x, conv2(dropout(relu(bn2(conv1(relu(bn1(x)))))))),
      'wideBlock',
    );
  }
  return nn.module(
    { ...body, convShortcut: conv(inputs, outputs, 1, { stride }) },
    (x, { bn1, relu, conv1, bn2, dropout, conv2, convShortcut }) => {
      const active = relu(bn1(x));
      return add(convShortcut(active), conv2(dropout(relu(bn2(conv1(active))))));
    },
    'wideBlockWithShortcut',
  );
}

/**
 * Wide residual network WRN-depth-widen for CIFAR. With 10 classes, WRN-28-10 has 36,479,194 parameters (36.5 million in the paper)
 * and WRN-16-8 has 10,961,370 (11.0 million).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: Zagoruyko and Komodakis, Wide Residual Networks, 2016.
 * Throws TypeError for an unknown option, and RangeError unless the depth is 6n + 4 and `widen` and the numbers of classes and channels
 * are positive integers.
 *
 * @example nn.countParameters(wideResnet({ depth: 16, widen: 8, classes: 10 })) // 10961370
 */
export function wideResnet(options: WideResnetOptions): nn.Layer {
  checkOptions('wideResnet', options, [...BLOCKS, 'depth', 'widen', 'dropout']);
  checkModel('wideResnet', options);
  const { classes, channels = 3, depth, widen, dropout = 0 } = options;
  checkInteger('wideResnet', 'depth', depth, 10);
  checkInteger('wideResnet', 'widen', widen, 1);
  if ((depth - 4) % 6 !== 0) {
    throw new RangeError(`wideResnet: depth must be 6n + 4, got ${depth} (for instance 16, 22, 28 or 40)`);
  }
  const blocks = (depth - 4) / 6;
  const wrap = blockIn(options);
  const stage = (inputs: number, outputs: number, stride: number): nn.Layer =>
    nn.sequential({
      layer: list(
        Array.from({ length: blocks }, (_, i) =>
          wrap(i === 0 ? block(inputs, outputs, stride, dropout) : block(outputs, outputs, 1, dropout)),
        ),
      ),
    });
  return nn.sequential({
    ...input(options),
    conv1: conv(channels, 16, 3),
    block1: stage(16, 16 * widen, 1),
    block2: stage(16 * widen, 32 * widen, 2),
    block3: stage(32 * widen, 64 * widen, 2),
    bn1: nn.batchNorm(64 * widen),
    relu: nn.relu(),
    avgpool: nn.globalAvgPool2d(),
    fc: nn.dense(64 * widen, classes),
  });
}
