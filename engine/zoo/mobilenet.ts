/** MobileNetV2, with the names of torchvision. */
import { add, maximum, minimum } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkNumber, checkOptions } from '../options.ts';
import {
  BLOCKS,
  blockIn,
  checkModel,
  conv,
  input,
  list,
  type BlockOptions,
  type ConvOptions,
} from './parts.ts';

export interface MobilenetOptions extends BlockOptions {
  /** Factor on all widths. Default 1. */
  readonly width?: number;
  /** Rate before the dense layer. Default 0.2. */
  readonly dropout?: number;
}

const relu6 = (): nn.Layer => nn.activation((x) => minimum(maximum(x, 0), 6), 'relu6');

/** A width times the factor, rounded to a multiple of 8, and not below 90 % of the product. */
function scaled(width: number, factor: number): number {
  const exact = width * factor;
  const rounded = Math.max(8, Math.floor((exact + 4) / 8) * 8);
  return rounded < 0.9 * exact ? rounded + 8 : rounded;
}

const convNormRelu = (inputs: number, outputs: number, kernel: number, options: ConvOptions = {}): nn.Layer =>
  list([conv(inputs, outputs, kernel, options), nn.batchNorm(outputs), relu6()]);

/** Widens by `expansion`, filters each channel, and narrows without an activation. */
function invertedResidual(inputs: number, outputs: number, stride: number, expansion: number): nn.Layer {
  const wide = inputs * expansion;
  const body = list([
    ...(expansion === 1 ? [] : [convNormRelu(inputs, wide, 1)]),
    convNormRelu(wide, wide, 3, { stride, groups: wide }),
    conv(wide, outputs, 1),
    nn.batchNorm(outputs),
  ]);
  return stride === 1 && inputs === outputs
    ? nn.module({ conv: body }, (x, { conv }) => add(x, conv(x)), 'invertedResidual')
    : nn.sequential({ conv: body });
}

/** Table 2 of the paper: expansion, channels, blocks, and stride of the first block. */
const STAGES = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/**
 * MobileNetV2. It has 3,504,872 parameters with 1,000 classes.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes].
 * Source: Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks, 2018; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for a width that is not positive, a dropout outside [0, 1), or a
 * number of classes or channels below 1.
 *
 * @example nn.countParameters(mobilenetV2({ classes: 1000 })) // 3504872
 */
export function mobilenetV2(options: MobilenetOptions): nn.Layer {
  checkOptions('mobilenetV2', options, [...BLOCKS, 'width', 'dropout']);
  checkModel('mobilenetV2', options);
  const { classes, channels = 3, width = 1, dropout = 0.2 } = options;
  checkNumber('mobilenetV2', 'width', width, 'a positive number', (x) => x > 0);
  const [first, last] = [scaled(32, width), scaled(1280, Math.max(1, width))];
  const layers = [convNormRelu(channels, first, 3, { stride: 2 })];
  const wrap = blockIn(options);
  let inputs = first;
  for (const [expansion, outputs, blocks, stride] of STAGES) {
    for (let i = 0; i < blocks; i++) {
      layers.push(wrap(invertedResidual(inputs, scaled(outputs, width), i === 0 ? stride : 1, expansion)));
      inputs = scaled(outputs, width);
    }
  }
  layers.push(convNormRelu(inputs, last, 1));
  return nn.sequential({
    ...input(options),
    features: list(layers),
    avgpool: nn.globalAvgPool2d(),
    classifier: list([nn.dropout(dropout), nn.dense(last, classes, { init: nn.init.normal(0.01) })]),
  });
}
