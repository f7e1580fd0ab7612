/** Figure 3 of the paper: the range test on Caffe's network, and measures of the shape of its curve. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { loader, meanImage } from '../../datasets/index.ts';
import {
  formatPercent,
  lossTrend,
  lrRangeTest,
  rangeSvg,
  suggestBounds,
  type RangeCurve,
  type RangeEvaluation,
  type Suggestion,
  type SuggestionName,
  type TrendPoint,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { sgd } from '../../optim/index.ts';
import { environment, type Environment } from '../environment.ts';
import { hasResult, RANGE, readRecord, writeResult } from './results.ts';
import type { RunOptions } from './run.ts';

/** Accuracies read from the figure of the paper at rates from 0, 0.001 apart, with an error of about 0.01. */
export const PAPER = [
  0.1, 0.16, 0.31, 0.33, 0.38, 0.42, 0.415, 0.42, 0.485, 0.42, 0.46, 0.49, 0.495, 0.425, 0.51, 0.4, 0.425,
  0.395, 0.455, 0.43, 0.325,
];
const HIGHEST = 0.02;

/** The lengths of the sweeps in updates. Each is evaluated at the 21 rates of the paper. */
const SWEEPS = [
  // 8 epochs, as in the paper.
  { steps: 4000, file: (seed: number) => `seed${seed}.json` },
  // Added because the accuracies of the first are above those of the paper.
  { steps: 2000, file: (seed: number) => `steps-2000-seed${seed}.json` },
];

export interface RangeRecord {
  readonly experiment: 'range-test';
  readonly seed: number;
  readonly steps: number;
  readonly end: RangeCurve['end'];
  readonly evaluations: readonly RangeEvaluation[];
  /** The trend of the training loss at every tenth point. */
  readonly trend: readonly TrendPoint[];
  readonly suggestions: Readonly<Record<SuggestionName, Suggestion>>;
  readonly machine: Omit<Environment['machine'], 'loadAverage'>;
  readonly versions: Environment['versions'];
}

export interface RangeShape {
  /** Accuracy at rate 0.006. */
  readonly atSix: number;
  /** Spearman's rank correlation of rate and accuracy up to 0.005. */
  readonly correlation: number;
  /** Root mean squares of the second differences of accuracy, up to 0.006 and from there on. */
  readonly roughBelow: number;
  readonly roughAbove: number;
  /** Fractions of points below the previous one. Second differences also include the curvature of a smooth rise. */
  readonly fallsBelow: number;
  readonly fallsAbove: number;
  /** Mean distance from the accuracies of the paper, at its rates that the sweep reached. */
  readonly fromPaper: number;
}

/** Runs the sweeps that have no result yet. A stopped sweep starts over, because it takes only minutes. False if it was stopped. */
export async function runRangeTests(
  options: Omit<RunOptions, 'pieces' | 'atMost' | 'runs' | 'listeners'> & {
    readonly seeds: readonly number[];
  },
): Promise<boolean> {
  const { seeds, results, log } = options;
  const dir = join(results, 'range-test');
  for (const { steps, file } of SWEEPS) {
    for (const seed of seeds) {
      const path = join(dir, file(seed));
      const what = `range test, ${steps} steps, seed ${seed}`;
      if (hasResult(path, RANGE, log)) {
        log(`${what}: already finished`);
        continue;
      }
      log(what);
      const record = await runRangeTest(options, steps, seed);
      if (record === null) return false;
      await writeResult(path, record);
      log(`${what}: written to ${path}`);
    }
  }
  return true;
}

async function runRangeTest(
  { backend, data, signal }: Pick<RunOptions, 'backend' | 'data' | 'signal'>,
  steps: number,
  seed: number,
): Promise<RangeRecord | null> {
  const every = steps / (PAPER.length - 1);
  const { curves } = await lrRangeTest({
    model: nn.caffeFull({ mean: meanImage(data.train) }),
    backend,
    data: loader(data.train, { batchSize: 100, shuffle: false }),
    eval: { data: data.test, every },
    optimizer: (lr) => sgd({ lr, momentum: 0.9, weightDecay: 0.004, form: 'caffe' }),
    from: 0,
    to: HIGHEST,
    steps: steps + 1, // the rate of Caffe at update t is HIGHEST · t / steps, which reaches HIGHEST one update after the last
    seeds: [seed],
    signal,
  });
  const [curve] = curves;
  if (curve.end === 'abort') return null;
  const { machine, versions } = environment();
  const { loadAverage: _, ...stableMachine } = machine;
  return {
    experiment: 'range-test',
    seed,
    steps,
    end: curve.end,
    evaluations: curve.evaluations.filter(({ step }) => step <= steps),
    trend: lossTrend(curve)
      .filter((_, i, all) => i % 10 === 0 || i === all.length - 1)
      .map(({ step, lr, loss }) => ({ step, lr, loss: Number(loss.toFixed(4)) })),
    suggestions: suggestBounds(curve),
    machine: stableMachine,
    versions,
  };
}

