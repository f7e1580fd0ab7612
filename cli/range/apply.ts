/** `--apply FILE`: the bounds of a range test in a configuration file of `cyclegrad train`. */
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { UsageError } from '../failure.ts';
import type { Host } from '../host.ts';
import { readConfig } from '../options/config-file.ts';

export type Settings = Readonly<Record<string, string | number | boolean>>;

/**
 * Returns a function that writes settings into the file. Those that it does not name stay as they are, and `defaults` fill in what is
 * missing. Does nothing without a file. Throws UsageError at once for a file that cannot be changed, because after the sweep it would be too late.
 */
export function configWriter(
  host: Host,
  file: string | undefined,
): (settings: Settings, defaults?: Settings) => void {
  if (file === undefined) return () => undefined;
  const path = resolve(host.cwd, file);
  const present = existsSync(path);
  const before = present ? readConfig(host.cwd, file, '--apply') : {};
  try {
    accessSync(present ? path : dirname(path), constants.W_OK);
  } catch (cause) {
    throw new UsageError(
      `--apply ${file}: it cannot be written: ${(cause as Error).message} (create its folder, or name another file)`,
      { cause },
    );
  }
  return (settings, defaults = {}) => {
    try {
      writeFileSync(path, `${JSON.stringify({ ...defaults, ...before, ...settings }, null, 2)}\n`);
    } catch (cause) {
      throw new Error(`--apply ${file}: cannot be written: ${(cause as Error).message}`, { cause });
    }
  };
}
