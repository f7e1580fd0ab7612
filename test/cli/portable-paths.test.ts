/** Names and paths in run folders that other systems read. */
import { posix, win32 } from 'node:path';
import { describe, expect, it } from 'vitest';
import { folderName, pathFrom } from '../../cli/pictures/run-folder.ts';

describe('the paths of run.json', () => {
  it('have slashes on every system, so that the other systems can read them', () => {
    const there = pathFrom(String.raw`C:\work\runs\pets`, String.raw`C:\work\data\pets`, win32);
    expect(there).toBe('../../data/pets');
    expect(win32.resolve(String.raw`C:\work\runs\pets`, there)).toBe(String.raw`C:\work\data\pets`);
    expect(posix.resolve('/home/ann/runs/pets', there)).toBe('/home/ann/data/pets');
    expect(pathFrom('/home/ann/runs/pets', '/home/ann/data/pets', posix)).toBe('../../data/pets');
  });

  it('keep the drive when the data is on another one', () => {
    const there = pathFrom(String.raw`C:\runs\pets`, String.raw`D:\data\pets`, win32);
    expect(there).toBe('D:/data/pets');
    expect(win32.resolve(String.raw`C:\runs\pets`, there)).toBe(String.raw`D:\data\pets`);
  });

  it('keep a backslash in a name where it is no separator', () => {
    expect(pathFrom('/runs/a', String.raw`/data/b\c`, posix)).toBe(String.raw`../../data/b\c`);
  });
});

describe('the name of a run folder', () => {
  it.each([
    ['pets', 'pets'],
    ['my pets: 2026', 'my-pets-2026'],
    ['Käfer', 'Käfer'],
    ['con', 'con-'],
    ['AUX.v2', 'AUX-.v2'],
    ['lpt1', 'lpt1-'],
    ['contacts', 'contacts'],
    ['pets...', 'pets'],
    ['...', 'images'],
  ])('of %s is %s, which Windows accepts', (given, name) => {
    expect(folderName(given)).toBe(name);
  });
});
