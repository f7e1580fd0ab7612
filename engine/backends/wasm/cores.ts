/** How many threads can run at the same time here. */

/** Threads that can run at the same time: cores, or the CPU quota of the container where that is less. At least 1. */
export async function availableCores(): Promise<number> {
  const cores = globalThis.navigator?.hardwareConcurrency ?? 1;
  if (typeof process === 'undefined' || process.versions?.node === undefined) return cores;
  try {
    const { availableParallelism } = await import('node:os');
    return Math.min(availableParallelism(), process.platform === 'linux' ? await quota() : Infinity);
  } catch {
    return cores; // the build for browsers, which has no node:os, in Node: below jsdom, for example
  }
}

/** Reads a file; null where it does not exist or may not be read. */
export type ReadText = (path: string) => Promise<string | null>;

async function quota(): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  return cgroupQuota((path) => readFile(path, 'utf8').catch(() => null));
}

/**
 * The CPU quota of this process's control groups (version 1 or 2) in whole CPUs, rounded up; Infinity without one. Every ancestor can
 * have a quota; the least one counts.
 */
export async function cgroupQuota(read: ReadText): Promise<number> {
  const groups = ((await read('/proc/self/cgroup')) ?? '').split('\n').map((line) => line.split(':'));
  const quotas: number[] = [];
  for (const [id, controllers = '', path = '/'] of groups) {
    if (id === '0' && controllers === '') {
      for (const folder of upward('/sys/fs/cgroup', path)) {
        // "max 100000", or "50000 100000": microseconds of CPU time in each period of so many.
        const [time, period] = ((await read(`${folder}/cpu.max`)) ?? 'max').trim().split(/\s+/);
        quotas.push(cpus(Number(time), Number(period)));
      }
    } else if (controllers.split(',').includes('cpu')) {
      for (const root of ['/sys/fs/cgroup/cpu', `/sys/fs/cgroup/${controllers}`]) {
        for (const folder of upward(root, path)) {
          const time = Number(await read(`${folder}/cpu.cfs_quota_us`));
          quotas.push(cpus(time, Number(await read(`${folder}/cpu.cfs_period_us`))));
        }
      }
    }
  }
  return Math.min(Infinity, ...quotas);
}

/** Whole CPUs of a quota; Infinity for none ('max', -1, or no such file). */
const cpus = (time: number, period: number): number =>
  time > 0 && period > 0 ? Math.ceil(time / period) : Infinity;

/** A folder below `root` and its ancestors, up to `root` itself, which is what a container sees as its own group. */
function upward(root: string, path: string): string[] {
  const parts = path.split('/').filter((part) => part !== '' && part !== '..');
  return Array.from({ length: parts.length + 1 }, (_, i) =>
    [root, ...parts.slice(0, parts.length - i)].join('/'),
  );
}
