/** The sources compiled to JavaScript, for tests that start a process of their own. */
import { execFile } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll } from 'vitest';
import { entries } from '../../docs/reference/entries.js';

/** What is built imports itself by the public names. */
const PACKAGE = {
  name: 'cyclegrad',
  version: '1.2.3',
  type: 'module',
  exports: Object.fromEntries(
    entries.map(({ name, source }) => [name.replace('cyclegrad', '.'), `./${source.replace(/ts$/, 'js')}`]),
  ),
};

/** The folder into which the sources are compiled before the tests of the calling file. It is removed after them. */
export function buildSources(): string {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  // Inside node_modules, so that what is built finds its dependencies and no tool takes it for a source.
  const built = join(root, 'node_modules', '.cache', `cyclegrad-test-${process.pid}`);
  beforeAll(async () => {
    mkdirSync(built, { recursive: true });
    writeFileSync(join(built, 'package.json'), JSON.stringify(PACKAGE));
    const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = ['-p', 'tsconfig.build.json', '--outDir', built, '--declaration', 'false'];
    // tsc writes files of a wrong type too. `npm run types` reports the error.
    await promisify(execFile)(process.execPath, [tsc, ...options], { cwd: root }).catch(() => undefined);
  });
  afterAll(() => rmSync(built, { recursive: true, force: true, maxRetries: 3 }));
  return built;
}
