/** The folder of a fuzz process, removed when the process ends. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let path: string | null = null;

export function folder(): string {
  if (path === null) {
    const made = mkdtempSync(join(tmpdir(), 'cyclegrad-fuzz-'));
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    path = made;
  }
  return path;
}
