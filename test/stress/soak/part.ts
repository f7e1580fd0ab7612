/** A part of the soak test, and the rows of its table. */

export interface Row {
  readonly what: string;
  readonly measured: string;
  readonly bound: string;
  readonly ok: boolean;
}

/** How much a part does. */
export interface Size {
  readonly steps: number;
  readonly executables: number;
  readonly backends: number;
  /** Processes of each kind. */
  readonly processes: number;
}

export const LONG: Size = { steps: 50_000, executables: 500, backends: 500, processes: 10 };
export const SHORT: Size = { steps: 2000, executables: 30, backends: 30, processes: 1 };

export type Part = (size: Size, log: (line: string) => void) => Promise<readonly Row[]>;

/** A row of a number with an upper bound. */
export const atMost = (what: string, value: number, bound: number, unit = ''): Row => ({
  what,
  measured: `${Number(value.toFixed(2))}${unit}`,
  bound: `${bound}${unit}`,
  ok: value <= bound,
});

/** A row of faults, of which there must be none. */
export const noneOf = (what: string, faults: readonly string[], cases: number): Row => ({
  what: `${what}, ${cases} cases`,
  measured: faults.length === 0 ? '0 wrong' : `${faults.length} wrong: ${faults.slice(0, 5).join('; ')}`,
  bound: '0 wrong',
  ok: faults.length === 0,
});

export function table(rows: readonly Row[]): string {
  const lines = rows.map(({ what, measured, bound, ok }) => [ok ? 'ok' : 'LEAK', what, measured, bound]);
  const all = [['', 'what', 'measured', 'bound'], ...lines];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((line) => line[column].length)));
  return all
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
