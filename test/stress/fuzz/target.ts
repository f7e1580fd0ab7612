/** What a fuzz target is. */
import type { Random } from '../random.ts';

/** A reader or a command that gets random input. */
export interface FuzzTarget {
  readonly name: string;
  /** Runs one case. Throws unless the outcome is a right answer or a clear error. */
  readonly run: (random: Random) => Promise<void>;
}
