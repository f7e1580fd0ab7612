import { join, win32 } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { commandFor, endingSignal, shellWord } from '../../cli/host.ts';
import { onStopSignal } from '../../cli/stop.ts';
import { testHost } from './fixture.ts';

describe('commandFor', () => {
  it('says what people typed', () => {
    const npm = { npm_lifecycle_event: 'start' };
    const cwd = join('/', 'here');
    const script = join(cwd, 'dist', 'cli', 'main.js');
    expect(commandFor('train', script, cwd, npm)).toBe('npm start --');
    expect(commandFor('data', script, cwd, npm)).toBe(`node ${join('dist', 'cli', 'main.js')} data`);
    expect(commandFor('train', script, cwd, {})).toBe(`node ${join('dist', 'cli', 'main.js')} train`);
    expect(commandFor('train', join(cwd, 'node_modules', '.bin', 'cyclegrad'), cwd, {})).toBe(
      'npx cyclegrad train',
    );
    expect(commandFor('train', join('/', 'usr', 'bin', 'cyclegrad'), cwd, {})).toBe('cyclegrad train');
  });
});

describe('on Windows', () => {
  const cwd = String.raw`C:\Users\me\pets`;
  const on = (script: string): string => commandFor('train', script, cwd, {}, win32);

  it('commandFor names the command of an installed package, which starts by its path there', () => {
    expect(on(String.raw`C:\Users\me\pets\node_modules\cyclegrad\dist\cli\main.js`)).toBe(
      'npx cyclegrad train',
    );
    expect(on(String.raw`C:\Users\me\npm\node_modules\cyclegrad\dist\cli\main.js`)).toBe('cyclegrad train');
  });

  it('commandFor quotes paths with spaces and crosses drives', () => {
    expect(on(String.raw`C:\Users\me\pets\dist\cli\main.js`)).toBe(String.raw`node dist\cli\main.js train`);
    expect(on(String.raw`D:\my code\dist\cli\main.js`)).toBe(
      String.raw`node "D:\my code\dist\cli\main.js" train`,
    );
  });

  it('ends a process without SIGHUP, which the system does not send', () => {
    expect(endingSignal('SIGHUP', 'win32')).toBe('SIGTERM');
    expect(endingSignal('SIGHUP', 'darwin')).toBe('SIGHUP');
    expect(endingSignal('SIGINT', 'win32')).toBe('SIGINT');
  });
});

describe('shellWord', () => {
  it('quotes only what a shell would read otherwise', () => {
    expect(shellWord('--steps=200', 'linux')).toBe('--steps=200');
    expect(shellWord('a b', 'linux')).toBe("'a b'");
    expect(shellWord("it's", 'linux')).toBe(String.raw`'it'\''s'`);
    expect(shellWord('{"kind":"constant"}', 'linux')).toBe(`'{"kind":"constant"}'`);
    expect(shellWord('{"kind":"constant"}', 'win32')).toBe(String.raw`"{\"kind\":\"constant\"}"`);
    expect(shellWord(String.raw`runs\one`, 'win32')).toBe(String.raw`runs\one`);
    expect(shellWord('D:\\my runs\\', 'win32')).toBe(String.raw`"D:\my runs\\"`);
    expect(shellWord(String.raw`a \"b`, 'win32')).toBe(String.raw`"a \\\"b"`);
  });
});

describe('onStopSignal', () => {
  it('aborts at the first press, quits at the second, and takes two at once for one', async () => {
    const host = await testHost();
    let now = 0;
    let told = 0;
    const stop = onStopSignal(host, { onFirst: () => void told++, now: () => now });
    expect(stop.receivedSignal()).toBe(null);
    host.press();
    now = 100; // npm passes on what the terminal has sent already
    host.press();
    expect([stop.signal.aborted, stop.receivedSignal(), told, host.quits]).toEqual([true, 'SIGINT', 1, []]);
    now = 2000;
    host.press();
    expect([told, host.quits]).toEqual([1, ['SIGINT']]);
    stop.release();
    host.press();
    expect(host.quits).toEqual(['SIGINT']);
  });

  it('quits at another signal, however soon it comes', async () => {
    const host = await testHost();
    const stop = onStopSignal(host, { onFirst: () => undefined, now: () => 0 });
    host.press('SIGTERM');
    host.press('SIGHUP');
    expect([stop.receivedSignal(), host.quits]).toEqual(['SIGTERM', ['SIGHUP']]);
    stop.release();
  });

  describe('work that does not stop', () => {
    beforeEach(() => void vi.useFakeTimers());
    afterEach(() => void vi.useRealTimers());

    it.each([
      ['by default', () => 0, 15_000],
      ['with long steps', () => 40_000, 40_000],
    ])('is ended %s', async (_, patience, ms) => {
      const host = await testHost();
      const stop = onStopSignal(host, { onFirst: () => undefined, patience });
      host.press('SIGTERM');
      vi.advanceTimersByTime(ms - 1);
      expect(host.quits).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(host.quits).toEqual(['SIGTERM']);
      expect(host.err()).toBe(`error: not stopped within ${ms / 1000} s: quitting without saving\n`);
      stop.release();
    });

    it('is not ended once it has stopped', async () => {
      const host = await testHost();
      const stop = onStopSignal(host, { onFirst: () => undefined });
      host.press();
      stop.release();
      vi.advanceTimersByTime(60_000);
      expect(host.quits).toEqual([]);
    });
  });
});
