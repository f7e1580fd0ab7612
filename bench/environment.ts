/** Where a number was measured: the block that every result carries. A number without it is not a number. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

export interface Environment {
  readonly machine: {
    readonly platform: string;
    readonly cpu: string;
    readonly cores: number;
    readonly memoryBytes: number;
    /** Over the last 1, 5 and 15 minutes, before the benchmark began; zeros on Windows. */
    readonly loadAverage: readonly number[];
  };
  readonly versions: {
    readonly node: string;
    readonly v8: string;
    readonly cyclegrad: string;
    /** The commit, with `+changes` when the work tree differs from it; null outside a repository. */
    readonly commit: string | null;
  };
  /** When the benchmark began, ISO 8601. */
  readonly date: string;
}

/** Call it before anything is measured: the load average is part of it. */
export function environment(): Environment {
  return {
    machine: {
      platform: `${process.platform}-${process.arch}`,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      loadAverage: loadavg().map((load) => Math.round(load * 100) / 100),
    },
    versions: {
      node: process.versions.node,
      v8: process.versions.v8,
      cyclegrad: ownVersion(),
      commit: commit(),
    },
    date: new Date().toISOString(),
  };
}

/** The folder with package.json, which is one further away from what is built than from the sources. */
export function packageFolder(): URL {
  for (const up of ['..', '../..']) {
    const folder = new URL(`${up}/`, import.meta.url);
    try {
      readFileSync(new URL('package.json', folder));
      return folder;
    } catch {
      continue;
    }
  }
  throw new Error('bench: there is no package.json above this file');
}

function ownVersion(): string {
  const text = readFileSync(new URL('package.json', packageFolder()), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

function commit(): string | null {
  const git = (...args: string[]): string =>
    execFileSync('git', args, {
      cwd: fileURLToPath(packageFolder()),
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  try {
    const changes = git('status', '--porcelain', '--untracked-files=no');
    return git('rev-parse', 'HEAD') + (changes === '' ? '' : '+changes');
  } catch {
    return null;
  }
}
