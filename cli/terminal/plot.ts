/** Curves in the terminal. */
import asciichart from 'asciichart';
import type { Host, Output } from '../host.ts';

/** Wider plots are unreadable, and as slow as they are wide. */
const WIDEST = 1000;

/** The width of the terminal, or that of the environment variable COLUMNS. */
export const widthOf = (stream: Output, env: Host['env']): number => {
  const width = stream.columns ?? Number(env['COLUMNS']);
  return Number.isSafeInteger(width) && width > 0 ? Math.min(width, WIDEST) : 100;
};

/**
 * One value for each column. A curve with more values is reduced to the value of each column that is farthest from the mean, so no peak
 * is lost. A curve with fewer values is interpolated linearly.
 */
function columns(values: readonly number[], width: number): number[] {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return reduced(values, width, (far, value) =>
    Math.abs(value - mean) > Math.abs(far - mean) ? value : far,
  );
}

/** One value for each column, of several the one that `choose` prefers. */
function reduced(
  values: readonly number[],
  width: number,
  choose: (a: number, b: number) => number,
): number[] {
  const last = values.length - 1;
  return Array.from({ length: width }, (_, i) => {
    const at = (i * last) / (width - 1);
    if (last < width) {
      const low = Math.floor(at);
      return at === low ? values[low] : values[low] + (values[low + 1] - values[low]) * (at - low);
    }
    const inColumn = values.slice(Math.round(at), Math.round(((i + 1) * last) / (width - 1)));
    return inColumn.reduce((a, b) => choose(a, b), values[Math.round(at)]);
  });
}

const LABEL = 10;
/** Lines of a plot, minus one. */
const HEIGHT = 12;

/** Lines of a curve as positions between its lowest and its highest value, and the value at a position. */
interface Scale {
  readonly bottom: number;
  readonly top: number;
  readonly positionOf: (value: number) => number;
  readonly valueAt: (position: number) => number;
}

/**
 * asciichart counts lines in units of the values, which fails for values near 2^53, and it labels a constant curve with a rounded
 * value. It gets positions instead, from 0 or 1 to that plus HEIGHT.
 */
function scaleOf(values: readonly number[]): Scale {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const bottom = low === 0 ? 0 : 1; // asciichart draws line 0 as the axis
  if (low === high) return { bottom, top: bottom, positionOf: () => bottom, valueAt: () => low };
  // Of large numbers a fraction, because the difference of two of them may exceed the largest number.
  const unit = Math.max(Math.abs(low), Math.abs(high)) > 1e300 ? 2 ** -10 : 1;
  const span = high * unit - low * unit;
  return {
    bottom,
    top: bottom + HEIGHT,
    positionOf: (value) => bottom + ((value * unit - low * unit) / span) * HEIGHT,
    valueAt: (position) => (low * unit + span * ((position - bottom) / HEIGHT)) / unit,
  };
}

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
  /** The lowest and the highest of several curves, for each value, all of them finite. Shaded behind the curve. */
  readonly band?: { readonly low: readonly number[]; readonly high: readonly number[] };
  /** Arrows with labels below the curve. Those outside the axis are omitted. */
  readonly marks?: readonly Mark[];
}

/**
 * A curve as lines of text, `width` columns (at least 33), with its values on the left, and `from` and `to` of the horizontal axis
 * below. Values that are not finite are omitted.
 */
export function plotText(
  values: readonly number[],
  { from, to, width, format, band, marks = [] }: PlotOptions,
): string {
  const room = Math.max(20, width - LABEL - 3);
  const usable = values.filter(Number.isFinite);
  const { positionOf, valueAt, bottom, top } = scaleOf(
    band === undefined ? usable : [...usable, ...band.low, ...band.high],
  );
  const shown = columns(usable.map(positionOf), room);
  const chart = asciichart.plot(shown, {
    min: bottom,
    max: top,
    height: top - bottom,
    format: (position) => format(valueAt(position)).padStart(LABEL),
  });
  const axis = from + to.padStart(Math.max(to.length + 2, shown.length - from.length));
  const shaded =
    band === undefined
      ? chart
      : shade(chart, {
          low: reduced(band.low, room, Math.min).map((value) => Math.round(positionOf(value)) - bottom),
          high: reduced(band.high, room, Math.max).map((value) => Math.round(positionOf(value)) - bottom),
        });
  return [
    shaded,
    ...[axis, ...markLines(marks, shown.length)].map((line) => ' '.repeat(LABEL + 2) + line),
    '',
  ].join('\n');
}

/** Fills the spaces of a chart between the lines `low` and `high` of each column, counted from the bottom. */
function shade(
  chart: string,
  { low, high }: { readonly low: readonly number[]; readonly high: readonly number[] },
): string {
  const rows = chart.split('\n');
  return rows
    .map((row, r) => {
      const height = rows.length - 1 - r;
      const axis = row.search(/[┤┼]/);
      return Array.from(row)
        .map((character, i) => {
          const column = i - axis - 1;
          const isInside = height >= low[column] && height <= high[column];
          return character === ' ' && isInside ? '░' : character;
        })
        .join('');
    })
    .join('\n');
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
