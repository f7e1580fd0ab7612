/** Predictions of evaluation examples: of the same ones after each evaluation, and the worst mistakes. */
import { subset, targets, type Dataset } from '../../../datasets/index.ts';
import { predict, type Backend, type State } from '../../../engine/index.ts';
import type { Layer } from '../../../engine/nn/index.ts';
import type { Guess, PredictionsView } from '../protocol.ts';
import { pictureOf, shapeOf } from './pictures.ts';

/** Examples that are predicted, spread over the data: more would delay the run. */
const PREDICTED = 1000;
/** Tiles of each grid. */
const SHOWN = 24;
/** Inputs with at most this many numbers are shown as text. */
const NUMBERS = 4;

export interface Examined {
  readonly model: Layer;
  readonly backend: Backend;
  readonly data: Dataset;
  readonly batchSize: number | undefined;
  /** A name for each example. Empty: their numbers. */
  readonly names: readonly string[];
}

/** Throws ShapeError for a model whose output is not [N, classes]. */
export async function predictionsOf(
  { model, backend, data, batchSize, names }: Examined,
  state: State,
  step: number,
): Promise<PredictionsView> {
  const indices = spread(data.length, PREDICTED);
  const part = subset(data, indices);
  const { classes, probabilities } = await predict({
    model,
    state,
    backend,
    data: part,
    ...(batchSize !== undefined && { batchSize: Math.min(batchSize, indices.length) }),
  });
  const labels = targets(part) as ArrayLike<number>;
  const width = probabilities.shape[1];
  const probability = (i: number): number => probabilities.data[i * width + classes[i]];
  const wrong = Array.from(classes.keys())
    .filter((i) => classes[i] !== labels[i])
    .sort((a, b) => probability(b) - probability(a));
  const same = spread(indices.length, SHOWN);
  const mistakes = wrong.slice(0, SHOWN);
  const nameOf = (label: number): string => data.classes[label] ?? String(label);
  const inputs = await read(
    data,
    [...same, ...mistakes].map((i) => indices[i]),
  );
  const guess = (i: number, at: number): Guess => {
    const index = indices[i];
    return {
      name: names[index] ?? `example ${index}${inputs[at].text}`,
      picture: inputs[at].picture,
      label: nameOf(labels[i]),
      guess: nameOf(classes[i]),
      probability: probability(i),
    };
  };
  return {
    step,
    examples: indices.length,
    of: data.length,
    wrong: wrong.length,
    same: same.map((i, at) => guess(i, at)),
    mistakes: mistakes.map((i, at) => guess(i, same.length + at)),
  };
}

/** At most `most` of `n` positions, at equal distances. */
const spread = (n: number, most: number): number[] => {
  const count = Math.min(n, most);
  return Array.from({ length: count }, (_, i) => Math.floor((i * n) / count));
};

/** The inputs at positions of the data: pictures, or their numbers as text. */
async function read(
  data: Dataset,
  indices: readonly number[],
): Promise<readonly { readonly picture: Guess['picture']; readonly text: string }[]> {
  const each = data.x.shape.reduce((product, n) => product * n, 1);
  const count = indices.length * each;
  const x = data.x.dtype === 'u8' ? new Uint8Array(count) : new Float32Array(count);
  const perTarget = data.y.shape.reduce((product, n) => product * n, 1);
  await data.read(Uint32Array.from(indices), x, new Int32Array(indices.length * perTarget));
  const shape = shapeOf(data.x);
  return indices.map((_, at) => {
    const values = x.subarray(at * each, (at + 1) * each);
    if (shape !== null) return { picture: pictureOf(shape, values), text: '' };
    const text =
      each <= NUMBERS ? ` (${Array.from(values, (value) => Number(value.toPrecision(3))).join(', ')})` : '';
    return { picture: null, text };
  });
}
