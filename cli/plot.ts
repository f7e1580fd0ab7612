/** Curves in the terminal. */
import asciichart from 'asciichart';
import type { Host, Output } from './host.ts';

/** The width of the terminal, or that of the environment variable COLUMNS. */
export const widthOf = (stream: Output, env: Host['env']): number => {
  const width = stream.columns ?? Number(env['COLUMNS']);
  return Number.isSafeInteger(width) && width > 0 ? width : 100;
};

/**
 * One value for each column. A curve with more values is reduced to the value of each column that is farthest from the mean, so no peak
 * is lost. A curve with fewer values is interpolated linearly.
 */
function columns(values: readonly number[], width: number): number[] {
  const last = values.length - 1;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Array.from({ length: width }, (_, i) => {
    const at = (i * last) / (width - 1);
    if (last < width) {
      const low = Math.floor(at);
      return at === low ? values[low] : values[low] + (values[low + 1] - values[low]) * (at - low);
    }
    const inColumn = values.slice(Math.round(at), Math.round(((i + 1) * last) / (width - 1)));
    return inColumn.reduce(
      (far, value) => (Math.abs(value - mean) > Math.abs(far - mean) ? value : far),
      values[Math.round(at)],
    );
  });
}

/**
 * Maps values to heights from 0 to 1, and back. asciichart counts its rows in steps of 1 from the values, which never ends for values
 * above 2^53, and overflows for very small and very large ones.
 */
function heights(values: readonly number[]): {
  readonly toHeight: (value: number) => number;
  readonly toValue: (height: number) => number;
} {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const unit = Math.max(Math.abs(least), Math.abs(most)) || 1;
  const [low, span] = [least / unit, most / unit - least / unit];
  return {
    toHeight: (value) => (span === 0 ? 0 : (value / unit - low) / span),
    toValue: (height) => (span === 0 ? least : (low + height * span) * unit),
  };
}

const LABEL = 10;

/** A position on the horizontal axis, from 0 at its start to 1 at its end. */
export interface Mark {
  readonly label: string;
  readonly at: number;
}

export interface PlotOptions {
  readonly from: string;
  readonly to: string;
  readonly width: number;
  readonly format: (x: number) => string;
  /** Arrows with labels below the curve. Those outside the axis are omitted. */
  readonly marks?: readonly Mark[];
}

/**
 * A curve as lines of text, `width` columns (at least 33), with its values on the left, and `from` and `to` of the horizontal axis
 * below. Values that are not finite are omitted.
 */
export function plotText(
  values: readonly number[],
  { from, to, width, format, marks = [] }: PlotOptions,
): string {
  const room = Math.max(20, width - LABEL - 3);
  const { toHeight, toValue } = heights(values.filter(Number.isFinite));
  const shown = columns(values.filter(Number.isFinite).map(toHeight), room);
  const chart = asciichart.plot(shown, { height: 12, format: (x) => format(toValue(x)).padStart(LABEL) });
  const axis = from + to.padStart(Math.max(to.length + 2, shown.length - from.length));
  return [
    chart,
    ...[axis, ...markLines(marks, shown.length)].map((line) => ' '.repeat(LABEL + 2) + line),
    '',
  ].join('\n');
}

/** Lines of arrows with labels. Labels that would overlap are on separate lines. */
function markLines(marks: readonly Mark[], room: number): string[] {
  const lines: string[] = [];
  const inside = marks.filter(({ at }) => at >= 0 && at <= 1).sort((a, b) => a.at - b.at);
  for (const { label, at } of inside) {
    const column = Math.round(at * (room - 1));
    const fits = column + label.length + 2 <= room;
    const text = fits ? `↑ ${label}` : `${label} ↑`;
    const start = fits ? column : Math.max(0, column - label.length - 1);
    const free = lines.findIndex((line) => line.length < start);
    const line = free < 0 ? lines.length : free;
    lines[line] = (lines[line] ?? '').padEnd(start) + text;
  }
  return lines;
}
