import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandFor, shellWord } from '../../cli/host.ts';
import { onCtrlC } from '../../cli/stop.ts';
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

describe('shellWord', () => {
  it('quotes only what a shell would read otherwise', () => {
    expect(shellWord('--steps=200', 'linux')).toBe('--steps=200');
    expect(shellWord('a b', 'linux')).toBe("'a b'");
    expect(shellWord("it's", 'linux')).toBe(String.raw`'it'\''s'`);
    expect(shellWord('{"kind":"constant"}', 'linux')).toBe(`'{"kind":"constant"}'`);
    expect(shellWord('{"kind":"constant"}', 'win32')).toBe(String.raw`"{\"kind\":\"constant\"}"`);
    expect(shellWord(String.raw`runs\one`, 'win32')).toBe(String.raw`runs\one`);
  });
});

describe('onCtrlC', () => {
  it('aborts at the first press, quits at the second, and takes two at once for one', async () => {
    const host = await testHost();
    let now = 0;
    let told = 0;
    const stop = onCtrlC(
      host,
      () => void told++,
      () => now,
    );
    expect(stop.receivedSignal()).toBe(null);
    host.press();
    now = 100; // npm passes on what the terminal has sent already
    host.press();
    expect([stop.signal.aborted, stop.receivedSignal(), told, host.quits]).toEqual([true, 'SIGINT', 1, []]);
    now = 2000;
    host.press();
    expect([told, host.quits]).toEqual([1, [130]]);
    stop.release();
    host.press();
    expect(host.quits).toEqual([130]);
  });
});
