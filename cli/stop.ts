/** Ctrl-C: the first one asks the work to end in good order, the second one ends the process. */
import { EXIT_CODES, type Host, type StopSignal } from './host.ts';

/**
 * Signals closer together than this are one wish: npm passes on a Ctrl-C that the terminal has already sent to every
 * process of the group.
 */
const SAME_PRESS_MS = 400;

export interface Stop {
  readonly signal: AbortSignal;
  /** The signal that asked to stop; null while nobody has. */
  readonly asked: () => StopSignal | null;
  /** Back to how signals were handled before. */
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
  return { signal: controller.signal, asked: () => first, release };
}
