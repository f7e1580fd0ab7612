/** The view of the range test: its curve with suggestions and bounds that move, and what to do with them. */
import type uPlot from 'uplot';
import type { Command, RangeView as Range } from '../protocol.ts';
import { BoundHandles, type Bounds } from './bounds.ts';
import { cssVariable, h, setText } from './dom.ts';
import { short, thousands } from './format.ts';
import { Panel } from './panel.ts';
import { constant, cycles, line } from './policies.ts';
import type { Run } from './run.ts';
import { call } from './stream.ts';
import type { Shown } from './view.ts';

/** What the suggestions of `suggestBounds` mean. */
const MEANINGS: Readonly<Record<string, string>> = {
  rise: 'accuracy starts to rise: a lower bound',
  ragged: 'last rate before accuracy falls',
  steepest: 'the loss falls fastest',
  valley: 'middle of the fall of the loss',
  slide: 'last rate before the loss rises',
  minimum: 'a tenth of the rate with the lowest loss',
};

interface Policy {
  readonly name: string;
  /** The name for `--schedule`. Without one, the schedule is passed as JSON. */
  readonly flag?: 'triangular' | 'triangular2';
  readonly config: (bounds: Bounds & { readonly stepSize: number }, step: number, steps: number) => object;
}

const POLICIES: readonly Policy[] = [
  {
    name: 'Triangular cycles',
    flag: 'triangular',
    config: (bounds, step, steps) => cycles(bounds, 'triangular', step, steps),
  },
  {
    name: 'Halving triangular cycles',
    flag: 'triangular2',
    config: (bounds, step, steps) => cycles(bounds, 'triangular2', step, steps),
  },
  {
    name: 'A line from upper to lower bound',
    config: ({ base, max }, step, steps) => line(max, base, step, steps),
  },
  { name: 'Constant, the upper bound', config: ({ max }) => constant(max) },
];

const numberInput = (
  name: string,
  value: number,
  min: number,
  step: number | 'any' = 'any',
): HTMLInputElement => h('input', { type: 'number', name, min, step, value, required: true });

export class RangeView {
  readonly element: HTMLElement;
  readonly #say: (text: string) => void;
  readonly #summary = h('p', { class: 'note', role: 'status' });
  readonly #from = numberInput('from', 1e-4, 0);
  readonly #to = numberInput('to', 1, 0);
  readonly #steps = numberInput('steps', 100, 10, 1);
  readonly #start = h('button', {}, 'Run a range test');
  readonly #test: HTMLElement;
  readonly #result: HTMLElement;
  readonly #panel: Panel;
  readonly #handles: BoundHandles;
  readonly #base = numberInput('base', 0, 0);
  readonly #max = numberInput('max', 0, 0);
  readonly #half = numberInput('stepSize', 1, 1, 1);
  readonly #halfLabel = h('label', {}, 'Half a cycle in steps ', this.#half);
  readonly #policy: HTMLSelectElement;
  readonly #suggestions = h('tbody');
  readonly #apply = h('button', {}, 'Apply to the rest of the run');
  readonly #flags = h('code', { class: 'flags' });
  readonly #copy: HTMLElement;
  #run: Run | null = null;
  #suggestedFor: Run | null = null;
  #command: Command = 'script';
  #view: Range | null = null;
  #isBusy = false;
  #canApply = false;

