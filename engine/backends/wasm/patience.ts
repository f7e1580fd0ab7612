/** Deadlines for worker threads, which a suspended process or a busy machine must not miss. */

/** How long the host waits for its workers, in ticks of its own event loop. */
export interface Patience {
  /** The time between two ticks in milliseconds. */
  readonly tick: number;
  /** Ticks until all workers must have started. */
  readonly start: number;
  /** Ticks of a run during which no thread arrives at a barrier or takes a part of a kernel. */
  readonly run: number;
}

/** One minute for the start. Five minutes without progress in a run: one part of a kernel takes milliseconds to seconds. */
export const PATIENCE: Patience = { tick: 1000, start: 60, run: 300 };

/**
 * Calls `onEnd` after `ticks` more ticks without a change of `progress()`. Only ticks count, not time: a process that is suspended, or whose
 * thread does not run, has no ticks. Returns a function that ends the watch.
 */
export function watch(tick: number, ticks: number, progress: () => number, onEnd: () => void): () => void {
  let last = NaN; // the first tick counts as progress
  let quiet = 0;
  const timer = setInterval(() => {
    const now = progress();
    quiet = now === last ? quiet + 1 : 0;
    last = now;
    if (quiet < ticks) return;
    clearInterval(timer);
    onEnd();
  }, tick);
  return () => clearInterval(timer);
}
