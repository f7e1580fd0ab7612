/** The view of the profile of a step: its kernels with their times and shares. */
import type { ProfileView as Profile } from '../protocol.ts';
import { h, setText } from './dom.ts';
import { percent, short, thousands } from './format.ts';
import { call } from './stream.ts';
import type { Shown, View } from './view.ts';

type Row = Profile['rows'][number];

/** Columns whose numbers line up at the right. */
const NUMBERS = ['Time', 'Calls', 'Rate'];

/** How rows are joined: by their kernel, by their layer, or not. */
const GROUPS: readonly { readonly name: string; readonly of: (row: Row, i: number) => string }[] = [
  { name: 'kernels', of: ({ op }) => op },
  { name: 'layers', of: ({ path }) => path },
  { name: 'single calls', of: (_, i) => String(i) },
];

export class ProfileView implements View<'profile'> {
  readonly element: HTMLElement;
  readonly #say: (text: string) => void;
  readonly #summary = h('p', { class: 'note', role: 'status' });
  readonly #measure: HTMLButtonElement;
  readonly #group: HTMLSelectElement;
  readonly #choice: HTMLElement;
  readonly #body = h('tbody');
  readonly #table: HTMLElement;
  #view: Profile | null = null;
  #shown: unknown = null;
  #isBusy = false;

  constructor(say: (text: string) => void) {
    this.#say = say;
    this.#measure = h(
      'button',
      { type: 'button', onclick: () => void this.#start() },
      'Measure the next step',
    );
    this.#group = h(
      'select',
      { onchange: () => this.#draw() },
      ...GROUPS.map(({ name }, i) => h('option', { value: i }, name)),
    );
    this.#choice = h('label', {}, 'Sum by ', this.#group);
    const head = ['Kernel', 'Time', 'Share', 'Layer', 'Calls', 'Rate'].map((name) =>
      h('th', { scope: 'col', class: NUMBERS.includes(name) ? 'number' : '' }, name),
    );
    this.#table = h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Profile' },
      h('table', { class: 'profile' }, h('thead', {}, h('tr', {}, ...head)), this.#body),
    );
    this.element = h(
      'div',
      {},
      h('div', { class: 'options' }, this.#measure, this.#choice),
      this.#summary,
      this.#table,
    );
  }

  show({ run, view, can }: Shown<'profile'>): void {
    this.#measure.hidden = !can('profile');
    this.#measure.disabled = this.#isBusy;
    this.#choice.hidden = this.#table.hidden = view === null;
    this.#view = view;
    if (view === null) {
      const hint = can('profile')
        ? 'The next update is computed several times, and every kernel is timed. The run then continues as if nothing had happened.'
        : run !== null && run.end !== null
          ? 'No step of this run was measured.'
          : 'A step can be measured while a run trains.';
      setText(this.#summary, hint);
      this.#shown = null;
      return;
    }
    if (view === this.#shown) return;
    this.#shown = view;
    setText(
      this.#summary,
      `Step ${thousands(view.step + 1)}: ${short(view.ms)} ms, the mean of ${view.runs} runs, at ${short(view.gflopPerSecond)} GFLOP/s. ` +
        'Times without the reading of the batch.',
    );
    this.#draw();
  }

  #draw(): void {
    const view = this.#view;
    if (view === null) return;
    const { of } = GROUPS[Number(this.#group.value)];
    const groups = new Map<string, Row[]>();
    view.rows.forEach((row, i) => {
      const key = of(row, i);
      groups.set(key, [...(groups.get(key) ?? []), row]);
    });
    const sums = [...groups.values()].map((rows) => ({
      rows,
      ms: rows.reduce((sum, { ms }) => sum + ms, 0),
    }));
    sums.sort((a, b) => b.ms - a.ms);
    const most = sums[0]?.ms ?? 0;
    this.#body.replaceChildren(
      ...sums.map(({ rows, ms }) => {
        const bar = h('span', { class: 'bar', 'aria-hidden': 'true' });
        bar.style.width = `${most > 0 ? (60 * ms) / most : 0}px`;
        return h(
          'tr',
          {},
          h(
            'td',
            {},
            only(
              rows.map(({ op }) => op),
              'kernels',
            ),
          ),
          h('td', { class: 'number' }, `${ms.toFixed(3)} ms`),
          h('td', { class: 'share' }, bar, percent(view.ms > 0 ? ms / view.ms : 0)),
          h(
            'td',
            {},
            only(
              rows.map(({ path }) => path || 'whole step'),
              'layers',
            ),
          ),
          h('td', { class: 'number' }, String(rows.length)),
          h('td', { class: 'number' }, rateOf(rows)),
        );
      }),
    );
  }

  async #start(): Promise<void> {
    this.#isBusy = this.#measure.disabled = true;
    try {
      await call('profile', {});
      this.#say('');
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    } finally {
      this.#isBusy = this.#measure.disabled = false;
    }
  }
}

/** The name, if there is a single one, or how many there are. */
function only(names: readonly string[], what: string): string {
  const different = new Set(names);
  return different.size === 1 ? names[0] : `${different.size} ${what}`;
}

const rateOf = (rows: readonly Row[]): string =>
  rows.length === 1
    ? `${short(Number(rows[0].rate.toPrecision(3)))} ${rows[0].bound === 'compute' ? 'GFLOP/s' : 'GB/s'}`
    : '';
