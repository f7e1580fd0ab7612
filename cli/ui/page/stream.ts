/** The connection to the server. It is renewed after the computer slept, or the server was gone. */
import type { CallName, Calls, Message, PageEvent, ViewName, Views } from '../protocol.ts';

export type Connection = 'connecting' | 'open' | 'lost' | 'closed';

/** Longer than twice the interval of the server's beats. */
const SILENCE_MS = 25_000;
const CHECK_MS = 4000;

export class Stream {
  readonly #onMessage: (message: Message) => void;
  readonly #onConnection: (connection: Connection) => void;
  #source: EventSource | null = null;
  #heard = 0;
  #closed = false;

  constructor(onMessage: (message: Message) => void, onConnection: (connection: Connection) => void) {
    this.#onMessage = onMessage;
    this.#onConnection = onConnection;
    this.#open();
    setInterval(() => this.#check(SILENCE_MS), CHECK_MS);
    // Timers stop while the computer sleeps, so the silence is as long as the sleep.
    addEventListener('online', () => this.#check(0));
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#check(SILENCE_MS / 2);
    });
  }

  #open(): void {
    this.#source?.close();
    this.#heard = performance.now();
    const source = new EventSource('stream');
    this.#source = source;
    const heard = (): void => {
      this.#heard = performance.now();
    };
    source.addEventListener('beat', heard);
    source.addEventListener('open', () => this.#onConnection('open'));
    // The browser tries again by itself, unless the server answered with an error.
    source.addEventListener('error', () => {
      if (!this.#closed) this.#onConnection('lost');
    });
    source.addEventListener('message', ({ data }: MessageEvent<string>) => {
      heard();
      const message = JSON.parse(data) as Message;
      if (message.type === 'bye') {
        this.#closed = true;
        source.close();
        this.#onConnection('closed');
      }
      this.#onMessage(message);
    });
  }

  #check(silence: number): void {
    if (this.#closed) return;
    const isDead = this.#source?.readyState === EventSource.CLOSED;
    if (!isDead && performance.now() - this.#heard <= silence) return;
    this.#onConnection('lost');
    this.#open();
  }
}

/** Executes a call of the server. Throws Error with the server's message. */
export async function call<N extends CallName>(name: N, args: Calls[N]['args']): Promise<Calls[N]['result']> {
  const response = await fetch(`call/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(args),
  });
  if (!response.ok) throw new Error((await response.text()).trim());
  return (await response.json()) as Calls[N]['result'];
}

/** The events of a run. */
export async function eventsOf(id: string): Promise<readonly PageEvent[]> {
  const response = await fetch(`run?id=${encodeURIComponent(id)}`);
  if (!response.ok) throw new Error((await response.text()).trim());
  return (await response.json()) as readonly PageEvent[];
}

/** A view of a run. Null if there is none. */
export async function viewOf<N extends ViewName>(id: string, name: N): Promise<Views[N] | null> {
  const response = await fetch(`view?id=${encodeURIComponent(id)}&name=${name}`);
  if (!response.ok) throw new Error((await response.text()).trim());
  return (await response.json()) as Views[N] | null;
}
