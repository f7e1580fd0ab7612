/** Attention of heads, and its gradient. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { attentionSizes, type AttentionSizes } from '../../../ops/primitives/attention.ts';
import type { SlicedAttentionAttrs, SlicedAttentionGradAttrs } from '../../../plan/fusions/attention.ts';
import type { TensorType } from '../../../types.ts';
import { sizeOf } from '../../../shape.ts';
import type { StructOf } from '../call.ts';
import { K } from '../kernels.generated.ts';
import { align, panelOf, type LoweringContext } from './lowering.ts';

type Head = StructOf<'Head'>;

/** Where an operand lies: the address of its first element, and the elements from a row to the next. */
interface Rows {
  readonly from: number;
  readonly rowStride: number;
}

/** Rows that begin at a channel of an array [..., tokens, channels]. */
const rowsAt = (from: number, { shape }: TensorType, begin = 0): Rows => ({
  from: from + 4 * begin,
  rowStride: shape.at(-1)!,
});

/** The most queries and keys of a block: its packed operands and weights stay in a second-level cache. */
const BLOCK = 128;

/** The size of even blocks of n tokens: a multiple of 16, because panels of every binary begin at its multiples. */
const blockOf = (n: number): number => Math.ceil(n / Math.ceil(n / BLOCK) / 16) * 16;

const up = (n: number, to: number): number => Math.ceil(n / to) * to;

/** What both passes share. */
function partsOf(context: LoweringContext, attrs: AttrsOf<'attention'>, sizes: AttentionSizes) {
  const { batch, heads, queries, keys, width, valueWidth } = sizes;
  const panel = panelOf(context);
  const [blockQueries, blockKeys] = [blockOf(queries), blockOf(keys)];
  const { scale, causal } = attrs;
  const head = (rows: Rows, count: number, each: number): Head => ({ ...rows, rows: count, width: each });
  return {
    words: { batch, heads, blockQueries, blockKeys, scale, causal },
    ofQueries: (rows: Rows): Head => head(rows, queries, width),
    ofKeys: (rows: Rows): Head => head(rows, keys, width),
    ofValues: (rows: Rows): Head => head(rows, keys, valueWidth),
    ofResults: (rows: Rows): Head => head(rows, queries, valueWidth),
    panel,
    blockQueries: up(blockQueries, panel),
    blockKeys: up(blockKeys, K.MR),
  };
}

const bytes = (...sizes: number[]): number => align(4 * sizes.reduce((product, size) => product * size, 1));

/** Emits the attention of q, k and v. */
function emitAttention(
  context: LoweringContext,
  attrs: AttrsOf<'attention'>,
  sizes: AttentionSizes,
  [q, k, v]: readonly [Rows, Rows, Rows],
): void {
  const [y, largest, inverse] = context.outputs;
  const { batch, heads, queries, width, valueWidth } = sizes;
  const parts = partsOf(context, attrs, sizes);
  const { panel, blockQueries, blockKeys } = parts;
  const queriesBytes = bytes(blockQueries, width);
  const keysBytes = bytes(blockKeys, width);
  const valuesBytes = bytes(up(valueWidth, K.MR), blockKeys);
  const scoresBytes = bytes(blockKeys, panel);
  const resultsBytes = bytes(blockQueries, up(valueWidth, K.MR));
  const all = queriesBytes + keysBytes + valuesBytes + scoresBytes + resultsBytes;
  const words = {
    ...parts.words,
    q: parts.ofQueries(q),
    k: parts.ofKeys(k),
    v: parts.ofValues(v),
    y: parts.ofResults({ from: y, rowStride: heads * valueWidth }),
    largest,
    inverse,
    queriesBytes,
    keysBytes,
    valuesBytes,
    scoresBytes,
    resultsBytes,
    scratch: context.scratchPerThread(all + bytes(3, blockQueries)),
  };
  context.emit('attentionForward', words, batch * heads * Math.ceil(queries / parts.words.blockQueries));
}

