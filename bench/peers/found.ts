/** Optional baselines. One that is missing is skipped, and its name and the reason are recorded. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { packageFolder } from '../environment.ts';

export type Found<T> =
  | { readonly found: true; readonly value: T }
  | { readonly found: false; readonly name: string; readonly reason: string };

export const missing = (name: string, reason: string): Found<never> => ({ found: false, name, reason });

/** A baseline that was not measured, with the reason. */
export interface Skipped {
  readonly name: string;
  readonly reason: string;
}

export interface FoundPackage {
  /** The exports of the package. The file of each baseline declares their types. */
  readonly exports: unknown;
  readonly version: string;
  readonly folder: string;
}

/** Imports a package from the node_modules of the folder `peers`, or from those of this package. */
export async function findPackage(name: string, peers?: string): Promise<Found<FoundPackage>> {
  const folder = peers === undefined ? fileURLToPath(packageFolder()) : resolve(peers);
  const packagePath = join(folder, 'node_modules', name);
  if (!existsSync(packagePath)) {
    const where =
      peers === undefined ? 'here (pass a folder with its node_modules: --peers DIR)' : `in ${peers}`;
    return missing(name, `not installed ${where}`);
  }
  const require = createRequire(join(folder, 'package.json'));
  try {
    const { version } = require(join(packagePath, 'package.json')) as { readonly version: string };
    const module = (await import(pathToFileURL(require.resolve(name)).href)) as {
      readonly default?: unknown;
    };
    return { found: true, value: { exports: module.default ?? module, version, folder: packagePath } };
  } catch (error) {
    return missing(name, `does not load: ${error instanceof Error ? error.message : String(error)}`);
  }
}
