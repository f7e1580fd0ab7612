/** The events of a live run, as events.jsonl has them: about a thousand records of steps, however many steps there are. */
import type { StartEvent, StepEvent, TrainEvent } from '../../engine/index.ts';
import type { PageEvent, StepRecord } from './protocol.ts';

/** More than a chart has pixels. */
const RECORDS = 1000;

export class History {
  readonly events: PageEvent[] = [];
  #start: StartEvent | null = null;
  #pending: StepEvent[] = [];

  /** Takes an event and returns what is new. */
  take(event: TrainEvent): readonly PageEvent[] {
    if (event.type === 'start') this.#start = event;
    const added: PageEvent[] = [];
    if (event.type === 'step') {
      this.#pending.push(event);
      const every = Math.max(1, Math.ceil((this.#start?.steps ?? 0) / RECORDS));
      if ((event.step + 1) % every === 0) added.push(...this.#record());
    } else {
      // The record of the steps before an evaluation comes before it.
      if (event.type !== 'notice') added.push(...this.#record());
      added.push(event.type === 'end' ? withoutStack(event) : event);
    }
    this.events.push(...added);
    return added;
  }

  #record(): readonly StepRecord[] {
    const last = this.#pending.at(-1);
    if (last === undefined) return [];
    const over = this.#pending.length;
    const mean = (of: (event: StepEvent) => number): number =>
      this.#pending.reduce((sum, event) => sum + of(event), 0) / over;
    const metrics = Object.keys(last.metrics).map(
      (name) => [name, mean((event) => event.metrics[name] ?? NaN)] as const,
    );
    const record: StepRecord = {
      ...last,
      loss: mean(({ loss }) => loss),
      metrics: Object.fromEntries(metrics),
      ms: mean(({ ms }) => ms),
      over,
    };
    this.#pending = [];
    return [record];
  }
}

/** The end of a run, with the name and the message of its error. */
function withoutStack({ error, ...end }: Extract<TrainEvent, { type: 'end' }>): PageEvent {
  return error === undefined ? end : { ...end, error: describe(error) };
}

const describe = (error: unknown): { readonly name: string; readonly message: string } =>
  error instanceof Error
    ? { name: error.name, message: error.message }
    : { name: typeof error, message: String(error) };
