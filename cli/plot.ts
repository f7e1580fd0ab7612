/** Curves in the terminal. */
import asciichart from 'asciichart';

/** What a column of the plot shows of a curve that is longer than the terminal is wide. */
function columns(values: readonly number[], width: number): number[] {
  if (values.length <= width) return [...values];
  return Array.from({ length: width }, (_, i) => values[Math.round((i * (values.length - 1)) / (width - 1))]);
}

const LABEL = 10;

/**
 * A curve as lines of text, `width` columns at the most, with its values at the left and `from` and `to` of the other axis
 * below. Not a number leaves a gap.
 */
export function plotText(
  values: readonly number[],
  { from, to, width, format }: { from: string; to: string; width: number; format: (x: number) => string },
): string {
  const room = Math.max(20, width - LABEL - 3);
  const shown = columns(values, room);
  const chart = asciichart.plot(shown, { height: 12, format: (x) => format(x).padStart(LABEL) });
  const axis = from + to.padStart(Math.max(to.length + 2, shown.length - from.length));
  return `${chart}\n${' '.repeat(LABEL + 2)}${axis}\n`;
}
