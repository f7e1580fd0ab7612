/** `npm run reproduce -- report` on damaged result files. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { headlineMarkdown, writeReport } from '../../../bench/reproduce/report.ts';
import type { Random } from '../random.ts';
import { folder } from './folder.ts';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { damage, mutateJson, randomJson, utf8 } from './values.ts';

const run = (seed: number): object => ({
  experiment: 'quick',
  arm: 'fixed-5000',
  seed,
  steps: 5000,
  accuracy: 0.75,
  best: { step: 4000, accuracy: 0.76 },
  stepMs: 1000,
  evalMs: 100,
  config: { net: 'quick' },
  report: { backend: 'wasm', threads: 2 },
  machine: { cpu: 'a processor' },
  versions: { node: '20.0.0' },
  evaluations: [
    { step: 0, accuracy: 0.1, loss: 2.3 },
    { step: 5000, accuracy: 0.75, loss: 0.7 },
  ],
  training: [
    { step: 24, lr: 0.001, loss: 2.2, accuracy: 0.2 },
    { step: 4999, lr: 0.0001, loss: 0.6, accuracy: 0.8 },
  ],
});
const suggestion = { lr: 0.001, step: 200, why: null };
const none = { lr: null, step: null, why: 'the loss does not fall' };
const range = (seed: number): object => ({
  experiment: 'range-test',
  seed,
  steps: 4000,
  end: 'done',
  evaluations: Array.from({ length: 21 }, (_, i) => ({
    step: 200 * i,
    lr: i / 1000,
    loss: 2,
    accuracy: 0.3 + i / 100,
  })),
  trend: [
    { step: 0, lr: 0, loss: 2.3 },
    { step: 4000, lr: 0.02, loss: 1.3 },
  ],
  suggestions: {
    rise: suggestion,
    ragged: none,
    steepest: suggestion,
    valley: suggestion,
    slide: none,
    minimum: suggestion,
  },
  machine: {},
  versions: {},
});
const table2 = {
  seed: 1,
  step: 5000,
  accuracy: 0.75,
  evaluations: [{ step: 0, accuracy: 0.1, loss: 2.3 }],
  training: [{ step: 24, lr: 0.001, loss: 2.2, accuracy: 0.2 }],
};

const FILES: readonly (readonly [path: string, record: object])[] = [
  ['quick/fixed-5000-seed1.json', run(1)],
  ['quick/fixed-5000-seed2.json', run(2)],
  ['range-test/seed1.json', range(1)],
  ['table2-25000-seed1.json', table2],
];
const KEYS = [
  'seed',
  'steps',
  'accuracy',
  'best',
  'step',
  'evaluations',
  'training',
  'loss',
  'lr',
  'suggestions',
  'why',
  '__proto__',
];

function textOf(random: Random, record: object): Uint8Array {
  const way = random.uniform();
  if (way < 0.6) return utf8(JSON.stringify(record));
  if (way < 0.85) return utf8(JSON.stringify(mutateJson(random, record, KEYS)));
  if (way < 0.9) return utf8(JSON.stringify(randomJson(random, KEYS)));
  if (way < 0.93) return new Uint8Array(0);
  return damage(random, utf8(JSON.stringify(record)));
}

async function runCase(random: Random): Promise<void> {
  const dir = join(folder(), 'results');
  rmSync(dir, { recursive: true, force: true });
  for (const [name, record] of FILES) {
    mkdirSync(join(dir, name, '..'), { recursive: true });
    writeFileSync(join(dir, name), textOf(random, record));
  }
  const places = FILES.map(([name]) => join(dir, name));
  const results = await valueOrRefusal(places, () => writeReport(dir));
  if (results !== undefined) {
    const text = ['REPORT.md', 'report.html'].map((name) => readFileSync(join(dir, name), 'utf8')).join('\n');
    const wrong = /.{0,40}(?:(?<!none: )NaN|Infinity|undefined|\[object).{0,40}/.exec(
      text + headlineMarkdown(results, '.'),
    );
    claim(wrong === null, () => `the report has ${wrong![0]}`);
  }
  claimPrototypeIntact();
}

export const results: FuzzTarget = { name: 'results', run: runCase };
