// How the threads of a team meet. The control block is laid out here and read by team.ts on the host side:
// each word that is written by many has a cache line of its own.

// @ts-ignore: decorator
@external("env", "now") export declare function now(): f64;

export const CONTROL_BYTES: i32 = 512; // and SHARE_BYTES for each thread
export const CONTROL_START: i32 = 0; // rises by one to start a run
export const CONTROL_DONE: i32 = 64; // rises by one when a run has ended
const COUNT: i32 = 128; // threads that have arrived at the barrier
const GENERATION: i32 = 192; // barriers passed
const WAITERS: i32 = 256; // threads asleep at the barrier
export const CONTROL_ABORT: i32 = 320; // set by the host when a worker died: everybody leaves
export const CONTROL_SPINS: i32 = 324; // how often to look before sleeping
export const CONTROL_PROGRAM: i32 = 328; // address of the encoded plan
export const CONTROL_THREADS: i32 = 332;
export const CONTROL_TIMES: i32 = 336; // address of f64 time stamps, one a step and one before; 0 for none
export const CONTROL_ERROR: i32 = 384; // code, 0 for none
export const CONTROL_ERROR_STEP: i32 = 388;
export const CONTROL_ERROR_A: i32 = 392; // what was found
export const CONTROL_ERROR_B: i32 = 396; // where
const ERROR_LOCK: i32 = 448;
const SHARES: i32 = 512; // slices taken of each thread's share: in steps with an even number, then in those with an odd one
export const SHARE_BYTES: i32 = 128;

export const ERROR_LABEL: i32 = 1; // A: label, B: row
export const ERROR_INDEX: i32 = 2; // A: index, B: position
export const ERROR_NOT_FINITE: i32 = 3; // A: bits of the value, B: element

/** Sleeping threads look this often whether the team was given up. */
const NAP: i64 = 100_000_000;

/** The thread that this instance of the module runs on. */
let own: i32 = 0;

export function setThread(thread: i32): void {
  own = thread;
}

/** This thread's part of scratch memory, of which each thread has `bytes`. */
// @ts-ignore: decorator
@inline export function scratch(base: usize, bytes: i32): usize {
  return base + <usize>own * <usize>bytes;
}

/** How many slices of a thread's share are taken. */
// @ts-ignore: decorator
@inline function taken(control: usize, thread: i32, step: i32): usize {
  return control + SHARES + <usize>(thread * SHARE_BYTES) + <usize>((step & 1) << 6);
}

/** Before anybody can take of the step: nothing of this thread's share is taken. */
// @ts-ignore: decorator
@inline export function clearShare(control: usize, step: i32): void {
  atomic.store<i32>(taken(control, own, step), 0);
}

/**
 * The next slice of a step, or -1: one of this thread's share, which is the same part of every step, so that it finds in its caches
 * what it wrote; then one of another's. Who takes which does not show in the results.
 */
export function take(control: usize, threads: i32, step: i32, slices: i32): i32 {
  for (let i = 0; i < threads; i++) {
    const thread = own + i < threads ? own + i : own + i - threads;
    const first = share(slices, thread, threads);
    const count = share(slices, thread + 1, threads) - first;
    const word = taken(control, thread, step);
    if (atomic.load<i32>(word) >= count) continue;
    const slice = atomic.add<i32>(word, 1);
    if (slice < count) return first + slice;
  }
  return -1;
}

/** Waits until the word differs from `old`: spins, then sleeps. False when the team was given up. */
export function await_(control: usize, word: usize, old: i32): bool {
  let spins = load<i32>(control + CONTROL_SPINS);
  while (spins-- > 0) {
    if (atomic.load<i32>(word) != old) return true;
  }
  while (atomic.load<i32>(word) == old) {
    if (atomic.load<i32>(control + CONTROL_ABORT) != 0) return false;
    atomic.wait<i32>(word, old, NAP);
  }
  return true;
}

/** Meets the other threads. False when the team was given up. */
export function barrier(control: usize, threads: i32): bool {
  if (threads == 1) return true;
  const generation = control + GENERATION;
  const old = atomic.load<i32>(generation);
  if (atomic.add<i32>(control + COUNT, 1) == threads - 1) {
    atomic.store<i32>(control + COUNT, 0);
    atomic.store<i32>(generation, old + 1);
    // A sleeper counts itself before it looks at the generation once more, so none is missed.
    if (atomic.load<i32>(control + WAITERS) > 0) atomic.notify(generation, -1);
    return true;
  }
  let spins = load<i32>(control + CONTROL_SPINS);
  while (spins-- > 0) {
    if (atomic.load<i32>(generation) != old) return true;
  }
  atomic.add<i32>(control + WAITERS, 1);
  let alive = true;
  while (atomic.load<i32>(generation) == old) {
    if (atomic.load<i32>(control + CONTROL_ABORT) != 0) {
      alive = false;
      break;
    }
    atomic.wait<i32>(generation, old, NAP);
  }
  atomic.sub<i32>(control + WAITERS, 1);
  return alive;
}

/**
 * Records an error of a step, of several the one with the smallest place: which thread came first must not show. The run
 * ends at the barrier after the step.
 */
export function fail(control: usize, step: i32, code: i32, found: i32, where: i32): void {
  while (atomic.cmpxchg<i32>(control + ERROR_LOCK, 0, 1) != 0) {}
  if (load<i32>(control + CONTROL_ERROR) == 0 || where < load<i32>(control + CONTROL_ERROR_B)) {
    store<i32>(control + CONTROL_ERROR_STEP, step);
    store<i32>(control + CONTROL_ERROR_A, found);
    store<i32>(control + CONTROL_ERROR_B, where);
    atomic.store<i32>(control + CONTROL_ERROR, code);
  }
  atomic.store<i32>(control + ERROR_LOCK, 0);
}

/** Where a slice begins when n pieces of work are shared evenly among `slices`. */
// @ts-ignore: decorator
@inline export function share(n: i32, slice: i32, slices: i32): i32 {
  return <i32>((<i64>n * <i64>slice) / <i64>slices);
}
