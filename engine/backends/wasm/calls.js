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
  /** A convolution with filters [kernelY, kernelX, channels, filters], by the sizes of its images and of its results. */
  Convolution: [
    'images', 'height', 'width', 'channels', 'filters', 'kernelY', 'kernelX', 'strideY', 'strideX',
    'padTop', 'padLeft', 'outHeight', 'outWidth',
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

/** By the file of kernels/ that has the kernel. Its function is called like the call, its class likewise with a capital. */
// prettier-ignore
export const calls = /** @type {const} */ ({
  move: {
    copy: ['*x', '*y', 'bytes'],
    fill: ['*y', 'n', 'elementBytes', 'bits'],
    strided: ['*x', '*y', 'elementBytes', 'axes: CopyAxis[]'],
    gatherRows: ['*x', '*index', '*y', 'rows', 'count', 'rowBytes'],
    scatterAddRows: ['*dy', '*index', '*dx', 'rows', 'count', 'width'],
    takeAlongAxis: ['*x', '*index', '*y', 'elementBytes', 'outer', 'n', 'inner', 'm'],
    scatterAddAlongAxis: ['*dy', '*index', '*dx', 'outer', 'n', 'inner', 'm'],
  },
  elementwise: {
    elementwise: [
      '*loop', 'out: Elements', 'x: Elements', 'y: Elements', 'z: Elements', 'axes: BroadcastAxis[]',
    ],
    chain: [
      'n', 'scratch: Scratch', 'loads: ChainLoad[]', 'instructions: ChainInstruction[]',
      'stores: ChainStore[]',
    ],
    checkFinite: ['*x', '*y', 'n'],
  },
  order: {
    cumsum: ['*x', '*y', 'outer', 'n', 'inner', '?exclusive', '?reverse'],
    sort: ['*x', '*values', '*indices', 'rows', 'n', '?descending', 'scratch: Scratch'],
  },
  random: {
    dropout: ['*x', '*y', 'n', '*step', 'key0', 'key1', 'threshold', '~scale'],
    random: ['*y', 'n', '*step', 'key0', 'key1', '?normal'],
  },
  images: {
    normalizeImages: [
      '*x', '*mean', '*scale', '*draws', '*y', 'images', 'height', 'width', 'channels', '?bytes',
      'meanStrides: PixelStrides', 'scaleStrides: PixelStrides', 'scratch: Scratch',
    ],
  },
  each: {
    eachImage: ['images', 'scratch: Scratch', 'moves: Move[]', 'program: Call[]'],
  },
  pool: {
    maxPool: ['...Pooling', '*x', '*y', '*argmax', '?relu', 'argmaxBytes'],
    maxPoolGrad: ['...Pooling', '*dy', '*argmax', '*dx', '*mask'],
    maxPoolSpread: ['...Pooling', '*dy', '*argmax', '*dx'],
    avgPool: ['...Pooling', '*x', '*y'],
    avgPoolGrad: ['...Pooling', '*dy', '*dx', '*mask'],
  },
  norm: {
    chunkMoments: ['*x', '*partial', 'rows', 'channels', 'chunks'],
    mergeMoments: ['*partial', '*mean', '*variance', 'rows', 'channels', 'chunks'],
    normalize: ['...BatchNorm', '*x', '*y', '*residual'],
    chunkGradSums: ['...BatchNorm', '*dy', '*x', '*partial', 'chunks'],
    mergeGradSums: ['*partial', '*dBeta', '*dGamma', 'channels', 'chunks'],
    normalizeGrad: ['...BatchNorm', '*dy', '*x', '*dx', '*dGamma', '*dBeta'],
  },
  standardize: {
    standardize: [
      '*x', '*y', '*mean', '*variance', 'images', 'positions', 'groups', 'channels', '~epsilon', 'rowBytes',
      'scratch: Scratch',
    ],
    standardizeGrad: [
      '*dy', '*y', '*variance', '*dx', 'images', 'positions', 'groups', 'channels', '~epsilon', 'rowBytes',
      'scratch: Scratch',
    ],
  },
  resize: {
    resize: ['*x', '*y', 'images', 'height', 'width', 'channels', 'rows: Blend[]', 'columns: Blend[]'],
    resizeGrad: ['*dy', '*dx', 'images', 'height', 'width', 'channels', 'rows: Blend[]', 'columns: Blend[]'],
  },
  lrn: {
    lrn: [
      '*x', '*y', '*scales', 'images', 'height', 'width', 'channels', 'size', '~alpha', '~beta',
      'scratch: Scratch',
    ],
    lrnGrad: [
      '*dy', '*x', '*scales', '*dx', 'images', 'height', 'width', 'channels', 'size', '~factor', '~beta',
      'productBytes', 'scratch: Scratch',
    ],
  },
  reduce: {
    sum: ['*x', '*y', 'outer', 'n', 'inner', 'chunks'],
    maxOf: ['*x', '*y', '*positions', 'outer', 'n', 'inner'],
  },
  gemm: {
    // Both operands of a product in one call, so that threads meet once after them.
    pack: ['a: Packing', 'b: Packing'],
    packB: ['...Packing'],
    // a [m, k] · b [k, n] of packed operands: blocks of rows (a multiple of MR) × columns (one of NR), strides in elements.
    gemm: [
      '*a', '*b', '*c', 'm', 'n', 'k', 'blockRows', 'blockColumns', 'batch', 'aStride', 'bStride',
      'cStride', 'corner: Scratch',
    ],
  },
  conv: {
    // A task computes so many rows of the result from one padded copy of the rows that they see. Output pixel (i, j) lies in row
    // firstY + i · skipY and column firstX + j · skipX of y. A bias of 0 is none.
    conv: [
      '...Convolution', '*x', '*packed', '*y', '*bias', '?relu', 'taskRows', 'cornerBytes',
      'scratch: Scratch', 'fullHeight', 'fullWidth', 'firstY', 'firstX', 'skipY', 'skipX',
    ],
    // The taps of filters w [kernelY, kernelX, channels, filters] that meet one phase of a strided convolution's input.
    packRotated: [
      '*w', '*packed', 'kernelY', 'kernelX', 'channels', 'filters', 'phaseY', 'phaseX', 'strideY',
      'strideX',
    ],
    // Pixels to add to a row of dy so that the windows of all rows lie at one distance, or −1. Scratch memory holds padded rows of
    // x, then of dy.
    convGradWeight: [
      '...Convolution', '*x', '*dy', '*partial', 'chunks', 'taskRows', 'extraColumns', 'paddedBytes',
      'scratch: Scratch',
    ],
    // A run is a row of taps of all channels.
    addPartials: ['*partial', '*dw', 'chunks', 'kernelY', 'run', 'filters'],
  },
  winograd: {
    // Filters [r, r, channels, filters] to packed panels for each tile element, by the transforms of columns and rows. Rotated
    // filters exchange channels and filters.
    transformFilters: [
      '*w', '*packed', 'tall', 'wide', 'r', 'channels', 'filters', '*gDown', '*gAcross', '?rotated',
      'tapsBytes', 'scratch: Scratch',
    ],
    // A bias of 0 is none. The filters are cut into so many parts.
    winograd: ['...Tiles', '*packed', '*y', '*bias', '?relu', 'parts'],
    // Partial gradients of chunks of tiles, and the sums of dy over them [chunks, filters], or 0.
    winogradGradWeight: ['...Tiles', '*dy', '*partial', 'chunks', '*totals', 'pools: Pooled[]'],
    // Both operands of all tiles, in blocks [tile elements, tiles, channels or filters]. A task has `taskTiles` tiles. The steps are
    // between tile elements. The sums of dy over tasks [tasks, filters], or 0.
    winogradGradTransform: [
      '...Tiles', '*dy', '*inputs', '*grads', 'taskTiles', '*totals', 'pools: Pooled[]',
    ],
    // Their products over all tiles. Where `blockwise`, every block is summed by itself.
    winogradGradProduct: [
      '*inputs', '*grads', '*partial', 'elements', 'channels', 'filters', 'tiles', 'blockTiles',
      'inputStep', 'gradStep', '?blockwise', 'sums: Scratch',
    ],
    winogradFinishWeight: [
      '*partial', '*dw', 'tall', 'wide', 'r', 'channels', 'filters', 'chunks', '*gDown', '*gAcross',
      'workBytes', 'scratch: Scratch',
    ],
  },
  grouped: {
    // Row (tap, i) and column j of group g come from w[tap · tapStride + i · innerStride + j · columnStride + g · groupStride].
    packGroups: [
      '*w', '*packed', 'taps', 'inner', 'columns', 'groups', 'tapStride', 'innerStride', 'columnStride',
      'groupStride',
    ],
    // A task gathers what so many rows of the result see. A bias of 0 is none.
    groupedConv: [
      '...Grouped', '*x', '*packed', '*y', '*bias', '?relu', 'taskRows', 'cornerBytes', 'scratch: Scratch',
    ],
    groupedGradWeight: ['...Grouped', '*x', '*dy', '*partial', 'chunks', 'taskRows', 'scratch: Scratch'],
    addGroupPartials: ['*partial', '*dw', 'chunks', 'groups', 'depth', 'columns'],
    depthwise: ['...Grouped', '*x', '*w', '*y', '*bias', '?relu'],
    depthwiseGradWeight: ['...Grouped', '*x', '*dy', '*partial', 'chunks'],
  },
  loss: {
    crossEntropy: ['*logits', '*labels', '*losses', '*softmax', 'rows', 'classes'],
    crossEntropyGrad: ['*dy', '*softmax', '*labels', '*dx', 'rows', 'classes'],
    correct: ['*logits', '*labels', '*y', 'rows', 'classes'],
  },
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

/** @type {Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>} */
const files = calls;

/**
 * The calls in the order of their numbers. 0 ends a program.
 * @type {readonly { readonly name: string, readonly file: string, readonly number: number, readonly words: readonly Word[] }[]}
 */
export const callList = Object.entries(files)
  .flatMap(([file, list]) => Object.entries(list).map(([name, words]) => ({ name, file, words })))
  .map(({ words, ...call }, i) => ({
    ...call,
    number: 1 + i,
    words: words.map((word) => parseWord(word)),
  }));
