// Finds the kernels in the AssemblyScript sources: exported functions with the words of their call in a decorator.
import { parseWord } from '../calls.js';

/** @typedef {{ readonly name: string, readonly file: string, readonly words: readonly string[] }} Kernel */

const KERNEL = /^(?:@words\(([^)]*)\)\s*)?export function (\w+)\(\w+: \w+, slice: i32, slices: i32\)/gm;

/**
 * The kernels of a source. Throws for one without words.
 * @param {string} file without its ending
 * @param {string} source
 * @returns {Kernel[]}
 */
export function kernelsOf(file, source) {
  return [...source.matchAll(KERNEL)].map(([, list, name]) => {
    if (list === undefined) {
      throw new Error(
        `kernels/${file}.ts: the kernel ${name} does not list the words of its call (put @words("*x", "n") above it)`,
      );
    }
    const words = list.split(',').map((text) => {
      const word = /^\s*"(.*)"\s*$/.exec(text)?.[1];
      if (word === undefined)
        throw new Error(`kernels/${file}.ts: @words of ${name}: ${text.trim()} is not a string`);
      parseWord(word);
      return word;
    });
    return { name, file, words };
  });
}

/**
 * The table of kernels for the host: the words of each call by name, in the order of the numbers of the calls.
 * @param {readonly Kernel[]} kernels
 */
export function hostTable(kernels) {
  const rows = kernels.map(
    ({ name, words }) => `  ${name}: [${words.map((word) => `'${word}'`).join(', ')}],`,
  );
  return `export const calls = {\n${rows.join('\n')}\n} as const;`;
}
