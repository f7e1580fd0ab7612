/** Densely connected networks, with the names of torchvision. */
import { concat } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import { BLOCKS, blockIn, checkModel, conv, input, inOrder, type BlockOptions } from './parts.ts';

export interface DensenetOptions extends BlockOptions {
  /** Number of layers: 3n + 4, or 6n + 4 with bottlenecks. */
  readonly depth: number;
  /** Channels that each layer adds. */
  readonly growth: number;
  /** DenseNet-BC: bottlenecks, and transitions that halve the channels. Default false. */
  readonly bc?: boolean;
  /** Rate of the dropout after each 3 × 3 convolution. Default 0. */
  readonly dropout?: number;
}

interface Kind {
  readonly growth: number;
  readonly bottleneck: boolean;
  readonly dropout: number;
  /** What becomes of each layer. */
  readonly wrap: (layer: nn.Layer) => nn.Layer;
}

/** Concatenates x and `growth` new channels, which come from a 3 × 3 convolution, with bottleneck after a 1 × 1 one. */
function denseLayer(inputs: number, { growth, bottleneck, dropout }: Kind): nn.Layer {
  const narrow = bottleneck ? 4 * growth : inputs;
  const layers: Record<string, nn.Layer> = {
    norm1: nn.batchNorm(inputs),
    relu1: nn.relu(),
    ...(bottleneck
      ? {
          conv1: conv(inputs, narrow, 1),
          norm2: nn.batchNorm(narrow),
          relu2: nn.relu(),
          conv2: conv(narrow, growth, 3),
        }
      : { conv1: conv(inputs, growth, 3) }),
    dropout: nn.dropout(dropout),
  };
  return nn.module(layers, (x, parts) => concat([x, inOrder(parts, x)], -1), 'denseLayer');
}

const denseBlock = (inputs: number, layers: number, kind: Kind): nn.Layer =>
  nn.sequential(
    Object.fromEntries(
      Array.from({ length: layers }, (_, i) => [
        `denselayer${i + 1}`,
        kind.wrap(denseLayer(inputs + i * kind.growth, kind)),
      ]),
    ),
  );

const transition = (inputs: number, outputs: number): nn.Layer =>
  nn.sequential({
    norm: nn.batchNorm(inputs),
    relu: nn.relu(),
    conv: conv(inputs, outputs, 1),
    pool: nn.avgPool2d(2),
  });

/** Blocks of `layers` layers with transitions between them, and the normalization after the last. Returns the channels, too. */
function blocksOf(
  first: number,
  layers: readonly number[],
  compression: number,
  kind: Kind,
): { readonly parts: Readonly<Record<string, nn.Layer>>; readonly outputs: number } {
  const parts: Record<string, nn.Layer> = {};
  let width = first;
  layers.forEach((count, i) => {
    parts[`denseblock${i + 1}`] = denseBlock(width, count, kind);
    width += count * kind.growth;
    if (i === layers.length - 1) return;
    const narrowed = Math.floor(width * compression);
    parts[`transition${i + 1}`] = transition(width, narrowed);
    width = narrowed;
  });
  parts[`norm${layers.length + 1}`] = nn.batchNorm(width);
  return { parts, outputs: width };
}

/**
 * DenseNet for CIFAR: three blocks. With 10 classes, depth 40 and growth 12 it has 1,019,722 parameters (1.0 million in the paper).
 * DenseNet-BC with depth 100 and growth 12 has 769,162 (0.8 million).
 *
 * Shapes: images x [N, 32, 32, channels] -> logits [N, classes].
 * Source: Huang et al., Densely Connected Convolutional Networks, 2017.
 * Throws TypeError for an unknown option, and RangeError unless the depth fits three blocks and `growth` and the numbers of classes
 * and channels are positive integers.
 *
 * @example nn.countParameters(densenet({ depth: 40, growth: 12, classes: 10 })) // 1019722
 */
export function densenet(options: DensenetOptions): nn.Layer {
  checkOptions('densenet', options, [...BLOCKS, 'depth', 'growth', 'bc', 'dropout']);
  checkModel('densenet', options);
  const { classes, channels = 3, depth, growth, bc = false, dropout = 0 } = options;
  checkInteger('densenet', 'growth', growth, 1);
  const each = bc ? 6 : 3;
  const words = `a depth ${each}n + 4`;
  checkNumber(
    'densenet',
    'depth',
    depth,
    words,
    (d) => Number.isSafeInteger(d) && d > 4 && (d - 4) % each === 0,
  );
  const layers = (depth - 4) / each;
  const first = bc ? 2 * growth : 16;
  const kind = { growth, bottleneck: bc, dropout, wrap: blockIn(options) };
  const { parts, outputs } = blocksOf(first, [layers, layers, layers], bc ? 0.5 : 1, kind);
  return nn.sequential({
    ...input(options),
    features: nn.sequential({ conv0: conv(channels, first, 3), ...parts }),
    relu: nn.relu(),
    avgpool: nn.globalAvgPool2d(),
    classifier: nn.dense(outputs, classes),
  });
}

/**
 * DenseNet-121 for ImageNet. It has 7,978,856 parameters with 1,000 classes.
 *
 * Shapes: images x [N, H, W, channels] -> logits [N, classes].
 * Source: Huang et al., Densely Connected Convolutional Networks, 2017; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for a number of classes or channels below 1.
 *
 * @example nn.countParameters(densenet121({ classes: 1000 })) // 7978856
 */
export function densenet121(options: BlockOptions): nn.Layer {
  checkOptions('densenet121', options, BLOCKS);
  checkModel('densenet121', options);
  const { classes, channels = 3 } = options;
  const { parts, outputs } = blocksOf(64, [6, 12, 24, 16], 0.5, {
    growth: 32,
    bottleneck: true,
    dropout: 0,
    wrap: blockIn(options),
  });
  return nn.sequential({
    ...input(options),
    features: nn.sequential({
      conv0: conv(channels, 64, 7, { stride: 2 }),
      norm0: nn.batchNorm(64),
      relu0: nn.relu(),
      pool0: nn.maxPool2d(3, 2, { padding: 1 }),
      ...parts,
    }),
    relu: nn.relu(),
    avgpool: nn.globalAvgPool2d(),
    classifier: nn.dense(outputs, classes),
  });
}
