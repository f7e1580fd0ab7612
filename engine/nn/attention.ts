/** Layers for tokens: attention, transformer blocks, and how images become tokens. */
import { ShapeError } from '../errors.ts';
import { checkInteger, checkNumber, checkOneOf, checkOptions } from '../options.ts';
import * as ops from '../ops/index.ts';
import { formatType, pair, type Pair } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { dropout, gelu } from './activation.ts';
import { module, sequential } from './compose.ts';
import { normal, xavier, zeros, type Initializer } from './initializers.ts';
import { checkScope, childConfigs, childParams, renamed, type Layer } from './layer.ts';
import { dense, linear, trained, weights, type ParamOptions, type WeightOptions } from './linear.ts';
import { layerNorm } from './norm.ts';

/** Throws ShapeError unless x is tokens of a width. */
function expectTokens(where: string, x: Tensor, width: number): void {
  if (x.rank === 3 && x.shape[2] === width) return;
  const isImage = x.rank === 4;
  throw new ShapeError(
    `${where}: expects tokens [N, T, ${width}] but got ${formatType(x)}` +
      (isImage ? ' (put nn.patchEmbedding(…) before it)' : ''),
  );
}

/** Throws RangeError unless `rate` is a probability below 1. */
const checkRate = (where: string, name: string, rate: number): void =>
  checkNumber(where, name, rate, 'a number >= 0 and < 1', (x) => x >= 0 && x < 1);

/** Weights of transformers: uniform, with the variance of the mean of fan-in and fan-out. */
const usual = (): Initializer => xavier({ fan: 'average' });

export interface MultiHeadAttentionOptions extends WeightOptions {
  /** Token i sees tokens 0 … i only. Default false. */
  readonly causal?: boolean;
  /** Rate of dropout of the attention weights, in training. Default 0. */
  readonly dropout?: number;
}

/**
 * Multi-head self-attention: queries, keys and values of all tokens by one dense layer, `attention` of each head, and a dense layer on
 * the concatenated heads.
 *
 * Attention between two sequences, and attention with a mask, is a `module` of `dense` layers and the operation `attention`.
 *
 * Shapes: x `f32` [N, T, width] -> the same; qkv.weight [width, 3 · width] (queries, keys, values), out.weight [width, width].
 * Source: Vaswani et al., Attention Is All You Need, 2017; torch.nn.MultiheadAttention.
 * Throws RangeError if a size is not a positive integer, `heads` does not divide `width`, or a rate is not in [0, 1).
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, T, width].
 *
 * @example nn.countParameters(nn.multiHeadAttention(64, 4)) // 16640
 */
export function multiHeadAttention(
  width: number,
  heads: number,
  options: MultiHeadAttentionOptions = {},
): Layer {
  const where = 'multiHeadAttention';
  checkOptions(where, options, ['init', 'lrMult', 'decayMult', 'bias', 'causal', 'dropout']);
  checkHeads(where, width, heads);
  const { causal = false, dropout: rate = 0, init = usual(), ...rest } = options;
  checkRate(where, 'dropout', rate);
  const layers = {
    qkv: linear(where, width, 3 * width, { init, ...rest }),
    out: linear(where, width, width, { init, ...rest }),
  };
  return {
    params: renamed(childParams(where, layers), {
      'qkv.weight': 'in_proj_weight',
      'qkv.bias': 'in_proj_bias',
      'out.weight': 'out_proj.weight',
      'out.bias': 'out_proj.bias',
    }),
    config: { kind: where, heads, causal, dropout: rate },
    apply(x, scope) {
      checkScope(where, scope);
      expectTokens(where, x, width);
      const [q, k, v] = ops.split(scope.child('qkv', layers.qkv, x), 3, -1) as [Tensor, Tensor, Tensor];
      const drops = scope.training && rate > 0;
      const mixed = ops.attention(q, k, v, {
        heads,
        causal,
        ...(drops && { dropout: { rate, key: scope.key('dropout'), step: scope.step() } }),
      });
      return scope.child('out', layers.out, mixed);
    },
  };
}

function checkHeads(where: string, width: number, heads: number): void {
  checkInteger(where, 'width', width, 1);
  const words = `a positive integer that divides the width, ${width}`;
  checkNumber(where, 'heads', heads, words, (n) => Number.isSafeInteger(n) && n > 0 && width % n === 0);
}

export interface TransformerBlockOptions {
  /** Width of the hidden layer of the MLP. Default 4 · width. */
  readonly mlpWidth?: number;
  /** Token i sees tokens 0 … i only. Default false. */
  readonly causal?: boolean;
  /** Rate of dropout after the attention and after the layers of the MLP. Default 0. */
  readonly dropout?: number;
  /** Rate of dropout of the attention weights. Default 0. */
  readonly attentionDropout?: number;
  /** Probability that an example skips a branch in training: see `stochasticDepth`. Default 0. */
  readonly stochasticDepth?: number;
  /** Added to the variance in both normalizations. Default 1e-6. */
  readonly epsilon?: number;
}

