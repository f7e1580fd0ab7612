/** The version of this package. */
import { readFileSync } from 'node:fs';

/** The version in package.json, which is one level higher for the build than for the sources. */
export function ownVersion(): string {
  for (const up of ['..', '../..']) {
    try {
      const text = readFileSync(new URL(`${up}/package.json`, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as { readonly name?: string; readonly version?: string };
      if (name === 'cyclegrad' && version !== undefined) return version;
    } catch {
      continue;
    }
  }
  return 'unknown';
}

/** The JavaScript runtime of this process. */
export function runtime(): { readonly name: 'node' | 'bun' | 'deno'; readonly version: string } {
  const { bun, deno, node } = process.versions;
  if (bun !== undefined) return { name: 'bun', version: bun };
  if (deno !== undefined) return { name: 'deno', version: deno };
  return { name: 'node', version: node };
}
