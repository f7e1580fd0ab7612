/** A page that shows a run while it trains, and can act on it. */
import type { Tensor, TrainOptions } from '../../engine/index.ts';
import type { Named, Types } from '../../datasets/index.ts';
import { checkInteger, checkOptions, checkText } from '../../engine/options.ts';
import { readAssets } from './assets.ts';
import { LiveRun } from './live-run.ts';
import { serve } from './server.ts';

export interface LivePageOptions {
  /** The port on the loopback interface, 0 to 65535. 0: any free one. Default 0. */
  readonly port?: number;
  /** The title of the page. Default 'run'. */
  readonly title?: string;
}

/** A page of a run. */
export interface LivePage {
  /** The address. It contains a random token, without which the server answers nothing. */
  readonly url: string;
  /**
   * The options of a run, with what the page needs: a callback, a listener and a signal. Throws Error for a second run: a page shows
   * one.
   */
  watch<X extends Types, Y extends Types, O extends Named<Tensor>>(
    options: TrainOptions<X, Y, O>,
  ): TrainOptions<X, Y, O>;
  /** Ends the server. Pages that are open keep what they show. */
  close(): Promise<void>;
}

/**
 * Serves a page on this machine that shows a run while it trains: loss, accuracy, learning rate, speed and the time left. Its buttons
 * stop the run, pause it and save a checkpoint.
 *
 * The server listens on 127.0.0.1 only, and answers only requests with the token of `url`. It does not keep the program running.
 *
 * Throws TypeError or RangeError for invalid options, and Error if the port is not free.
 *
 * @example
 * const page = await livePage({ title: 'triangular' });
 * console.log(page.url);
 * await fit(page.watch({ ...options, eval: { data: test, every: 500 } }));
 * await page.close();
 */
export async function livePage(options: LivePageOptions = {}): Promise<LivePage> {
  const { port, title } = checked(options);
  const run = new LiveRun(title);
  const { url, close } = await serve({ source: run, assets: readAssets(), port });
  let watched = false;
  return {
    url,
    close,
    watch(given) {
      if (watched)
        throw new Error('livePage: the page has a run already (serve another page for another run)');
      watched = true;
      const { callbacks = [], listeners = [], signal, checkpoint } = given;
      const { callback, listener, signal: own } = run.parts(signal, checkpoint !== undefined);
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
  checkOptions('livePage', options, ['port', 'title']);
  const { port = 0, title = 'run' } = options;
  checkInteger('livePage', 'port', port, 0, MAX_PORT);
  checkText('livePage', 'title', title);
  return { port, title };
}
