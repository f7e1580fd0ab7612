import { describe, expect, it } from 'vitest';
import { whileHeld } from '../../engine/held-files.ts';

/** Renames a file that another program has open for a number of attempts. */
function heldFor(attempts: number, code: string) {
  const waits: number[] = [];
  let tried = 0;
  const act = async (): Promise<string> => {
    if (tried++ < attempts) throw Object.assign(new Error(`${code}: attempt ${tried}`), { code });
    return 'renamed';
  };
  const wait = async (ms: number): Promise<void> => void waits.push(ms);
  return { on: (platform: string) => whileHeld(act, platform, wait), waits, tried: () => tried };
}

describe('whileHeld', () => {
  it.each(['EPERM', 'EACCES', 'EBUSY'])('tries again on Windows after %s', async (code) => {
    const held = heldFor(3, code);
    await expect(held.on('win32')).resolves.toBe('renamed');
    expect(held.waits).toEqual([10, 20, 40]);
  });

  it('rejects with the last error of a file that stays open', async () => {
    const held = heldFor(Infinity, 'EBUSY');
    await expect(held.on('win32')).rejects.toThrow('EBUSY: attempt 9');
    expect(held.waits.reduce((sum, ms) => sum + ms)).toBe(1500);
  });

  it('does not try again for another reason, or on another system', async () => {
    const missing = heldFor(1, 'ENOENT');
    await expect(missing.on('win32')).rejects.toThrow('ENOENT');
    const denied = heldFor(1, 'EPERM');
    await expect(denied.on('darwin')).rejects.toThrow('EPERM');
    expect([missing.tried(), denied.tried()]).toEqual([1, 1]);
  });
});
