/**
 * For its effect: from here on V8 compiles WebAssembly with its baseline compiler alone, as in a process's first moments. V8 11
 * (Node 20) loses local variables there that live across an atomic wait.
 */
import { setFlagsFromString } from 'node:v8';

setFlagsFromString('--liftoff-only');