/** Emits the gradients of q, k and v. */
function emitAttentionGrad(
  context: LoweringContext,
  attrs: AttrsOf<'attention'>,
  sizes: AttentionSizes,
  [q, k, v]: readonly [Rows, Rows, Rows],
  [dq, dk, dv]: readonly [Rows, Rows, Rows],
): void {
  const [g, , , , y, largest, inverse] = context.inputs;
  const { batch, heads, queries, width, valueWidth } = sizes;
  const parts = partsOf(context, attrs, sizes);
  const { panel, blockQueries, blockKeys } = parts;
  const values = { rowStride: heads * valueWidth };
  const keysBytes = bytes(up(width, K.MR), blockKeys);
  const valuesBytes = bytes(valueWidth, blockKeys);
  const queriesBytes = bytes(up(width, panel), blockQueries);
  const gradsBytes = bytes(up(valueWidth, panel), blockQueries);
  const scoresBytes = bytes(blockKeys, panel);
  const weightsBytes = bytes(blockKeys, blockQueries);
  const dkBytes = bytes(blockKeys, up(width, panel));
  const dvBytes = bytes(blockKeys, up(valueWidth, panel));
  const dqBytes = bytes(up(queries, panel), up(width, K.MR));
  const twice = keysBytes + queriesBytes + gradsBytes + scoresBytes + weightsBytes;
  const all = 2 * twice + valuesBytes + dkBytes + dvBytes + dqBytes;
  const words = {
    ...parts.words,
    q: parts.ofQueries(q),
    k: parts.ofKeys(k),
    v: parts.ofValues(v),
    y: parts.ofResults({ from: y, ...values }),
    g: parts.ofResults({ from: g, ...values }),
    dq: parts.ofQueries(dq),
    dk: parts.ofKeys(dk),
    dv: parts.ofValues(dv),
    largest,
    inverse,
    keysBytes,
    valuesBytes,
    queriesBytes,
    gradsBytes,
    scoresBytes,
    weightsBytes,
    dkBytes,
    dvBytes,
    dqBytes,
    scratch: context.scratchPerThread(all + bytes(3, blockQueries)),
  };
  context.emit('attentionBackward', words, batch * heads);
}

type Context<N extends 'attention' | 'attentionGrad'> = LoweringContext & { readonly attrs: AttrsOf<N> };

export function attention(context: Context<'attention'>): void {
  const { inputs, types, attrs } = context;
  const rows = types.map((type, i) => rowsAt(inputs[i], type)) as [Rows, Rows, Rows];
  emitAttention(context, attrs, attentionSizes(types, attrs), rows);
}

export function attentionGrad(context: Context<'attentionGrad'>): void {
  const { inputs, outputs, types, results, attrs } = context;
  const rows = [1, 2, 3].map((i) => rowsAt(inputs[i], types[i])) as [Rows, Rows, Rows];
  const gradients = results.map((type, i) => rowsAt(outputs[i], type)) as [Rows, Rows, Rows];
  emitAttentionGrad(context, attrs, attentionSizes(types.slice(1), attrs), rows, gradients);
}

/** The sizes of an attention whose operands are in the rows of larger values. `grouped` has the shape [N, heads, T]. */
function slicedSizes(
  [, k]: readonly TensorType[],
  grouped: TensorType,
  { heads, channels }: SlicedAttentionAttrs,
): AttentionSizes {
  const [batch, , queries] = grouped.shape as [number, number, number];
  const keys = sizeOf(k.shape) / k.shape.at(-1)! / batch;
  return { batch, heads, queries, keys, width: channels[0] / heads, valueWidth: channels[2] / heads };
}

const partsAt = (
  addresses: readonly number[],
  types: readonly TensorType[],
  begins: readonly number[],
): readonly [Rows, Rows, Rows] =>
  types.map((type, i) => rowsAt(addresses[i], type, begins[i])) as [Rows, Rows, Rows];

export function slicedAttention(context: LoweringContext & { readonly attrs: SlicedAttentionAttrs }): void {
  const { inputs, types, results, attrs } = context;
  emitAttention(context, attrs, slicedSizes(types, results[1], attrs), partsAt(inputs, types, attrs.begins));
}

export function slicedAttentionGrad(
  context: LoweringContext & { readonly attrs: SlicedAttentionGradAttrs },
): void {
  const { inputs, outputs, types, results, attrs } = context;
  const { begins, into } = attrs;
  const operands = types.slice(1, 4);
  const gradients =
    into.length === 0
      ? partsAt(outputs, results, [0, 0, 0])
      : partsAt([outputs[0], outputs[0], outputs[0]], [results[0], results[0], results[0]], into);
  const sizes = slicedSizes(operands, types[5], attrs);
  emitAttentionGrad(context, attrs, sizes, partsAt(inputs.slice(1, 4), operands, begins), gradients);
}
