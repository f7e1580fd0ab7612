// The module: runs an encoded plan. A plan is a list of kernel calls, each [kernel, length, slices, words …] in 32-bit words
// (calls.generated.ts), ended by K_END. `@words(…)` of each kernel lists the words of its call; ../calls.js explains the notation, such as
// "*x", "?relu" and "...Pooling". The work of a call is a number of indivisible tasks; a slice is a range of consecutive tasks. Every
// thread goes through the whole plan, takes slices of a call until none is left, and waits for the others. A thread that is delayed, by
// another program on its core for example, takes fewer slices.
import { runCall } from "./calls.generated";
import {
  awaitStart,
  barrier,
  clearShare,
  now,
  setStep,
  setThread,
  take,
  CONTROL_ABORT,
  CONTROL_DONE,
  CONTROL_ERROR,
  CONTROL_ERROR_STEP,
  CONTROL_PROGRAM,
  CONTROL_THREADS,
  CONTROL_TIMES,
} from "./team";

export {
  CONTROL_ABORT,
  CONTROL_ARRIVED,
  CONTROL_BYTES,
  CONTROL_DONE,
  CONTROL_ERROR,
  CONTROL_ERROR_A,
  CONTROL_ERROR_B,
  CONTROL_ERROR_STEP,
  CONTROL_GENERATION,
  CONTROL_NAP,
  CONTROL_PROGRAM,
  CONTROL_SHARES,
  CONTROL_SPINS,
  CONTROL_START,
  CONTROL_THREADS,
  CONTROL_TIMES,
  ERROR_INDEX,
  ERROR_LABEL,
  ERROR_NOT_FINITE,
  SHARE_ARRIVALS,
  SHARE_BYTES,
} from "./team";
export { OPERAND_REGISTER, OPERAND_SCALAR, OPERAND_TENSOR, STRIP } from "./elementwise";
export { KC } from "./gemm";
export * from "./operations";
export { LANES, MR, NR } from "./width";
// Nobody calls these from outside. An exported function is not inlined into its one caller, where V8 would spill its
// accumulators in the loops around it and halve its speed; and it keeps its name, by which widen.js finds it.
export * from "./vectors/attention";
export * from "./vectors/products";
export * from "./vectors/transforms.generated";

export const K_END: i32 = 0;

/** Runs the plan once, together with the other threads. False when the team was given up. */
export function runPlan(control: usize, thread: i32): bool {
  const threads = load<i32>(control + CONTROL_THREADS);
  const times = <usize>load<u32>(control + CONTROL_TIMES);
  let a = <usize>load<u32>(control + CONTROL_PROGRAM);
  setThread(control, thread);
  if (times != 0) {
    // All begin together, or the first step would seem shorter by as much as this thread is late.
    if (!barrier(control, threads)) return false;
    if (thread == 0) store<f64>(times, now());
  }
  for (let step = 0, kernel = load<i32>(a); kernel != K_END; step++, kernel = load<i32>(a)) {
    setStep(step);
    if (threads == 1) {
      runCall(kernel, a + 12, 0, 1);
    } else {
      const slices = load<i32>(a, 8);
      // All are through with the step before.
      clearShare(control, step + 1);
      for (let slice = take(control, threads, step, slices); slice >= 0; slice = take(control, threads, step, slices)) {
        runCall(kernel, a + 12, slice, slices);
      }
    }
    if (!barrier(control, threads)) return false;
    if (times != 0 && thread == 0) store<f64>(times + (<usize>(step + 1) << 3), now());
    // An error of a later step may be there already: everybody must leave after the same step.
    if (atomic.load<i32>(control + CONTROL_ERROR) != 0 && load<i32>(control + CONTROL_ERROR_STEP) == step) return true;
    a += <usize>load<i32>(a, 4) << 2;
  }
  return true;
}

/**
 * One turn of a worker: waits for start number `seen` + 1, runs, and the first thread says when all have met at the end.
 * False when the team was given up.
 */
export function turn(control: usize, thread: i32, seen: i32): bool {
  if (!awaitStart(control, seen)) return false;
  if (!runPlan(control, thread)) return false;
  clearShare(control, 0);
  clearShare(control, 1);
  if (!barrier(control, load<i32>(control + CONTROL_THREADS))) return false;
  if (thread == 0) {
    atomic.add<i32>(control + CONTROL_DONE, 1);
    atomic.notify(control + CONTROL_DONE, -1);
  }
  return true;
}

/** The end of the module's own static data: the host allocates above it. */
export function heapBase(): usize {
  return __heap_base;
}
