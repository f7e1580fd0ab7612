/** ConvNeXt, with the names of torchvision. */
import { add, mul } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkOptions, show } from '../options.ts';
import {
  BLOCKS,
  blockIn,
  checkModel,
  checkDepthRate,
  depthRate,
  input,
  list,
  type BlockOptions,
} from './parts.ts';

export interface ConvnextTinyOptions extends BlockOptions {
  /** Rate of stochastic depth in the last block. It grows linearly from 0 in the first. Default 0.1, as in the paper for ConvNeXt-Tiny. */
  readonly stochasticDepth?: number;
}

export interface ConvnextOptions extends ConvnextTinyOptions {
  /** Channels of each of the four stages. */
  readonly widths: readonly number[];
  /** Blocks of each of the four stages. */
  readonly blocks: readonly number[];
}

const init = nn.init.normal(0.02);

const norm = (channels: number): nn.Layer => nn.layerNorm(channels, { epsilon: 1e-6 });

/** x + scale · block(x), with a scale for each channel that begins near 0. In training, examples skip the block at the rate `skipped`. */
function block(channels: number, skipped: number): nn.Layer {
  const body = nn.sequential({
    _0: nn.depthwiseConv2d(channels, 7, { padding: 3, init }),
    _2: norm(channels),
    _3: nn.dense(channels, 4 * channels, { init }),
    _4: nn.gelu(),
    _5: nn.dense(4 * channels, channels, { init }),
  });
  const depth = nn.stochasticDepth(skipped);
  const scale: nn.ParamSpec = {
    shape: [channels],
    init: nn.init.constant(1e-6),
    lrMult: 1,
    decayMult: 1,
    torch: { shape: [channels, 1, 1] },
  };
  const inner = Object.entries(body.params).map(([name, spec]) => [`block.${name}`, spec] as const);
  return {
    params: { ...Object.fromEntries(inner), layer_scale: scale },
    config: { kind: 'convNextBlock', channels, stochasticDepth: skipped },
    apply(x, scope) {
      const branch = mul(scope.child('block', body, x), scope.param('layer_scale'));
      return add(x, scope.child('depth', depth, branch));
    },
  };
}

/** Cuts images into patches of 4 × 4 pixels, and normalizes. */
const stem = (channels: number, width: number): nn.Layer =>
  list([nn.conv2d(channels, width, 4, { stride: 4, init }), norm(width)]);

/** Normalizes, halves the size and changes the width. */
const downsample = (inputs: number, outputs: number): nn.Layer =>
  list([norm(inputs), nn.conv2d(inputs, outputs, 2, { stride: 2, init })]);

/**
 * ConvNeXt of any size. ConvNeXt-Small has `blocks: [3, 3, 27, 3]`, ConvNeXt-Base also `widths: [128, 256, 512, 1024]`.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes]. H and W are at least 32.
 * Source: Liu et al., A ConvNet for the 2020s, 2022; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError unless there are 4 widths and 4 numbers of blocks, all positive integers, a rate
 * is in [0, 1), and the numbers of classes and channels are positive.
 *
 * @example nn.countParameters(convnext({ classes: 1000, widths: [96, 192, 384, 768], blocks: [3, 3, 27, 3] })) // 50223688
 */
export function convnext(options: ConvnextOptions): nn.Layer {
  checkOptions('convnext', options, [...BLOCKS, 'widths', 'blocks', 'stochasticDepth']);
  checkModel('convnext', options);
  const { classes, channels = 3, widths, blocks, stochasticDepth = 0.1 } = options;
  checkDepthRate('convnext', stochasticDepth);
  for (const [name, sizes] of Object.entries({ widths, blocks })) {
    if (!Array.isArray(sizes) || sizes.length !== 4) {
      throw new RangeError(
        `convnext: ${name} must be an array of 4 integers, got ${show(sizes)} (one for each stage)`,
      );
    }
    for (const size of sizes) checkInteger('convnext', name, size, 1);
  }
  const count = blocks.reduce((a, b) => a + b);
  const wrap = blockIn(options);
  let index = 0;
  const stages = widths.map((width, stage) => {
    const layers = Array.from({ length: blocks[stage] }, () =>
      wrap(block(width, depthRate(stochasticDepth, index++, count))),
    );
    const before = stage === 0 ? stem(channels, width) : downsample(widths[stage - 1], width);
    return [before, list(layers)];
  });
  return nn.sequential({
    ...input(options),
    features: list(stages.flat()),
    avgpool: nn.globalAvgPool2d(),
    classifier: nn.sequential({ _0: norm(widths[3]), _2: nn.dense(widths[3], classes, { init }) }),
  });
}

/**
 * ConvNeXt-Tiny. It has 28,589,128 parameters with 1,000 classes.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes]. H and W are at least 32.
 * Source: Liu et al., A ConvNet for the 2020s, 2022; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1, or a rate that is not in [0, 1).
 *
 * @example nn.countParameters(convnextTiny({ classes: 1000 })) // 28589128
 */
export function convnextTiny(options: ConvnextTinyOptions): nn.Layer {
  checkOptions('convnextTiny', options, [...BLOCKS, 'stochasticDepth']);
  checkModel('convnextTiny', options);
  return convnext({ ...options, widths: [96, 192, 384, 768], blocks: [3, 3, 9, 3] });
}
