// How wide the vectors are that the code in vectors/ is written in. In the wide binary each is a pair of the machine's:
// widen.js makes of every instruction there two on neighbouring floats, which V8 joins into one of 256 bits. What lies
// elsewhere works on vectors of four floats in every binary.

/** Bytes of a vector. */
export const V: usize = WIDE ? 32 : 16;
/** Floats of a vector. */
export const LANES: i32 = WIDE ? 8 : 4;

/** Rows and columns of the register tile: 12 accumulators, 2 vectors of b, 1 of a fill V8's 15 vector registers. */
export const MR: i32 = 6;
export const NR: i32 = 2 * LANES;

/**
 * Address of 64 bytes of zeros. A vector that is either loaded or zero is loaded from here: V8 only joins what comes from the
 * same block of code.
 */
export const ZEROS: usize = memory.data(64, 64);
/** And of as many ones. */
export const ONES: usize = memory.data<f32>([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
