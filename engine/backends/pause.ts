/** Gives other work of the thread its turn while a backend computes on it: timers, signals, painting, clicks. */

/**
 * Resolves after other work that is ready has run. A timer of a browser would take at least 4 ms, and scheduler.yield() returns before
 * timers and messages that wait.
 */
function pause(): Promise<void> {
  if (typeof globalThis.setImmediate === 'function') return new Promise((resolve) => setImmediate(resolve));
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.addEventListener('message', () => {
      port1.close();
      resolve();
    });
    port1.start();
    port2.postMessage(null);
  });
}

/** The longest time in milliseconds that `Pacer` computes without a pause: a frame of 60 Hz. */
const FRAME = 16;

/** Pauses when the last pause was a frame ago. */
export class Pacer {
  #last = performance.now();

  async pause(): Promise<void> {
    if (performance.now() - this.#last < FRAME) return;
    await pause();
    this.#last = performance.now();
  }
}
