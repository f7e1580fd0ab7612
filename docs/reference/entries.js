/** The public entries of the package and the sources behind them, as package.json lists them. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * @typedef {object} Entry
 * @property {string} name what users import: `cyclegrad/optim`
 * @property {string} source the entry's file, relative to the root: `optim/index.ts`
 */

/** @type {{ name: string, exports: Record<string, string | { types: string }> }} */
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));

/** The name of the package. */
export const PACKAGE = manifest.name;

/** @type {readonly Entry[]} */
export const entries = Object.entries(manifest.exports).flatMap(([path, target]) => {
  if (typeof target === 'string') return [];
  const source = target.types.replace(/^\.\/dist\//, '').replace(/\.d\.ts$/, '.ts');
  return [{ name: manifest.name + path.slice(1), source }];
});
