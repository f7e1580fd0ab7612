/** The view of what happened: evaluations, checkpoints, notices. */
import type { PageEvent } from '../protocol.ts';
import { h } from './dom.ts';
import { duration, percent, short, thousands } from './format.ts';
import type { Run } from './run.ts';

/** The text of an event. */
function describe(event: PageEvent): string {
  switch (event.type) {
    case 'start':
      return (
        `${event.step > 0 ? `resumed at step ${event.step}` : 'started'}: ${thousands(event.steps)} steps, batch ${event.batchSize}, ` +
        `seed ${event.seed}, ${event.report.backend}, ${event.report.threads} thread${event.report.threads === 1 ? '' : 's'}`
      );
    case 'eval': {
      const metrics = Object.entries(event.metrics).map(
        ([name, value]) => `${name} ${name === 'accuracy' ? percent(value) : short(value)}`,
      );
      return [`loss ${short(event.loss)}`, ...metrics].join(', ');
    }
    case 'checkpoint':
      return `saved ${event.path}`;
    case 'notice':
      return event.message;
    case 'end': {
      const what = event.error === undefined ? (event.stopped ?? event.reason) : event.error.message;
      return `${event.reason === 'error' ? 'error' : 'end'}: ${what}, after ${duration(event.ms)}`;
    }
    case 'step':
      return short(event.loss);
  }
}

/** More rows would slow the page down. The file of the run has them all. */
const MOST = 500;

export class Log {
  readonly element: HTMLElement;
  readonly #body: HTMLElement;
  #shown = -1;
  #run: Run | null = null;

  constructor() {
    this.#body = h('tbody');
    this.element = h(
      'div',
      { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Log' },
      h(
        'table',
        { class: 'log' },
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            h('th', { scope: 'col' }, 'step'),
            h('th', { scope: 'col' }, 'what'),
            h('th', { scope: 'col' }, ''),
          ),
        ),
        this.#body,
      ),
    );
  }

  /** The last event comes first. */
  show(run: Run | null): void {
    const log = run?.log ?? [];
    if (run === this.#run && log.length === this.#shown) return;
    [this.#run, this.#shown] = [run, log.length];
    this.#body.replaceChildren(
      ...log
        .slice(-MOST)
        .toReversed()
        .map((event) =>
          h(
            'tr',
            { class: event.type },
            h('td', { class: 'number' }, String(event.step)),
            h('td', { class: 'kind' }, event.type),
            h('td', {}, describe(event)),
          ),
        ),
    );
  }
}
