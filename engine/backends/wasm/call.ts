/** Kernel calls on the host: named words, the integers that they are encoded as, and the text that shows them. */
import { BackendError } from '../../errors.ts';
import { countWords, parseWord, wordsOf, type structs, type Word } from './calls.js';
import { calls } from './kernels.generated.ts';

type Structs = typeof structs;
type StructName = keyof Structs;

type Merge<U> = (U extends unknown ? (u: U) => void : never) extends (all: infer All) => void
  ? { readonly [N in keyof All]: All[N] }
  : never;

/** What one word of the table stands for. */
type Field<W extends string> = W extends `...${infer S extends StructName}`
  ? StructOf<S>
  : W extends `${infer N}: Call[]`
    ? { readonly [K in N]: readonly (readonly number[])[] }
    : W extends `${infer N}: ${infer S extends StructName}[]`
      ? { readonly [K in N]: readonly StructOf<S>[] }
      : W extends `${infer N}: ${infer S extends StructName}`
        ? { readonly [K in N]: StructOf<S> }
        : W extends `?${infer N}`
          ? { readonly [K in N]: boolean }
          : W extends `*${infer N}` | `~${infer N}`
            ? { readonly [K in N]: number }
            : { readonly [K in W]: number };

/** The words of a struct by name. */
export type StructOf<S extends StructName> = Merge<Field<Structs[S][number]>>;

type Tables = typeof calls;

/** The name of a kernel. */
export type CallName = keyof Tables;

/** The words of a kernel's call by name. */
export type CallOf<N extends CallName> = Merge<Field<Tables[N][number]>>;

/** Words by name, when it does not matter of which call. */
type Words = Readonly<Record<string, unknown>>;

/** The calls in the order of their numbers. 0 ends a program. */
export const callList = Object.entries(calls).map(([name, words], i) => ({
  name,
  number: 1 + i,
  words: words.map(parseWord),
}));
const callsByName = new Map(callList.map((call) => [call.name, call]));
const callsByNumber = new Map(callList.map((call) => [call.number, call]));

const bits = new DataView(new ArrayBuffer(4));

/** A float as the word that holds it. */
export function floatWord(x: number): number {
  bits.setFloat32(0, x);
  return bits.getInt32(0);
}

/** The float that a word holds, in as many digits as it has. */
function wordFloat(word: number): number {
  bits.setInt32(0, word);
  return Number(bits.getFloat32(0).toPrecision(7));
}

/** What every call in a program begins with: its kernel, its length in words with these, and the slices of its work. */
const HEADER_WORDS = 3;

/** A call as it lies in a program. */
export function encodeCall<N extends CallName>(name: N, words: CallOf<N>, slices: number): number[] {
  const { number, words: layout } = callsByName.get(name)!;
  const encoded = encodeWords(layout, words);
  return [number, HEADER_WORDS + encoded.length, slices, ...encoded];
}

/** The number of a word in an encoded call. */
export function wordIndex(name: CallName, word: string): number {
  let index = HEADER_WORDS;
  const search = (layout: readonly Word[]): boolean =>
    layout.some((each) => {
      if (each.kind === 'base') return search(wordsOf(each.struct));
      if (each.name === word) return true;
      index += countWords(each);
      return false;
    });
  if (!search(callsByName.get(name)!.words)) throw new BackendError(`wasm: '${name}' has no word '${word}'`);
  return index;
}

function encodeWords(layout: readonly Word[], words: Words): number[] {
  return layout.flatMap(({ name, kind, struct }) => {
    const value = words[name];
    switch (kind) {
      case 'base':
        return encodeWords(wordsOf(struct), words);
      case 'struct':
        return encodeWords(wordsOf(struct), value as Words);
      case 'structs': {
        const list = value as readonly Words[];
        return [list.length, ...list.flatMap((item) => encodeWords(wordsOf(struct), item))];
      }
      case 'calls': {
        const program = (value as readonly number[][]).flat();
        return [program.length, ...program];
      }
      case 'float':
        return [floatWord(value as number)];
      case 'integer':
      case 'address':
      case 'flag':
        return [Number(value)];
      default:
        throw new TypeError(`unknown kind of word: ${String(kind satisfies never)}`);
    }
  });
}

/** The calls of a program, one a line: the kernel, the slices of its work, and its words by name. */
export function formatProgram(program: Int32Array): string {
  let at = 0;
  const next = (): number => program[at++];
  const lines: string[] = [];
  while (program[at] !== 0) lines.push(formatCall(next));
  return lines.join('\n');
}

/** The text of a call, whose words `next` takes one after the other. */
function formatCall(next: () => number): string {
  const [kernel, , slices] = [next(), next(), next()];
  const { name, words } = callsByNumber.get(kernel)!;
  return `${name} (${slices} ${slices === 1 ? 'slice' : 'slices'}): ${formatWords(words, next)}`;
}

/** The text of words by name; `next` takes one after the other. */
function formatWords(layout: readonly Word[], next: () => number): string {
  const structText = (struct: string): string => formatWords(wordsOf(struct), next);
  const listText = (item: () => string): string => `[${Array.from({ length: next() }, item).join(', ')}]`;
  const wordText = ({ name, kind, struct }: Word): string => {
    switch (kind) {
      case 'base':
        return structText(struct);
      case 'struct':
        return `${name} { ${structText(struct)} }`;
      case 'structs':
        return `${name} ${listText(() => `{ ${structText(struct)} }`)}`;
      case 'calls': {
        const calls: string[] = [];
        for (let left = next(); left > 0;) {
          calls.push(
            formatCall(() => {
              left--;
              return next();
            }),
          );
        }
        return `${name} [${calls.join('; ')}]`;
      }
      case 'address':
        return `${name} 0x${(next() >>> 0).toString(16)}`;
      case 'float':
        return `${name} ${wordFloat(next())}`;
      case 'flag':
        return `${name} ${next() !== 0}`;
      case 'integer':
        return `${name} ${next()}`;
      default:
        throw new TypeError(`unknown kind of word: ${String(kind satisfies never)}`);
    }
  };
  return layout.map(wordText).join(', ');
}
