/** Notes on how the wasm backend computes the steps of a plan. */
import type { StepNote } from '../../plan/plan.ts';

/** The number of threads for which notes say how evenly work is shared. */
export const NOTED_THREADS = 16;

export class WasmNote implements StepNote {
  readonly method: string;
  /** The most work that one of `NOTED_THREADS` threads gets, relative to the mean. */
  readonly largestShare: number;

  constructor(method: string, share: number) {
    this.method = method;
    this.largestShare = share;
  }

  toString(): string {
    const share = `largest share of ${NOTED_THREADS} threads ${this.largestShare.toFixed(2)} × the mean`;
    return this.method === '' ? share : `${this.method}; ${share}`;
  }
}

/** The largest share when each thread takes the next slice as it becomes free. */
export function largestShare(tasks: number, slices: number): number {
  const loads = Array.from({ length: NOTED_THREADS }, () => 0);
  for (let slice = 0; slice < slices; slice++) {
    const count = Math.floor((tasks * (slice + 1)) / slices) - Math.floor((tasks * slice) / slices);
    loads[loads.indexOf(Math.min(...loads))] += count;
  }
  return (Math.max(...loads) * NOTED_THREADS) / Math.max(tasks, 1);
}
