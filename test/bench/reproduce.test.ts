import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DataError, reference, type Backend } from 'cyclegrad';
import * as nn from 'cyclegrad/nn';
import { synthetic } from 'cyclegrad/datasets';
import { sgd } from 'cyclegrad/optim';
import { cyclicLR } from 'cyclegrad/schedulers';
import { afterAll, describe, expect, it } from 'vitest';
import type { Arm } from '../../bench/reproduce/arm.ts';
import { arms } from '../../bench/reproduce/arms.ts';
import { PAPER, shapeOf } from '../../bench/reproduce/range.ts';
import type { RunRecord } from '../../bench/reproduce/record.ts';
import {
  claim,
  figure,
  headlineMarkdown,
  readResults,
  reportHtml,
  reportMarkdown,
  writeReport,
} from '../../bench/reproduce/report.ts';
import { resultFile, runArms } from '../../bench/reproduce/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-reproduce-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const rate = (name: string, step: number): number =>
  arms
    .find((arm) => arm.name === name)!
    .optimizer()
    .at(step)['lr'];

describe('the arms', () => {
  it('have names of their own, and optimizers that run to their ends', () => {
    const names = arms.map(({ experiment, name }) => `${experiment}/${name}`);
    expect(new Set(names).size).toBe(names.length);
    for (const { optimizer, steps } of arms) {
      expect(optimizer().at(0)['lr']).toBeGreaterThan(0);
      expect(optimizer().at(steps - 1)['lr']).toBeGreaterThan(0);
    }
  });

  it.each([
    ['triangular2-25000', 2000, 0.005],
    ['triangular2-25000', 6000, 0.003],
    ['triangular2-25000', 17_000, 0.0005],
    ['triangular2-25000', 22_500, 0.00005],
    ['fixed-70000', 59_999, 0.001],
    ['fixed-70000', 60_000, 0.0001],
    ['fixed-70000', 65_000, 0.00001],
    ['decay-25000', 2000, 0.004],
    ['decay-25000', 24_999, 0.001],
    ['decay-drops-25000', 15_999, 0.001],
    ['decay-drops-25000', 16_000, 0.0001],
    ['decay-drops-25000', 24_999, 0.00001],
    ['exp-70000', 25_000, 0.001 * 0.2231],
    ['exp-range-bounds-42000', 40_000, 0.001 * 0.99994 ** 40_000],
    ['exp-range-amplitude-42000', 40_000, 0.001],
    ['triangular2-literal-25000', 6000, 0.0035],
    ['triangular-literal-25000', 6000, 0.006],
    ['smith-25-epochs', 4297, 0.005],
  ])('%s has at step %i the rate %f', (name, step, expected) => {
    expect(rate(name, step)).toBeCloseTo(expected, 6);
  });

  it('cycles momentum against the rate in the one cycle', () => {
    const optimizer = arms.find(({ experiment }) => experiment === 'one-cycle')!.optimizer();
    expect(optimizer.at(0)['momentum']).toBeCloseTo(0.95, 6);
    expect(optimizer.at(4297)['momentum']).toBeCloseTo(0.85, 6);
  });
});

/** A model that a test can train, in an arm of the table. */
const small: Arm = {
  ...arms[0],
  steps: 30,
  batchSize: 10,
  evalEvery: 10,
  model: (mean) => nn.sequential({ input: nn.normalize(mean), flat: nn.flatten(), fc: nn.dense(3072, 10) }),
  optimizer: () =>
    sgd({ lr: cyclicLR({ base: 1e-6, max: 1e-5, stepSize: 5 }), momentum: 0.9, form: 'caffe' }),
};
const data = {
  train: synthetic({ kind: 'images', n: 60, seed: 1 }),
  test: synthetic({ kind: 'images', n: 40, seed: 2 }),
};

/** Stops after an update, where asked to. */
function runSmall(backend: Backend, results: string, stopAt: number | null): Promise<boolean> {
  const stop = new AbortController();
  return runArms({
    pieces: [{ arm: small, seed: 1 }],
    backend,
    data,
    runs: join(results, 'runs'),
    results,
    signal: stop.signal,
    listeners: [(event) => (event.type === 'step' && event.step === stopAt ? stop.abort() : undefined)],
    log: () => undefined,
  });
}

