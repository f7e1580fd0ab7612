/** ConvNeXt, with the names of torchvision. */
import { add, mul } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkOptions } from '../options.ts';
import { MODEL, checkModel, input, list, type ModelOptions } from './parts.ts';

const init = nn.init.normal(0.02);

const norm = (channels: number): nn.Layer => nn.layerNorm(channels, { epsilon: 1e-6 });

/** x + scale · block(x), with a scale for each channel that begins near 0. */
function block(channels: number): nn.Layer {
  const body = nn.sequential({
    _0: nn.depthwiseConv2d(channels, 7, { padding: 3, init }),
    _2: norm(channels),
    _3: nn.dense(channels, 4 * channels, { init }),
    _4: nn.gelu(),
    _5: nn.dense(4 * channels, channels, { init }),
  });
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
    config: { kind: 'convNextBlock', channels },
    apply: (x, scope) => add(x, mul(scope.child('block', body, x), scope.param('layer_scale'))),
  };
}

/** Normalizes, halves the size and changes the width. */
const downsample = (inputs: number, outputs: number): nn.Layer =>
  list([norm(inputs), nn.conv2d(inputs, outputs, 2, { stride: 2, init })]);

/**
 * ConvNeXt-Tiny. It has 28,589,128 parameters with 1,000 classes.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes]. H and W are at least 32.
 * Source: Liu et al., A ConvNet for the 2020s, 2022; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(convnextTiny({ classes: 1000 })) // 28589128
 */
export function convnextTiny(options: ModelOptions): nn.Layer {
  checkOptions('convnextTiny', options, MODEL);
  checkModel('convnextTiny', options);
  const { classes, channels = 3 } = options;
  const stage = (width: number, blocks: number): nn.Layer =>
    list(Array.from({ length: blocks }, () => block(width)));
  return nn.sequential({
    ...input(options),
    features: list([
      list([nn.conv2d(channels, 96, 4, { stride: 4, init }), norm(96)]),
      stage(96, 3),
      downsample(96, 192),
      stage(192, 3),
      downsample(192, 384),
      stage(384, 9),
      downsample(384, 768),
      stage(768, 3),
    ]),
    avgpool: nn.globalAvgPool2d(),
    classifier: nn.sequential({ _0: norm(768), _2: nn.dense(768, classes, { init }) }),
  });
}
