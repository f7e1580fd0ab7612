/** Handles on the plot of the schedule: buttons that the pointer drags and the arrow keys move. */
import type uPlot from 'uplot';

export interface HandleSpec {
  readonly name: string;
  readonly side: 'cyclical' | 'fixed';
  /** Whether it also moves horizontally. */
  readonly horizontal: boolean;
  place(): { readonly step: number; readonly rate: number } | null;
  /** What a screen reader says. */
  describe(): string;
  move(to: { readonly step: number; readonly rate: number }): void;
  /** One press of an arrow key: factors and steps. */
  nudge(steps: number, factor: number): void;
}

export class Handles {
  readonly #buttons: readonly (readonly [HandleSpec, HTMLButtonElement])[];
  #plot: uPlot | null = null;

  constructor(specs: readonly HandleSpec[], onDragging: (dragging: boolean) => void) {
    this.#buttons = specs.map((spec) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = `handle ${spec.side}`;
      button.setAttribute('role', 'slider');
      button.setAttribute('aria-label', spec.name);
      if (spec.horizontal) button.classList.add('both');
      this.#drag(button, spec, onDragging);
      button.addEventListener('keydown', (event) => {
        const large = event.shiftKey ? 4 : 1;
        const factor = { ArrowUp: 1.05, ArrowDown: 1 / 1.05 }[event.key];
        const steps = { ArrowRight: 2, ArrowLeft: -2 }[event.key];
        if (factor === undefined && (steps === undefined || !spec.horizontal)) return;
        event.preventDefault();
        spec.nudge((steps ?? 0) * large, factor === undefined ? 1 : factor ** large);
      });
      return [spec, button] as const;
    });
  }

  /** Puts the handles onto a plot, after each drawing. */
  place(plot: uPlot): void {
    if (this.#plot !== plot) {
      this.#plot = plot;
      for (const [, button] of this.#buttons) plot.over.append(button);
    }
    for (const [spec, button] of this.#buttons) {
      const place = spec.place();
      button.hidden = place === null;
      if (place === null) continue;
      button.style.left = `${plot.valToPos(place.step, 'x')}px`;
      button.style.top = `${plot.valToPos(place.rate, 'y')}px`;
      button.setAttribute('aria-valuenow', String(Number(place.rate.toPrecision(3))));
      button.setAttribute('aria-valuetext', spec.describe());
    }
  }

  #drag(button: HTMLButtonElement, spec: HandleSpec, onDragging: (dragging: boolean) => void): void {
    button.addEventListener('pointerdown', (down) => {
      if (down.button !== 0) return;
      down.preventDefault();
      down.stopPropagation();
      button.focus();
      button.setPointerCapture(down.pointerId);
      onDragging(true);
      const move = ({ clientX, clientY }: PointerEvent): void => {
        const plot = this.#plot!;
        const { left, top } = plot.over.getBoundingClientRect();
        spec.move({ step: plot.posToVal(clientX - left, 'x'), rate: plot.posToVal(clientY - top, 'y') });
      };
      const end = (): void => {
        button.removeEventListener('pointermove', move);
        button.removeEventListener('pointerup', end);
        button.removeEventListener('pointercancel', end);
        onDragging(false);
      };
      button.addEventListener('pointermove', move);
      button.addEventListener('pointerup', end);
      button.addEventListener('pointercancel', end);
    });
    // uPlot would move its cursor.
    button.addEventListener('mousedown', (event) => event.stopPropagation());
  }
}
