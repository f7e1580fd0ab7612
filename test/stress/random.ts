/** Random draws of the stress tests: those of `stream`, which a seed and a case number repeat. */
import { stream } from 'cyclegrad';

export interface Random {
  /** A uniform integer in [0, n). */
  below(n: number): number;
  /** A uniform number in [0, 1). */
  uniform(): number;
  /** A uniform element of the list. */
  pick<T>(list: readonly T[]): T;
  /** `n` random bytes. */
  bytes(n: number): Uint8Array<ArrayBuffer>;
}

/** The draws of one case. */
export function randomOf(seed: number, purpose: string, number: number): Random {
  const draws = stream(seed, purpose, number);
  return {
    below: (n) => draws.below(n),
    uniform: () => draws.uniform(),
    pick: (list) => list[draws.below(list.length)],
    bytes: (n) => Uint8Array.from({ length: n }, () => draws.uint32() & 255),
  };
}
