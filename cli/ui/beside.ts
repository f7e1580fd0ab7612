/** A live run, with finished runs beside it. */
import type { Folders } from './folders.ts';
import type { LiveRun } from './live-run.ts';
import type { Message, PageEvent, RunListing, ViewName } from './protocol.ts';
import type { Source } from './server.ts';

export class Beside implements Source {
  readonly #live: LiveRun;
  readonly #others: Folders;

  constructor(live: LiveRun, others: Folders) {
    this.#live = live;
    this.#others = others;
  }

  /** Both lists of runs become one, and the greeting is that of the live run. */
  connect(send: (message: Message) => void): () => void {
    const lists: (readonly RunListing[])[] = [[], []];
    const from =
      (at: number) =>
      (message: Message): void => {
        if (message.type === 'runs') {
          lists[at] = message.runs;
          send({ type: 'runs', runs: lists.flat() });
        } else if (at === 0) send(message);
      };
    const disconnect = [this.#live.connect(from(0)), this.#others.connect(from(1))];
    return () => disconnect.forEach((end) => end());
  }

  async read(id: string): Promise<readonly PageEvent[] | null> {
    return (await this.#live.read(id)) ?? this.#others.read(id);
  }

  async view(id: string, name: ViewName): Promise<unknown> {
    return (await this.#live.view(id, name)) ?? this.#others.view(id, name);
  }

  call(name: string, args: unknown): Promise<unknown> {
    return this.#live.call(name, args);
  }
}
