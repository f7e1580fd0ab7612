/** Range tests as text for a terminal. */
import {
  formatPercent,
  lossTrend,
  meanCurve,
  rangeBand,
  suggestBounds,
  type BandPoint,
  type RangeCurve,
  type RangeTest,
  type RangeWarning,
  type Suggestion,
  type SuggestionName,
} from '../../engine/index.ts';
import { plotText } from '../terminal/plot.ts';

export const short = (x: number): string => Number(x.toPrecision(3)).toString();

/** The values of a plot, at updates from the first to the last. */
interface Shown {
  readonly what: string;
  readonly points: readonly { readonly step: number; readonly lr: number }[];
  readonly values: readonly number[];
  readonly band: readonly BandPoint[];
  readonly format: (x: number) => string;
}

export interface RangeTextOptions {
  readonly width: number;
  /** Default: the suggestions of `suggestBounds`. */
  readonly marks?: readonly { readonly label: string; readonly step: number }[];
}

/** The curve of a test, the mean over its seeds with the range behind it. */
export function plotOf(test: Pick<RangeTest, 'curves' | 'from'>, { width, marks }: RangeTextOptions): string {
  const { curves, from } = test;
  const curve = meanCurve(curves);
  const { what, points, values, band, format } = shownOf(curve, curves);
  const last = points.at(-1);
  const reached = last?.lr ?? from;
  const who = curves.length === 1 ? `seed ${curve.seed}` : `mean and range of ${curves.length} seeds`;
  const end = curve.end === 'done' ? '' : ` (${curve.end} at ${short(reached)})`;
  const head = `${who}: ${what} against the rate${end}\n`;
  if (last === undefined || values.length < 2) return `${head}too short for a curve\n`;
  const first = points[0];
  const found = Object.entries(suggestBounds(curve)).flatMap(([label, { step }]) =>
    step === null ? [] : [{ label, step }],
  );
  const plot = plotText(values, {
    from: short(first.lr),
    to: short(reached),
    width,
    format,
    ...(band.length === values.length && {
      band: { low: band.map(({ low }) => low), high: band.map(({ high }) => high) },
    }),
    // The updates of a sweep are equally spaced on its axis, linear or logarithmic.
    marks: (marks ?? found).map(({ label, step }) => ({
      label,
      at: (step - first.step) / (last.step - first.step),
    })),
  });
  return `${head}${plot}`;
}

function shownOf(curve: RangeCurve, curves: readonly RangeCurve[]): Shown {
  const bands = curves.length > 1 ? rangeBand(curves) : { loss: [], accuracy: [] };
  const { evaluations, points } = curve;
  if (evaluations.length > 1 && evaluations.every(({ accuracy }) => accuracy !== null)) {
    const values = evaluations.map(({ accuracy }) => accuracy!);
    return {
      what: 'test accuracy',
      points: evaluations,
      values,
      band: bands.accuracy,
      format: formatPercent,
    };
  }
  // The mean of the trends, in the middle of their band.
  const trend =
    bands.loss.length > 0 ? bands.loss.map(({ mean, ...at }) => ({ ...at, loss: mean })) : lossTrend(curve);
  const chosen = trend.length > 0 ? trend : points;
  const values = chosen.map(({ loss }) => loss);
  return { what: 'loss', points: chosen, values, band: bands.loss, format: decimalsFor(values) };
}

/** A format with enough decimals to distinguish the lines of a plot. */
function decimalsFor(values: readonly number[]): (x: number) => string {
  const usable = values.filter(Number.isFinite);
  const span = Math.max(...usable) - Math.min(...usable);
  const decimals = span > 0 ? Math.min(8, Math.max(3, Math.ceil(1 - Math.log10(span)))) : 3;
  return (x) => x.toFixed(decimals);
}

/** A line for each suggestion, with its range over the seeds. */
export function suggestionLines({ curves }: Pick<RangeTest, 'curves'>): string[] {
  const all = curves.map((curve) => suggestBounds(curve));
  const found = Object.entries(suggestBounds(meanCurve(curves))) as [SuggestionName, Suggestion][];
  return found.map(([name, { lr, step, why }]) => {
    const text = lr === null ? `none: ${why}` : `${short(lr)} (update ${step})`;
    return `${name.padEnd(10)}${text}${curves.length === 1 ? '' : spread(all.map((one) => one[name]))}`;
  });
}

function spread(suggestions: readonly Suggestion[]): string {
  const rates = suggestions.flatMap(({ lr }) => lr ?? []).sort((a, b) => a - b);
  const range = rates.length === 0 ? '' : ` ${short(rates[0])} to ${short(rates[rates.length - 1])} in`;
  return `;${range} ${rates.length} of ${suggestions.length} seeds`;
}

const MEND: Readonly<Record<RangeWarning['option'], string>> = {
  from: 'start lower',
  to: 'change the end',
  steps: 'sweep for longer',
  seeds: 'average several seeds',
};

/** A line for each warning, with the option of the command that mends it. */
export const warningLines = (warnings: readonly RangeWarning[]): string[] =>
  warnings.map(
    ({ message, option, value }) => `warning   ${message} (${MEND[option]}: --${option} ${value})`,
  );
