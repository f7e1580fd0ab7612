/** A chart of range tests as SVG: accuracy and loss over the learning rate, with the suggested rates. */
import { curveSvg, PALETTE, type CurveMarker, type CurveSeries } from './listeners/curve.ts';
import type { RangeEvaluation } from './range-test.ts';
import type { TrendPoint } from './loss-trend.ts';
import type { BandPoint, RangeBand } from './range-seeds.ts';
import type { Suggestion, SuggestionName } from './suggest-bounds.ts';
import { checkKind, checkOneOf, checkOptions, show } from '../options.ts';
import { checkList } from '../shape.ts';

/** The curves of one sweep. */
export interface RangePicture {
  /** The name in the legend. */
  readonly label: string;
  /** Any SVG color. Default: the next color of the palette. */
  readonly color?: string;
  readonly evaluations: readonly RangeEvaluation[];
  /** The result of `lossTrend(curve)`. */
  readonly trend: readonly TrendPoint[];
  /** The result of `suggestBounds(curve)`. */
  readonly suggestions: Readonly<Record<SuggestionName, Suggestion>>;
}

export interface RangeSvgOptions {
  /** The scale of the learning rate: linear or logarithmic. */
  readonly sweep: 'linear' | 'exponential';
  /** The title of the chart. Default 'learning-rate range test'. */
  readonly title?: string;
  /** The range over several seeds, as areas behind the curves: the result of `rangeBand(curves)`. Default: none. */
  readonly band?: RangeBand;
  /** Another curve of accuracies for comparison, with points [rate, accuracy]. Default: none. */
  readonly reference?: { readonly label: string; readonly points: readonly (readonly [number, number])[] };
}

const MARKERS: Readonly<Record<SuggestionName, CurveMarker>> = {
  rise: 'triangle',
  ragged: 'square',
  steepest: 'circle',
  valley: 'diamond',
  slide: 'star',
  minimum: 'cross',
};

/** The suggestions that are marked on the curve of accuracies. */
const BY_ACCURACY: readonly SuggestionName[] = ['rise', 'ragged'];

/**
 * A chart of range tests as an SVG document: a panel of accuracies if there are evaluations, and a panel of smoothed losses. Each
 * suggested rate has a marker on its curve.
 *
 * @example
 * const { curves, sweep } = await lrRangeTest({
 *   ...{ model, backend, data, from: 0, to: 0.02, steps: 4000 },
 *   optimizer: (lr) => sgd({ lr, momentum: 0.9 }),
 * });
 * const charts = curves.map((curve) => ({
 *   label: `seed ${curve.seed}`,
 *   evaluations: curve.evaluations,
 *   trend: lossTrend(curve),
 *   suggestions: suggestBounds(curve),
 * }));
 * const svg = rangeSvg(charts, { sweep });
 */
export function rangeSvg(pictures: readonly RangePicture[], options: RangeSvgOptions): string {
  checkOptions('rangeSvg', options, ['sweep', 'title', 'band', 'reference']);
  const { sweep, title = 'learning-rate range test', band, reference } = options;
  checkOneOf('rangeSvg', 'sweep', sweep, ['linear', 'exponential']);
  checkList('rangeSvg', 'pictures', pictures);
  if (typeof title !== 'string') throw new TypeError(`rangeSvg: title must be a text, got ${show(title)}`);
  if (band !== undefined) {
    for (const name of ['loss', 'accuracy'] as const) {
      checkKind('rangeSvg', 'band', band, name, 'the result of rangeBand');
      checkList('rangeSvg', `band.${name}`, band[name]);
    }
  }
  const hasAccuracy = reference !== undefined || pictures.some(({ evaluations }) => evaluations.length > 0);
  const lossPanel = hasAccuracy ? 1 : 0;
  const marks = new Map<SuggestionName, (readonly [number, number])[]>();
  const accuracies: CurveSeries[] = [];
  const losses: CurveSeries[] = [];
  pictures.forEach((picture, i) => {
    const { label, evaluations, trend, suggestions, color = PALETTE[i % PALETTE.length] } = picture;
    const measured = evaluations.map(({ lr, accuracy }) => [lr, accuracy ?? NaN] as const);
    if (measured.length > 0) accuracies.push({ label, color, points: measured, dots: true });
    const smooth = trend.map(({ lr, loss }) => [lr, loss] as const);
    if (smooth.length > 0) losses.push({ label, color, points: smooth, panel: lossPanel });
    for (const [name, { lr }] of Object.entries(suggestions) as [SuggestionName, Suggestion][]) {
      if (lr === null) continue;
      const height = heightAt(BY_ACCURACY.includes(name) ? measured : smooth, lr);
      if (height !== null) marks.set(name, [...(marks.get(name) ?? []), [lr, height]]);
    }
  });
  const markers = [...marks].map(([name, points]): CurveSeries => ({
    label: name,
    points: [...points].sort(([a], [b]) => a - b),
    color: '#000000',
    width: 4,
    marker: MARKERS[name],
    panel: BY_ACCURACY.includes(name) ? 0 : lossPanel,
  }));
  const dashed = reference && { ...reference, color: '#59636e', dashed: true, dots: true };
  const areas = band === undefined ? [] : [...area(band.accuracy, 0), ...area(band.loss, lossPanel)];
  return curveSvg([...areas, ...accuracies, ...(dashed ? [dashed] : []), ...losses, ...markers], {
    title,
    x: { label: 'learning rate', scale: sweep === 'exponential' ? 'log' : 'linear' },
    panels: [
      ...(hasAccuracy
        ? [{ left: { label: 'test accuracy', format: 'percent' }, labels: 'ends' } as const]
        : []),
      ...(losses.length > 0 || !hasAccuracy
        ? [{ left: { label: 'training loss' }, labels: 'ends' } as const]
        : []),
    ],
    height: hasAccuracy && losses.length > 0 ? 760 : 460,
  });
}

/** The range over the seeds as an area without a name. */
const area = (points: readonly BandPoint[], panel: number): CurveSeries[] =>
  points.length === 0
    ? []
    : [
        {
          label: '',
          color: PALETTE[0],
          width: 0,
          points: points.map(({ lr, mean }) => [lr, mean]),
          area: points.map(({ low, high }) => [low, high]),
          panel,
        },
      ];

/** The y value of a curve at x, by linear interpolation. Null outside the curve. */
function heightAt(points: readonly (readonly [number, number])[], x: number): number | null {
  const after = points.findIndex(([rate]) => rate >= x);
  if (after < 0) return null;
  const [x1, y1] = points[after];
  const [x0, y0] = points[Math.max(0, after - 1)];
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}
