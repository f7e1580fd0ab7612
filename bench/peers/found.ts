/** Rivals are optional: each is there, or is skipped by its name with the reason. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageFolder } from '../environment.ts';

export type Found<T> =
  | { readonly found: true; readonly value: T }
  | { readonly found: false; readonly name: string; readonly reason: string };

export const missing = (name: string, reason: string): Found<never> => ({ found: false, name, reason });

/** A rival that was not measured. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface FoundPackage {
  /** What the package exports; each rival's file knows its shape. */
  readonly exports: unknown;
  readonly version: string;
  readonly folder: string;
}

/** A package from the folder `peers` with its node_modules, or from what this package could import. */
export async function findPackage(name: string, peers?: string): Promise<Found<FoundPackage>> {
  const folder = peers === undefined ? fileURLToPath(packageFolder()) : resolve(peers);
  const own = join(folder, 'node_modules', name);
  if (!existsSync(own)) {
    const where =
      peers === undefined ? 'here (name a folder with its node_modules: --peers DIR)' : `in ${peers}`;
    return missing(name, `not installed ${where}`);
  }
  const require = createRequire(join(folder, 'package.json'));
  try {
    const { version } = require(join(own, 'package.json')) as { readonly version: string };
    const module = (await import(pathToFileURL(require.resolve(name)).href)) as {
      readonly default?: unknown;
    };
    return { found: true, value: { exports: module.default ?? module, version, folder: own } };
  } catch (error) {
    return missing(name, `does not load: ${error instanceof Error ? error.message : String(error)}`);
  }
}