  constructor(say: (text: string) => void) {
    this.#say = say;
    this.#handles = new BoundHandles((bounds) => this.#set(bounds));
    this.#panel = new Panel({
      title: 'Loss against the learning rate',
      height: 260,
      xLabel: 'learning rate',
      xFormat: short,
      log: true,
      overlay: (plot) => {
        this.#marks(plot);
        this.#handles.draw(plot);
      },
    });
    this.#test = h(
      'form',
      {
        class: 'fields',
        onsubmit: (event: Event) => {
          event.preventDefault();
          void this.#sweep();
        },
      },
      h('label', {}, 'From ', this.#from),
      h('label', {}, 'to ', this.#to),
      h('label', {}, 'in steps ', this.#steps),
      this.#start,
    );
    this.#policy = h(
      'select',
      { onchange: () => this.#update() },
      ...POLICIES.map(({ name }, i) => h('option', { value: i }, name)),
    );
    for (const input of [this.#base, this.#max, this.#half]) {
      input.addEventListener('change', () => {
        const [base, max] = [this.#base.valueAsNumber, this.#max.valueAsNumber];
        if (base > 0 && max >= base) this.#set({ base, max });
        else this.#update();
      });
    }
    this.#copy = h(
      'p',
      { class: 'copy' },
      this.#flags,
      h('button', { type: 'button', onclick: () => void this.#copyFlags() }, 'Copy'),
    );
    this.#result = h(
      'div',
      {},
      this.#panel.element,
      h(
        'form',
        {
          class: 'fields',
          onsubmit: (event: Event) => {
            event.preventDefault();
            void this.#applyNow();
          },
        },
        h('label', {}, 'Lower bound ', this.#base),
        h('label', {}, 'Upper bound ', this.#max),
        h('label', {}, 'Follow ', this.#policy),
        this.#halfLabel,
        this.#apply,
      ),
      this.#copy,
      h('h2', {}, 'Suggestions'),
      h('table', { class: 'suggestions' }, this.#suggestions),
    );
    this.element = h('div', { class: 'range' }, this.#test, this.#summary, this.#result);
  }

  redraw(): void {
    this.#panel.redraw();
  }

  show({ run, view, can }: Shown<'range'>, command: Command): void {
    this.#run = run;
    this.#command = command;
    this.#test.hidden = !can('range');
    this.#start.disabled = this.#isBusy;
    if (run !== null && run !== this.#suggestedFor) this.#suggestSweep(run);
    this.#canApply = can('schedule');
    this.#apply.hidden = !this.#canApply;
    this.#copy.hidden = this.#canApply;
    this.#result.hidden = view === null;
    if (view === null) {
      const hint = can('range')
        ? 'A range test trains a copy of the network while the rate rises. The loss falls where the rate is useful, and rises where it is too high. The run waits meanwhile, and continues as if nothing had happened.'
        : run !== null && run.end !== null
          ? 'This run has no range test.'
          : 'A range test can be made while a run trains.';
      setText(this.#summary, hint);
      this.#view = null;
      return;
    }
    if (view === this.#view) {
      this.#update();
      return;
    }
    this.#view = view;
    const { rates, end, step } = view;
    const last = rates.at(-1) ?? view.to;
    setText(
      this.#summary,
      `${step === 0 ? 'Before the run' : `From step ${thousands(step)}`}: ${rates.length} rates from ${short(Number(rates[0].toPrecision(3)))} to ${short(Number(last.toPrecision(3)))}` +
        `${end === 'diverged' ? ', where the loss diverged' : ''}. Drag the dots, or select one with Tab and press the arrow keys.`,
    );
    this.#draw(view);
    this.#listSuggestions(view);
    const rate = (name: string): number | null =>
      view.suggestions.find((one) => one.name === name)?.rate ?? null;
    const max = rate('ragged') ?? rate('valley') ?? rate('minimum') ?? Math.sqrt(rates[0] * last);
    const base = Math.max(rates[0], Math.min(rate('rise') ?? max / 4, max));
    const round = (value: number): number => Number(value.toPrecision(3));
    this.#half.value = String(Math.max(1, Math.round(((run?.start?.steps ?? 400) - this.#step) / 4)));
    this.#set({ base: round(base), max: round(max) });
  }

  /** A hundredth to a hundred times the highest rate of the run so far. */
  #suggestSweep(run: Run): void {
    const rates = run.steps.map(({ hyper }) => hyper['lr'] ?? NaN).filter((rate) => rate > 0);
    if (rates.length === 0) return;
    this.#suggestedFor = run;
    const highest = Math.max(...rates);
    this.#from.value = String(Number((highest / 100).toPrecision(2)));
    this.#to.value = String(Number((highest * 100).toPrecision(2)));
  }

  get #step(): number {
    return this.#run?.step ?? 0;
  }

  #draw({ rates, losses, trend }: Range): void {
    // A loss that explodes would flatten the rest of the curve.
    const start = Math.max(...losses.slice(0, Math.ceil(losses.length / 10)));
    const shown = (values: readonly number[]): number[] =>
      values.map((value) => (Number(value) <= 2 * start ? Number(value) : NaN));
    const range = [rates[0], rates.at(-1) ?? rates[0]] as const;
    this.#panel.show(
      [
        { label: 'each batch', color: '--orange', faint: true, x: rates, y: shown(losses) },
        ...(trend.rates.length > 0
          ? [{ label: 'trend', color: '--orange', width: 2, x: trend.rates, y: shown(trend.losses) }]
          : []),
      ],
      range,
    );
  }

  /** The suggestions as lines. */
  #marks(plot: uPlot): void {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = cssVariable('--quiet');
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    for (const { rate } of this.#view?.suggestions ?? []) {
      if (rate === null) continue;
      const x = plot.valToPos(rate, 'x', true);
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
    }
    ctx.stroke();
    ctx.restore();
  }

  #listSuggestions({ suggestions }: Range): void {
    const found = suggestions.flatMap(({ name, rate }) => (rate === null ? [] : [{ name, rate }]));
    // Several are missing for the same reason.
    const missing = new Map<string, string[]>();
    for (const { name, rate, why } of suggestions) {
      if (rate === null) missing.set(why ?? '', [...(missing.get(why ?? '') ?? []), name]);
    }
    this.#suggestions.replaceChildren(
      ...found.map(({ name, rate }) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, name),
          h('td', { class: 'number' }, short(Number(rate.toPrecision(3)))),
          h('td', { class: 'note' }, MEANINGS[name] ?? ''),
          h('td', { class: 'uses' }, this.#use(name, 'base', rate), this.#use(name, 'max', rate)),
        ),
      ),
      ...[...missing].map(([why, names]) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, names.join(', ')),
          h('td', { class: 'number' }, '–'),
          h('td', { class: 'note', colspan: 2 }, why),
        ),
      ),
    );
  }

  #use(name: string, side: keyof Bounds, rate: number): HTMLElement {
    const text = side === 'base' ? 'Use as lower' : 'Use as upper';
    const use = (): void => {
      const value = Number(rate.toPrecision(3));
      const { base, max } = this.#handles.bounds;
      // The other bound makes way.
      this.#set(
        side === 'base'
          ? { base: value, max: Math.max(max, value) }
          : { base: Math.min(base, value), max: value },
      );
    };
    return h(
      'button',
      { type: 'button', class: 'quiet', 'aria-label': `${text} bound: ${name}`, onclick: use },
      text,
    );
  }

  #set(bounds: Bounds): void {
    this.#handles.bounds = bounds;
    this.#base.value = String(bounds.base);
    this.#max.value = String(bounds.max);
    this.#panel.plot?.redraw(false);
    this.#update();
  }

  #update(): void {
    const policy = POLICIES[Number(this.#policy.value)];
    this.#halfLabel.hidden = policy.flag === undefined;
    setText(this.#flags, this.#flagsFor(policy));
  }

  get #stepSize(): number {
    return Math.max(1, Math.round(this.#half.valueAsNumber || 1));
  }

  /** The options of the command, or the code of a script, that train with the bounds. */
  #flagsFor({ flag, config }: Policy): string {
    const { base, max } = this.#handles.bounds;
    const steps = this.#run?.start?.steps ?? 1;
    if (this.#command === 'images') return `--max ${max}`;
    if (this.#command === 'script') {
      const json = JSON.stringify(config({ base, max, stepSize: this.#stepSize }, 0, steps));
      return flag === undefined
        ? `scheduleFromJSON(${json})`
        : `cyclicLR({ base: ${base}, max: ${max}, stepSize: ${this.#stepSize}, mode: '${flag}' })`;
    }
    return flag === undefined
      ? `--schedule '${JSON.stringify(config({ base, max, stepSize: this.#stepSize }, 0, steps))}'`
      : `--schedule ${flag} --base ${base} --max ${max} --step-size ${this.#stepSize}`;
  }

  async #copyFlags(): Promise<void> {
    try {
      await navigator.clipboard.writeText(this.#flags.textContent ?? '');
      this.#say('Copied.');
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    }
  }

  async #sweep(): Promise<void> {
    this.#isBusy = this.#start.disabled = true;
    const [from, to, steps] = [this.#from, this.#to, this.#steps].map(({ valueAsNumber }) => valueAsNumber);
    try {
      await call('range', { from, to, steps });
      this.#say('');
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    } finally {
      this.#isBusy = this.#start.disabled = false;
    }
  }

  async #applyNow(): Promise<void> {
    const { base, max } = this.#handles.bounds;
    const policy = POLICIES[Number(this.#policy.value)];
    const config = policy.config(
      { base, max, stepSize: this.#stepSize },
      this.#step,
      this.#run?.start?.steps ?? 1,
    );
    try {
      const { step } = await call('schedule', { config });
      this.#say(`The learning rate is changed from step ${thousands(step)} on.`);
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    }
  }
}