/**
 * Transformer block with normalization before each branch (pre-norm), as in vision transformers and GPT-2.
 *
 *   h = x + attention(norm1(x))
 *   y = h + fc2(gelu(fc1(norm2(h))))
 *
 * Shapes: x `f32` [N, T, width] -> the same.
 * Source: Dosovitskiy et al., An Image Is Worth 16×16 Words, 2021.
 * Throws RangeError if a size is not a positive integer, `heads` does not divide `width`, or a rate is not in [0, 1).
 * Throws TypeError for an unknown option.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, T, width].
 *
 * @example nn.countParameters(nn.transformerBlock(128, 4)) // 198272
 */
export function transformerBlock(width: number, heads: number, options: TransformerBlockOptions = {}): Layer {
  const where = 'transformerBlock';
  checkOptions(where, options, [
    'mlpWidth',
    'causal',
    'dropout',
    'attentionDropout',
    'stochasticDepth',
    'epsilon',
  ]);
  checkHeads(where, width, heads);
  const { mlpWidth = 4 * width, causal = false, attentionDropout = 0, epsilon = 1e-6 } = options;
  const { dropout: rate = 0, stochasticDepth: skipped = 0 } = options;
  checkInteger(where, 'mlpWidth', mlpWidth, 1);
  checkRate(where, 'dropout', rate);
  checkRate(where, 'attentionDropout', attentionDropout);
  checkRate(where, 'stochasticDepth', skipped);
  checkNumber(where, 'epsilon', epsilon, 'a number > 0', (x) => x > 0);
  const ending = (): Readonly<Record<string, Layer>> => ({
    ...(rate > 0 && { dropout: dropout(rate) }),
    ...(skipped > 0 && { depth: stochasticDepth(skipped) }),
  });
  const layers = {
    attention: sequential({
      norm: layerNorm(width, { epsilon }),
      heads: multiHeadAttention(width, heads, { causal, dropout: attentionDropout }),
      ...ending(),
    }),
    mlp: sequential({
      norm: layerNorm(width, { epsilon }),
      fc1: dense(width, mlpWidth, { init: usual() }),
      gelu: gelu(),
      ...(rate > 0 && { dropout1: dropout(rate) }),
      fc2: dense(mlpWidth, width, { init: usual() }),
      ...ending(),
    }),
  };
  const block = module(
    layers,
    (x, { attention, mlp }) => {
      expectTokens(where, x, width);
      const h = ops.add(x, attention(x));
      return ops.add(h, mlp(h));
    },
    where,
  );
  return { ...block, config: { kind: where, layers: childConfigs(layers) } };
}

/**
 * Cuts images into patches and gives each a token: a convolution whose stride is its kernel.
 *
 * Tokens are ordered row by row.
 *
 * Shapes: x `f32` [N, H, W, channels] -> [N, H / PH · W / PW, width]; weight [PH, PW, channels, width], as that of `conv2d`, bias
 * [width].
 * Source: Dosovitskiy et al., An Image Is Worth 16×16 Words, 2021.
 * Throws RangeError if a size is not a positive integer, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x has another number of channels or the patches do not fill the images.
 *
 * @example nn.countParameters(nn.patchEmbedding(3, 128, 4)) // 6272
 */
export function patchEmbedding(
  channels: number,
  width: number,
  patch: Pair,
  options: WeightOptions = {},
): Layer {
  const where = 'patchEmbedding';
  checkInteger(where, 'channels', channels, 1);
  checkInteger(where, 'width', width, 1);
  const [height, breadth] = pair(patch, `${where}: patch`);
  for (const side of [height, breadth]) checkInteger(where, 'patch', side, 1);
  checkOptions(where, options, ['init', 'lrMult', 'decayMult', 'bias']);
  const { init = usual(), ...rest } = options;
  const params = weights(where, [height, breadth, channels, width], width, { init, ...rest });
  return {
    params,
    config: { kind: where },
    apply(x, scope) {
      checkScope(where, scope);
      const [n, h, w, c] = x.shape as [number, number, number, number];
      if (x.rank !== 4 || c !== channels || h % height !== 0 || w % breadth !== 0) {
        const sides = `H and W multiples of ${height} and ${breadth}`;
        throw new ShapeError(
          `${where}: expects images [N, H, W, ${channels}] with ${sides} but got ${formatType(x)}`,
        );
      }
      const [rows, columns, size] = [h / height, w / breadth, height * breadth * channels];
      const cut = ops.transpose(
        ops.reshape(x, [n, rows, height, columns, breadth, channels]),
        [0, 1, 3, 2, 4, 5],
      );
      const weight = ops.reshape(scope.param('weight'), [size, width]);
      const product = ops.matmul(ops.reshape(cut, [n * rows * columns, size]), weight);
      const tokens = 'bias' in params ? ops.add(product, scope.param('bias')) : product;
      return ops.reshape(tokens, [n, rows * columns, width]);
    },
  };
}

/**
 * Puts a trained token before the others. Its output is what a classifier reads: `nn.activation((x) => x.slice([{}, 0]))`.
 *
 * Shapes: x `f32` [N, T, width] -> [N, T + 1, width]; token [width], zeros by default.
 * Source: Dosovitskiy et al., An Image Is Worth 16×16 Words, 2021.
 * Throws RangeError if the width is not a positive integer, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, T, width].
 *
 * @example nn.countParameters(nn.classToken(128)) // 128
 */
