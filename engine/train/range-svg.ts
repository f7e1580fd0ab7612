/** Range tests as a picture: accuracy and loss over the rate, with the places that the curves suggest. */
import { curveSvg, PALETTE, type CurveMarker, type CurveSeries } from './listeners/curve.ts';
import type { RangeEvaluation } from './range-test.ts';
import type { Suggestion, SuggestionName, TrendPoint } from './suggest-bounds.ts';

/** What is drawn of one sweep. */
export interface RangePicture {
  readonly label: string;
  readonly evaluations: readonly RangeEvaluation[];
  /** `lossTrend(curve)` */
  readonly trend: readonly TrendPoint[];
  /** `suggestBounds(curve)` */
  readonly suggestions: Readonly<Record<SuggestionName, Suggestion>>;
}

export interface RangeSvgOptions {
  readonly sweep: 'linear' | 'exponential';
  readonly title?: string;
  /** Another curve of accuracies, [rate, accuracy], for comparison. */
  readonly beside?: { readonly label: string; readonly points: readonly (readonly [number, number])[] };
}

const MARKERS: Readonly<Record<SuggestionName, CurveMarker>> = {
  rise: 'triangle',
  ragged: 'square',
  steepest: 'circle',
  valley: 'diamond',
  slide: 'star',
  minimum: 'cross',
};

/** Suggestions whose places are on the curve of accuracies. */
const BY_ACCURACY: readonly SuggestionName[] = ['rise', 'ragged'];

/**
 * One SVG document: a panel of accuracies where there are evaluations, and one of the losses' trend; each suggestion has a marker on the
 * curve that it comes from.
 *
 * @example
 * rangeSvg(test.curves.map((curve) => ({ label: `seed ${curve.seed}`, evaluations: curve.evaluations,
 *   trend: lossTrend(curve), suggestions: suggestBounds(curve) })), { sweep: test.sweep })
 */
export function rangeSvg(pictures: readonly RangePicture[], options: RangeSvgOptions): string {
  const { sweep, title = 'learning-rate range test', beside } = options;
  const judged = beside !== undefined || pictures.some(({ evaluations }) => evaluations.length > 0);
  const lossPanel = judged ? 1 : 0;
  const marks = new Map<SuggestionName, (readonly [number, number])[]>();
  const accuracies: CurveSeries[] = [];
  const losses: CurveSeries[] = [];
  pictures.forEach(({ label, evaluations, trend, suggestions }, i) => {
    const color = PALETTE[i % PALETTE.length];
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
  const compared = beside && { ...beside, color: '#59636e', dashed: true, dots: true };
  return curveSvg([...accuracies, ...(compared ? [compared] : []), ...losses, ...markers], {
    title,
    x: { label: 'learning rate', scale: sweep === 'exponential' ? 'log' : 'linear' },
    panels: [
      ...(judged ? [{ left: { label: 'test accuracy', format: 'percent' } } as const] : []),
      ...(losses.length > 0 || !judged ? [{ left: { label: 'training loss' } }] : []),
    ],
    height: judged && losses.length > 0 ? 760 : 460,
  });
}

/** The height at which a curve is drawn; null outside it. */
function heightAt(points: readonly (readonly [number, number])[], x: number): number | null {
  const after = points.findIndex(([rate]) => rate >= x);
  if (after < 0) return null;
  const [x1, y1] = points[after];
  const [x0, y0] = points[Math.max(0, after - 1)];
  return x1 === x0 ? y1 : y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}
