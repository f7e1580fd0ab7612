/** Files that survive a crash, and the lock of a run folder, on a real file system. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { CheckpointError, fit, loadTensors, RunInUseError, train } from 'cyclegrad';
import { createFile, makeFolder, nodeFiles, readFrom, replaceFile, type Files } from '../../engine/files.ts';
import { readCheckpoint, writeCheckpoint } from '../../engine/train/checkpoint.ts';
import { lockFolder } from '../../engine/train/lock.ts';
import { Disk } from '../stress/crashes/disk.ts';
import { checkpointOf } from '../stress/crashes/writer.ts';
import { folder, tinyRun } from './fixture.ts';

/** The process of a command that ended. */
const deadPid = (): number => spawnSync(process.execPath, ['--version']).pid;

const lockText = (changes: object): string =>
  JSON.stringify({ ...nodeFiles.owner, since: '2026-01-02T03:04:05.678Z', ...changes });

describe('files', () => {
  test('are written, hashed and read in pieces of any size', async () => {
    const scenario = { steps: 1, every: 1, keep: 1, sizes: [5, 0, 33], chunkBytes: 0 };
    const dir = folder();
    const path = join(dir, 'a', 'b', 'pieces.safetensors');
    const whole = checkpointOf(scenario, 1);
    for (const chunkBytes of [4, 20, 1 << 20]) {
      let largest = 0;
      const files: Files = {
        ...nodeFiles,
        chunkBytes,
        async open(path, flags) {
          const file = await nodeFiles.open(path, flags);
          const read: typeof file.read = (into, position) => {
            largest = Math.max(largest, into.length);
            return file.read(into, position);
          };
          return { ...file, read };
        },
      };
      await writeCheckpoint(files, path, whole);
      expect(await readCheckpoint(files, path)).toEqual(whole);
      expect(largest).toBeLessThanOrEqual(chunkBytes);
      expect(await loadTensors(path)).toEqual(whole.state);
    }
    expect(readdirSync(join(dir, 'a', 'b'))).toEqual(['pieces.safetensors']);
  });

  test('keep the old contents if the new ones cannot be written', async () => {
    for (let at = 0; at < 5; at++) {
      const disk = new Disk();
      const bytes = Uint8Array.of(1, 2, 3);
      await replaceFile(disk.files(1, 64), '/a/file', [bytes]);
      disk.restart();
      disk.failAt(at, 'ENOSPC');
      await expect(replaceFile(disk.files(1, 64), '/a/file', [Uint8Array.of(4)])).rejects.toThrow('ENOSPC');
      expect(disk.contents()).toEqual(new Map([['/a/file', bytes]]));
    }
  });

  test('a folder below one that cannot have any is an error, not an endless loop', async () => {
    const dir = folder();
    writeFileSync(join(dir, 'file'), '');
    await expect(makeFolder(nodeFiles, join(dir, 'file', 'a', 'b'))).rejects.toThrow(
      `${join(dir, 'file')} is not a folder`,
    );
    await makeFolder(nodeFiles, join(dir, 'a', 'b'));
    await makeFolder(nodeFiles, join(dir, 'a', 'b'));
    expect(readdirSync(join(dir, 'a'))).toEqual(['b']);
  });

  test.runIf(existsSync('/proc/self'))('a folder below /proc is an error', async () => {
    await expect(makeFolder(nodeFiles, '/proc/x/y')).rejects.toThrow('folders cannot be created in /proc');
  });

  test('a file that shrinks while it is read is an error', async () => {
    const path = join(folder(), 'file');
    writeFileSync(path, 'abc');
    await expect(readFrom(nodeFiles, path, (source) => source.read(new Uint8Array(5), 0))).rejects.toThrow(
      'read: the file ends at byte 3',
    );
  });

  test('a file is created once, also on file systems without links', async () => {
    const dir = folder();
    const link = (): Promise<void> => Promise.reject(Object.assign(new Error('no links'), { code: 'EPERM' }));
    for (const [name, files] of [
      ['links', nodeFiles],
      ['none', { ...nodeFiles, owner: nodeFiles.owner, link }],
    ] as const) {
      const path = join(dir, name);
      expect(await createFile(files, path, 'first')).toBe(true);
      expect(await createFile(files, path, 'second')).toBe(false);
      expect(readFileSync(path, 'utf8')).toBe('first');
    }
    expect(readdirSync(dir).sort()).toEqual(['links', 'none']);
  });
});

