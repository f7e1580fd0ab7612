// Accuracy against budget: the arms, the order of the runs, the derived number, and the networks of the residual experiments in miniature.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { wasm } from 'cyclegrad';
import { synthetic } from 'cyclegrad/datasets';
import { afterAll, describe, expect, it } from 'vitest';
import type { Arm } from '../../bench/reproduce/arm.ts';
import { arms } from '../../bench/reproduce/arms.ts';
import { BUDGETS, inBudgetOrder, isBudgetArm, policies, policyNames } from '../../bench/reproduce/budget.ts';
import { budgetFigure, budgetText, headlineSteps } from '../../bench/reproduce/budget-report.ts';
import { equalSteps, stepsAt } from '../../bench/reproduce/equal-steps.ts';
import type { ArmResult, RunRecord } from '../../bench/reproduce/record.ts';
import { budgetMarkdown } from '../../bench/reproduce/report.ts';
import { resultFile, runArms } from '../../bench/reproduce/run.ts';

const dir = mkdtempSync(join(tmpdir(), 'cyclegrad-budget-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const named = (name: string): Arm => arms.find((arm) => isBudgetArm(arm) && arm.name === name)!;

describe('the arms of the curves', () => {
  it('are every policy at every budget, once', () => {
    const names = inBudgetOrder(arms).map(({ name }) => name);
    expect([...names].sort()).toEqual(
      policyNames.flatMap((policy) => BUDGETS.map((n) => `${policy}-${n}`)).sort(),
    );
    expect(new Set(names).size).toBe(names.length);
    expect(arms.filter(isBudgetArm)).toHaveLength(names.length);
  });

  it('take three from Table 1, whose recipe is the same at every step', () => {
    const shared = inBudgetOrder(arms).filter(({ experiment }) => experiment === 'table1');
    expect(shared.map(({ name }) => name)).toEqual(['triangular2-25000', 'fixed-25000', 'fixed-70000']);
    for (const { name, steps, optimizer } of shared) {
      const policy = name.startsWith('fixed') ? policies.fixed : policies.triangular2;
      const [theirs, ours] = [optimizer(), policy.optimizer(steps)];
      expect({ ...ours.config, hyper: null }).toEqual({ ...theirs.config, hyper: null });
      const all = Array.from({ length: steps }, (_, step) => step);
      const differs = all.find((step) => JSON.stringify(ours.at(step)) !== JSON.stringify(theirs.at(step)));
      expect({ name, differs }).toEqual({ name, differs: undefined });
    }
  });

  it.each([
    ['fixed-10000', 8570, 0.001],
    ['fixed-10000', 8571, 0.0001],
    ['fixed-35000', 32_500, 0.00001],
    ['triangular2-50000', 4000, 0.005],
    ['triangular2-50000', 12_000, 0.003],
    ['triangular2-70000', 44_800 + 2800, 0.0005],
    ['one-cycle-25000', 11_000, 0.005],
    ['cosine-35000', 0, 0.005],
    ['cosine-35000', 17_500, 0.0025],
  ])('%s has at step %i the rate %f', (name, step, rate) => {
    expect(named(name).optimizer().at(step)['lr']).toBeCloseTo(rate, 9);
  });

  it('begin with those of the headline', () => {
    const first = inBudgetOrder(arms).slice(0, 5);
    expect(first.map(({ name }) => name)).toEqual([
      'triangular2-25000',
      'fixed-25000',
      'fixed-70000',
      'fixed-35000',
      'fixed-50000',
    ]);
  });
});

describe('equal steps', () => {
  const curve = [
    { steps: 10_000, accuracies: [0.7, 0.7] },
    { steps: 40_000, accuracies: [0.8, 0.8] },
  ];

  it('are interpolated in the logarithm of the steps', () => {
    expect(equalSteps(curve, [0.75])).toEqual({ steps: 20_000, low: 20_000, high: 20_000 });
    expect(stepsAt([[10, 0.5], [20, 0.4], [40, 0.6]], 0.5)).toBe(10); // prettier-ignore
    expect(stepsAt([[10, 0.5], [20, 0.4], [40, 0.6]], 0.55)).toBeCloseTo(20 * 2 ** 0.75); // prettier-ignore
  });

  it('end at the smallest budget, and are infinite above the curve', () => {
    expect(equalSteps(curve, [0.6]).steps).toBe(10_000);
    expect(equalSteps(curve, [0.9])).toEqual({ steps: Infinity, low: Infinity, high: Infinity });
  });

  it('have the interval of the means of two runs', () => {
    // The mean of two draws from 0.72 and 0.78 is 0.72, 0.75 or 0.78, with the probabilities 1/4, 1/2 and 1/4.
    const { steps, low, high } = equalSteps(curve, [0.72, 0.78]);
    expect(steps).toBeCloseTo(20_000, 6);
    expect(low).toBeCloseTo(10_000 * 4 ** 0.2, 6);
    expect(high).toBeCloseTo(10_000 * 4 ** 0.8, 6);
    expect(equalSteps(curve, [0.72, 0.78])).toEqual({ steps, low, high });
  });

  it('need runs', () => {
    expect(() => equalSteps(curve, [])).toThrow('equalSteps: every point needs a run');
    expect(() => equalSteps([{ steps: 1, accuracies: [] }], [1])).toThrow(RangeError);
  });
});

const result = (name: string, accuracies: readonly number[]): ArmResult => {
  const arm = named(name);
  const runs = accuracies.map((accuracy, i) => ({
    seed: i + 1,
    accuracy,
    evaluations: [],
    stepMs: 1,
    evalMs: 1,
  }));
  return { arm, runs: runs as unknown as RunRecord[] };
};

describe('the report', () => {
  it('says so until the headline has its runs', () => {
    const some = [result('fixed-25000', [0.8]), result('triangular2-25000', [0.81])];
    expect(headlineSteps(some)).toBeNull();
    expect(budgetText(some)).toEqual(['The arms that the headline needs have not all finished.']);
    expect(budgetFigure('nothing', [result('fixed-25000', [])])).toBeNull();
  });

  it('has the number, its interval and its budgets', () => {
    const some = [
      result('fixed-70000', [0.82, 0.82]),
      result('fixed-25000', [0.8, 0.8]),
      result('triangular2-25000', [0.81]),
      result('cosine-10000', []),
    ];
    const text = budgetText(some).join(' ');
    expect(text).toContain('takes 41,800 steps of the fixed rate, 1.67 times as many.');
    expect(text).toContain('resampled seeds is 41,800 to 41,800.');
    expect(text).toContain('between fixed runs of 25,000, 70,000 steps');
    expect(budgetText([...some.slice(0, 2), result('triangular2-25000', [0.83])])[0]).toContain(
      'takes more than 70,000 steps of the fixed rate. The',
    );
    expect(budgetText([...some.slice(0, 2), result('triangular2-25000', [0.7])])[0]).toContain(
      'at most 25,000 steps',
    );
    const svg = budgetFigure('budget', some)!;
    expect(svg).toContain('fixed, 70,000: 82.0%');
    expect(svg).not.toMatch(/NaN|undefined/);
    const page = budgetMarkdown({ arms: some, range: [], start: null }, 'results');
    expect(page).toContain('](results/budget.svg)');
    expect(page).toMatch(/^\| fixed, 70,000 +\| +82\.0% \| +2 \|/m);
    expect(page).not.toContain('not run');
  });
});

describe('runs', () => {
  const data = {
    train: synthetic({ kind: 'images', n: 24, seed: 1 }),
    test: synthetic({ kind: 'images', n: 8, seed: 2 }),
  };
  const options = (results: string) => ({
    data,
    results,
    runs: join(results, 'runs'),
    signal: new AbortController().signal,
    listeners: [],
  });

  it('end after the wanted number, and go on with the next', async () => {
    const arm: Arm = { ...named('fixed-10000'), steps: 2, batchSize: 4, evalEvery: 2 };
    const pieces = [1, 2, 3].map((seed) => ({ arm, seed }));
    const results = join(dir, 'pieces');
    const lines: string[] = [];
    const backend = await wasm({ threads: 1 });
    const run = () =>
      runArms({ ...options(results), pieces, atMost: 1, backend, log: (line) => lines.push(line) });
    expect(await run()).toBe(true);
    expect(lines.at(-1)).toBe('stopped after 1 run; next: fixed, 10,000, seed 2');
    expect([1, 2, 3].map((seed) => existsSync(resultFile(results, arm, seed)))).toEqual([true, false, false]);
    expect(await run()).toBe(true);
    expect([1, 2, 3].map((seed) => existsSync(resultFile(results, arm, seed)))).toEqual([true, true, false]);
    await backend.close();
  });

  const residual = [
    'resnet20-cycle-4000',
    'resnet56-piecewise-4000',
    'resnet20-triangular-16000',
    'densenet22-fixed-0.3-8000',
  ];
  it.each(residual)('%s trains', async (name) => {
    const arm = { ...arms.find((one) => one.name === name)!, steps: 2, batchSize: 4, evalEvery: 2 };
    const backend = await wasm({ threads: 1 });
    const results = join(dir, name);
    const done = await runArms({
      ...options(results),
      pieces: [{ arm, seed: 1 }],
      backend,
      log: () => undefined,
    });
    await backend.close();
    expect(done).toBe(true);
    expect(existsSync(resultFile(results, arm, 1))).toBe(true);
  });
});

describe('the rates of the residual experiments', () => {
  it.each([
    ['resnet20-cycle-4000', 0, 0.0128],
    ['resnet20-cycle-4000', 2000, 0.384],
    ['resnet56-piecewise-16000', 9999, 0.0448],
    ['resnet56-piecewise-16000', 10_000, 0.00448],
    ['resnet56-piecewise-16000', 14_000, 0.000448],
    ['resnet20-fixed-0.2-16000', 7999, 0.2],
    ['resnet20-fixed-0.2-16000', 12_000, 0.002],
    ['resnet20-triangular-16000', 800, 0.3],
    ['resnet20-triangular-16000', 8800, 0.03],
    ['densenet22-triangular-8000', 6400, 0.003],
  ])('%s has at step %i the rate %f', (name, step, rate) => {
    expect(
      arms
        .find((arm) => arm.name === name)!
        .optimizer()
        .at(step)['lr'],
    ).toBeCloseTo(rate, 9);
  });
});
