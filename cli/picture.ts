/** `--svg FILE`: a picture beside what a command prints. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from './failure.ts';
import type { Host } from './host.ts';

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * A function that writes the picture, or does nothing where none is asked for. Throws UsageError now for a folder that cannot be
 * written to: after a long sweep it would be too late. The function throws Error where writing fails all the same.
 */
export function pictureAt(host: Host, file: string | undefined): (svg: string) => void {
  if (file === undefined) return () => undefined;
  const path = resolve(host.cwd, file);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw new UsageError(
      `--svg ${file}: its folder cannot be written to: ${message(cause)} (make it first)`,
      {
        cause,
      },
    );
  }
  return (svg) => {
    try {
      writeFileSync(path, svg);
    } catch (cause) {
      throw new Error(`--svg ${file}: cannot be written: ${message(cause)}`, { cause });
    }
  };
}
