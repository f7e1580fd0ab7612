// Where PyTorch is installed, it still says what the files here hold. Skipped by name elsewhere: nothing depends on it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const python = ['/usr/bin/python3', 'python3'].find(
  (command) => spawnSync(command, ['-c', 'import torch'], { stdio: 'ignore' }).status === 0,
);
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Every number of a JSON value, in order. */
function numbers(value: unknown): number[] {
  if (typeof value === 'number') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(numbers) : [];
}

it.skipIf(python === undefined).each([
  ['generate.py', 'pytorch.json'],
  ['generate_networks.py', 'networks.json'],
  ['generate_operations.py', 'operations.json'],
])(
  'PyTorch agrees with what is committed: %s, %s (needs python3 with torch)',
  (generator, file) => {
    const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-oracle-'));
    try {
      const target = join(folder, file);
      const { status, stderr } = spawnSync(python!, ['-B', here(generator), target], { encoding: 'utf8' });
      expect(stderr).toBe('');
      expect(status).toBe(0);
      const { versions: _, ...fresh } = JSON.parse(readFileSync(target, 'utf8')) as Record<string, unknown>;
      const { versions: __, ...committed } = JSON.parse(readFileSync(here(file), 'utf8')) as Record<
        string,
        unknown
      >;
      const [a, b] = [numbers(fresh), numbers(committed)];
      expect(a.length).toBe(b.length);
      const off = a.findIndex((value, i) => Math.abs(value - b[i]) > 1e-6 * Math.max(1, Math.abs(b[i])));
      expect(off, `number ${off}: ${a[off]} now, ${b[off]} committed`).toBe(-1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
  120_000,
);
