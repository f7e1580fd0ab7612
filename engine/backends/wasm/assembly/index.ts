// The module: walks an encoded plan. A plan is a list of steps, each [kernel, words, arguments …] in 32-bit words, ended
// by K_END. Every thread walks the whole plan on its own slice and meets the others after each step.
import * as elementwise from "./elementwise";
import * as reduce from "./reduce";
import * as gemm from "./gemm";
import * as convolution from "./conv";
import * as winograd from "./winograd";
import * as pool from "./pool";
import * as norm from "./norm";
import * as loss from "./loss";
import {
  await_,
  barrier,
  now,
  CONTROL_ABORT,
  CONTROL_DONE,
  CONTROL_ERROR,
  CONTROL_ERROR_STEP,
  CONTROL_PROGRAM,
  CONTROL_START,
  CONTROL_THREADS,
  CONTROL_TIMES,
} from "./team";

export {
  CONTROL_ABORT,
  CONTROL_BYTES,
  CONTROL_DONE,
  CONTROL_ERROR,
  CONTROL_ERROR_A,
  CONTROL_ERROR_B,
  CONTROL_ERROR_STEP,
  CONTROL_PROGRAM,
  CONTROL_SPINS,
  CONTROL_START,
  CONTROL_THREADS,
  CONTROL_TIMES,
  ERROR_INDEX,
  ERROR_LABEL,
  ERROR_NOT_FINITE,
} from "./team";
export {
  BINARY_ADD,
  BINARY_DIV,
  BINARY_MUL,
  BINARY_POW,
  BINARY_RELU_GRAD,
  BINARY_SUB,
  UNARY_EXP,
  UNARY_LOG,
  UNARY_NEG,
  UNARY_RELU,
  UNARY_SIGMOID,
  UNARY_SQRT,
  UNARY_TANH,
} from "./elementwise";
export { KC, MR, NR } from "./gemm";
// Nobody calls this from outside. An exported function is not inlined into its one caller, where V8 would spill its
// accumulators in the loops around it and halve its speed.
export { product } from "./winograd";

export const K_END: i32 = 0;
export const K_COPY: i32 = 1;
export const K_UNARY: i32 = 2;
export const K_BINARY: i32 = 3;
export const K_STRIDED: i32 = 4;
export const K_CAST: i32 = 5;
export const K_CHECK_FINITE: i32 = 6;
export const K_DROPOUT: i32 = 7;
export const K_SUM: i32 = 8;
export const K_MAX: i32 = 9;
export const K_MAX_GRAD: i32 = 10;
export const K_PACK_B: i32 = 11;
export const K_GEMM: i32 = 12;
export const K_CONV: i32 = 13;
export const K_PACK_FLIPPED: i32 = 14;
export const K_CONV_GRAD_WEIGHT: i32 = 15;
export const K_ADD_PARTIALS: i32 = 16;
export const K_MAX_POOL: i32 = 17;
export const K_MAX_POOL_GRAD: i32 = 18;
export const K_AVG_POOL: i32 = 19;
export const K_AVG_POOL_GRAD: i32 = 20;
export const K_LRN: i32 = 21;
export const K_LRN_GRAD: i32 = 22;
export const K_CHUNK_MOMENTS: i32 = 23;
export const K_MERGE_MOMENTS: i32 = 24;
export const K_NORMALISE: i32 = 25;
export const K_CHUNK_GRAD_SUMS: i32 = 26;
export const K_MERGE_GRAD_SUMS: i32 = 27;
export const K_NORMALISE_GRAD: i32 = 28;
export const K_CROSS_ENTROPY: i32 = 29;
export const K_CROSS_ENTROPY_GRAD: i32 = 30;
export const K_CORRECT: i32 = 31;
export const K_TAKE_ROWS: i32 = 32;
export const K_NORMALIZE_IMAGES: i32 = 33;
export const K_TRANSFORM_FILTERS: i32 = 34;
export const K_WINOGRAD: i32 = 35;
export const K_WINOGRAD_GRAD_WEIGHT: i32 = 36;
export const K_WINOGRAD_FINISH_WEIGHT: i32 = 37;

