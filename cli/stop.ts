/** Signals to stop: the first one stops the work gracefully, the second one ends the process. */
import type { Host, StopSignal } from './host.ts';

/**
 * The same signal within this time counts as one: npm forwards a Ctrl-C that the terminal has already sent to every process of the
 * group.
 */
const SAME_PRESS_MS = 400;
/** The time to stop. Work that cannot stop, for instance because a file system does not answer, is then ended. */
const PATIENCE_MS = 15_000;

export interface Stop {
  readonly signal: AbortSignal;
  /** The first signal. Null before it. */
  readonly receivedSignal: () => StopSignal | null;
  /** Restores the previous handling of signals. */
  readonly release: () => void;
}

export interface StopOptions {
  /** Called at the first signal, to inform the user. */
  readonly onFirst: () => void;
  /** The time to stop in milliseconds, read at the first signal. Default: 15 s. */
  readonly patience?: () => number;
  /** Returns the time in milliseconds, for tests. Default: `performance.now`. */
  readonly now?: () => number;
}

/** Listens for Ctrl-C, SIGTERM and SIGHUP until it is released. */
export function onStopSignal(
  host: Host,
  { onFirst, patience = () => PATIENCE_MS, now = () => performance.now() }: StopOptions,
): Stop {
  const controller = new AbortController();
  let first: StopSignal | null = null;
  let at = 0;
  let timer: NodeJS.Timeout | undefined;
  const off = host.onStop((signal) => {
    if (first === null) {
      first = signal;
      at = now();
      const ms = Math.max(PATIENCE_MS, patience());
      timer = setTimeout(() => {
        host.stderr.write(`error: not stopped within ${Math.round(ms / 1000)} s: quitting without saving\n`);
        host.quit(signal);
      }, ms);
      timer.unref();
      onFirst();
      controller.abort();
    } else if (signal !== first || now() - at > SAME_PRESS_MS) {
      host.quit(signal);
    }
  });
  const release = (): void => {
    clearTimeout(timer);
    off();
  };
  return { signal: controller.signal, receivedSignal: () => first, release };
}
