/**
 * The whole boundary between the engine and a backend. A backend sees plans, buffers and bytes: no autograd, no layers,
 * no broadcasting of its own invention. To add one, implement `Driver` (shell.ts), satisfy `KernelTable` and pass the
 * conformance suite.
 */
import type { Attrs } from '../op.ts';
import type { AttrsOf, OpName } from '../ops/primitives/index.ts';
import type { FusedAttrs, FusedName } from '../plan/fusions/index.ts';
import type { KernelName, Plan, Step, StepNote } from '../plan/plan.ts';
import type { HostData, HostTensor, State, TensorType } from '../types.ts';
import type { Report } from './report.ts';

/** Values for one run by name: typed arrays, host tensors, or numbers for scalars. */
export type Feeds = Readonly<Record<string, number | HostData | HostTensor>>;

/** Results of one run by name. */
export type Outputs = Readonly<Record<string, HostTensor>>;

export interface Backend {
  readonly name: string;
  /** The fusions it has kernels for. */
  readonly fusions: ReadonlySet<FusedName>;
  /** How many runs a call of `runMany` is best given; 1 where it is a loop. */
  readonly runsPerCall: number;
  /** Allocates named arrays and fills them. */
  createStore(initial: State): Promise<Store>;
  /** Makes a plan runnable on a store of this backend; several executables may share one store. */
  load(plan: Plan, store: Store): Promise<Executable>;
  /** Ends the backend's workers; it then refuses work with BackendError. Throws BackendError while stores are open. */
  close(): Promise<void>;
}

/** Owns named arrays on one backend. */
export interface Store {
  readonly backend: Backend;
  readonly types: ReadonlyMap<string, TensorType>;
  /** Copies arrays to the host: those named, or all. */
  read(names?: readonly string[]): Promise<State>;
  /** Replaces the contents of existing arrays; shapes and dtypes must agree. All or nothing. */
  write(state: State): Promise<void>;
  /** Throws BackendError while an executable uses the store. */
  close(): Promise<void>;
}

/** How long one step of a plan took. */
export interface StepTime {
  readonly step: Step;
  readonly ms: number;
}

export interface Executable {
  /** Its text has the backend's notes in it. */
  readonly plan: Plan;
  /** Of the steps that there is something to say about: those with a choice of method, and the heavy ones. */
  readonly notes: ReadonlyMap<Step, StepNote>;
  readonly report: Report;
  /** Copies feeds before it returns; runs queue in call order. A run that throws has written no state, unless the backend itself broke. */
  run(feeds: Feeds): Promise<Outputs>;
  /**
   * Every feed has a leading axis of the same length K; equals K runs bit for bit, outputs stacked likewise. The first run
   * that fails ends the call with RunsError: `cause` is its error, `before` has the outputs of the runs before it.
   */
  runMany(feeds: Feeds): Promise<Outputs>;
  /** One run (it writes state like any other) with the time of each step of the plan, in order. */
  profile(feeds: Feeds): Promise<readonly StepTime[]>;
  close(): Promise<void>;
}

/** The attributes of a step of this name. */
export type KernelAttrs<N extends KernelName> = N extends OpName ? AttrsOf<N> : Attrs;

/**
 * One kernel for every name, which gets what the backend calls kernels with and the attributes of its operation: a backend
 * that lacks one does not compile.
 */
export type KernelTable<S> = {
  readonly [N in KernelName]: (context: S & { readonly attrs: KernelAttrs<N> }) => void;
};

/** The same for fused steps. A backend may have kernels for some of them only. */
export type FusedTable<S> = {
  readonly [N in FusedName]: (context: S & { readonly attrs: FusedAttrs<N> }) => void;
};
