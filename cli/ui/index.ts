/** The public API of the live page. */
export { livePage, type LivePage, type LivePageOptions, type WatchOptions } from './live-page.ts';
