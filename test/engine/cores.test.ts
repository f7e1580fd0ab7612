/** How many threads the CPU backend starts: containers limit CPU time without hiding cores. */
import { describe, expect, it } from 'vitest';
import { availableCores, cgroupQuota } from '../../engine/backends/wasm/cores.ts';

const quotaOf = (files: Readonly<Record<string, string>>): Promise<number> =>
  cgroupQuota((path) => Promise.resolve(files[path] ?? null));

describe('the CPU quota of control groups', () => {
  it.each([
    ['without control groups', {}, Infinity],
    [
      'version 2, no limit',
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max 100000\n' },
      Infinity,
    ],
    ['version 2, one CPU', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '100000 100000\n' }, 1],
    [
      'version 2, one and a half',
      { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' },
      2,
    ],
    ['version 2, a tenth', { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '10000 100000\n' }, 1],
    [
      'version 2, an ancestor with less',
      {
        '/proc/self/cgroup': '0::/system.slice/train.service\n',
        '/sys/fs/cgroup/system.slice/train.service/cpu.max': '800000 100000\n',
        '/sys/fs/cgroup/system.slice/cpu.max': '300000 100000\n',
      },
      3,
    ],
    [
      'version 1',
      {
        '/proc/self/cgroup': '5:memory:/job\n4:cpu,cpuacct:/job\n0::/\n',
        '/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us': '200000\n',
        '/sys/fs/cgroup/cpu/job/cpu.cfs_period_us': '100000\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
        '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      },
      2,
    ],
    [
      'version 1 in a container, which sees its group as the root',
      {
        '/proc/self/cgroup': '4:cpu,cpuacct:/docker/0123\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
        '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      },
      1,
    ],
    ['garbage', { '/proc/self/cgroup': 'x\n\n0::/\n', '/sys/fs/cgroup/cpu.max': 'garbage' }, Infinity],
  ])('%s', async (_, files, cpus) => {
    expect(await quotaOf(files)).toBe(cpus);
  });

  it('is at most the number of cores, and at least 1', async () => {
    const cores = await availableCores();
    expect(Number.isInteger(cores)).toBe(true);
    expect(cores).toBeGreaterThanOrEqual(1);
  });
});
