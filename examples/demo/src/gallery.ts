/** Test pictures with what both networks take them for. */
import { SIDES, type Side } from './contest.ts';
import { drawPicture, element } from './dom.ts';
import { BYTES, SIZE } from './pictures.ts';
import type { Guesses, Sample } from './train.worker.ts';

interface Card {
  readonly label: number;
  readonly guesses: Readonly<Record<Side, HTMLElement>>;
}

export class Gallery {
  readonly #host: HTMLElement;
  readonly #text: HTMLElement;
  #cards: readonly Card[] = [];
  #classes: readonly string[] = [];
  #key = '';
  readonly #right: Partial<Record<Side, number>> = {};

  constructor(host: HTMLElement, text: HTMLElement) {
    this.#host = host;
    this.#text = text;
  }

  /** Shows the pictures, unless they are shown already. */
  show({ classes, pixels, labels }: Sample): void {
    const key = JSON.stringify([classes, labels, pixels.length, pixels[0], pixels[pixels.length >> 1]]);
    if (key === this.#key) return;
    this.#key = key;
    this.#classes = classes;
    this.#cards = labels.map((label, i) => {
      const canvas = element('canvas', { title: classes[label] });
      drawPicture(canvas, pixels.subarray(i * BYTES, (i + 1) * BYTES), SIZE);
      canvas.setAttribute('role', 'img');
      canvas.setAttribute('aria-label', classes[label]);
      const guesses = Object.fromEntries(
        SIDES.map((side) => [side, element('span', { className: `guess ${side}`, textContent: '–' })]),
      ) as Record<Side, HTMLElement>;
      const truth = element('strong', { textContent: classes[label] });
      this.#host.append(element('li', {}, canvas, truth, guesses.cyclical, guesses.fixed));
      return { label, guesses };
    });
    this.#host.replaceChildren(...[...this.#host.children].slice(-labels.length));
    this.clear();
  }

  guess(side: Side, { classes, sure }: Guesses): void {
    let right = 0;
    this.#cards.forEach(({ label, guesses }, i) => {
      const isRight = classes[i] === label;
      if (isRight) right++;
      const guess = guesses[side];
      guess.textContent = this.#classes[classes[i]] ?? '?';
      guess.title = `${Math.round(100 * sure[i])}% sure`;
      guess.classList.toggle('right', isRight);
      guess.classList.toggle('wrong', !isRight);
    });
    this.#right[side] = right;
    const { cyclical, fixed } = this.#right;
    if (cyclical === undefined || fixed === undefined) return;
    this.#text.textContent = `right: cyclical ${cyclical}, fixed ${fixed} of ${this.#cards.length}`;
  }

  clear(): void {
    for (const { guesses } of this.#cards) {
      for (const side of SIDES)
        Object.assign(guesses[side], { textContent: '–', className: `guess ${side}` });
    }
    delete this.#right.cyclical;
    delete this.#right.fixed;
    this.#text.textContent =
      this.#cards.length === 0 ? 'They appear when training starts.' : 'not seen in training';
  }
}
