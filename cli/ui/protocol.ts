/** What the server and the page send each other. */
import type {
  CheckpointEvent,
  EndEvent,
  EvalEvent,
  NoticeEvent,
  StartEvent,
  StepEvent,
} from '../../engine/index.ts';

/** A step event. With `over`, it is the mean of that many steps, as in events.jsonl. */
export type StepRecord = StepEvent & { readonly over?: number };

/** An event as events.jsonl has it. */
export type PageEvent =
  | StartEvent
  | StepRecord
  | EvalEvent
  | CheckpointEvent
  | NoticeEvent
  | (Omit<EndEvent, 'error'> & { readonly error?: { readonly name: string; readonly message: string } });

/** A run that the page can show. */
export interface RunListing {
  readonly id: string;
  readonly name: string;
  /** Changes when the events of the run do. */
  readonly version: number;
}

/** Where a live run is. */
export interface Status {
  readonly step: number;
  readonly steps: number;
  /** Mean wall time of recent steps in milliseconds, 0 before the first. */
  readonly msPerStep: number;
  readonly examplesPerSecond: number;
  /** Milliseconds since the start of this process's part of the run, without pauses. */
  readonly elapsed: number;
  /** Estimated milliseconds to the end. Null before the first step. */
  readonly left: number | null;
  readonly paused: boolean;
  readonly ended: boolean;
}

/** A call of the page. The names are those of `Calls`. */
export type CallName = keyof Calls;

/** The calls of a live run: arguments and results. */
export interface Calls {
  stop: { args: Record<string, never>; result: null };
  pause: { args: { readonly paused: boolean }; result: null };
  save: { args: Record<string, never>; result: { readonly path: string } };
  /** Replaces the rest of the schedule of the learning rate by one as JSON. */
  schedule: { args: { readonly config: unknown }; result: { readonly step: number } };
  /** Multiplies the learning rate from now on. */
  scale: { args: { readonly factor: number }; result: { readonly step: number } };
}

/** What a page gets from the stream of events. */
export type Message =
  /** The first message of every connection. `calls` is empty for finished runs. */
  | { readonly type: 'hello'; readonly title: string; readonly calls: readonly CallName[] }
  | { readonly type: 'runs'; readonly runs: readonly RunListing[] }
  /** All events of the live run so far. */
  | { readonly type: 'live'; readonly id: string; readonly events: readonly PageEvent[] }
  /** More events of the live run. */
  | { readonly type: 'events'; readonly events: readonly PageEvent[] }
  | { readonly type: 'status'; readonly status: Status }
  /** The server closes. */
  | { readonly type: 'bye' };

/** JSON of a message. Numbers that are not finite become text, as in events.jsonl. */
export const encode = (value: unknown): string =>
  JSON.stringify(value, (_key, one: unknown) =>
    typeof one === 'number' && !Number.isFinite(one) ? String(one) : one,
  );