describe('the lock', () => {
  test('of a live run refuses a second one, which changes nothing', async () => {
    const dir = folder();
    const checkpoint = { dir, every: 5, resume: true };
    const events = train(tinyRun({ checkpoint }));
    await events.next();
    const before = readdirSync(dir);
    const second = fit(tinyRun({ checkpoint }));
    await expect(second).rejects.toThrow(RunInUseError);
    await expect(second).rejects.toThrow(CheckpointError);
    await expect(second).rejects.toThrow(
      new RegExp(
        `^${dir}: another run writes here: this process \\(${process.pid} on .+\\) since 20\\d\\d-.*Z ` +
          '\\(wait for it, or use another folder\\)$',
      ),
    );
    expect(readdirSync(dir)).toEqual(before);
    await events.return();
    await fit(tinyRun({ checkpoint }));
    expect(readdirSync(dir)).not.toContain('run.lock');
  });

  test('of two runs that start together, one gets it', async () => {
    const dir = folder();
    const runs = [1, 2, 3].map(() => fit(tinyRun({ checkpoint: { dir, every: 5 } })));
    const ends = await Promise.allSettled(runs);
    expect(ends.filter(({ status }) => status === 'fulfilled').length).toBe(1);
    const reasons = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    expect(reasons.filter((reason) => reason instanceof RunInUseError).length).toBe(2);
    expect(readdirSync(dir)).toEqual(['step-00000005.safetensors', 'step-00000010.safetensors']);
  });

  test('names another process, and one of another machine with what to delete', async () => {
    const dir = folder();
    const path = join(dir, 'run.lock');
    writeFileSync(path, lockText({ pid: process.ppid, started: null }));
    await expect(lockFolder(nodeFiles, dir)).rejects.toThrow(
      `${dir}: another run writes here: process ${process.ppid} on ${nodeFiles.owner.host} since 2026-01-02T03:04:05.678Z ` +
        '(wait for it or stop it, or use another folder)',
    );
    writeFileSync(path, lockText({ pid: 7, host: 'elsewhere' }));
    await expect(lockFolder(nodeFiles, dir)).rejects.toThrow(
      `process 7 on elsewhere since 2026-01-02T03:04:05.678Z (wait for it, or use another folder; if it ended, delete ${path})`,
    );
  });

  const stale: readonly (readonly [string, () => string])[] = [
    ['a dead process', () => lockText({ pid: deadPid() })],
    ['a power failure', () => ''],
    // A process with the same id that started at another time.
    ...(existsSync('/proc/self/stat')
      ? [['an id used again', () => lockText({ started: 'x/1' })] as const]
      : []),
  ];

  test.each(stale)('of %s is taken over', async (_, text) => {
    const dir = folder();
    const path = join(dir, 'run.lock');
    writeFileSync(path, text());
    const lock = await lockFolder(nodeFiles, dir);
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ pid: process.pid });
    await expect(lockFolder(nodeFiles, dir)).rejects.toThrow(RunInUseError);
    await lock.release();
    await lock.release();
    expect(readdirSync(dir)).toEqual([]);
  });

  test('that another process took is not released', async () => {
    const dir = folder();
    const lock = await lockFolder(nodeFiles, dir);
    writeFileSync(join(dir, 'run.lock'), lockText({ pid: 7 }));
    await lock.release();
    expect(readdirSync(dir)).toEqual(['run.lock']);
  });

  test('is released when the process exits', async () => {
    const dir = folder();
    const before = process.listeners('exit');
    const lock = await lockFolder(nodeFiles, dir);
    const [onExit] = process.listeners('exit').filter((listener) => !before.includes(listener));
    onExit(0);
    expect(readdirSync(dir)).toEqual([]);
    await lock.release();
    expect(process.listeners('exit')).toEqual(before);
  });

  test('a folder that cannot be created is an error', async () => {
    const dir = folder();
    writeFileSync(join(dir, 'file'), '');
    await expect(lockFolder(nodeFiles, join(dir, 'file', 'run'))).rejects.toThrow(
      `${join(dir, 'file', 'run')}: the folder cannot be created: ${join(dir, 'file')} is not a folder (use another folder)`,
    );
  });
});

test('temporary files of dead processes are removed, others stay', async () => {
  const dir = folder();
  mkdirSync(join(dir, 'nested'));
  const dead = deadPid();
  const leftovers = [`step-00000004.safetensors.${dead}.tmp`, `events.jsonl.3.${dead}.tmp`];
  const others = [`summary.json.0.${process.ppid}.tmp`, 'notes.tmp', 'nested'];
  for (const name of [...leftovers, ...others.slice(0, 2)]) writeFileSync(join(dir, name), 'half');
  await fit(tinyRun({ steps: 1, checkpoint: { dir, every: 1 } }));
  expect(readdirSync(dir).sort()).toEqual([...others, 'step-00000001.safetensors'].sort());
});

test('a process is alive until it ends', () => {
  expect(nodeFiles.isAlive(nodeFiles.owner)).toBe(true);
  expect(nodeFiles.isAlive({ ...nodeFiles.owner, pid: deadPid() })).toBe(false);
});