describe('runs', () => {
  it('can be stopped and go on; the file is there when they are finished, and says the same', async () => {
    const [whole, pieces] = [join(dir, 'whole'), join(dir, 'pieces')];
    const backend = reference();
    expect(await runSmall(backend, whole, null)).toBe(true);
    expect(await runSmall(backend, pieces, 3)).toBe(false);
    expect(await runSmall(backend, pieces, 17)).toBe(false);
    expect(existsSync(resultFile(pieces, small, 1))).toBe(false);
    expect(await runSmall(backend, pieces, null)).toBe(true);
    const read = (results: string): RunRecord =>
      JSON.parse(readFileSync(resultFile(results, small, 1), 'utf8')) as RunRecord;
    const [a, b] = [read(whole), read(pieces)];
    expect(a).toMatchObject({ experiment: 'table1', arm: small.name, seed: 1, steps: 30 });
    expect(a.evaluations.map(({ step }) => step)).toEqual([0, 10, 20, 30]);
    expect(b.evaluations).toEqual(a.evaluations);
    expect(b.accuracy).toBe(a.accuracy);
    // What is done is not done again.
    expect(await runSmall(backend, whole, 0)).toBe(true);
    // A file that a power failure emptied is not done. Its run is, and the file is written again.
    const file = resultFile(whole, small, 1);
    for (const broken of ['', '{"experiment":', '7']) {
      writeFileSync(file, broken);
      expect(() => readResults(whole)).toThrow(`${file}: the result `);
      expect(await runSmall(backend, whole, 0)).toBe(true);
      expect(read(whole)).toMatchObject({ accuracy: a.accuracy, evaluations: a.evaluations });
    }
    await backend.close();
  });
});

function record(arm: string, steps: number, seed: number, accuracy: number): RunRecord {
  const evaluations = [0, 0.5, 1].map((part) => ({
    step: part * steps,
    accuracy: accuracy * (0.6 + 0.4 * part),
    loss: 1,
  }));
  const training = [{ step: steps - 1, lr: 0.001, loss: 0.5, accuracy: 0.8 }];
  const none = {} as never;
  return {
    experiment: 'table1',
    arm,
    seed,
    steps,
    accuracy,
    best: { step: steps, accuracy },
    stepMs: 6e5,
    evalMs: 0,
    config: none,
    report: none,
    machine: none,
    versions: none,
    evaluations,
    training,
  };
}

