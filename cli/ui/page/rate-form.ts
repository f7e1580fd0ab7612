/** The view that changes the learning rate for the rest of the run. */
import { h } from './dom.ts';
import { short, thousands } from './format.ts';
import { constant, cosineFall, cycles, line } from './policies.ts';
import type { Run } from './run.ts';
import { call } from './stream.ts';

/** The fields of a kind of schedule, with the values that a run suggests: from its current rate, and its steps. */
interface Kind {
  readonly name: string;
  readonly fields: Readonly<Record<string, (rate: number, left: number) => number>>;
  /** The JSON of the schedule. `step` is the next step. */
  readonly config: (values: Readonly<Record<string, number>>, step: number, steps: number) => object;
}

const HALF = 'half a cycle in steps';

const KINDS: readonly Kind[] = [
  { name: 'Constant', fields: { rate: (rate) => rate }, config: ({ rate }) => constant(rate) },
  {
    name: 'Linear to zero',
    fields: { from: (rate) => rate },
    config: ({ from: first }, step, steps) => line(first, 0, step, steps),
  },
  {
    name: 'Cosine to zero',
    fields: { from: (rate) => rate },
    config: ({ from: first }, step, steps) => cosineFall(first, step, steps),
  },
  {
    name: 'Triangular cycles',
    fields: {
      base: (rate) => rate / 4,
      max: (rate) => rate,
      [HALF]: (_, left) => Math.max(1, Math.round(left / 4)),
    },
    config: ({ base, max, [HALF]: stepSize }, step, steps) =>
      cycles({ base, max, stepSize }, 'triangular', step, steps),
  },
];

export class RateForm {
  readonly element: HTMLElement;
  readonly #say: (text: string) => void;
  readonly #now = h('p');
  readonly #set = h('fieldset');
  readonly #fields = h('div', { class: 'fields' });
  readonly #kind: HTMLSelectElement;
  #run: Run | null = null;

  constructor(say: (text: string) => void) {
    this.#say = say;
    this.#kind = h(
      'select',
      { onchange: () => this.#showFields() },
      ...KINDS.map(({ name }, i) => h('option', { value: i }, name)),
    );
    const factor = h('input', { type: 'number', min: 0, step: 'any', value: 0.5, required: true });
    this.#set.append(
      h('legend', {}, 'Change the learning rate from the next step on'),
      h(
        'form',
        {
          onsubmit: (event: Event) => {
            event.preventDefault();
            void this.#send(() => call('scale', { factor: Number(factor.value) }));
          },
        },
        h('label', {}, 'Multiply by ', factor),
        h('button', {}, 'Multiply'),
      ),
      h(
        'form',
        {
          onsubmit: (event: Event) => {
            event.preventDefault();
            void this.#send(() => call('schedule', { config: this.#config() }));
          },
        },
        h('label', {}, 'Or follow ', this.#kind),
        this.#fields,
        h('button', {}, 'Follow'),
      ),
    );
    this.element = h(
      'div',
      { class: 'rate' },
      this.#now,
      this.#set,
      h(
        'p',
        { class: 'note' },
        'With a checkpoint folder, the change is saved at once, and a resumed run ends with the same bytes.',
      ),
    );
  }

  show(run: Run | null, canChange: boolean): void {
    const isNew = run !== this.#run;
    const hadSteps = this.#fields.childElementCount > 0;
    this.#run = run;
    this.#set.disabled = !canChange;
    const rate = this.#rate;
    this.#now.textContent = Number.isNaN(rate)
      ? 'There is no learning rate yet.'
      : `The learning rate is ${short(rate)} after ${thousands(this.#step)} of ${thousands(this.#steps)} steps.` +
        (canChange ? '' : ' It can be changed while a run trains.');
    if ((isNew || !hadSteps) && !Number.isNaN(rate)) this.#showFields();
  }

  get #rate(): number {
    return this.#run?.steps.at(-1)?.hyper['lr'] ?? NaN;
  }

  get #step(): number {
    return this.#run?.step ?? 0;
  }

  get #steps(): number {
    return this.#run?.start?.steps ?? 0;
  }

  #showFields(): void {
    const { fields } = KINDS[Number(this.#kind.value)];
    this.#fields.replaceChildren(
      ...Object.entries(fields).map(([name, suggest]) => {
        const value = Number(suggest(this.#rate, this.#steps - this.#step).toPrecision(4));
        return h(
          'label',
          {},
          `${name} `,
          h('input', { type: 'number', name, min: 0, step: 'any', value, required: true }),
        );
      }),
    );
  }

  #config(): object {
    const inputs = [...this.#fields.querySelectorAll('input')];
    const values = Object.fromEntries(inputs.map(({ name, value }) => [name, Number(value)]));
    return KINDS[Number(this.#kind.value)].config(values, this.#step, this.#steps);
  }

  async #send(change: () => Promise<{ readonly step: number }>): Promise<void> {
    try {
      this.#say('Changing…');
      const { step } = await change();
      this.#say(`The learning rate is changed from step ${thousands(step)} on.`);
    } catch (error) {
      this.#say(`This did not work: ${(error as Error).message}`);
    }
  }
}