export function classToken(width: number, options: ParamOptions = {}): Layer {
  checkInteger('classToken', 'width', width, 1);
  checkOptions('classToken', options, ['init', 'lrMult', 'decayMult']);
  return {
    params: { token: trained('classToken', [width], zeros, options) },
    config: { kind: 'classToken' },
    apply(x, scope) {
      checkScope('classToken', scope);
      expectTokens('classToken', x, width);
      return ops.concat([ops.broadcastTo(scope.param('token'), [x.shape[0], 1, width]), x], 1);
    },
  };
}

export interface PositionalEmbeddingOptions extends ParamOptions {
  /**
   * 'learned': trained values, drawn with standard deviation 0.02. 'sine': fixed sines and cosines, without parameters. Default
   * 'learned'.
   */
  readonly kind?: 'learned' | 'sine';
}

/**
 * Adds a vector to each token by its position.
 *
 *   sine: channel 2i is sin(position / 10000^(2i / width)), channel 2i + 1 the cosine of the same
 *
 * Shapes: x `f32` [N, T, width] with T <= tokens -> the same; weight [tokens, width], of which the first T rows are used.
 * Source: Vaswani et al., Attention Is All You Need, 2017.
 * Throws RangeError if a size is not a positive integer, the kind is unknown, or `lrMult` or `decayMult` is negative.
 * Throws TypeError for an unknown option, or an `init` that is not a function.
 * Throws ShapeError, when the layer is applied, if x is not `f32` [N, T, width] or has more tokens.
 *
 * @example nn.countParameters(nn.positionalEmbedding(64, 128)) // 8192
 * @example nn.countParameters(nn.positionalEmbedding(64, 128, { kind: 'sine' })) // 0
 */
export function positionalEmbedding(
  tokens: number,
  width: number,
  options: PositionalEmbeddingOptions = {},
): Layer {
  const where = 'positionalEmbedding';
  checkInteger(where, 'tokens', tokens, 1);
  checkInteger(where, 'width', width, 1);
  checkOptions(where, options, ['kind', 'init', 'lrMult', 'decayMult']);
  const { kind = 'learned', ...rest } = options;
  checkOneOf(where, 'kind', kind, ['learned', 'sine']);
  const isLearned = kind === 'learned';
  const [extra] = Object.keys(rest);
  if (!isLearned && extra !== undefined) {
    throw new TypeError(`${where}: sines and cosines are not trained, got ${extra} (remove it, or kind)`);
  }
  return {
    params: isLearned ? { weight: trained(where, [tokens, width], normal(0.02), rest) } : {},
    config: { kind: where, positions: kind },
    apply(x, scope) {
      checkScope(where, scope);
      expectTokens(where, x, width);
      const used = x.shape[1];
      if (used > tokens) throw new ShapeError(`${where}: has ${tokens} positions but got ${formatType(x)}`);
      if (!isLearned) return ops.add(x, sines(used, width));
      const weight = scope.param('weight');
      return ops.add(x, used === tokens ? weight : ops.slice(weight, [{ end: used }]));
    },
  };
}

/** Sines and cosines of each position [tokens, width], of falling frequency. */
function sines(tokens: number, width: number): Tensor {
  const values = Float64Array.from({ length: tokens * width }, (_, i) => {
    const channel = i % width;
    const angle = Math.floor(i / width) / 10_000 ** ((channel - (channel % 2)) / width);
    return channel % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  });
  return ops.tensor(values, { shape: [tokens, width], dtype: 'f32' });
}

/**
 * Stochastic depth, also called drop path. In training, it zeroes each example with probability `rate` and multiplies the others by
 * 1 / (1 − rate). In inference, it is the identity. Put it at the end of the branch of a residual layer.
 *
 * The mask is a pure function of the seed, the path of the layer and the step.
 *
 * Shapes: x `f32` [N, ...] -> the same.
 * Source: Huang et al., Deep Networks with Stochastic Depth, 2016; torchvision.ops.StochasticDepth with mode 'row'.
 * Throws RangeError unless 0 <= rate < 1 and, when the layer is applied in training, ShapeError if x is not `f32` [N, ...].
 *
 * @example nn.residual(nn.sequential({ fc: nn.dense(8, 8), depth: nn.stochasticDepth(0.1) }))
 */
export function stochasticDepth(rate: number): Layer {
  checkRate('stochasticDepth', 'rate', rate);
  return {
    params: {},
    config: { kind: 'stochasticDepth', rate },
    apply(x, scope) {
      checkScope('stochasticDepth', scope);
      if (!scope.training || rate === 0) return x;
      if (x.rank === 0) throw new ShapeError(`stochasticDepth: expects [N, ...] but got ${formatType(x)}`);
      const examples = ops.ones(x.shape.map((size, axis) => (axis === 0 ? size : 1)));
      return ops.mul(x, ops.dropout(examples, rate, scope.key('stochasticDepth'), scope.step()));
    },
  };
}
