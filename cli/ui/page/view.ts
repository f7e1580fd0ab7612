/** What the views besides the curves have in common. */
import type { CallName, ViewName, Views } from '../protocol.ts';
import type { Run } from './run.ts';

/** What a view shows. */
export interface Shown<N extends ViewName> {
  readonly run: Run | null;
  readonly view: Views[N] | null;
  /** Whether the run trains here, so that the page can act on it. */
  readonly can: (name: CallName) => boolean;
}

export interface View<N extends ViewName> {
  readonly element: HTMLElement;
  show(shown: Shown<N>): void;
}
