/** How good a classifier is on labeled images, and where it fails. */
import { relative } from 'node:path';
import { targets, type Dataset, type LabeledFile } from '../../datasets/index.ts';
import { evaluate, formatPercent, predict, type Backend } from '../../engine/index.ts';
import { confusionMatrix, f1, precision, recall } from '../../engine/metrics/index.ts';
import type { Trained } from './run-folder.ts';

export interface ClassResult {
  readonly name: string;
  readonly images: number;
  /** Null for a class that neither occurs nor is predicted. */
  readonly precision: number | null;
  readonly recall: number | null;
  readonly f1: number | null;
}

export interface Mistake {
  readonly file: string;
  readonly predicted: string;
  readonly label: string;
  /** Of the predicted class. */
  readonly probability: number;
}

/** In report.json, too. */
export interface Results {
  readonly images: number;
  readonly accuracy: number;
  readonly loss: number;
  readonly classes: readonly ClassResult[];
  /** Images by label (rows) and by prediction (columns). */
  readonly confusion: readonly (readonly number[])[];
  /** All wrong predictions, the most certain ones first. */
  readonly mistakes: readonly Mistake[];
}

/** Tests a classifier on images, whose files are in the order of the data set. */
export async function testModel(
  { layer: model, state, classes }: Pick<Trained, 'layer' | 'state' | 'classes'>,
  backend: Backend,
  data: Dataset,
  files: readonly LabeledFile[],
): Promise<Results> {
  const metrics = { confusion: confusionMatrix(), precision: precision(), recall: recall(), f1: f1() };
  const { loss, metrics: values, details } = await evaluate({ model, state, data, backend, metrics });
  const { classes: predicted, probabilities } = await predict({ model, state, data, backend });
  const confusion = details['confusion'].matrix!;
  const score = (name: string, label: number): number | null => {
    const value = details[name].perClass![label];
    return Number.isNaN(value) ? null : value;
  };
  const labels = targets(data) as ArrayLike<number>;
  const mistakes = Array.from(predicted, (label, i) => ({
    file: files[i].path,
    predicted: classes[label],
    label: classes[labels[i]],
    probability: probabilities.data[i * classes.length + label],
  }))
    .filter((one) => one.predicted !== one.label)
    .sort((a, b) => b.probability - a.probability);
  return {
    images: data.length,
    accuracy: values['confusion'],
    loss,
    classes: classes.map((name, label) => ({
      name,
      images: confusion[label].reduce((sum, n) => sum + n, 0),
      precision: score('precision', label),
      recall: score('recall', label),
      f1: score('f1', label),
    })),
    confusion,
    mistakes,
  };
}

/** Mistakes that are printed. */
const LISTED = 10;
/** With more classes, the pairs that are confused most take the place of the matrix. */
const MATRIX = 12;

const percent = (value: number | null): string => (value === null ? '-' : formatPercent(value));

/** The results as text. `cwd` shortens the paths. */
export function resultsText(
  { images, accuracy, loss, classes, confusion, mistakes }: Results,
  cwd: string,
): string {
  const width = Math.max(5, ...classes.map(({ name }) => name.length));
  const row = (name: string, ...cells: readonly string[]): string =>
    `  ${name.padEnd(width)}${cells.map((cell) => cell.padStart(11)).join('')}`;
  const lines = [
    `accuracy   ${formatPercent(accuracy)} of ${images} images (loss ${loss.toFixed(3)})`,
    '',
    row('class', 'images', 'precision', 'recall', 'f1'),
    ...classes.map((each) =>
      row(each.name, String(each.images), percent(each.precision), percent(each.recall), percent(each.f1)),
    ),
    '',
    ...(classes.length <= MATRIX ? matrixText(classes, confusion, width) : confusedText(classes, confusion)),
  ];
  if (mistakes.length > 0) {
    lines.push('', `worst mistakes${mistakes.length > LISTED ? `, ${LISTED} of ${mistakes.length}` : ''}`);
    for (const { file, predicted, label, probability } of mistakes.slice(0, LISTED)) {
      lines.push(
        `  ${relative(cwd, file)}: ${predicted} with ${formatPercent(probability)}, but it is ${label}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function matrixText(classes: Results['classes'], confusion: Results['confusion'], width: number): string[] {
  const most = Math.max(...confusion.flat());
  const cell = Math.max(String(most).length, 5) + 2;
  const names = classes.map(({ name }) => (name.length < cell ? name : `${name.slice(0, cell - 2)}…`));
  return [
    'confusion: labels in rows, predictions in columns',
    `  ${''.padEnd(width)}${names.map((name) => name.padStart(cell)).join('')}`,
    ...confusion.map(
      (row, label) =>
        `  ${classes[label].name.padEnd(width)}${row.map((n) => (n === 0 ? '·' : String(n)).padStart(cell)).join('')}`,
    ),
  ];
}

function confusedText(classes: Results['classes'], confusion: Results['confusion']): string[] {
  const pairs = confusion
    .flatMap((row, label) => row.map((n, predicted) => ({ n, label, predicted })))
    .filter(({ n, label, predicted }) => n > 0 && label !== predicted)
    .sort((a, b) => b.n - a.n)
    .slice(0, LISTED);
  if (pairs.length === 0) return ['no confusions'];
  return [
    'most confused',
    ...pairs.map(
      ({ n, label, predicted }) => `  ${n} x ${classes[label].name} taken for ${classes[predicted].name}`,
    ),
  ];
}
