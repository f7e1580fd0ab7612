/** The files of the page, which the build bundles into `dist/cli/ui/assets`. */
import { existsSync, readFileSync } from 'node:fs';

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
} as const;

/** A file of the page. */
export interface Asset {
  readonly type: string;
  readonly bytes: Uint8Array;
}

/** The folder, seen from the build of this file, from the bundle in `dist/lib`, and from the source. */
const FOLDERS = ['./assets/', '../cli/ui/assets/', '../../dist/cli/ui/assets/'];

/** The files by name. Throws Error if the package was not built. */
export function readAssets(): ReadonlyMap<string, Asset> {
  const folder = FOLDERS.map((path) => new URL(path, import.meta.url)).find((url) =>
    existsSync(new URL('page.js', url)),
  );
  if (folder === undefined) {
    throw new Error('livePage: the files of the page are missing from the package (run: npm run build)');
  }
  return new Map(
    Object.entries(TYPES).map(([name, type]) => [name, { type, bytes: readFileSync(new URL(name, folder)) }]),
  );
}
