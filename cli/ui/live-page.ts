/** A page that shows a run while it trains, and can act on it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { RangeTest, Tensor, TrainOptions } from '../../engine/index.ts';
import type { Named, Types } from '../../datasets/index.ts';
import { checkInteger, checkOneOf, checkOptions, checkText, show } from '../../engine/options.ts';
import { readAssets } from './assets.ts';
import { Beside } from './beside.ts';
import { Folders } from './folders.ts';
import { LiveRun } from './live-run.ts';
import type { Command } from './protocol.ts';
import { serve } from './server.ts';
import type { AnyTrainOptions } from './watched.ts';

export interface LivePageOptions {
  /** The port on the loopback interface, 0 to 65535. 0: any free one. Default 0. */
  readonly port?: number;
  /** The title of the page. Default 'run'. */
  readonly title?: string;
  /** Folders of runs to compare with this one, as `report` writes them. Default: none. */
  readonly runs?: readonly string[];
  /** What starts the run, which decides the flags that the page suggests. Default 'script'. */
  readonly command?: 'cifar10' | 'images' | 'script';
}

export interface WatchOptions {
  /** A name for each evaluation example, for instance the path of its file. Default: its number. */
  readonly names?: readonly string[];
}

/** A page of a run. */
export interface LivePage {
  /** The address. It contains a random token, without which the server answers nothing. */
  readonly url: string;
  /**
   * The options of a run, with what the page needs: a callback, a listener and a signal. With `checkpoint`, predictions, filters, the
   * range test and the profile are also kept in the folder `page` of its folder. Throws Error for a second run: a page shows one.
   */
  watch<X extends Types, Y extends Types, O extends Named<Tensor>>(
    options: TrainOptions<X, Y, O>,
    more?: WatchOptions,
  ): TrainOptions<X, Y, O>;
  /** Shows a range test that ran before the run. */
  showRange(test: RangeTest): Promise<void>;
  /** Shows what the program does before the run begins, for instance 'Range test…'. Null: nothing. */
  say(what: string | null): void;
  /** Ends the server. Pages that are open keep what they show. */
  close(): Promise<void>;
}

/**
 * Serves a page on this machine that shows a run while it trains: loss, accuracy, learning rate, speed and the time left. Its buttons
 * stop the run, pause it and save a checkpoint.
 *
 * The server listens on 127.0.0.1 only, and answers only requests with the token of `url`. It does not keep the program running.
 *
 * Throws TypeError or RangeError for invalid options, and Error if the port is not free or a folder of `runs` is not that of a run.
 *
 * @example
 * const page = await livePage({ title: 'triangular' });
 * console.log(page.url);
 * await fit(page.watch({ ...options, eval: { data: test, every: 500 } }));
 * await page.close();
 */
export async function livePage(options: LivePageOptions = {}): Promise<LivePage> {
  const { port, title, runs, command } = checked(options);
  const run = new LiveRun(title, command);
  const others = runs.length === 0 ? null : await Folders.open(runs);
  const source = others === null ? run : new Beside(run, others);
  const { url, close } = await serve({ source, assets: readAssets(), port }).catch((error: unknown) => {
    others?.close();
    throw error;
  });
  let watched = false;
  return {
    url,
    async close() {
      others?.close();
      await close();
    },
    showRange: (test) => run.showRange(test),
    say: (what) => run.say(what),
    watch(given, more = {}) {
      const names = namesIn(more);
      if (watched)
        throw new Error('livePage: the page has a run already (serve another page for another run)');
      watched = true;
      const { callbacks = [], listeners = [] } = given;
      const { callback, listener, signal: own } = run.watch(given as unknown as AnyTrainOptions, names);
      return {
        ...given,
        callbacks: [...callbacks, callback],
        listeners: [...listeners, listener],
        signal: own,
      };
    },
  };
}

const MAX_PORT = 65_535;

function checked(options: LivePageOptions): Required<LivePageOptions> {
  checkOptions('livePage', options, ['port', 'title', 'runs', 'command']);
  const { port = 0, title = 'run', runs = [], command = 'script' } = options;
  checkInteger('livePage', 'port', port, 0, MAX_PORT);
  checkText('livePage', 'title', title);
  checkTexts('livePage', 'runs', runs);
  const missing = runs.find((dir) => !existsSync(join(dir, 'events.jsonl')));
  if (missing !== undefined) {
    throw new Error(
      `livePage: runs: ${missing} is not the folder of a run, because it has no events.jsonl (report writes it)`,
    );
  }
  checkOneOf('livePage', 'command', command, ['cifar10', 'images', 'script'] satisfies Command[]);
  return { port, title, runs, command };
}

function namesIn(options: WatchOptions): readonly string[] {
  checkOptions('livePage: watch', options, ['names']);
  const { names = [] } = options;
  checkTexts('livePage: watch', 'names', names);
  return names;
}

function checkTexts(where: string, name: string, values: unknown): void {
  if (Array.isArray(values) && values.every((value) => typeof value === 'string')) return;
  throw new TypeError(`${where}: ${name} must be an array of texts, got ${show(values)}`);
}
