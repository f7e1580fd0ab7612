/**
 * The interface between the engine and its backends. A backend handles plans, buffers and bytes. It knows nothing about derivatives and
 * layers. To add a backend, implement `Driver` (shell.ts) and a `KernelTable`, and pass the conformance suite.
 */
import type { Attrs } from '../op.ts';
import type { AttrsOf, OpName } from '../ops/primitives/index.ts';
import type { FusedAttrs, FusedName } from '../plan/fusions/index.ts';
import type { KernelName, Plan, Step, StepNote } from '../plan/plan.ts';
import type { HostData, HostTensor, State, TensorType } from '../types.ts';
import type { Report } from './report.ts';

/** The inputs of one run by name: typed arrays, host tensors, or numbers for scalars. */
export type Feeds = Readonly<Record<string, number | HostData | HostTensor>>;

/** The outputs of one run by name. */
export type Outputs = Readonly<Record<string, HostTensor>>;

/** A device that runs plans. */
export interface Backend {
  /** 'wasm', 'gpu' or 'reference'. */
  readonly name: string;
  /** The fusions that the backend has kernels for. */
  readonly fusions: ReadonlySet<FusedName>;
  /** The best number of runs in a call of `runMany`. 1 if `runMany` is a loop. */
  readonly runsPerCall: number;
  /** Allocates named arrays and fills them. Throws BackendError if the memory is too small. */
  createStore(initial: State): Promise<Store>;
  /** Makes a plan executable on a store of this backend. Several executables may share a store. */
  load(plan: Plan, store: Store): Promise<Executable>;
  /** Ends the workers of the backend. Later calls throw BackendError. Throws BackendError while stores are open. */
  close(): Promise<void>;
}

/** Named arrays on a backend. */
export interface Store {
  readonly backend: Backend;
  /** Shapes and dtypes by name. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Copies arrays to the host. Without names, all arrays. Throws BackendError for an unknown name. */
  read(names?: readonly string[]): Promise<State>;
  /** Replaces the contents of existing arrays. Throws DataError, before anything changes, unless shapes and dtypes match. */
  write(state: State): Promise<void>;
  /** Frees the arrays. Throws BackendError while an executable uses the store. */
  close(): Promise<void>;
}

/** The time of one step of a plan, in milliseconds. */
export interface StepTime {
  readonly step: Step;
  readonly ms: number;
}

/** A plan on a backend. */
export interface Executable {
  /** Its text includes the notes of the backend. */
  readonly plan: Plan;
  /** Notes about steps with a choice of algorithm, and about expensive steps. */
  readonly notes: ReadonlyMap<Step, StepNote>;
  /** How the executable runs. */
  readonly report: Report;
  /**
   * Runs the plan. It copies the feeds before it returns. Runs execute in the order of the calls. A run that throws wrote no state, except
   * if the backend itself failed.
   */
  run(feeds: Feeds): Promise<Outputs>;
  /**
   * K runs in one call, with the same bits as K calls of `run`. Feeds and outputs have an additional first axis of length K. The first
   * run that fails ends the call with RunsError: `cause` is its error, `before` has the outputs of the earlier runs.
   */
  runMany(feeds: Feeds): Promise<Outputs>;
  /** Like `run`, but returns the time of each step, in the order of the plan. */
  profile(feeds: Feeds): Promise<readonly StepTime[]>;
  /** Frees the memory of the executable. */
  close(): Promise<void>;
}

/** The attributes of a step of this name. */
export type KernelAttrs<N extends KernelName> = N extends OpName ? AttrsOf<N> : Attrs;

/**
 * One kernel for every name. A kernel gets a call site of the backend and the attributes of its operation. A backend that lacks a kernel
 * does not compile.
 */
export type KernelTable<S> = {
  readonly [N in KernelName]: (context: S & { readonly attrs: KernelAttrs<N> }) => void;
};

/** The same for fused steps. A backend may have kernels for only some of them. */
export type FusedTable<S> = {
  readonly [N in FusedName]: (context: S & { readonly attrs: FusedAttrs<N> }) => void;
};
