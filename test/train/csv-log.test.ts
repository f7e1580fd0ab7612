/** The listener csvLog. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { csvLog } from 'cyclegrad';
import { end, evalEvent, play, start, stepEvent, steps } from './listener-fixture.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'cyclegrad-csv-'));
  path = join(dir, 'deep', 'log.csv');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const lines = (): readonly string[] => readFileSync(path, 'utf8').split('\n');
const HEADER = 'epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,step';

test('a row for each evaluation, with the columns of Keras', async () => {
  // Ten steps an epoch.
  const events = [
    start(0, 20),
    evalEvent(0, 0.1),
    ...steps(0, 10, 20),
    evalEvent(10, 0.25),
    ...steps(10, 20, 20),
  ];
  await play(csvLog(path), [...events, evalEvent(20, 0.75), end(20, 20)]);
  expect(lines()).toEqual([
    HEADER,
    '0,1.775,0.225,0.75,0.25,0.00109,10',
    '1,1.275,0.725,0.25,0.75,0.00119,20',
    '',
  ]);
});

test('a row for each epoch without evaluations, and one for the rest', async () => {
  await play(csvLog(path), [start(0, 25), ...steps(0, 25, 25), end(25, 25)]);
  const rows = lines().map((line) => line.split(','));
  expect(rows[0].join()).toBe('epoch,loss,accuracy,learning_rate,step');
  expect(rows.slice(1, -1).map((row) => [row[0], row.at(-1)])).toEqual([
    ['0', '10'],
    ['1', '20'],
    ['2', '25'],
  ]);
});

test('a resumed run keeps the rows up to its step, without a torn line', async () => {
  const first = [start(0, 40), evalEvent(0, 0.1), ...steps(0, 10, 40), evalEvent(10, 0.5)];
  const later = [...steps(10, 20, 40), evalEvent(20, 0.6), ...steps(20, 30, 40), evalEvent(30, 0.7)];
  await play(csvLog(path), [...first, ...later, ...steps(30, 40, 40), evalEvent(40, 0.8), end(40, 40)]);
  const whole = lines();
  await play(csvLog(path), [...first, ...later]);
  writeFileSync(path, `${readFileSync(path, 'utf8')}3,0.1`);
  await play(csvLog(path), [
    start(20, 40),
    ...steps(20, 30, 40),
    evalEvent(30, 0.7),
    ...steps(30, 40, 40),
    evalEvent(40, 0.8),
    end(40, 40),
  ]);
  expect(lines()).toEqual(whole);
});

test('a resumed run that ends before its first evaluation has the same columns', async () => {
  await play(csvLog(path), [start(0, 40), evalEvent(0, 0.1), ...steps(0, 10, 40), evalEvent(10, 0.5)]);
  await play(csvLog(path), [start(10, 40), ...steps(10, 24, 40), end(24, 40)]);
  expect(lines().slice(0, 1)).toEqual([HEADER]);
  expect(lines()[2].split(',').slice(3, 5)).toEqual(['', '']);
  expect(lines()).toHaveLength(4);
});

test('names are quoted, and rates of a partition have their own columns', async () => {
  const hyper = { 'body/lr': 0.1, 'head/lr': 0.2, momentum: 0.9 };
  const event = stepEvent(0, 1, { hyper, metrics: { 'top "5", all': 0.5 } });
  await play(csvLog(path), [start(0, 1), event, end(1, 1)]);
  expect(lines().slice(0, 2)).toEqual([
    'epoch,loss,"top ""5"", all",body/learning_rate,head/learning_rate,step',
    '0,2,0.5,0.1,0.2,1',
  ]);
});

test('wrong use', async () => {
  expect(() => csvLog('')).toThrow("csvLog: path must be the path of a file, got ''");
  await play(csvLog(path), [start(0, 10), ...steps(0, 10, 10), end(10, 10)]);
  const other = [start(10, 20), evalEvent(10, 0.1), ...steps(10, 20, 20), evalEvent(20, 0.1)];
  await expect(play(csvLog(path), other)).rejects.toThrow(
    `csvLog: ${path} has the columns epoch,loss,accuracy,learning_rate,step, but the run has ${HEADER}`,
  );
  await expect(play(csvLog(join(path, 'x.csv')), [start(0, 10), ...steps(0, 10, 10)])).rejects.toThrow(
    'csvLog: cannot write',
  );
});
