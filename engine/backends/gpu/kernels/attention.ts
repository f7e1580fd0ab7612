/** Scaled dot-product attention, with all scores of a step in scratch memory. */
import type { AttrsOf } from '../../../ops/primitives/index.ts';
import { attentionSizes, type AttentionSizes } from '../../../ops/primitives/attention.ts';
import { countOf, type BufferId, type BufferView, type Dims } from '../kernel.ts';
import type { Lowering, LoweringContext } from '../lowering.ts';
import { expectExact, literal } from '../text.ts';

/** Values of each query and key: weights, scores and their gradients. The last axis is [batch, heads]. */
const pairs = ({ batch, heads, queries, keys }: AttentionSizes): Dims => [keys, queries, batch * heads];

/** [batch, heads, queries] */
const perQuery = (buffer: BufferId, { batch, heads, queries }: AttentionSizes): BufferView => ({
  buffer,
  dims: [queries, batch * heads],
});

/** [batch, tokens, heads · width] */
const tokens = (buffer: BufferId, count: number, width: number, { batch, heads }: AttentionSizes) => ({
  buffer,
  dims: [heads * width, count, batch] as const,
});

/** For threads whose Z is [batch, heads]: the example, and where its head begins. */
const itemAndHead = ({ heads }: AttentionSizes): string =>
  `const item = quotient(Z, ${heads}); const head = Z - item * ${heads};`;
/** For threads whose X is [heads, width] and Z the example: where the head is among all. */
const headAt = ({ heads }: AttentionSizes, width: number): string =>
  `const at = Z * ${heads} + quotient(X, ${width});`;

const sumOver = (count: number, term: (i: string) => string): string =>
  `let sum = 0; for (let i = 0; i < ${count}; i++) { sum += ${term('i')}; }`;

/** Emits weights [batch · heads, queries, keys] for the largest scores and inverse sums, which `statistics` emits first. */
function emitWeights(
  { emit, scratch }: LoweringContext,
  [q, k]: readonly BufferId[],
  { causal, scale }: AttrsOf<'attention'>,
  sizes: AttentionSizes,
  statistics: (scores: BufferView) => readonly [largest: BufferId, inverse: BufferId],
): BufferView {
  const { queries, keys, width } = sizes;
  const dims = pairs(sizes);
  const scores: BufferView = { buffer: scratch(countOf(dims)), dims };
  emit({
    body: `${itemAndHead(sizes)}
      ${sumOver(width, (i) => `q[item][Y][head * ${width} + ${i}] * k[item][X][head * ${width} + ${i}]`)}
      return sum * ${literal(scale)};`,
    args: { q: tokens(q, queries, width, sizes), k: tokens(k, keys, width, sizes) },
    output: dims,
    to: scores.buffer,
  });
  const [largest, inverse] = statistics(scores);
  const weights: BufferView = { buffer: scratch(countOf(dims)), dims };
  emit({
    body: `${causal ? 'if (X > Y) { return 0; }' : ''}
      return Math.exp(scores[Z][Y][X] - largest[Z][Y]) * inverse[Z][Y];`,
    args: { scores, largest: perQuery(largest, sizes), inverse: perQuery(inverse, sizes) },
    output: dims,
    to: weights.buffer,
  });
  return weights;
}

const attention: Lowering<AttrsOf<'attention'>> = (context) => {
  const { inputs, outputs, types, attrs, emit } = context;
  const [y, largest, inverse] = outputs;
  const sizes = attentionSizes(types, attrs);
  const { queries, keys, valueWidth } = sizes;
  expectExact('a head', sizes.batch * sizes.heads);
  const weights = emitWeights(context, inputs, attrs, sizes, (scores) => {
    const skip = attrs.causal ? `i <= X` : 'true';
    const output: Dims = [queries, sizes.batch * sizes.heads];
    emit({
      body: `let best = scores[Y][X][0];
        for (let i = 1; i < ${keys}; i++) { if (${skip}) { const score = scores[Y][X][i]; if (!(score <= best)) { best = score; } } }
        return best;`,
      args: { scores },
      output,
      to: largest,
    });
    emit({
      body: `let sum = 0;
        for (let i = 0; i < ${keys}; i++) { if (${skip}) { sum += Math.exp(scores[Y][X][i] - largest[Y][X]); } }
        return 1 / sum;`,
      args: { scores, largest: perQuery(largest, sizes) },
      output,
      to: inverse,
    });
    return [largest, inverse];
  });
  const view = tokens(y, queries, valueWidth, sizes);
  emit({
    body: `${headAt(sizes, valueWidth)} ${sumOver(keys, (i) => `weights[at][Y][${i}] * v[Z][${i}][X]`)} return sum;`,
    args: { weights, v: tokens(inputs[2], keys, valueWidth, sizes) },
    output: view.dims,
    to: y,
  });
};

