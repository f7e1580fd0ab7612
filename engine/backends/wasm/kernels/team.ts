// How the threads of a team meet. The control block is laid out here and read by team.ts on the host side:
// each word that is written by many has a cache line of its own.
//
// No thread waits inside WebAssembly: threads sleep in JavaScript. The baseline compiler of V8 11 (Node 20) loses local
// variables that live across an atomic wait, so that a thread whose wait timed out left the barrier before the others arrived.

import { Scratch } from "./calls.generated";

// @ts-ignore: decorator
@external("env", "now") export declare function now(): f64;

/** Sleeps while the word holds `value`, for `microseconds` at most. May return earlier. */
// @ts-ignore: decorator
@external("env", "sleep") declare function sleep(word: usize, value: i32, microseconds: i32): void;

export const CONTROL_BYTES: i32 = 512; // and SHARE_BYTES for each thread
export const CONTROL_START: i32 = 0; // rises by one to start a run
export const CONTROL_DONE: i32 = 64; // rises by one when a run has ended
export const CONTROL_ARRIVED: i32 = 128; // threads that have arrived at the barrier
export const CONTROL_GENERATION: i32 = 192; // barriers at which all have arrived
const SLEEPERS: i32 = 256; // threads asleep at the barrier
export const CONTROL_ABORT: i32 = 320; // set by the host when a worker died: everybody leaves
export const CONTROL_SPINS: i32 = 324; // how often to look before sleeping
export const CONTROL_PROGRAM: i32 = 328; // address of the encoded plan
export const CONTROL_THREADS: i32 = 332;
export const CONTROL_TIMES: i32 = 336; // address of f64 time stamps, one a step and one before; 0 for none
export const CONTROL_NAP: i32 = 340; // the longest sleep in microseconds, after which a thread checks CONTROL_ABORT
export const CONTROL_ERROR: i32 = 384; // code, 0 for none
export const CONTROL_ERROR_STEP: i32 = 388;
export const CONTROL_ERROR_A: i32 = 392; // what was found
export const CONTROL_ERROR_B: i32 = 396; // where
const ERROR_LOCK: i32 = 448;
export const CONTROL_SHARES: i32 = 512; // SHARE_BYTES for each thread
/** Slices taken of the thread's share: in even steps here, in odd steps on the next cache line. */
const SHARE_TAKEN: i32 = 0;
export const SHARE_ARRIVALS: i32 = 128; // barriers at which the thread has arrived
export const SHARE_BYTES: i32 = 192;

export const ERROR_LABEL: i32 = 1; // A: label, B: row
export const ERROR_INDEX: i32 = 2; // A: index, B: position
export const ERROR_NOT_FINITE: i32 = 3; // A: bits of the value, B: element

/** The thread that this instance of the module runs on. */
let own: i32 = 0;
/** Its control block, and the step of the plan that it is at: where an error is recorded. */
let ownControl: usize = 0;
let ownStep: i32 = 0;

export function setThread(control: usize, thread: i32): void {
  ownControl = control;
  own = thread;
}

export function setStep(step: i32): void {
  ownStep = step;
}

/** This thread's part of scratch memory, of which each thread has `bytes`. */
// @ts-ignore: decorator
@inline export function scratch(base: usize, bytes: i32): usize {
  return base + <usize>own * <usize>bytes;
}

/** The same of the words of a call. */
// @ts-ignore: decorator
@inline export function ownScratch(all: Scratch): usize {
  return scratch(all.base, all.bytes);
}

/** Address of the words of a thread. */
// @ts-ignore: decorator
@inline function shareOf(control: usize, thread: i32): usize {
  return control + CONTROL_SHARES + <usize>(thread * SHARE_BYTES);
}

/** Address of the number of slices taken of a thread's share. */
// @ts-ignore: decorator
@inline function taken(control: usize, thread: i32, step: i32): usize {
  return shareOf(control, thread) + SHARE_TAKEN + <usize>((step & 1) << 6);
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
    const first = firstTask(slices, thread, threads);
    const count = firstTask(slices, thread + 1, threads) - first;
    const word = taken(control, thread, step);
    if (atomic.load<i32>(word) >= count) continue;
    const slice = atomic.add<i32>(word, 1);
    if (slice < count) return first + slice;
  }
  return -1;
}

/** Looks at the word until it differs from `old`. False when it still holds it after the team's number of spins. */
// @ts-ignore: decorator
@inline function spin(control: usize, word: usize, old: i32): bool {
  for (let spins = load<i32>(control + CONTROL_SPINS); spins > 0; spins--) {
    if (atomic.load<i32>(word) != old) return true;
  }
  return false;
}

/** Sleeps until the word differs from `old`. False when the team was given up. */
function sleepUntilChanged(control: usize, word: usize, old: i32): bool {
  while (atomic.load<i32>(word) == old) {
    if (atomic.load<i32>(control + CONTROL_ABORT) != 0) return false;
    sleep(word, old, load<i32>(control + CONTROL_NAP));
  }
  return true;
}

/** Waits until the host has started run number `seen` + 1. False when the team was given up. */
export function awaitStart(control: usize, seen: i32): bool {
  const start = control + CONTROL_START;
  return spin(control, start, seen) || sleepUntilChanged(control, start, seen);
}

/** Meets the other threads. False when the team was given up. */
export function barrier(control: usize, threads: i32): bool {
  if (threads == 1) return true;
  const generation = control + CONTROL_GENERATION;
  const arrivals = shareOf(control, own) + SHARE_ARRIVALS;
  const before = load<i32>(arrivals);
  store<i32>(arrivals, before + 1);
  if (atomic.add<i32>(control + CONTROL_ARRIVED, 1) == threads - 1) {
    atomic.store<i32>(control + CONTROL_ARRIVED, 0);
    atomic.store<i32>(generation, before + 1);
    // A sleeper counts itself before it looks at the generation once more, so none is missed.
    if (atomic.load<i32>(control + SLEEPERS) > 0) atomic.notify(generation, -1);
    return true;
  }
  if (spin(control, generation, before)) return true;
  atomic.add<i32>(control + SLEEPERS, 1);
  const met = sleepUntilChanged(control, generation, before);
  atomic.sub<i32>(control + SLEEPERS, 1);
  return met;
}

/**
 * Records an error of the step, of several the one with the smallest place: which thread came first must not show. The run
 * ends at the barrier after the step.
 */
export function fail(code: i32, found: i32, where: i32): void {
  const control = ownControl;
  while (atomic.cmpxchg<i32>(control + ERROR_LOCK, 0, 1) != 0) {}
  if (load<i32>(control + CONTROL_ERROR) == 0 || where < load<i32>(control + CONTROL_ERROR_B)) {
    store<i32>(control + CONTROL_ERROR_STEP, ownStep);
    store<i32>(control + CONTROL_ERROR_A, found);
    store<i32>(control + CONTROL_ERROR_B, where);
    atomic.store<i32>(control + CONTROL_ERROR, code);
  }
  atomic.store<i32>(control + ERROR_LOCK, 0);
}

/** The first task of a slice when n tasks are cut evenly into `slices`; for slice = slices, n. */
// @ts-ignore: decorator
@inline export function firstTask(n: i32, slice: i32, slices: i32): i32 {
  return <i32>((<i64>n * <i64>slice) / <i64>slices);
}
