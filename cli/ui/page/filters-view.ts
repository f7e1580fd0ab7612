/** The view of the filters of the first layer. */
import { h, setText } from './dom.ts';
import { thousands } from './format.ts';
import { canvasOf } from './pixels.ts';
import type { Shown, View } from './view.ts';

export class FiltersView implements View<'filters'> {
  readonly element: HTMLElement;
  readonly #summary = h('p', { class: 'note', role: 'status' });
  readonly #grid = h('ul', { class: 'tiles filters' });
  #shown: unknown = null;

  constructor() {
    this.element = h('div', {}, this.#summary, this.#grid);
  }

  show({ run, view }: Shown<'filters'>): void {
    this.#grid.hidden = view === null;
    if (view === null) {
      const isOver = run !== null && run.end !== null;
      setText(
        this.#summary,
        isOver
          ? 'This run has no filters of images. A run keeps them if its first layer sees gray or color images, and it trains with the page and a folder of its own.'
          : 'Filters come after the next evaluation, if the first layer sees gray or color images.',
      );
      this.#shown = null;
      return;
    }
    if (view === this.#shown) return;
    this.#shown = view;
    const { step, name, of, filters } = view;
    const [{ height, width, channels }] = filters;
    const count = filters.length === of ? `${of}` : `the first ${filters.length} of ${of}`;
    setText(
      this.#summary,
      `${name} after step ${thousands(step)}: ${count} filters of ${height} × ${width} × ${channels}. ` +
        'Gray is zero, and each filter has a scale of its own.',
    );
    this.#grid.replaceChildren(...filters.map((filter, i) => h('li', {}, canvasOf(filter, `filter ${i}`))));
  }
}
