/** Two bounds on the rates of a chart: buttons that the pointer drags and the arrow keys move. */
import type uPlot from 'uplot';
import { cssVariable, h } from './dom.ts';
import { short } from './format.ts';

export interface Bounds {
  readonly base: number;
  readonly max: number;
}

const NAMES = { base: 'Lower bound', max: 'Upper bound' } as const;
type Side = keyof typeof NAMES;
const SIDES: readonly Side[] = ['base', 'max'];

/** Factors of the keys. */
const KEYS: Readonly<Record<string, number>> = {
  ArrowRight: 1.05,
  ArrowUp: 1.05,
  ArrowLeft: 1 / 1.05,
  ArrowDown: 1 / 1.05,
  PageUp: 2,
  PageDown: 0.5,
};

export class BoundHandles {
  bounds: Bounds = { base: 0, max: 0 };
  readonly #handles: Readonly<Record<Side, HTMLButtonElement>>;
  readonly #onMove: (bounds: Bounds) => void;
  #plot: uPlot | null = null;

  constructor(onMove: (bounds: Bounds) => void) {
    this.#onMove = onMove;
    this.#handles = { base: this.#handle('base'), max: this.#handle('max') };
  }

  /** Draws the band between the bounds, and puts the handles on it. */
  draw(plot: uPlot): void {
    if (this.#plot !== plot) {
      this.#plot = plot;
      plot.over.append(...SIDES.map((side) => this.#handles[side]));
    }
    const { base, max } = this.bounds;
    const { ctx, bbox } = plot;
    const [left, right] = [plot.valToPos(base, 'x', true), plot.valToPos(max, 'x', true)];
    ctx.save();
    ctx.globalAlpha = 0.14;
    ctx.fillStyle = cssVariable('--blue');
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.restore();
    const [lowest, highest] = this.#limits();
    for (const side of SIDES) {
      const handle = this.#handles[side];
      const value = this.bounds[side];
      handle.style.left = `${plot.valToPos(value, 'x')}px`;
      handle.style.top = side === 'base' ? '75%' : '25%';
      handle.setAttribute('aria-valuemin', String(lowest));
      handle.setAttribute('aria-valuemax', String(highest));
      handle.setAttribute('aria-valuenow', String(value));
      handle.setAttribute('aria-valuetext', short(value));
    }
  }

  #limits(): readonly [number, number] {
    const { min, max } = this.#plot!.scales['x'];
    return [min ?? 0, max ?? 1];
  }

  /** Moves a bound. It stays within the chart, and below or above the other one. */
  #move(side: Side, to: number): void {
    const [lowest, highest] = this.#limits();
    const { base, max } = this.bounds;
    const [from, until] = side === 'base' ? [lowest, max] : [base, highest];
    const value = Number(Math.min(until, Math.max(from, to)).toPrecision(3));
    this.#onMove(side === 'base' ? { base: value, max } : { base, max: value });
  }

  #handle(side: Side): HTMLButtonElement {
    const handle = h('button', {
      type: 'button',
      class: `handle ${side}`,
      role: 'slider',
      'aria-label': NAMES[side],
      title: NAMES[side],
    });
    handle.addEventListener('keydown', (event) => {
      const factor = KEYS[event.key];
      const isEnd = event.key === 'Home' || event.key === 'End';
      if (factor === undefined && !isEnd) return;
      event.preventDefault();
      event.stopPropagation();
      const [lowest, highest] = this.#limits();
      if (isEnd) this.#move(side, event.key === 'Home' ? lowest : highest);
      else this.#move(side, this.bounds[side] * factor ** (event.shiftKey ? 5 : 1));
    });
    handle.addEventListener('pointerdown', (down) => {
      if (down.button !== 0) return;
      down.preventDefault();
      down.stopPropagation();
      handle.focus();
      handle.setPointerCapture(down.pointerId);
      const move = ({ clientX }: PointerEvent): void => {
        const plot = this.#plot!;
        this.#move(side, plot.posToVal(clientX - plot.over.getBoundingClientRect().left, 'x'));
      };
      const end = (): void => {
        handle.removeEventListener('pointermove', move);
        handle.removeEventListener('pointerup', end);
        handle.removeEventListener('pointercancel', end);
      };
      handle.addEventListener('pointermove', move);
      handle.addEventListener('pointerup', end);
      handle.addEventListener('pointercancel', end);
    });
    // uPlot would begin to select a range.
    handle.addEventListener('mousedown', (event) => event.stopPropagation());
    return handle;
  }
}
