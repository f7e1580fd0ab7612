// Workers that never answer: an error within a deadline, which counts the ticks of the host and not the time.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Heap } from '../../engine/backends/wasm/heap.ts';
import { PATIENCE, watch } from '../../engine/backends/wasm/patience.ts';
import { workerTeam } from '../../engine/backends/wasm/team.ts';

describe('watch', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('ends after the ticks without progress, once', () => {
    let [done, ended] = [0, 0];
    watch(
      1000,
      3,
      () => done,
      () => void ended++,
    );
    vi.advanceTimersByTime(3000); // the first tick and two quiet ones
    expect(ended).toBe(0);
    done++;
    vi.advanceTimersByTime(3000);
    expect(ended).toBe(0);
    vi.advanceTimersByTime(1000);
    expect(ended).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(ended).toBe(1);
  });

  it('ends never once it is stopped', () => {
    let ended = 0;
    const stop = watch(
      1000,
      1,
      () => 0,
      () => void ended++,
    );
    stop();
    vi.advanceTimersByTime(60_000);
    expect(ended).toBe(0);
  });

  it('does not count the time of a suspended process, which has no ticks', () => {
    let ended = 0;
    watch(
      1000,
      3,
      () => 0,
      () => void ended++,
    );
    vi.advanceTimersByTime(1000);
    vi.setSystemTime(Date.now() + 3_600_000);
    vi.advanceTimersByTime(2000);
    expect(ended).toBe(0);
  });
});

/** A section of a WebAssembly module. */
const section = (id: number, ...bytes: number[]): number[] => [id, bytes.length, ...bytes];
const MAGIC = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const TYPES = section(1, 2, 0x60, 3, 0x7f, 0x7f, 0x7f, 1, 0x7f, 0x60, 0, 0); // (i32, i32, i32) -> i32, () -> ()
const FUNCTIONS = section(3, 2, 0, 1);
const EXPORTS = section(7, 1, 4, ...Buffer.from('turn'), 0, 0);
const LOOP = [8, 0, 0x03, 0x40, 0x0c, 0, 0x0b, 0, 0x0b]; // for ever
const CODE = section(10, 2, ...LOOP, ...LOOP);
const START = section(8, 1);

const moduleOf = (...sections: number[][]): WebAssembly.Module =>
  new WebAssembly.Module(Uint8Array.from([...MAGIC, ...sections.flat()]));

const patience = { tick: 20, start: 10, run: 10 };
const open = (module: WebAssembly.Module, start = patience.start) =>
  workerTeam(new Heap(), module, 2, 2, undefined, { ...patience, start });

it('a thread that never arrives is an error, and later runs say the same', async () => {
  const team = await open(moduleOf(TYPES, FUNCTIONS, EXPORTS, CODE), PATIENCE.run);
  const message =
    'wasm: a run made no progress within 0.2 s (make a new backend, with threads: 1 if it happens again, and report this)';
  await expect(team.run(0, 0)).rejects.toThrow(message);
  await expect(team.run(0, 0)).rejects.toThrow(message);
  await team.close();
});

it('a worker that never starts is an error', async () => {
  await expect(open(moduleOf(TYPES, FUNCTIONS, EXPORTS, START, CODE))).rejects.toThrow(
    'wasm: the workers have not started within 0.2 s',
  );
});
