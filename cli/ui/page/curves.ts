/** The view of the curves: accuracy and loss, with the learning rate below. */
import { h } from './dom.ts';
import { percent, short } from './format.ts';
import { Panel, type Line, type Range } from './panel.ts';
import { smooth, type Run } from './run.ts';

/** The colors of several runs. A single run has a color for each quantity. */
const COLORS = ['--blue', '--orange', '--green', '--purple', '--brown', '--teal'];

export class Curves {
  readonly element: HTMLElement;
  readonly #accuracy: Panel;
  readonly #loss: Panel;
  readonly #rate: Panel;
  readonly #window: HTMLInputElement;
  readonly #reset: HTMLButtonElement;
  #runs: readonly Run[] = [];
  #zoom: Range | null = null;
  readonly #empty = h('p', { class: 'note' }, 'The curves begin with the first step.');
  readonly #charts: HTMLElement;

  constructor() {
    const onZoom = (range: Range | null): void => {
      this.#zoom = range;
      this.draw();
    };
    const shared = { group: 'curves', onZoom };
    this.#accuracy = new Panel({ title: 'Accuracy', height: 190, format: percent, ...shared });
    this.#loss = new Panel({ title: 'Loss', height: 190, format: short, ...shared });
    this.#rate = new Panel({ title: 'Learning rate', height: 140, xLabel: 'steps', ...shared });
    this.#window = h('input', {
      type: 'range',
      min: 0,
      max: 100,
      value: 10,
      oninput: () => this.draw(),
    });
    this.#reset = h(
      'button',
      { type: 'button', class: 'quiet', hidden: true, onclick: () => onZoom(null) },
      'Show the whole run',
    );
    this.#charts = h(
      'div',
      {},
      h(
        'div',
        { class: 'options' },
        h('label', {}, 'Smoothing of training curves ', this.#window),
        this.#reset,
      ),
      this.#accuracy.element,
      this.#loss.element,
      this.#rate.element,
    );
    this.element = h('div', { class: 'curves' }, this.#empty, this.#charts);
  }

  show(runs: readonly Run[]): void {
    this.#runs = runs;
    this.draw();
  }

  /** Draws everything again with the colors of the theme. */
  redraw(): void {
    for (const panel of [this.#accuracy, this.#loss, this.#rate]) panel.redraw();
  }

  draw(): void {
    const runs = this.#runs;
    const isEmpty = !runs.some(({ steps, evals }) => steps.length + evals.length > 0);
    this.#empty.hidden = !isEmpty;
    this.#charts.hidden = isEmpty;
    if (isEmpty) return;
    const last = Math.max(
      1,
      ...runs.flatMap(({ steps, evals }) => [steps.at(-1)?.step ?? 0, evals.at(-1)?.step ?? 0]),
    );
    const range = this.#zoom ?? [0, last];
    this.#reset.hidden = this.#zoom === null;
    this.#accuracy.element.hidden = !runs.some(({ hasAccuracy }) => hasAccuracy);
    this.#accuracy.show(
      this.#lines((metrics) => Number(metrics.metrics['accuracy'] ?? NaN), '--blue'),
      range,
    );
    this.#loss.show(
      this.#lines(({ loss }) => Number(loss), '--orange'),
      range,
    );
    this.#rate.show(
      runs.flatMap((run, i) => ratesOf(run, runs.length, i)),
      range,
    );
  }

  /** A quantity of all runs: in training, smoothed, and in evaluations. */
  #lines(
    of: (from: { readonly loss: number; readonly metrics: Readonly<Record<string, number>> }) => number,
    color: string,
  ): readonly Line[] {
    const share = Number(this.#window.value) / 1000;
    return this.#runs.flatMap((run, i): Line[] => {
      const several = this.#runs.length > 1;
      const look = { color: several ? COLORS[i % COLORS.length] : color };
      const name = (what: string): string => (several ? `${run.name}: ${what}` : what);
      const window = share * (run.start?.steps ?? 0);
      const training = smooth(run.steps, window, of);
      const shown = run.evals.map((event) => of(event));
      return [
        {
          label: name('training'),
          ...look,
          faint: true,
          x: run.steps.map(({ step }) => step),
          y: training,
        },
        {
          label: name('evaluation'),
          ...look,
          width: 2,
          dots: shown.length <= 60,
          x: run.evals.map(({ step }) => step),
          y: shown,
        },
      ].filter(({ y }) => y.some((value) => !Number.isNaN(value)));
    });
  }
}

/** The rates of a run: one, or one for each part of a partition. */
function ratesOf({ name, steps }: Run, runs: number, index: number): readonly Line[] {
  const names = Object.keys(steps.at(-1)?.hyper ?? {}).filter((one) => one === 'lr' || one.endsWith('/lr'));
  return names.map((rate, i) => ({
    label: [...(runs > 1 ? [name] : []), ...(names.length > 1 || runs === 1 ? [rate] : [])].join(': '),
    color: runs > 1 ? COLORS[index % COLORS.length] : ['--green', '--purple', '--brown', '--teal'][i % 4],
    x: steps.map(({ step }) => step),
    y: steps.map(({ hyper }) => hyper[rate] ?? NaN),
  }));
}
