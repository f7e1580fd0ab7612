/** The report of a run as one HTML file. */
import { htmlOfEvents } from '../../engine/train/listeners/html.ts';
import { encode, type PageEvent } from './protocol.ts';

/** Null for a run that has not started. */
export const reportOf = (title: string, events: readonly PageEvent[]): string | null =>
  htmlOfEvents(title, JSON.parse(encode(events)) as Parameters<typeof htmlOfEvents>[1]);
