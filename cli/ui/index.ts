/** The public API of the live page. */
export { livePage, type LivePage, type LivePageOptions } from './live-page.ts';
