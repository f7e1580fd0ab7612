/** What this process uses: memory, threads, files, and handles of Node. */
import { readdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Usage {
  /** In kB. */
  readonly rss: number;
  /** In kB, after a collection. */
  readonly heap: number;
  /** Resources that keep the event loop busy. */
  readonly handles: number;
  /** 0 where the system does not tell. */
  readonly threads: number;
  readonly files: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function usage(): Usage {
  collect();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    rss: rss / 1000,
    heap: heapUsed / 1000,
    handles: process.getActiveResourcesInfo().length,
    ...ofSystem(),
  };
}

function ofSystem(): Pick<Usage, 'threads' | 'files'> {
  try {
    const threads = /^Threads:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    return { threads: Number(threads ?? 0), files: readdirSync('/proc/self/fd').length };
  } catch {
    return { threads: 0, files: 0 }; // not Linux
  }
}

/** The slope of the least-squares line through the second half of the points. */
export function slopeOfSecondHalf(points: readonly (readonly [x: number, y: number])[]): number {
  const half = points.slice(Math.floor(points.length / 2));
  const mean = (at: 0 | 1): number => half.reduce((sum, point) => sum + point[at], 0) / half.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = half.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0);
  return covariance / half.reduce((sum, [a]) => sum + (a - x) ** 2, 0);
}
