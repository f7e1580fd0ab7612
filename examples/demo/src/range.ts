/** The range test: its plot and its suggestion. */
import type uPlot from 'uplot';
import { threadsFor } from './contest.ts';
import { byId, showRate } from './dom.ts';
import { colors, Plot } from './plots.ts';
import type { Source } from './pictures.ts';
import type { RangeInput, RangeMessage } from './range.worker.ts';
import { RANGE_STEPS } from './schedule.ts';

export interface Bounds {
  readonly base: number;
  readonly max: number;
}

export class RangePanel {
  readonly #panel = byId('range-panel');
  readonly #text = byId('range-text');
  readonly #use = byId<HTMLButtonElement>('range-use');
  #plot: Plot | null = null;
  #worker: Worker | null = null;
  #bounds: Bounds | null = null;
  #rates: number[] = [];
  #losses: number[] = [];

  constructor(onUse: (bounds: Bounds) => void) {
    byId('range-close').addEventListener('click', () => this.close());
    this.#use.addEventListener('click', () => {
      if (this.#bounds !== null) onUse(this.#bounds);
    });
  }

  start(source: Source, seed: number): void {
    this.close();
    this.#panel.hidden = false;
    [this.#rates, this.#losses] = [[], []];
    this.#plot ??= new Plot(() => this.#spec());
    this.#show();
    this.#say('Loading…');
    this.#panel.scrollIntoView({ block: 'nearest' });
    const worker = new Worker(new URL('./range.worker.ts', import.meta.url), { type: 'module' });
    this.#worker = worker;
    worker.addEventListener('message', ({ data }: MessageEvent<RangeMessage>) => this.#receive(data));
    worker.addEventListener('error', ({ message }) => this.#say(`The range test failed: ${message}`));
    const input: RangeInput = { source, seed, threads: threadsFor(1) };
    worker.postMessage(input);
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = null;
    this.#bounds = null;
    this.#use.hidden = true;
    this.#panel.hidden = true;
  }

  restyle(): void {
    this.#plot?.restyle();
  }

  #receive(message: RangeMessage): void {
    switch (message.type) {
      case 'point':
        this.#rates.push(message.lr);
        this.#losses.push(message.loss);
        this.#say(`Step ${this.#rates.length} of ${RANGE_STEPS}, rate ${showRate(message.lr)}`);
        if (this.#rates.length % 3 === 0) this.#show();
        return;
      case 'done': {
        const { base, max, why } = message;
        [this.#rates, this.#losses] = [[...message.rates], [...message.losses]];
        if (base !== null && max !== null) {
          this.#bounds = { base, max };
          this.#use.hidden = false;
          this.#say(
            `The loss is lowest at ${showRate(max)}. Suggested bounds: ${showRate(base)} to ${showRate(max)}.`,
          );
        } else {
          this.#say(`The curve gives no bounds: ${why ?? 'the loss does not fall'}.`);
        }
        this.#worker?.terminate();
        this.#worker = null;
        return this.#show();
      }
      case 'failed':
        return this.#say(`The range test failed: ${message.message}`);
    }
  }

  #say(text: string): void {
    this.#text.textContent = text;
  }

  #show(): void {
    this.#plot?.show([this.#rates.length > 0 ? this.#rates : [1e-4, 1], this.#losses]);
  }

  #spec() {
    const { cyclical } = colors();
    return {
      host: byId('plot-range'),
      height: 220,
      steps: RANGE_STEPS,
      logarithmic: true,
      series: [{ stroke: cyclical, width: 2, points: { show: false } }],
      range: (min: number, max: number): [number, number] => {
        // A loss that diverges would hide the rest.
        const top = Math.min(max ?? 3, 2 * (this.#losses[0] ?? 3));
        return [0.9 * Math.min(min ?? 0, top), 1.05 * top];
      },
      format: (value: number) => String(Number(value.toPrecision(3))),
      behind: (plot: uPlot) => {
        if (this.#bounds === null) return;
        const { base, max } = this.#bounds;
        const [left, right] = [base, max].map((rate) => plot.valToPos(rate, 'x', true));
        plot.ctx.fillStyle = colors().band;
        plot.ctx.fillRect(left, plot.bbox.top, right - left, plot.bbox.height);
      },
    };
  }
}
