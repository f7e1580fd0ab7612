/** Comparing arrays, with failures that can be debugged from the log alone. */
import { expect } from 'vitest';
import { formatType, stridesOf } from '../../engine/shape.ts';
import type { HostTensor } from '../../engine/types.ts';

/**
 * Fails unless every element of `got` is within `tolerance`, relative to the largest element of `expected` (or to
 * `least`, where all are smaller); NaN equals NaN, an infinity itself, and 0 equals −0. Integers must be equal.
 */
export function expectClose(
  what: string,
  got: HostTensor,
  expected: HostTensor,
  tolerance: number,
  least = 0,
): void {
  expect(formatType(got), `${what}: type`).toBe(formatType(expected));
  let scale = least;
  for (const value of expected.data) if (Number.isFinite(value)) scale = Math.max(scale, Math.abs(value));
  const allowed = expected.dtype === 'f32' ? tolerance * scale : 0;
  const wrong: string[] = [];
  let count = 0;
  let worst = 0;
  for (let i = 0; i < expected.data.length; i++) {
    const a = got.data[i];
    const b = expected.data[i];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b)) || Math.abs(a - b) <= allowed) continue;
    count++;
    worst = Math.max(worst, Math.abs(a - b));
    if (wrong.length < 6) wrong.push(`  at ${position(i, expected.shape)}: got ${a}, expected ${b}`);
  }
  if (count > 0) {
    expect.fail(
      `${what}: ${count} of ${expected.data.length} elements of ${formatType(expected)} differ by more than ` +
        `${allowed} (${tolerance} of the largest, ${scale}); worst ${worst}\n${wrong.join('\n')}`,
    );
  }
}

/** The distance between single-precision numbers around x. */
const spacing = (x: number): number => 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 23);

export interface Accuracy {
  /** Units in the last place of the truth. */
  readonly ulps: number;
  /** An error that is always allowed. */
  readonly least: number;
}

/** Fails unless every element is close to the truth in double precision at its x. A zero must have the sign of the truth. */
export function expectAccurate(
  what: string,
  x: Float32Array,
  got: ArrayLike<number>,
  truth: (x: number) => number,
  { ulps, least }: Accuracy,
): void {
  const wrong: string[] = [];
  x.forEach((at, i) => {
    const want = truth(at);
    const rounded = Math.fround(want);
    if (Object.is(got[i], rounded)) return;
    const close = Number.isFinite(got[i]) && Math.abs(got[i] - want) <= ulps * spacing(want) + least;
    if (!close || (want === 0 && got[i] === 0)) wrong.push(`  at ${at}: got ${got[i]}, expected ${want}`);
  });
  if (wrong.length > 0) {
    expect.fail(`${what}: ${wrong.length} of ${x.length} are wrong\n${wrong.slice(0, 8).join('\n')}`);
  }
}

/** Fails unless the two hold the same bits. */
export function expectSameBits(what: string, got: HostTensor, expected: HostTensor): void {
  expect(formatType(got), `${what}: type`).toBe(formatType(expected));
  const a = bits(got);
  const b = bits(expected);
  expect(a.length, `${what}: bytes`).toBe(b.length);
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) continue;
    const element = Math.floor(i / (a.length / got.data.length));
    expect.fail(
      `${what}: bits differ first at ${position(element, got.shape)} of ${formatType(got)}: ` +
        `got ${got.data[element]}, expected ${expected.data[element]}`,
    );
  }
}

/** As expectSameBits for every name. */
export function expectSameBitsByName(
  what: string,
  got: Readonly<Record<string, HostTensor>>,
  expected: Readonly<Record<string, HostTensor>>,
): void {
  expect(Object.keys(got).sort(), `${what}: names`).toEqual(Object.keys(expected).sort());
  for (const [name, value] of Object.entries(expected)) expectSameBits(`${what}: ${name}`, got[name], value);
}

function bits({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function position(i: number, shape: readonly number[]): string {
  return `[${stridesOf(shape)
    .map((stride, axis) => Math.floor(i / stride) % shape[axis])
    .join(',')}]`;
}
