/**
 * For its effect: from here on kernels are those of a long run, from V8's optimizing compiler: from the first call on, or, as
 * V8 14 ends the process where the other compiler is switched off late, as soon as they are ready. (`.ci/run` switches it off early.)
 */
import { setFlagsFromString } from 'node:v8';

const v8Version = Number.parseInt(process.versions.v8);
setFlagsFromString(v8Version < 14 ? '--no-liftoff' : '--wasm-tiering-budget=1');
