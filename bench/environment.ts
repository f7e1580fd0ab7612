/** The environment of a measurement. Every result includes it. */
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
    /** The load average over the last 1, 5 and 15 minutes before the benchmark. Zeros on Windows. */
    readonly loadAverage: readonly number[];
  };
  readonly versions: {
    readonly node: string;
    readonly v8: string;
    readonly cyclegrad: string;
    /** The commit, with `+changes` if the work tree differs from it. Null outside a repository. */
    readonly commit: string | null;
  };
  /** The start of the benchmark, ISO 8601. */
  readonly date: string;
}

/** Describes the environment. Call it before the measurements, because it includes the load average. */
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

/** The folder with package.json, which is one level higher for the build than for the sources. */
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
  throw new Error('bench: no package.json in the folders above this file');
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
