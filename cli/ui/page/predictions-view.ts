/** The view of predictions: of the same examples after each evaluation, and the worst mistakes. */
import type { Guess } from '../protocol.ts';
import { h, setText } from './dom.ts';
import { percent, thousands } from './format.ts';
import { canvasOf } from './pixels.ts';
import type { Shown, View } from './view.ts';

export class PredictionsView implements View<'predictions'> {
  readonly element: HTMLElement;
  readonly #summary = h('p', { class: 'note', role: 'status' });
  readonly #same = h('ul', { class: 'tiles' });
  readonly #mistakes = h('ul', { class: 'tiles' });
  readonly #grids: HTMLElement;
  readonly #noMistakes = h('p', { class: 'note' }, 'There are none.');
  #shown: unknown = null;

  constructor() {
    this.#grids = h(
      'div',
      {},
      h('h2', {}, 'Worst mistakes'),
      h('p', { class: 'note' }, 'Wrong predictions, the most certain ones first.'),
      this.#noMistakes,
      this.#mistakes,
      h('h2', {}, 'The same examples after each evaluation'),
      this.#same,
    );
    this.element = h('div', { class: 'predictions' }, this.#summary, this.#grids);
  }

  show({ run, view }: Shown<'predictions'>): void {
    this.#grids.hidden = view === null;
    if (view === null) {
      const isOver = run !== null && run.end !== null;
      setText(
        this.#summary,
        isOver
          ? 'This run has no predictions. A run keeps them if it classifies, and trains with the page and a folder of its own.'
          : 'Predictions come after the next evaluation of a classifier.',
      );
      this.#shown = null;
      return;
    }
    if (view === this.#shown) return;
    this.#shown = view;
    const { step, examples, of, wrong, same, mistakes } = view;
    const part = examples === of ? '' : ` (of ${thousands(of)} in all)`;
    setText(
      this.#summary,
      `After step ${thousands(step)}: ${thousands(wrong)} of ${thousands(examples)} evaluation examples${part} are wrong.`,
    );
    this.#noMistakes.hidden = mistakes.length > 0;
    this.#mistakes.replaceChildren(...mistakes.map(tile));
    this.#same.replaceChildren(...same.map(tile));
  }
}

function tile({ name, picture, label, guess, probability }: Guess): HTMLElement {
  const isRight = guess === label;
  const text = `${name}: ${isRight ? '' : `${label}, taken for `}${guess}, ${percent(probability)}`;
  return h(
    'li',
    { title: text },
    picture === null ? h('span', { class: 'number' }, name) : canvasOf(picture, name),
    h('span', { class: isRight ? 'guess right' : 'guess wrong' }, `${isRight ? '✓' : '✗'} ${guess}`),
    h('span', { class: 'note number' }, percent(probability)),
    isRight ? null : h('span', { class: 'note' }, `is ${label}`),
  );
}
