/** Attention, and the layers for tokens. */
import * as cg from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import type { Draws } from '../draws.ts';
import { layer } from './layers.ts';
import { f32, normal, u8, type Drawn, type Operation, type Operations } from './operation.ts';

/** Lengths of sequences around the tiles of the kernels, sometimes of several tiles. */
const tokensOf = (draws: Draws): number => (draws.chance(0.1) ? draws.integer(60, 200) : draws.length(33));

const attention: Operation = {
  draw(draws) {
    const heads = draws.pick([1, 1, 2, 3]);
    const batch = draws.shape(draws.pick([0, 1, 1, 2]), 6);
    const [queries, keys] = [tokensOf(draws), tokensOf(draws)];
    const [width, valueWidth] = [draws.length(20), draws.length(20)];
    const mask = draws.pick(['none', 'none', 'none', 'bytes', 'floats'] as const);
    const full = [...batch, heads, queries, keys];
    const shape = full.map((n) => (draws.chance(0.3) ? 1 : n)).slice(draws.below(batch.length + 1));
    const masks: Readonly<Record<typeof mask, readonly Drawn[]>> = {
      none: [],
      bytes: [u8(shape, 3)],
      floats: [f32(shape, normal())],
    };
    const deviation = draws.pick([1, 1, 0.1, 3]);
    return {
      inputs: [
        f32([...batch, queries, heads * width], normal(deviation)),
        f32([...batch, keys, heads * width], normal()),
        f32([...batch, keys, heads * valueWidth], normal()),
        ...masks[mask],
      ],
      attrs: { heads, causal: draws.chance(0.4), scale: 1 / Math.sqrt(width), mask },
    };
  },
  build: ([q, k, v, mask], { heads, causal, scale }) =>
    cg.attention(q, k, v, { heads, causal, scale, ...(mask !== undefined && { mask }) }),
};

const sequence = (draws: Draws, width: number): Drawn =>
  f32([draws.integer(1, 3), tokensOf(draws), width], normal());

const widthOf = (draws: Draws, heads: number): number => heads * draws.integer(1, 12);

const tokenLayers: Operations = {
  'nn.multiHeadAttention': layer(
    (draws) => {
      const heads = draws.integer(1, 4);
      const width = widthOf(draws, heads);
      const attrs = { width, heads, causal: draws.chance(0.4), bias: draws.chance(0.7) };
      return { x: sequence(draws, width), attrs, training: draws.chance(0.5) };
    },
    ({ width, heads, causal, bias }) =>
      nn.multiHeadAttention(width, heads, { causal, ...(!bias && { bias: false }) }),
  ),
  'nn.transformerBlock': layer(
    (draws) => {
      const heads = draws.integer(1, 3);
      const width = Math.max(2, widthOf(draws, heads));
      const attrs = { width, heads, causal: draws.chance(0.4), epsilon: 1e-3 };
      return { x: sequence(draws, width), attrs, training: draws.chance(0.5) };
    },
    ({ width, heads, causal, epsilon }) => nn.transformerBlock(width, heads, { causal, epsilon }),
  ),
  'nn.patchEmbedding': layer(
    (draws) => {
      const [channels, width] = [draws.integer(1, 4), draws.length(33)];
      const patch = [draws.integer(1, 4), draws.integer(1, 4)] as const;
      const [height, breadth] = patch.map((side) => side * draws.integer(1, 4)) as [number, number];
      const x = f32([draws.integer(1, 3), height, breadth, channels], normal());
      return { x, attrs: { channels, width, patch, bias: draws.chance(0.7) } };
    },
    ({ channels, width, patch, bias }) =>
      nn.patchEmbedding(channels, width, patch, bias ? {} : { bias: false }),
  ),
  'nn.classToken': layer(
    (draws) => {
      const width = draws.length(33);
      return { x: sequence(draws, width), attrs: { width } };
    },
    ({ width }) => nn.classToken(width),
  ),
  'nn.positionalEmbedding': layer(
    (draws) => {
      const width = draws.length(33);
      const x = sequence(draws, width);
      const count = x.shape[1] + draws.below(4);
      return { x, attrs: { tokens: count, width, kind: draws.pick(['learned', 'sine']) } };
    },
    ({ tokens: count, width, kind }) => nn.positionalEmbedding(count, width, { kind }),
  ),
};

export const tokens: Operations = { attention, ...tokenLayers };
