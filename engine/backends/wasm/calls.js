/**
 * Every kernel call and the order of its words: the build makes a class of each call for the kernels (build/classes.js), the
 * host reads the same table when it encodes a call (call.ts). A word has 32 bits:
 *
 *   'rows'          an integer
 *   '*x'            an address
 *   '~epsilon'      a float
 *   '?relu'         true or false
 *   '...Pooling'    first of all: the words of a struct, which the call's class extends
 *   'a: Packing'    the words of a struct, under one name
 *   'axes: Axis[]'  last of all: a number of structs, and these
 *   'words[]'       the same of plain words
 */

/** Words that several calls share, or that a call has several of. */
export const structs = /** @type {const} */ ({
  /** Scratch memory: where that of the first thread begins, and how much each thread has. */
  Scratch: ['*base', 'bytes'],
  /** Windows on images: the size of an image, of a window and of the result. */
  Pooling: [
    'images',
    'height',
    'width',
    'channels',
    'kernelY',
    'kernelX',
    'strideY',
    'strideX',
    'padTop',
    'padBottom',
    'padLeft',
    'padRight',
    'outHeight',
    'outWidth',
    '?insideOnly',
  ],
});

/** By the file of kernels/ that has the kernel. Its function is called like the call, its class likewise with a capital. */
export const calls = /** @type {const} */ ({
  reduce: {
    sum: ['*x', '*y', 'outer', 'n', 'inner', 'chunks'],
    maxOf: ['*x', '*y', '*positions', 'outer', 'n', 'inner'],
  },
  loss: {
    crossEntropy: ['*logits', '*labels', '*losses', '*softmax', 'rows', 'classes'],
    crossEntropyGrad: ['*dy', '*softmax', '*labels', '*dx', 'rows', 'classes'],
    correct: ['*logits', '*labels', '*y', 'rows', 'classes'],
  },
});

/** The number of the first call of the table; the next has the next one. */
export const FIRST_CALL = 64;

/**
 * @typedef {object} Word
 * @property {string} name
 * @property {'integer' | 'address' | 'float' | 'flag' | 'base' | 'struct' | 'structs' | 'words'} kind
 * @property {string} struct that of 'base', 'struct' and 'structs', else ''
 */

/**
 * Takes a word of the table apart.
 * @param {string} text
 * @returns {Word}
 */
export function parseWord(text) {
  const match = /^(?<sign>\.\.\.|[*~?])?(?<name>\w+)(?:: (?<struct>\w+))?(?<list>\[\])?$/.exec(text);
  const { sign = '', name = '', struct = '', list = '' } = match?.groups ?? {};
  if (sign === '...' && struct + list === '') return { name: '', kind: 'base', struct: name };
  if (struct !== '' && sign === '') return { name, kind: list === '' ? 'struct' : 'structs', struct };
  if (list !== '' && sign === '') return { name, kind: 'words', struct };
  if (name === '' || struct + list !== '') throw new Error(`calls.js: '${text}' is no word of a call`);
  return {
    name,
    kind: sign === '*' ? 'address' : sign === '~' ? 'float' : sign === '?' ? 'flag' : 'integer',
    struct,
  };
}

/** @type {ReadonlyMap<string, readonly Word[]>} */
export const structWords = new Map(
  Object.entries(structs).map(([name, words]) => [name, words.map((word) => parseWord(word))]),
);

/** @type {Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>} */
const files = calls;

/**
 * The calls in the order of their numbers.
 * @type {readonly { readonly name: string, readonly file: string, readonly number: number, readonly words: readonly Word[] }[]}
 */
export const callList = Object.entries(files)
  .flatMap(([file, list]) => Object.entries(list).map(([name, words]) => ({ name, file, words })))
  .map(({ words, ...call }, i) => ({
    ...call,
    number: FIRST_CALL + i,
    words: words.map((word) => parseWord(word)),
  }));
