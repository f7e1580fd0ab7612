/** The wrong calls of a function, derived from a right one, and what they do. */
import { isPromise, isRecord } from '../../../engine/options.ts';
import type { Row } from './operations.ts';
import { made } from './rows.ts';

/** What plain JavaScript passes by mistake: its name, as in the table, and how messages show it. */
const WRONG: readonly (readonly [name: string, make: () => unknown, shown: RegExp])[] = [
  ['undefined', () => undefined, /undefined/g],
  ['null', () => null, /null/g],
  ['2.5', () => 2.5, /2\.5/g],
  ['NaN', () => NaN, /NaN/g],
  ["'text'", () => 'text', /'text'|"text"/g],
  ['[]', () => [], /an array|\[\]/g],
  ['{}', () => ({}), /an object|\{\}/g],
  ['() => {}', () => () => undefined, /a function/g],
  ['a promise', () => Promise.resolve({}), /a promise \(is an await missing\?\)/g],
];

export interface WrongCall {
  /** The argument, and the option in it: '1', '2.keepDims'. */
  readonly at: string;
  /** The wrong value, or what is wrong: 'missing', 'misspelled', 'unknown option'. */
  readonly what: string;
  readonly args: readonly unknown[];
  readonly shown: RegExp | null;
}

const isOptions = (value: unknown): value is Readonly<Record<string, unknown>> =>
  isRecord(value) && Object.getPrototypeOf(value) === Object.prototype && !made.has(value);

const misspelled = (name: string): string => `${name}s`;

/** All wrong calls of a row. */
export function* wrongCalls({ args, named = [] }: Row): Generator<WrongCall> {
  for (const [i, given] of args.entries()) {
    const at = String(i);
    yield { at, what: 'missing', args: args.slice(0, i), shown: /undefined/g };
    for (const [what, make, shown] of WRONG) yield { at, what, args: args.with(i, make()), shown };
    if (!isOptions(given)) continue;
    if (!named.includes(i)) {
      yield { at, what: 'an unknown option', args: args.with(i, { ...given, zzz: 1 }), shown: null };
    }
    for (const name of Object.keys(given)) {
      const option = `${at}.${name}`;
      const { [name]: value, ...others } = given;
      if (!named.includes(i)) {
        const wrong = { ...others, [misspelled(name)]: value };
        yield { at: option, what: 'misspelled', args: args.with(i, wrong), shown: null };
      }
      for (const [what, make, shown] of WRONG) {
        yield { at: option, what, args: args.with(i, { ...given, [name]: make() }), shown };
      }
    }
  }
}

/** What a call did: the error, or null if it succeeded. */
export interface Outcome {
  readonly error: unknown;
}

/** Makes a call, and everything that is needed to see that it succeeds: awaits it, iterates over it, closes what it opened. */
export async function outcomeOf(call: () => unknown): Promise<Outcome> {
  try {
    const given = call();
    const result: unknown = isPromise(given) ? await given : given;
    if (isRecord(result) && Symbol.asyncIterator in result) {
      for await (const _ of result as unknown as AsyncIterable<unknown>);
    }
    if (isRecord(result) && typeof result['close'] === 'function') await (result['close'] as () => unknown)();
    return { error: null };
  } catch (error) {
    return { error };
  }
}

/** Messages of V8 and of Node, which name no fix. */
const RAW =
  /Cannot (read|destructure|convert|set|use|access)|is not (iterable|a function|a constructor|defined|valid JSON)|Invalid (array|typed)|Reduce of empty|must be of type|ERR_|\[object Object\]|\bundefined: |Array buffer allocation|called on (null|incompatible)|Method .* called/;

/** Why an outcome is wrong. Null if it is an error of the library, or a success. */
export function complaint(
  name: string,
  places: readonly string[],
  outcome: Outcome,
  { what }: WrongCall,
): string | null {
  const { error } = outcome;
  if (error === null) return null;
  if (!(error instanceof Error)) return `threw a ${typeof error}, which is no error`;
  const { message } = error;
  if (RAW.test(message) || 'code' in error) return `a message of V8 or Node: ${error.name}: ${message}`;
  const own = [name.split('.').at(-1), ...places];
  if (!own.some((place) => message.startsWith(`${place}:`) || message.startsWith(`${place} `))) {
    return `does not begin with the function: ${message}`;
  }
  if (what === 'a promise' && message.includes('promise') && !message.includes('(is an await missing?)'))
    return `does not ask for an await: ${message}`;
  return null;
}

/** The error as a line of the table, without the value, so that equal lines of several values become one. */
export function lineOf({ error }: Outcome, { shown }: WrongCall): string {
  if (error === null) return 'accepted';
  const { name, message } = error as Error;
  const short = message.replace(/known: [^)]*\)/, 'known: …)');
  return `${name}: ${shown === null ? short : short.replace(shown, '…')}`;
}

/** The section of a function: for each argument, counted from 1, and each option the values that are answered alike. */
export function tableOf(
  name: string,
  lines: readonly { readonly at: string; readonly what: string; readonly line: string }[],
): string {
  const answers = new Map<string, string[]>();
  for (const { at, what, line } of lines) {
    const [index, ...option] = at.split('.');
    const key = `  ${[Number(index) + 1, ...option].join('.')}\n    ${line}`;
    answers.set(key, [...(answers.get(key) ?? []), what]);
  }
  const rows: string[] = [];
  let place = '';
  for (const [key, whats] of answers) {
    const [at, line] = key.split(/\n(?= {4})/);
    if (at !== place) rows.push(at);
    place = at;
    rows.push(`    ${whats.join(', ')}`, `      ${line.trim()}`);
  }
  return [name, ...rows, ''].join('\n');
}
