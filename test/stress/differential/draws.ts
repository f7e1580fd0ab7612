/** Random choices for cases, and the values of their inputs. */
import { stream, type DType, type HostTensor, type Shape, type Stream } from 'cyclegrad';
import type { Values } from './case.ts';

/** Lengths at and beside the edges of vectors (4, 8), runs (64), strips (256, 512) and tasks (4096) of the kernels. */
const EDGES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 255, 256, 257, 511, 513];
const LONG = [1023, 1025, 2049, 4095, 4096, 4097, 8191, 8193];

/** Choices from a random stream. */
export class Draws {
  readonly #stream: Stream;

  constructor(seed: number, purpose: string) {
    this.#stream = stream(seed, purpose);
  }

  below = (n: number): number => this.#stream.below(n);
  uniform = (low = 0, high = 1): number => low + (high - low) * this.#stream.uniform();
  normal = (): number => this.#stream.normal();
  chance = (probability: number): boolean => this.#stream.uniform() < probability;
  /** An integer from low to high, both included. */
  integer = (low: number, high: number): number => low + this.#stream.below(high - low + 1);
  pick = <T>(list: readonly T[]): T => list[this.#stream.below(list.length)];
  /** A number with 3 digits, so that cases are readable. */
  short = (low: number, high: number): number => Number(this.uniform(low, high).toPrecision(3));

  /** A length, often at the edge of a vector or a chunk. */
  length(most: number): number {
    const edges = EDGES.filter((n) => n <= most);
    return this.chance(0.6) ? this.pick(edges) : this.integer(1, Math.min(most, 40));
  }

  /** A length at the edge of a chunk, where threads share the work. */
  longLength = (): number => this.pick(LONG);

  /** Up to `most` elements in `rank` axes. */
  shape(rank: number, most = 2000): number[] {
    const shape: number[] = [];
    let left = most;
    for (let i = 0; i < rank; i++) {
      const n = Math.min(this.length(Math.max(1, left)), rank > 2 ? 24 : 600, Math.max(1, left));
      shape.push(n);
      left = Math.floor(left / n);
    }
    return this.shuffle(shape);
  }

  shuffle<T>(list: readonly T[]): T[] {
    const shuffled = [...list];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [shuffled[i], shuffled[j]] = [shuffled[j], shuffled[i]];
    }
    return shuffled;
  }

  /** A subset of the axes, each counted from the start or from the end. */
  axes(rank: number): number[] {
    const chosen = Array.from({ length: rank }, (_, axis) => axis).filter(() => this.chance(0.5));
    return this.shuffle(chosen).map((axis) => this.sign(axis, rank));
  }

  axis = (rank: number): number => this.sign(this.below(rank), rank);

  private sign = (axis: number, rank: number): number => (this.chance(0.5) ? axis : axis - rank);
}

export const sizeOf = (shape: Shape): number => shape.reduce((size, n) => size * n, 1);

/** A number of a case: JSON has no NaN, no infinities and no −0. */
export const numberOf = (value: number | string): number =>
  typeof value === 'string' ? Number(value) : value;

const INTEGERS = { i32: Int32Array, u8: Uint8Array } as const;

/** The values of an input: the same for the same seed and number. */
export function valuesOf(
  { shape, dtype, values }: { readonly shape: Shape; readonly dtype: DType; readonly values: Values },
  seed: number,
  purpose: string,
): HostTensor {
  const numbers = elementsOf(values, shape, new Draws(seed, purpose));
  const Kind = dtype === 'f32' ? Float32Array : INTEGERS[dtype];
  return { shape, dtype, data: Kind.from(numbers) };
}

function elementsOf(values: Values, shape: Shape, draws: Draws): number[] {
  const size = sizeOf(shape);
  const each = (draw: (i: number) => number): number[] => Array.from({ length: size }, (_, i) => draw(i));
  switch (values.kind) {
    case 'normal':
      return each(() => values.mean + values.deviation * draws.normal());
    case 'uniform':
      return each(() => draws.uniform(values.low, values.high));
    case 'distinct':
      return draws.shuffle(each((i) => (i - (size >> 1) + 0.25) * Math.min(1 / 64, 8 / size)));
    case 'ties':
      return each(() => draws.pick(values.values));
    case 'binades':
      return each(() => {
        const sign = values.signs === 'both' && draws.chance(0.5) ? -1 : 1;
        return sign * draws.uniform(1, 2) * 2 ** draws.integer(values.low, values.high);
      });
    case 'near':
      return each(() => neighbor(draws.pick(values.points), draws.integer(-2, 2)));
    case 'listed':
      return each(() => numberOf(draws.pick(values.values)));
    case 'integers':
      return each(() => draws.below(values.below));
    case 'probabilities':
      return probabilities(size, shape.at(-1) ?? 1, draws);
    default:
      throw new Error(`unknown values ${JSON.stringify(values satisfies never)}`);
  }
}

/** The number `steps` floats of single precision from x. */
function neighbor(x: number, steps: number): number {
  const value = Float32Array.of(x);
  const bits = new Int32Array(value.buffer);
  if (x === 0) {
    bits[0] = Math.abs(steps) | (steps < 0 ? 1 << 31 : 0);
  } else {
    bits[0] += x < 0 ? -steps : steps;
  }
  return value[0];
}

function probabilities(size: number, row: number, draws: Draws): number[] {
  const result: number[] = [];
  while (result.length < size) {
    const parts = Array.from({ length: row }, () => (draws.chance(0.2) ? 0 : draws.uniform(0.01, 1)));
    const total = parts.reduce((sum, part) => sum + part, 0);
    result.push(...parts.map((part) => (total === 0 ? 1 / row : part / total)));
  }
  return result;
}