const attentionGrad: Lowering<AttrsOf<'attentionGrad'>> = (context) => {
  const { inputs, outputs, types, attrs, emit, scratch } = context;
  const [g, q, k, v, y, largest, inverse] = inputs;
  const [dq, dk, dv] = outputs;
  const sizes = attentionSizes(types.slice(1), attrs);
  const { queries, keys, width, valueWidth } = sizes;
  expectExact('a head', sizes.batch * sizes.heads);
  const weights = emitWeights(context, [q, k], attrs, sizes, () => [largest, inverse]);
  const ofY = tokens(g, queries, valueWidth, sizes);
  const means = scratch(sizes.batch * sizes.heads * queries);
  emit({
    body: `const item = quotient(Y, ${sizes.heads}); const head = Y - item * ${sizes.heads};
      ${sumOver(valueWidth, (i) => `g[item][X][head * ${valueWidth} + ${i}] * y[item][X][head * ${valueWidth} + ${i}]`)}
      return sum;`,
    args: { g: ofY, y: tokens(y, queries, valueWidth, sizes) },
    output: [queries, sizes.batch * sizes.heads],
    to: means,
  });
  const pairsOf = (): BufferView => ({ buffer: scratch(countOf(weights.dims)), dims: weights.dims });
  // Rounded before the mean is subtracted, as the mean is: with one key, they are equal.
  const ofWeights = pairsOf();
  emit({
    body: `${itemAndHead(sizes)}
      ${sumOver(valueWidth, (i) => `g[item][Y][head * ${valueWidth} + ${i}] * v[item][X][head * ${valueWidth} + ${i}]`)}
      return sum;`,
    args: { g: ofY, v: tokens(v, keys, valueWidth, sizes) },
    output: weights.dims,
    to: ofWeights.buffer,
  });
  const ofScores = pairsOf();
  emit({
    body: `return weights[Z][Y][X] * (dw[Z][Y][X] - means[Z][Y]) * ${literal(attrs.scale)};`,
    args: { weights, dw: ofWeights, means: perQuery(means, sizes) },
    output: weights.dims,
    to: ofScores.buffer,
  });
  /** Sums of products over the other tokens. */
  const emitSums = (
    to: BufferView,
    each: number,
    count: number,
    term: (i: string) => string,
    args: Readonly<Record<string, BufferView>>,
  ): void =>
    emit({
      body: `${headAt(sizes, each)} ${sumOver(count, term)} return sum;`,
      args,
      output: to.dims,
      to: to.buffer,
    });
  emitSums(tokens(dq, queries, width, sizes), width, keys, (i) => `ds[at][Y][${i}] * k[Z][${i}][X]`, {
    ds: ofScores,
    k: tokens(k, keys, width, sizes),
  });
  emitSums(tokens(dk, keys, width, sizes), width, queries, (i) => `ds[at][${i}][Y] * q[Z][${i}][X]`, {
    ds: ofScores,
    q: tokens(q, queries, width, sizes),
  });
  emitSums(
    tokens(dv, keys, valueWidth, sizes),
    valueWidth,
    queries,
    (i) => `weights[at][${i}][Y] * g[Z][${i}][X]`,
    { weights, g: ofY },
  );
};

export const attentionKernels = { attention, attentionGrad };
