// Every example runs for a few steps and prints its results. The examples that download data are left out.
import { readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';

const AIRBENCH = join(tmpdir(), `cyclegrad-airbench-${process.pid}`);
const PICTURE = join(tmpdir(), `cyclegrad-example-${process.pid}.png`);

/** The number of steps, for examples with this argument, or all arguments, and the output. */
const EXAMPLES: Readonly<Record<string, { steps?: number; args?: string[]; prints: RegExp }>> = {
  explore: { prints: /ShapeError: matmul: inner sizes/ },
  mlp: { prints: /^test accuracy 0\.9\d+$/m },
  curve: { steps: 1500, prints: /^mean squared error of the last batch 0\.0\d+ / },
  logistic: { steps: 60, prints: /^step 60: loss 0\.\d+, (8[5-9]|9\d)\.\d% correct$/m },
  residual: { steps: 60, prints: /^head +dense +\[1,6\] +102 +96$[^]*^test accuracy (0\.[5-9]\d*|1)$/m },
  transfer: {
    steps: 150,
    prints:
      /^stopped after \d+ of 1500 steps, best evaluation at step \d+\n( +\d+){6}\n[^]*\ntest accuracy 0\.[5-9]\d*$/,
  },
  images: { prints: /^class 0: \d+ of \d+ correct\n[^]*^test accuracy (1|0\.[89]\d*)$/m },
  augmentation: {
    args: [PICTURE, '12'],
    prints: /^24 rows of 12 pictures: crop, zero, [^]*\nwritten to .*\.png$/,
  },
  segmentation: {
    args: ['3', PICTURE, '120'],
    prints: /^mean IoU 0\.\d+ on 12 pictures after \d+ s\npictures, truths and predictions: .*\.png$/,
  },
  detection: {
    args: ['3', PICTURE, '240'],
    prints: /^mAP@0\.5 [01]\.\d+ on 24 pictures after \d+ s\nthe boxes that were found: .*\.png$/,
  },
  airbench: {
    args: `--tiny --threads 1 --rates recipe,triangular,one-cycle,triangular2 --runs ${AIRBENCH} --results ${AIRBENCH}`.split(
      ' ',
    ),
    prints:
      /^recipe-seed1-tiny: [\d.]+% with six views, 0\.\d minutes, .*recipe-seed1-tiny\.json\n[^]*^triangular2: [\d.]+%, mean of 1 with six views$/m,
  },
  'custom-operation': {
    prints: /^gradcheck: 3 of 3 derivatives agree[^]*^GradientError: gradcheck: 0 of 1/m,
  },
  'custom-layer': { steps: 600, prints: /^test accuracy 0\.[89]\d*$/m },
  'custom-optimizer': { steps: 600, prints: /^test accuracy 0\.[89]\d*$/m },
};

const { argv } = process;
let printed: string[];
beforeEach(() => {
  printed = [];
  vi.spyOn(console, 'log').mockImplementation((...args) => void printed.push(args.join(' ')));
  // Progress bars wait until what they write is written.
  vi.spyOn(process.stderr, 'write').mockImplementation((_, ...[encoding, done = encoding]: unknown[]) => {
    if (typeof done === 'function') done();
    return true;
  });
});
afterEach(() => {
  rmSync(PICTURE, { force: true });
  rmSync(AIRBENCH, { force: true, recursive: true });
  process.argv = argv;
  vi.restoreAllMocks();
});

it('has a test for every example', () => {
  const folder = new URL('../examples/', import.meta.url);
  const names = readdirSync(folder).flatMap((file) => /^(.*)\.ts$/.exec(file)?.[1] ?? []);
  expect(
    names.filter((name) => !['run', 'cifar10-clr', 'ensemble', 'fashion-mnist'].includes(name)).sort(),
  ).toEqual(Object.keys(EXAMPLES).sort());
});

it.each(Object.entries(EXAMPLES))('%s', async (name, { steps, args, prints }) => {
  process.argv = [argv[0], name, ...(args ?? (steps === undefined ? [] : [String(steps)]))];
  await import(`../examples/${name}.ts`);
  expect(printed.join('\n')).toMatch(prints);
});
