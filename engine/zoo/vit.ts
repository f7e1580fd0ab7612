/** Vision transformers, with the names of torchvision. */
import { add, ShapeError, slice } from '../index.ts';
import * as nn from '../nn/index.ts';
import { checkInteger, checkNumber, checkOptions } from '../options.ts';
import {
  BLOCKS,
  blockIn,
  checkDepthRate,
  checkModel,
  depthRate,
  identity,
  input,
  list,
  type BlockOptions,
} from './parts.ts';

export interface VitOptions extends BlockOptions {
  /** Height and width of the images in pixels. */
  readonly size: number;
  /** Height and width of a patch in pixels, which divide `size`. */
  readonly patch: number;
  /** Width of the tokens. */
  readonly width: number;
  /** Number of transformer blocks. */
  readonly depth: number;
  /** Number of attention heads, which divides `width`. */
  readonly heads: number;
  /** Width of the hidden layer of each MLP. Default 4 · width. */
  readonly mlpWidth?: number;
  /** Rate of dropout of the embedded tokens, after the attention, and in the MLP. Default 0. */
  readonly dropout?: number;
  /** Rate of stochastic depth in the last block. It grows linearly from 0 in the first. Default 0. */
  readonly stochasticDepth?: number;
}

export interface VitB16Options extends BlockOptions {
  /** Height and width of the images in pixels, a multiple of 16. Default 224. */
  readonly size?: number;
  /** Rate of dropout. Default 0. */
  readonly dropout?: number;
  /** Rate of stochastic depth in the last block. It grows linearly from 0 in the first. Default 0. */
  readonly stochasticDepth?: number;
}

interface Block {
  readonly width: number;
  readonly heads: number;
  readonly mlpWidth: number;
  readonly dropout: number;
}

const norm = (width: number): nn.Layer => nn.layerNorm(width, { epsilon: 1e-6 });

const dense = (inputs: number, outputs: number): nn.Layer =>
  nn.dense(inputs, outputs, { init: nn.init.xavier({ fan: 'average' }) });

/** x + attention(ln_1(x)), then x + mlp(ln_2(x)). `skipped` is the rate of stochastic depth of both branches. */
const encoderLayer = ({ width, heads, mlpWidth, dropout }: Block, skipped: number): nn.Layer =>
  nn.module(
    {
      ln_1: norm(width),
      self_attention: nn.multiHeadAttention(width, heads),
      dropout: nn.dropout(dropout),
      ln_2: norm(width),
      mlp: list([
        dense(width, mlpWidth),
        nn.gelu(),
        nn.dropout(dropout),
        dense(mlpWidth, width),
        nn.dropout(dropout),
      ]),
      depth: nn.stochasticDepth(skipped),
    },
    (x, parts) => {
      const h = add(x, parts.depth(parts.dropout(parts.self_attention(parts.ln_1(x)))));
      return add(h, parts.depth(parts.mlp(parts.ln_2(h))));
    },
    'encoderLayer',
  );

/** A layer with one parameter, to which PyTorch gives the name of the layer and a first axis of size 1 for the batch. */
function single(layer: nn.Layer, parameter: string, torch: nn.TorchLayout): nn.Layer {
  const spec = layer.params[parameter];
  return { ...layer, params: { [parameter]: { ...spec, torch: { ...torch, replaces: 2 } } } };
}

/**
 * Vision transformer: a token for each patch and one for the class, learned positions, and blocks with normalization before each
 * branch. The class token gives the logits.
 *
 * For images of 32 × 32, `vit({ classes: 10, size: 32, patch: 4, width: 128, depth: 4, heads: 4 })` has 809,354 parameters.
 *
 * Shapes: images x [N, size, size, channels] -> logits [N, classes].
 * Source: Dosovitskiy et al., An Image Is Worth 16×16 Words, 2021; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError if a size is not a positive integer, `patch` does not divide `size`, `heads`
 * does not divide `width`, or a rate is not in [0, 1).
 * Throws ShapeError, when the model is applied, if the images have another size.
 *
 * @example nn.countParameters(vit({ classes: 10, size: 32, patch: 4, width: 128, depth: 4, heads: 4 })) // 809354
 */
export function vit(options: VitOptions): nn.Layer {
  const sizes = ['size', 'patch', 'width', 'depth', 'heads', 'mlpWidth'] as const;
  checkOptions('vit', options, [...BLOCKS, ...sizes, 'dropout', 'stochasticDepth']);
  checkModel('vit', options);
  const { classes, channels = 3, size, patch, width, depth, heads } = options;
  const { mlpWidth = 4 * width, dropout = 0, stochasticDepth = 0 } = options;
  for (const [name, value] of Object.entries({ size, patch, width, depth, mlpWidth })) {
    checkInteger('vit', name, value, 1);
  }
  checkDepthRate('vit', stochasticDepth);
  const divides = (n: number) => (x: number) => Number.isSafeInteger(x) && x > 0 && n % x === 0;
  checkNumber('vit', 'patch', patch, `a divisor of the size, ${size}`, divides(size));
  checkNumber('vit', 'heads', heads, `a divisor of the width, ${width}`, divides(width));
  const positions = (size / patch) ** 2 + 1;
  const kind: Block = { width, heads, mlpWidth, dropout };
  const wrap = blockIn(options);
  const blocks = Array.from({ length: depth }, (_, i) => [
    `encoder_layer_${i}`,
    wrap(encoderLayer(kind, depthRate(stochasticDepth, i, depth))),
  ]);
  const parts = {
    input: input(options).input ?? identity,
    conv_proj: nn.patchEmbedding(channels, width, patch),
    class_token: single(nn.classToken(width), 'token', { name: 'class_token', shape: [1, 1, width] }),
    encoder: nn.sequential({
      pos_embedding: single(nn.positionalEmbedding(positions, width), 'weight', {
        name: 'pos_embedding',
        shape: [1, positions, width],
      }),
      dropout: nn.dropout(dropout),
      layers: nn.sequential(Object.fromEntries(blocks) as Record<string, nn.Layer>),
      ln: norm(width),
    }),
    heads: nn.sequential({ head: nn.dense(width, classes, { init: nn.init.normal(0.02) }) }),
  };
  return nn.module(
    parts,
    (x, { input: normalize, conv_proj, class_token, encoder, heads: head }) => {
      if (x.shape[1] !== size || x.shape[2] !== size) {
        throw new ShapeError(
          `vit: the images must be ${size} × ${size}, got ${x.shape[1]} × ${x.shape[2]} (resize them, or set size)`,
        );
      }
      const tokens = encoder(class_token(conv_proj(normalize(x))));
      return head(slice(tokens, [{}, 0]));
    },
    'vit',
  );
}

/**
 * ViT-B/16. It has 86,567,656 parameters with 1,000 classes.
 *
 * Shapes: images x [N, size, size, channels] -> logits [N, classes].
 * Source: Dosovitskiy et al., An Image Is Worth 16×16 Words, 2021; names of torchvision.
 * Throws TypeError for an unknown option, and RangeError for a size that is no multiple of 16, a number of classes or channels below 1,
 * or a rate that is not in [0, 1).
 *
 * @example nn.countParameters(vitB16({ classes: 1000 })) // 86567656
 */
export function vitB16(options: VitB16Options): nn.Layer {
  checkOptions('vitB16', options, [...BLOCKS, 'size', 'dropout', 'stochasticDepth']);
  return vit({ size: 224, ...options, patch: 16, width: 768, depth: 12, heads: 12 });
}
