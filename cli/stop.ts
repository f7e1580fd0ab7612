/** Ctrl-C: the first one stops the work gracefully, the second one ends the process. */
import { EXIT_CODES, type Host, type StopSignal } from './host.ts';

/**
 * Signals within this time count as one: npm forwards a Ctrl-C that the terminal has already sent to every process of the group.
 */
const SAME_PRESS_MS = 400;

export interface Stop {
  readonly signal: AbortSignal;
  /** The first signal. Null before it. */
  readonly receivedSignal: () => StopSignal | null;
  /** Restores the previous handling of signals. */
  readonly release: () => void;
}

/** Listens for Ctrl-C and SIGTERM. Calls `onFirst` at the first one, to inform the user. */
export function onCtrlC(host: Host, onFirst: () => void, now: () => number = () => performance.now()): Stop {
  const controller = new AbortController();
  let first: StopSignal | null = null;
  let at = 0;
  const release = host.onStop((signal) => {
    if (first === null) {
      first = signal;
      at = now();
      onFirst();
      controller.abort();
    } else if (now() - at > SAME_PRESS_MS) {
      host.quit(EXIT_CODES[signal]);
    }
  });
  return { signal: controller.signal, receivedSignal: () => first, release };
}