describe('the report', () => {
  const results = join(dir, 'report');
  const put = (own: RunRecord): void => {
    mkdirSync(join(results, 'table1'), { recursive: true });
    writeFileSync(join(results, 'table1', `${own.arm}-seed${own.seed}.json`), JSON.stringify(own));
  };

  it.each([
    ['', 'the result cannot be read: not JSON, or not readable'],
    ['[]', 'the result is damaged: expected an object'],
    ['{"seed":1}', 'the result is damaged: expected an object whose steps is a whole number'],
  ])('refuses a damaged result, %j', (text, message) => {
    const results = join(dir, 'damaged');
    const arm = arms.find(({ experiment }) => experiment === 'quick')!;
    const path = resultFile(results, arm, 1);
    mkdirSync(join(results, 'quick'), { recursive: true });
    writeFileSync(path, text);
    const expected = new DataError(`${path}: ${message} (delete the file and run the experiment again)`);
    expect(() => readResults(results)).toThrow(expected);
  });

  it('says so where nothing has run', () => {
    const empty = readResults(join(dir, 'nothing'));
    expect(claim(empty.arms)).toEqual(['The arms of this comparison have not all finished.']);
    expect(reportMarkdown(empty)).toContain('not run');
  });

  it('has means and spreads over seeds beside the paper, and differences', () => {
    put(record('triangular2-25000', 25_000, 1, 0.81));
    put(record('triangular2-25000', 25_000, 2, 0.82));
    put(record('fixed-70000', 70_000, 1, 0.815));
    put(record('decay-25000', 25_000, 1, 0.76));
    const found = writeReport(results);
    const text = reportMarkdown(found);
    expect(text).toContain(
      'With triangular2, accuracy after 25,000 steps is 81.5% (2 runs). With the fixed rate, it is 81.5% after 70,000 steps (1 run). ' +
        'The paper reports 81.4% for both.',
    );
    expect(text).toMatch(
      /\| triangular2, 25,000 +\| 25,000 \| 81\.4% \| +81\.5% \| +2 \| 81\.0 … 82\.0 \| +\+0\.1 \| 25,000 \(1 of 2 runs\) \| 10:00 \|/,
    );
    expect(text).toContain('decay, 25,000: −2.5 points compared with the paper (1 run).');
    expect(readFileSync(join(results, 'REPORT.md'), 'utf8')).toBe(text);
    const html = readFileSync(join(results, 'report.html'), 'utf8');
    expect(html).toBe(reportHtml(found));
    expect(html.match(/<svg/g)!.length).toBeGreaterThan(1);
    expect(html).not.toMatch(/NaN|undefined/);
    const clips = [...html.matchAll(/<clipPath id="([^"]*)">(.*?)<\/clipPath>/g)].map(([, id, rect]) => [
      id,
      rect,
    ]);
    expect(clips.length).toBeGreaterThan(2);
    // Figures in one page share ids: each must mean the same in all of them.
    expect(new Set(clips.map(String)).size).toBe(new Set(clips.map(([id]) => id)).size);
    const page = headlineMarkdown(found, 'results');
    expect(page).toContain('](results/headline.svg)');
    expect(page).toMatch(
      /^\| triangular2, 25,000 +\| 81\.4% \| +81\.5% \| +2 \| 81\.0 … 82\.0 \| 25,000 \(1 of 2 runs\) \|$/m,
    );
  });

  it('names the arms of the headline at their lines, with what was measured and what the paper has', () => {
    const svg = readFileSync(join(results, 'headline.svg'), 'utf8');
    const labels = [...svg.matchAll(/class="end"[^>]*>([^<]*)</g)].map(([, label]) => label);
    expect(labels.sort()).toEqual(['fixed, 70,000 steps: 81.5%', 'triangular2, 25,000 steps: 81.5%']);
    expect(svg).toContain('>paper: 81.4%<');
  });

  it('draws a line for each distinct schedule', () => {
    const [first, second] = readResults(results).arms.filter(({ runs }) => runs.length > 0);
    const rates = (svg: string | null): number => svg!.match(/data-series="rate of/g)?.length ?? 0;
    expect(rates(figure('same', [first, { ...first, runs: [...first.runs] }]))).toBe(1);
    const run = second.runs[0];
    const faster = run.training.map((point) => ({ ...point, lr: 2 * point.lr }));
    const other = { ...second, runs: [{ ...run, training: faster }] };
    expect(rates(figure('different', [first, other]))).toBe(2);
    const many = [1, 2, 3, 4].map((factor) => ({
      ...second,
      runs: [{ ...run, training: run.training.map((point) => ({ ...point, lr: factor * point.lr })) }],
    }));
    expect(rates(figure('too many', many))).toBe(0);
  });
});

describe("the shape of the paper's figure 3", () => {
  it('is measured as it is described', () => {
    const points = PAPER.map((accuracy, i) => ({ lr: i / 1000, accuracy }));
    const shape = shapeOf(points);
    expect(shape.fromPaper).toBe(0);
    expect(
      shapeOf(points.map(({ lr, accuracy }) => ({ lr, accuracy: accuracy + 0.1 }))).fromPaper,
    ).toBeCloseTo(0.1);
    expect(shape.atSix).toBe(0.415);
    expect(shape.correlation).toBe(1);
    expect(shape.roughAbove).toBeGreaterThan(shape.roughBelow / 2);
    const zigzag = [0, 1, 0, 1, 0, 1, 0].map((accuracy, i) => ({ lr: i / 1000, accuracy }));
    expect(shapeOf(zigzag)).toMatchObject({ roughBelow: 2, fallsBelow: 0.5 });
  });
});
