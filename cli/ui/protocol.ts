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
  /** The views that the run has, besides those of its events. The number changes when the view does. */
  readonly views: ViewVersions;
  readonly command: Command;
}

/** What started a run, which decides how a learning rate is passed: `train`, `train PATH`, or a script. */
export type Command = 'cifar10' | 'images' | 'script';

/** Views of a run besides its events, by name. */
export interface Views {
  readonly predictions: PredictionsView;
  readonly filters: FiltersView;
  readonly range: RangeView;
  readonly profile: ProfileView;
}

export type ViewName = keyof Views;
export type ViewVersions = Readonly<Partial<Record<ViewName, number>>>;

export const VIEW_NAMES: readonly ViewName[] = ['predictions', 'filters', 'range', 'profile'];

/** Pixels, row by row, as base64. */
export interface Picture {
  readonly height: number;
  readonly width: number;
  readonly channels: 1 | 3;
  readonly bytes: string;
}

/** What a model says about an example of the evaluation data. */
export interface Guess {
  /** A path, or the number of the example. */
  readonly name: string;
  /** Null for inputs that are no pictures. */
  readonly picture: Picture | null;
  readonly label: string;
  readonly guess: string;
  /** Of the guess. */
  readonly probability: number;
}

/** Predictions after an evaluation: of the same examples each time, and the wrong ones with the highest probability. */
export interface PredictionsView {
  readonly step: number;
  /** The number of examples that were predicted, of `of` in the evaluation data. */
  readonly examples: number;
  readonly of: number;
  readonly wrong: number;
  readonly same: readonly Guess[];
  readonly mistakes: readonly Guess[];
}

/** The filters of the first layer. */
export interface FiltersView {
  readonly step: number;
  /** The name of the array. */
  readonly name: string;
  /** The number of filters, of which `filters` are the first ones. */
  readonly of: number;
  readonly filters: readonly Picture[];
}

/** A range test of the learning rate. */
export interface RangeView {
  /** The step of the run whose state was swept. */
  readonly step: number;
  readonly from: number;
  readonly to: number;
  readonly sweep: 'linear' | 'exponential';
  readonly end: 'done' | 'diverged' | 'abort';
  readonly rates: readonly number[];
  /** The loss of each batch. The mean of all sweeps, if there are several. */
  readonly losses: readonly number[];
  /** A smooth curve through the losses. Empty if there are too few. */
  readonly trend: { readonly rates: readonly number[]; readonly losses: readonly number[] };
  readonly suggestions: readonly {
    readonly name: string;
    readonly rate: number | null;
    readonly why: string | null;
  }[];
}

/** The time of an update. */
export interface ProfileView {
  readonly step: number;
  readonly runs: number;
  readonly ms: number;
  readonly gflopPerSecond: number;
  readonly rows: readonly {
    readonly op: string;
    readonly path: string;
    readonly ms: number;
    /** GFLOP/s, or GB/s for `bound` memory. */
    readonly rate: number;
    readonly bound: 'compute' | 'memory';
  }[];
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
  /** What the run does for the page in place of a step. Null while it trains. */
  readonly doing: string | null;
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
  /** Sweeps the rate in a copy of the run. */
  range: { args: { readonly from: number; readonly to: number; readonly steps: number }; result: null };
  /** Measures the next update. */
  profile: { args: Record<string, never>; result: null };
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
