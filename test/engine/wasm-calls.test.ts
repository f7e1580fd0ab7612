// Kernel calls by name: what the table says, the compiler checks, and the program of a plan shows.
import { describe, expect, it } from 'vitest';
import { classOf } from '../../engine/backends/wasm/build/classes.js';
import { kernelsOf } from '../../engine/backends/wasm/build/kernels.js';
import {
  callList,
  encodeCall,
  formatProgram,
  wordIndex,
  type CallOf,
} from '../../engine/backends/wasm/call.ts';
import { parseWord } from '../../engine/backends/wasm/calls.js';
import { kernelCalls } from '../../engine/backends/wasm/driver.ts';
import { wasm } from '../../engine/backends/wasm/wasm.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import type { Backend, Executable } from '../../engine/backends/backend.ts';
import { compile } from '../../engine/compile.ts';
import { BackendError } from '../../engine/errors.ts';
import { f32, i32, crossEntropy } from '../../engine/ops/index.ts';

const correct: CallOf<'correct'> = { logits: 64, labels: 128, y: 192, rows: 2, classes: 10 };

describe('a call', () => {
  it('has its words in the order of the table', () => {
    const { number } = callList.find(({ name }) => name === 'correct')!;
    expect(encodeCall('correct', correct, 4)).toEqual([number, 8, 4, 64, 128, 192, 2, 10]);
    expect(Object.keys(correct)).toEqual(
      callList.find(({ name }) => name === 'correct')!.words.map((word) => word.name),
    );
  });

  it('does not compile with a word that is missing, misspelt or too many', () => {
    const { rows, ...rest } = correct;
    // @ts-expect-error: 'rows' is missing
    encodeCall('correct', rest, 1);
    // @ts-expect-error: there is no word 'row'
    encodeCall('correct', { ...rest, rows, row: rows }, 1);
    // @ts-expect-error: there is no such kernel
    expect(() => encodeCall('corect', correct, 1)).toThrow(TypeError);
  });

  it('prints itself', () => {
    const program = [...encodeCall('correct', correct, 4), 0];
    expect(formatProgram(Int32Array.from(program))).toBe(
      'correct (4 slices): logits 0x40, labels 0x80, y 0xc0, rows 2, classes 10',
    );
  });
});

it('structs, lists and calls within a call have their words in order', () => {
  const inner = encodeCall('correct', { logits: 64, labels: 128, y: 192, rows: 2, classes: 10 }, 1);
  const words = encodeCall(
    'eachImage',
    {
      images: 8,
      scratch: { base: 256, bytes: 64 },
      moves: [
        { word: wordIndex('correct', 'logits'), perImage: 80, perThread: 0 },
        { word: wordIndex('correct', 'y'), perImage: 0, perThread: 8 },
      ],
      program: [inner, inner],
    },
    3,
  );
  expect(words.slice(3)).toEqual([8, 256, 64, 2, 3, 80, 0, 5, 0, 8, 16, ...inner, ...inner]);
  const text = 'correct (1 slice): logits 0x40, labels 0x80, y 0xc0, rows 2, classes 10';
  expect(formatProgram(Int32Array.from([...words, 0]))).toBe(
    'eachImage (3 slices): images 8, scratch { base 0x100, bytes 64 }, moves [{ word 3, perImage 80, perThread 0 }, ' +
      `{ word 5, perImage 0, perThread 8 }], program [${text}; ${text}]`,
  );
  expect(() => wordIndex('correct', 'x')).toThrow("wasm: 'correct' has no word 'x'");
});

describe('the classes of calls', () => {
  const classText = (...words: string[]): string => classOf('Example', words.map(parseWord));

  it('have a field for each word and lists at the end', () => {
    expect(
      classText(
        '...Scratch',
        '*x',
        '~epsilon',
        '?relu',
        'own: Scratch',
        'spares: Scratch[]',
        'program: Call[]',
      ),
    ).toBe(
      [
        '@unmanaged export class Example extends Scratch {',
        '  x: usize;',
        '  epsilon: f32;',
        '  relu$: i32;',
        '  own$0: i32;',
        '  own$1: i32;',
        '  @inline get relu(): bool { return this.relu$ != 0; }',
        '  @inline get own(): Scratch { return changetype<Scratch>(changetype<usize>(this) + 20); }',
        '  @inline get spares(): List<Scratch> { return changetype<List<Scratch>>(changetype<usize>(this) + 28); }',
        '  @inline get program(): Calls { return changetype<Calls>(this.spares.end); }',
        '}',
      ].join('\n'),
    );
  });

  it.each([
    [['rows', '*x', '~rows'], "calls.js: Example has two words 'rows'"],
    [['rows', '...Scratch'], "calls.js: Example: '...Scratch' must come first"],
    [['...Scratch', 'bytes'], "calls.js: Example has two words 'bytes'"],
    [['program: Call[]', 'rows'], "calls.js: Example.rows: only lists may follow the list 'program'"],
    [['own: Scrath'], "calls.js: there is no struct 'Scrath'"],
    [['&rows'], "calls.js: '&rows' is no word of a call"],
  ])('of %j are refused', (words, message) => {
    expect(() => classText(...words)).toThrow(message);
  });
});

describe('the kernels of a source', () => {
  const header = (name: string) => `export function ${name}(call: Any, slice: i32, slices: i32): void {}`;

  it('have the words that their decorators list', () => {
    const source = [
      '@words("*x", "n")',
      header('one'),
      'function helper(n: i32): i32 { return n; }',
      '@words(\n  "...Scratch",\n  "axes: CopyAxis[]"\n)',
      header('two'),
    ].join('\n');
    expect(kernelsOf('some', source)).toEqual([
      { name: 'one', file: 'some', words: ['*x', 'n'] },
      { name: 'two', file: 'some', words: ['...Scratch', 'axes: CopyAxis[]'] },
    ]);
  });

  it.each([
    [
      header('one'),
      'kernels/some.ts: the kernel one does not list the words of its call (put @words("*x", "n") above it)',
    ],
    [`@words("*x", n)\n${header('one')}`, 'kernels/some.ts: @words of one: n is not a string'],
    [`@words("&x")\n${header('one')}`, "calls.js: '&x' is no word of a call"],
  ])('of %j are refused', (source, message) => {
    expect(() => kernelsOf('some', source)).toThrow(message);
  });
});

describe('the program of a plan', () => {
  /** The executable of crossEntropy on a backend. */
  async function load(inner: Backend): Promise<Executable> {
    let executable: Executable | null = null;
    const backend: Backend = {
      name: inner.name,
      fusions: inner.fusions,
      runsPerCall: inner.runsPerCall,
      createStore: (initial) => inner.createStore(initial),
      load: async (plan, store) => (executable = await inner.load(plan, store)),
      close: () => inner.close(),
    };
    await compile(backend, {
      inputs: { x: f32(6, 10), labels: i32(6) },
      build: ({ x, labels }) => ({ outputs: { losses: crossEntropy(x, labels) } }),
    });
    return executable!;
  }

  it('names its calls and their words', async () => {
    expect(kernelCalls(await load(await wasm({ threads: 1 })))).toMatch(
      /^crossEntropy \(1 slice\): logits 0x[\da-f]+, labels 0x[\da-f]+, losses 0x[\da-f]+, softmax 0x[\da-f]+, rows 6, classes 10$/m,
    );
  });

  it('is only there on this backend', async () => {
    const executable = await load(reference());
    expect(() => kernelCalls(executable)).toThrow(BackendError);
  });
});
