/**
 * The words of kernel calls. Every kernel lists the words of its call in order, in the decorator `@words(…)` of its function in
 * kernels/. The build makes a class of each call for the kernels (build/classes.js) and a table for the host (call.ts). A word has
 * 32 bits:
 *
 *   'rows'          an integer
 *   '*x'            an address
 *   '~epsilon'      a float
 *   '?relu'         true or false
 *   '...Pooling'    first of all: the words of a struct, which the call's class extends
 *   'a: Packing'    the words of a struct, under one name
 *   'axes: Axis[]'  last of all: a number of structs, and these
 *   'calls: Call[]' the same of whole calls, each with the three words that a call begins with in a program
 */

/** Words that several calls share, or that a call has several of. */
// prettier-ignore
export const structs = /** @type {const} */ ({
  /** Scratch memory: where that of the first thread begins, and how much each thread has. */
  Scratch: ['*base', 'bytes'],
  /** A matrix, or a batch of them, and where its packed panels go. All strides are in elements. */
  Packing: [
    '*from', '*packed', 'rows', 'columns', 'rowStride', 'columnStride', 'batch', 'fromStride',
    'packedStride',
  ],
  /** A part of each row for each head: `rows` rows of an example, `rowStride` elements apart, with heads of `width` elements side by side. */
  Head: ['*from', 'rows', 'rowStride', 'width'],
  /** Attention of heads, in blocks of queries and keys. */
  AttentionSizes: ['batch', 'heads', 'blockQueries', 'blockKeys', '~scale', '?causal'],
  /** A convolution with filters [kernelY, kernelX, channels, filters], by the sizes of its images and of its results. */
  Convolution: [
    'images', 'height', 'width', 'channels', 'filters', 'kernelY', 'kernelX', 'strideY', 'strideX',
    'padTop', 'padLeft', 'outHeight', 'outWidth',
  ],
  /**
   * A pass of a direct convolution with packed filters; a bias of 0 is none. Output pixel (i, j) lies in row firstY + i · skipY and
   * column firstX + j · skipX of y.
   */
  ConvPass: [
    '...Convolution', '*x', '*packed', '*y', '*bias', '?relu', 'fullHeight', 'fullWidth', 'firstY', 'firstX',
    'skipY', 'skipX',
  ],
  /**
   * What the kernels on Winograd tiles share. A tile has `tall` × `wide` elements and gives m × n outputs. `factors` are those of its
   * transforms, where they do not fit registers. `tileStep` is in bytes: between tiles of a block, or between their elements.
   * Scratch memory holds what a transform works on (`workBytes`), padded rows (`paddedBytes`), then blocks of tiles.
   */
  Tiles: [
    '*x', 'images', 'height', 'width', 'channels', 'filters', 'padTop', 'padLeft', 'outHeight', 'outWidth',
    'tall', 'wide', 'm', 'n', '*factors', 'blockTiles', 'inputStep', 'outputStep', 'workBytes',
    'paddedBytes', 'scratch: Scratch',
  ],
  /** Along one axis: which source position an output position sees by a tap (kernels/grouped.ts has the rule), of so many. */
  Axis: ['size', 'step', 'tap', 'offset', 'divisor'],
  /** A convolution with groups or dilation, or its input gradient. */
  Grouped: [
    'images', 'channels', 'filters', 'groups', 'kernelY', 'kernelX', 'outHeight', 'outWidth',
    'vertical: Axis', 'horizontal: Axis',
  ],
  /** Windows on images: the size of an image, of a window and of the result. */
  Pooling: [
    'images', 'height', 'width', 'channels', 'kernelY', 'kernelX', 'strideY', 'strideX', 'padTop',
    'padBottom', 'padLeft', 'padRight', 'outHeight', 'outWidth', '?insideOnly',
  ],
  /** Elements of an operand or a result: the address of the first, and the bytes of each. */
  Elements: ['*address', 'elementBytes'],
  /** An axis that operands are broadcast along: its size, and their strides in elements. */
  BroadcastAxis: ['size', 'xStride', 'yStride', 'zStride'],
  /**
   * An operand or the result of an instruction in a chain. `kind` is OPERAND_TENSOR, _SCALAR or _REGISTER. Registers are strips of a
   * thread's scratch memory. The address of a register is its offset there.
   */
  ChainOperand: ['kind', '*address', 'elementBytes'],
  /** An input that a chain loads into a register: `length` elements, each `repeats` times before the next, over and over. */
  ChainLoad: ['*x', 'length', 'repeats', 'elementBytes', 'register'],
  ChainInstruction: ['*loop', 'out: ChainOperand', 'x: ChainOperand', 'y: ChainOperand', 'z: ChainOperand'],
  /** A result that a chain stores from a register. */
  ChainStore: ['register', '*y', 'elementBytes'],
  /** An axis of a copy: its size, and the strides of x and y along it in elements. */
  CopyAxis: ['size', 'xStride', 'yStride'],
  /** The statistics and parameters of a batch normalization, gamma and beta or 0; `relu` comes after it. */
  BatchNorm: ['*mean', '*variance', '*gamma', '*beta', 'rows', 'channels', '~epsilon', '?relu'],
  /** A row or column of a resized image: between two of the input, so near to the second. */
  Blend: ['from', 'to', '~weight'],
  /** Strides in elements of a value that images are normalized with; 0 where it is the same along the axis. */
  PixelStrides: ['height', 'width', 'channels'],
  /** An address in the program of eachImage: the number of its word, and the bytes that it moves on by image and by thread. */
  Move: ['word', 'perImage', 'perThread'],
  /** A max pool that a gradient passes on its way: its windows, and the argmax of each. */
  Pooled: ['...Pooling', '*argmax'],
});

/**
 * @typedef {object} Word
 * @property {string} name
 * @property {'integer' | 'address' | 'float' | 'flag' | 'base' | 'struct' | 'structs' | 'calls'} kind
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
  if (struct === 'Call' && sign === '' && list !== '') return { name, kind: 'calls', struct: '' };
  if (struct !== '' && sign === '') return { name, kind: list === '' ? 'struct' : 'structs', struct };
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

/**
 * The words of a struct.
 * @param {string} struct
 */
export function wordsOf(struct) {
  const words = structWords.get(struct);
  if (words === undefined) throw new Error(`calls.js: there is no struct '${struct}'`);
  return words;
}

/**
 * How many words of a call come from a word of the table. Those of a list are not counted.
 * @param {Word} word
 * @returns {number}
 */
export function countWords({ kind, struct }) {
  switch (kind) {
    case 'base':
    case 'struct':
      return wordsOf(struct).reduce((sum, word) => sum + countWords(word), 0);
    case 'structs':
    case 'calls':
      return 0;
    case 'integer':
    case 'address':
    case 'float':
    case 'flag':
      return 1;
    default:
      throw new TypeError(`unknown kind of word: ${String(kind)}`);
  }
}
