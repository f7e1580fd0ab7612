/** Random values and random damage, shared by the targets. */
import type { Random } from '../random.ts';

export const NUMBERS = [
  0,
  1,
  -1,
  2,
  3,
  10,
  100,
  2000,
  0.5,
  1e-3,
  0.9,
  -0,
  5e-324,
  1e-320,
  2 ** 31,
  2 ** 31 - 1,
  2 ** 32,
  1e9,
  2 ** 53,
  2 ** 53 - 1,
  1e308,
  -1e308,
  4.5,
  1e39,
] as const;

export const TEXTS = [
  '',
  ' ',
  'NaN',
  '1',
  '-1',
  'null',
  '__proto__',
  'constructor',
  'toString',
  '\u0000',
  '\ud800',
  'ü',
  'a/b',
  '../x',
  'Infinity',
  'text',
] as const;

const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'length',
  'then',
  'toJSON',
  'kind',
  'name',
  'x',
  '',
] as const;

/** Any JSON value, with names from `keys`. */
export function randomJson(random: Random, keys: readonly string[] = KEYS, depth = 0): unknown {
  const kind = random.uniform();
  if (kind < 0.5 || depth > 4) return random.pick([...NUMBERS, null, true, false]);
  if (kind < 0.65) return random.pick(TEXTS);
  if (kind < 0.8) return Array.from({ length: random.below(4) }, () => randomJson(random, keys, depth + 1));
  return randomObject(random, keys, depth);
}

export function randomObject(
  random: Random,
  keys: readonly string[] = KEYS,
  depth = 0,
): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (let i = random.below(5); i > 0; i--) {
    define(object, random.pick(random.uniform() < 0.1 ? KEYS : keys), randomJson(random, keys, depth + 1));
  }
  return object;
}

/** Defines an own property, also one named `__proto__`, as JSON.parse does. */
export function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
}

/** Changes one or two places of a JSON value: deletes, replaces, renames or nests. */
export function mutateJson<T>(random: Random, value: T, keys?: readonly string[]): unknown {
  // Through JSON, because a clone would lose an own `__proto__`.
  const root = { value: JSON.parse(JSON.stringify(value)) as unknown };
  for (let i = 1 + random.below(2); i > 0; i--) {
    const places: (readonly [object, string])[] = [];
    const walk = (at: unknown): void => {
      if (typeof at !== 'object' || at === null) return;
      for (const [name, member] of Object.entries(at)) {
        places.push([at, name]);
        walk(member);
      }
    };
    walk(root);
    if (places.length === 0) break;
    const [at, name] = random.pick(places);
    const table = at as Record<string, unknown>;
    const way = random.below(6);
    if (way === 0 && at !== root) delete table[name];
    else if (way === 1) define(at, name, nested(random, table[name]));
    else if (way === 2 && at !== root && !Array.isArray(at))
      define(at, random.pick(keys ?? KEYS), table[name]);
    else define(at, name, randomJson(random, keys));
  }
  return root.value;
}

/** A value in up to 50 arrays or objects. */
function nested(random: Random, value: unknown): unknown {
  let out = value;
  for (let i = random.below(50); i >= 0; i--)
    out = random.uniform() < 0.5 ? [out] : { [random.pick(KEYS)]: out };
  return out;
}

/** Damages bytes: flips bits, overwrites, cuts, inserts or repeats a piece. */
export function damage(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  let out = Uint8Array.from(bytes);
  for (let i = random.below(3); i >= 0; i--) {
    const at = random.below(Math.max(out.length, 1));
    const length = random.below(16);
    switch (random.below(6)) {
      case 0:
      case 1:
        if (out.length > 0) out[at] ^= 1 << random.below(8);
        break;
      case 2:
        out.set(random.bytes(Math.min(length, out.length - at)), at);
        break;
      case 3:
        out = out.slice(0, at);
        break;
      case 4:
        out = joined(out.subarray(0, at), random.bytes(length), out.subarray(at));
        break;
      default:
        out = joined(out.subarray(0, at), out.subarray(Math.min(at + length, out.length)));
    }
  }
  return out;
}

/** The bytes of all parts. */
export function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
