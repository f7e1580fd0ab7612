/** What a page and its worker send each other. Other messages between them are ignored. */
import * as errors from '../errors.ts';
import type { State } from '../types.ts';
import type { TrainEvent } from '../train/events.ts';
import type { Result } from '../train/train.ts';

/** A worker, or either end of a message channel. */
export interface Port {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: 'message' | 'error' | 'messageerror', listener: (event: Event) => void): void;
  removeEventListener(type: 'message' | 'error' | 'messageerror', listener: (event: Event) => void): void;
  /** Message ports deliver nothing before it is called. */
  start?(): void;
  /** Workers have it. */
  terminate?(): void;
}

/** The operations of a run that a page can call. */
export type Operation =
  | 'checkpoint'
  | 'evaluate'
  | 'freeze'
  | 'pause'
  | 'reschedule'
  | 'resume'
  | 'scale'
  | 'state'
  | 'stop'
  | 'unfreeze'
  | 'write';

export type ToWorker =
  /** Answered by 'ready', because a worker that still loads loses messages. */
  | { readonly type: 'hello' }
  | {
      readonly type: 'start';
      readonly run: string;
      readonly input: unknown;
      readonly resumeFrom: Uint8Array | null;
    }
  | { readonly type: 'abort'; readonly run: string }
  | {
      readonly type: 'call';
      readonly run: string;
      readonly id: number;
      readonly operation: Operation;
      readonly args: readonly unknown[];
    };

export type ToPage =
  | { readonly type: 'ready' }
  | { readonly type: 'events'; readonly run: string; readonly events: readonly TrainEvent[] }
  | { readonly type: 'reply'; readonly run: string; readonly id: number; readonly value: unknown }
  | { readonly type: 'refusal'; readonly run: string; readonly id: number; readonly error: SentError }
  | { readonly type: 'result'; readonly run: string; readonly result: Result }
  | { readonly type: 'failure'; readonly run: string; readonly error: SentError };

/** Marks the messages of this protocol, which other messages of the worker may come between. */
const CHANNEL = 'cyclegrad/worker';

export function post(port: Port, message: ToWorker | ToPage, transfer: ArrayBuffer[] = []): void {
  port.postMessage({ channel: CHANNEL, ...message }, transfer);
}

/** Calls `receive` with the messages of the protocol. Returns a function that ends it. */
export function listen<M extends ToWorker | ToPage>(port: Port, receive: (message: M) => void): () => void {
  const onMessage = (event: Event): void => {
    const { data } = event as MessageEvent<unknown>;
    if (typeof data === 'object' && data !== null && (data as { channel?: unknown }).channel === CHANNEL) {
      receive(data as M);
    }
  };
  port.addEventListener('message', onMessage);
  port.start?.();
  return () => port.removeEventListener('message', onMessage);
}

/** The memory of arrays, to move it instead of copying it. */
export const buffersOf = (state: State): ArrayBuffer[] => [
  ...new Set(
    Object.values(state).flatMap(({ data }) => (data.buffer instanceof ArrayBuffer ? [data.buffer] : [])),
  ),
];

/** An error as plain data: structured cloning drops its class. */
export interface SentError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | null;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly cause: SentError | null;
}

/** The own fields of the errors of the engine. */
const FIELDS = ['path', 'label', 'value', 'element'] as const;

export function encodeError(error: unknown): SentError {
  if (!(error instanceof Error)) {
    return { name: 'Error', message: String(error), stack: null, fields: {}, cause: null };
  }
  const own = error as Error & Readonly<Record<string, unknown>>;
  const fields = FIELDS.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]] as const]));
  const { name, message, stack, cause } = error;
  return {
    name,
    message,
    stack: stack ?? null,
    fields: Object.fromEntries(fields),
    cause: cause === undefined ? null : encodeError(cause),
  };
}

const BUILT_IN = { RangeError, TypeError, EvalError } as const;

export function decodeError({ name, message, stack, fields, cause }: SentError): Error {
  const error = new Error(message, cause === null ? {} : { cause: decodeError(cause) });
  const classes: Readonly<Record<string, { readonly prototype: object }>> = { ...errors, ...BUILT_IN };
  const known = Object.hasOwn(classes, name) ? classes[name] : undefined;
  if (known !== undefined) Object.setPrototypeOf(error, known.prototype);
  const described = { ...fields, name, ...(stack !== null && { stack }) };
  for (const [key, value] of Object.entries(described)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true });
  }
  return error;
}