export function readRangeTests(results: string): RangeRecord[] {
  const dir = join(results, 'range-test');
  const files = existsSync(dir)
    ? readdirSync(dir).filter((name) => /^(?:steps-\d+-)?seed\d+\.json$/.test(name))
    : [];
  return files
    .map((name) => readRecord<RangeRecord>(join(dir, name), RANGE))
    .sort((a, b) => b.steps - a.steps || a.seed - b.seed);
}

/** The shape of a curve of evaluations, by the same measures as the figure of the paper. */
export function shapeOf(evaluations: readonly Pick<RangeEvaluation, 'lr' | 'accuracy'>[]): RangeShape {
  const near = (lr: number) => (one: { readonly lr: number }) => Math.abs(one.lr - lr) < 1e-9;
  const upTo = (lr: number) => evaluations.filter((one) => one.lr <= lr + 1e-9);
  const below = upTo(0.006).map(({ accuracy }) => accuracy ?? NaN);
  const above = evaluations.slice(below.length - 1).map(({ accuracy }) => accuracy ?? NaN);
  return {
    atSix: evaluations.find(near(0.006))?.accuracy ?? NaN,
    correlation: rankCorrelation(
      upTo(0.005).map(({ lr }) => lr),
      upTo(0.005).map(({ accuracy }) => accuracy ?? NaN),
    ),
    roughBelow: roughness(below),
    roughAbove: roughness(above),
    fallsBelow: falls(below),
    fallsAbove: falls(above),
    fromPaper: mean(
      PAPER.flatMap((accuracy, i) => {
        const measured = evaluations.find(near(i / 1000))?.accuracy;
        return typeof measured === 'number' ? [Math.abs(measured - accuracy)] : []; // a sweep may end earlier
      }),
    ),
  };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const ranks = (xs: readonly number[]): number[] => xs.map((x) => xs.filter((other) => other < x).length);
  const [p, q] = [ranks(a), ranks(b)];
  const middle = (a.length - 1) / 2;
  const dot = (u: readonly number[], v: readonly number[]): number =>
    u.reduce((sum, x, i) => sum + (x - middle) * (v[i] - middle), 0);
  return dot(p, q) / Math.sqrt(dot(p, p) * dot(q, q));
}

function roughness(values: readonly number[]): number {
  const second = values.slice(2).map((value, i) => value - 2 * values[i + 1] + values[i]);
  return Math.sqrt(second.reduce((sum, d) => sum + d * d, 0) / second.length);
}

const falls = (values: readonly number[]): number =>
  values.filter((value, i) => i > 0 && value < values[i - 1]).length / (values.length - 1);

export const RANGE_HEAD = [
  'sweep',
  'at 0.006',
  'from paper',
  'rank correlation to 0.005',
  'roughness below 0.006',
  'above',
  'falls below 0.006',
  'above',
  'rise',
  'ragged',
  'steepest',
  'valley',
  'slide',
  'minimum',
];

const sweepName = (steps: number, seed: number): string =>
  `${steps.toLocaleString('en')} steps, seed ${seed}`;

export function rangeRows(records: readonly RangeRecord[]): string[][] {
  const paper = shapeOf(PAPER.map((accuracy, i) => ({ lr: i / 1000, accuracy })));
  // A sweep that ended early has no value at some rates.
  const cell = (value: number, format: (value: number) => string): string =>
    Number.isFinite(value) ? format(value) : '–';
  const cells = (shape: RangeShape): string[] => [
    cell(shape.atSix, formatPercent),
    cell(shape.fromPaper, (x) => (x * 100).toFixed(1)),
    cell(shape.correlation, (x) => x.toFixed(2)),
    cell(shape.roughBelow, (x) => x.toFixed(3)),
    cell(shape.roughAbove, (x) => x.toFixed(3)),
    cell(shape.fallsBelow, (x) => formatPercent(x, 0)),
    cell(shape.fallsAbove, (x) => formatPercent(x, 0)),
  ];
  const place = ({ lr, why }: Suggestion): string =>
    lr === null ? `none: ${why}` : String(Number(lr.toPrecision(2)));
  return [
    ['paper, read from its figure', ...cells(paper), '0.001', '0.006', '–', '–', '–', '–'],
    ...records.map(({ steps, seed, evaluations, suggestions }) => [
      sweepName(steps, seed),
      ...cells(shapeOf(evaluations)),
      ...(['rise', 'ragged', 'steepest', 'valley', 'slide', 'minimum'] as const).map((name) =>
        place(suggestions[name]),
      ),
    ]),
  ];
}

export const rangeFigure = (title: string, records: readonly RangeRecord[]): string =>
  rangeSvg(
    // One color for each length.
    records.map(({ steps, seed, ...record }) => ({
      label: sweepName(steps, seed),
      color: steps === SWEEPS[0].steps ? '#0072b2' : '#c24f00',
      ...record,
    })),
    {
      sweep: 'linear',
      title,
      reference: {
        label: 'paper, Figure 3',
        points: PAPER.map((accuracy, i) => [i / 1000, accuracy]),
      },
    },
  );
