/** `--svg FILE`: an SVG file in addition to the output of a command. */
import { accessSync, constants, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../failure.ts';
import type { Host } from '../host.ts';

const message = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Returns a function that writes the SVG, or does nothing without a file. Throws UsageError at once for a folder that is not
 * writable, because after a long sweep it would be too late. The function throws Error if writing fails.
 */
export function svgWriter(host: Host, file: string | undefined): (svg: string) => void {
  if (file === undefined) return () => undefined;
  const path = resolve(host.cwd, file);
  try {
    accessSync(dirname(path), constants.W_OK);
  } catch (cause) {
    throw new UsageError(`--svg ${file}: its folder is not writable: ${message(cause)} (create it first)`, {
      cause,
    });
  }
  return (svg) => {
    try {
      writeFileSync(path, svg);
    } catch (cause) {
      throw new Error(`--svg ${file}: cannot be written: ${message(cause)}`, { cause });
    }
  };
}
