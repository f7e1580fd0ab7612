/** The events of a run, sorted for the charts. */
import type { PageEvent, StepRecord } from '../protocol.ts';

type Of<T extends PageEvent['type']> = Extract<PageEvent, { type: T }>;

export class Run {
  readonly id: string;
  readonly name: string;
  start: Of<'start'> | null = null;
  end: Of<'end'> | null = null;
  steps: StepRecord[] = [];
  evals: Of<'eval'>[] = [];
  log: PageEvent[] = [];
  /** Steps of a live run, of which the last record may know fewer. */
  now: number | null = null;

  constructor(id: string, name: string, events: readonly PageEvent[] = []) {
    this.id = id;
    this.name = name;
    this.take(events);
  }

  take(events: readonly PageEvent[]): void {
    for (const event of events) {
      if (event.type === 'start') {
        this.start = event;
        this.end = null;
        // A log may contain several runs, of which the last one counts. A resumed run has a start of its own.
        if (event.step === 0) [this.steps, this.evals, this.log] = [[], [], []];
      } else if (event.type === 'end') {
        this.end = event;
      }
      if (event.type === 'step') {
        this.steps.push(event);
      } else {
        if (event.type === 'eval') {
          // A resumed run may repeat the evaluation at its first step.
          if (this.evals.at(-1)?.step === event.step) this.evals.pop();
          this.evals.push(event);
        }
        this.log.push(event);
      }
    }
  }

  /** Steps done. */
  get step(): number {
    return this.now ?? this.end?.step ?? (this.steps.at(-1)?.step ?? -1) + 1;
  }

  get hasAccuracy(): boolean {
    return [...this.evals, ...this.steps.slice(-1)].some(({ metrics }) => 'accuracy' in metrics);
  }

  /** The evaluation with the highest accuracy, or with the lowest loss. */
  get best(): Of<'eval'> | null {
    const score = ({ loss, metrics }: Of<'eval'>): number => Number(metrics['accuracy'] ?? -loss);
    return this.evals.reduce<Of<'eval'> | null>(
      (top, one) => (top === null || score(one) > score(top) ? one : top),
      null,
    );
  }
}

/** Centered means over about `window` steps, weighted by the number of steps of each record. */
export function smooth(
  records: readonly StepRecord[],
  window: number,
  of: (record: StepRecord) => number,
): number[] {
  let [first, end] = [0, 0];
  return records.map(({ step }) => {
    while (end < records.length && records[end].step <= step + window / 2) end++;
    while (records[first].step < step - window / 2) first++;
    const near = records.slice(first, end);
    const steps = near.reduce((sum, { over = 1 }) => sum + over, 0);
    return near.reduce((sum, record) => sum + of(record) * (record.over ?? 1), 0) / steps;
  });
}
