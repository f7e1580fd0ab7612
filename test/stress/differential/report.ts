/** Counts outcomes by family, and describes failures. */
import type { Case } from './case.ts';
import type { Outcome } from './check.ts';

/** Differences of one case that are listed. */
const MOST = 6;

interface Row {
  cases: number;
  comparisons: number;
  unjudged: number;
  worst: number;
  worstCase: number;
  failed: number;
}

export class Report {
  /** Without the number of the case. */
  readonly #command: string;
  readonly #rows = new Map<string, Row>();
  readonly #began = Date.now();
  readonly #print: (text: string) => void;
  /** One text for each failed case. */
  readonly failures: string[] = [];

  /** `print` gets failures and progress as they come. */
  constructor(seed: number, family: string | undefined, print: (text: string) => void) {
    this.#print = print;
    this.#command = `npm run differential -- --seed ${seed}${family === undefined ? '' : ` --family ${family}`}`;
  }

  add(number: number, item: Case, { comparisons, worst, unjudged, failures }: Outcome): void {
    const row = this.#rows.get(item.family) ?? {
      cases: 0,
      comparisons: 0,
      unjudged: 0,
      worst: 0,
      worstCase: 0,
      failed: 0,
    };
    this.#rows.set(item.family, row);
    row.cases++;
    row.comparisons += comparisons;
    row.unjudged += unjudged;
    if (worst > row.worst) [row.worst, row.worstCase] = [worst, number];
    if (failures.length > 0) {
      row.failed++;
      const lines = [`${this.#command} --only ${number}`, JSON.stringify(item), ...failures.slice(0, MOST)];
      if (failures.length > MOST) lines.push(`and ${failures.length - MOST} more`);
      this.failures.push(lines.join('\n  '));
      this.#print(`\nFAILED: ${this.failures.at(-1)}`);
    }
    if (number % 1000 === 999) {
      const seconds = Math.round((Date.now() - this.#began) / 1000);
      this.#print(`case ${number + 1}, ${this.failures.length} failed, ${seconds} s`);
    }
  }

  table(): string {
    const header = ['family', 'cases', 'comparisons', 'unjudged', 'worst / budget', 'its case', 'failed'];
    const rows = [...this.#rows].map(([family, row]) =>
      [
        family,
        row.cases,
        row.comparisons,
        row.unjudged,
        row.worst.toPrecision(3),
        row.worstCase,
        row.failed,
      ].map(String),
    );
    const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i].length)));
    return [header, ...rows]
      .map((row) =>
        row
          .map((text, i) => text.padEnd(widths[i]))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }
}