function runKernel(kernel: i32, a: usize, thread: i32, threads: i32, control: usize, step: i32): void {
  switch (kernel) {
    case K_COPY: elementwise.copy(a, thread, threads); break;
    case K_UNARY: elementwise.unary(a, thread, threads); break;
    case K_BINARY: elementwise.binary(a, thread, threads); break;
    case K_STRIDED: elementwise.strided(a, thread, threads); break;
    case K_CAST: elementwise.cast(a, thread, threads); break;
    case K_CHECK_FINITE: elementwise.checkFinite(a, thread, threads, control, step); break;
    case K_DROPOUT: elementwise.dropout(a, thread, threads); break;
    case K_SUM: reduce.sum(a, thread, threads); break;
    case K_MAX: reduce.maxOf(a, thread, threads); break;
    case K_MAX_GRAD: reduce.maxGrad(a, thread, threads); break;
    case K_PACK_B: gemm.packB(a, thread, threads); break;
    case K_GEMM: gemm.gemm(a, thread, threads); break;
    case K_CONV: convolution.conv(a, thread, threads); break;
    case K_PACK_FLIPPED: convolution.packFlipped(a, thread, threads); break;
    case K_CONV_GRAD_WEIGHT: convolution.convGradWeight(a, thread, threads); break;
    case K_ADD_PARTIALS: convolution.addPartials(a, thread, threads); break;
    case K_MAX_POOL: pool.maxPool(a, thread, threads); break;
    case K_MAX_POOL_GRAD: pool.maxPoolGrad(a, thread, threads); break;
    case K_AVG_POOL: pool.avgPool(a, thread, threads); break;
    case K_AVG_POOL_GRAD: pool.avgPoolGrad(a, thread, threads); break;
    case K_LRN: pool.lrn(a, thread, threads); break;
    case K_LRN_GRAD: pool.lrnGrad(a, thread, threads); break;
    case K_CHUNK_MOMENTS: norm.chunkMoments(a, thread, threads); break;
    case K_MERGE_MOMENTS: norm.mergeMoments(a, thread, threads); break;
    case K_NORMALISE: norm.normalise(a, thread, threads); break;
    case K_CHUNK_GRAD_SUMS: norm.chunkGradSums(a, thread, threads); break;
    case K_MERGE_GRAD_SUMS: norm.mergeGradSums(a, thread, threads); break;
    case K_NORMALISE_GRAD: norm.normaliseGrad(a, thread, threads); break;
    case K_CROSS_ENTROPY: loss.crossEntropy(a, thread, threads, control, step); break;
    case K_CROSS_ENTROPY_GRAD: loss.crossEntropyGrad(a, thread, threads); break;
    case K_CORRECT: loss.correct(a, thread, threads, control, step); break;
    case K_TAKE_ROWS: loss.takeRows(a, thread, threads, control, step); break;
    case K_NORMALIZE_IMAGES: loss.normalizeImages(a, thread, threads); break;
    case K_TRANSFORM_FILTERS: winograd.transformFilters(a, thread, threads); break;
    case K_WINOGRAD: winograd.winograd(a, thread, threads); break;
    case K_WINOGRAD_GRAD_WEIGHT: winograd.winogradGradWeight(a, thread, threads); break;
    case K_WINOGRAD_FINISH_WEIGHT: winograd.winogradFinishWeight(a, thread, threads); break;
    default: unreachable();
  }
}

/** Runs this thread's share of the plan once. False when the team was given up. */
export function runPlan(control: usize, thread: i32): bool {
  const threads = load<i32>(control + CONTROL_THREADS);
  const times = <usize>load<u32>(control + CONTROL_TIMES);
  let a = <usize>load<u32>(control + CONTROL_PROGRAM);
  if (times != 0 && thread == 0) store<f64>(times, now());
  for (let step = 0, kernel = load<i32>(a); kernel != K_END; step++, kernel = load<i32>(a)) {
    runKernel(kernel, a + 8, thread, threads, control, step);
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
 * False when the team was given up. The worker's script counts the turns: V8 11.3's baseline compiler loses a counter
 * that lives in a local across the waiting loops.
 */
export function turn(control: usize, thread: i32, seen: i32): bool {
  if (!await_(control, control + CONTROL_START, seen)) return false;
  if (!runPlan(control, thread) || !barrier(control, load<i32>(control + CONTROL_THREADS))) return false;
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
