/** The finished runs of this tab, because one seed proves nothing. */
import { SIDES, type Side } from './contest.ts';
import { element } from './dom.ts';

export interface Finished {
  readonly seed: number;
  /** The schedules of both networks, in words. Runs of other schedules or pictures are not averaged with them. */
  readonly setting: string;
  /** Test accuracy after the last step, in percent. */
  readonly accuracies: Readonly<Record<Side, number>>;
}

/** Runs that are listed. */
const LISTED = 8;

const percent = (value: number): string => `${value.toFixed(1)}%`;
const points = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)}`;
const difference = ({ accuracies }: Finished): number => accuracies.cyclical - accuracies.fixed;
const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export class Runs {
  readonly #table: HTMLElement;
  readonly #rows: HTMLElement;
  readonly #text: HTMLElement;
  readonly #all: Finished[] = [];

  constructor(table: HTMLElement, rows: HTMLElement, text: HTMLElement) {
    this.#table = table;
    this.#rows = rows;
    this.#text = text;
  }

  /** Adds a run. The same seed and setting give the same run, which counts once. */
  add(run: Finished): void {
    if (this.#all.some(({ seed, setting }) => seed === run.seed && setting === run.setting)) return;
    this.#all.push(run);
    this.#table.hidden = false;
    this.#rows.replaceChildren(
      ...this.#all
        .slice(-LISTED)
        .reverse()
        .map((one) =>
          element(
            'tr',
            {},
            element('td', { textContent: String(one.seed) }),
            ...SIDES.map((side) =>
              element('td', { className: side, textContent: percent(one.accuracies[side]) }),
            ),
            element('td', { textContent: points(difference(one)) }),
            element('td', { textContent: one.setting }),
          ),
        ),
    );
    this.#text.textContent = summary(this.#all.filter(({ setting }) => setting === run.setting));
  }
}

function summary(runs: readonly Finished[]): string {
  if (runs.length === 1) return 'One run can be luck. Train with the next seed.';
  const differences = runs.map(difference);
  const ahead = differences.filter((value) => value > 0).length;
  const [least, most] = [Math.min(...differences), Math.max(...differences)];
  return `With these rates, cyclical is ahead in ${ahead} of ${runs.length} runs: ${points(mean(differences))} points on average, ${points(least)} to ${points(most)}.`;
}
