/** The JSON files of results: after a crash, each is complete or missing, and a broken one is named. */
import { existsSync, readFileSync } from 'node:fs';
import { nodeFiles, replaceFile } from '../../engine/files.ts';

/** Writes a result. When the promise resolves, it is on the disk. */
export async function writeResult(path: string, result: object): Promise<void> {
  await replaceFile(nodeFiles, path, [new TextEncoder().encode(`${JSON.stringify(result)}\n`)]);
}

/** Reads a result. Throws Error, with the path, for a file that is empty, cut off or no result. */
export function readResult(path: string): unknown {
  const text = readFileSync(path, 'utf8');
  try {
    const result: unknown = JSON.parse(text);
    if (typeof result === 'object' && result !== null && !Array.isArray(result)) return result;
  } catch (cause) {
    throw broken(path, (cause as Error).message, cause);
  }
  throw broken(path, `it is ${text.slice(0, 20).trim()}, not an object`);
}

const broken = (path: string, what: string, cause?: unknown): Error =>
  new Error(`${path}: the result is broken: ${what} (delete it, and run its experiment again)`, { cause });

/** Whether there is a result. Logs one that is broken, which counts as none. */
export function hasResult(path: string, log: (line: string) => void): boolean {
  if (!existsSync(path)) return false;
  try {
    readResult(path);
    return true;
  } catch (error) {
    log((error as Error).message);
    return false;
  }
}
