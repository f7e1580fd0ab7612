/** Logs of events: `report` and `jsonLines` resume a run whose `events.jsonl` is damaged. */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonLines, report, type Listener, type TrainEvent } from 'cyclegrad';
import type { Random } from '../random.ts';
import { folder } from './folder.ts';
import { claim, claimPrototypeIntact, valueOrRefusal, type FuzzTarget } from './target.ts';
import { damage, mutateJson, utf8 } from './values.ts';

const backendReport = { backend: 'reference', threads: 1 };
const start = (step: number): object => ({
  type: 'start',
  step,
  steps: 10,
  stepsPerEpoch: 5,
  batchSize: 2,
  seed: 1,
  report: backendReport,
});
const update = (step: number): object => ({
  type: 'step',
  step,
  steps: 10,
  hyper: { lr: 0.1, momentum: 0.9 },
  loss: 1 / (step + 1),
  metrics: { accuracy: 0.5 },
  ms: 1,
  over: 1,
});
const evaluation = (step: number): object => ({
  type: 'eval',
  step,
  loss: 1,
  metrics: { accuracy: 0.5 },
  examples: 4,
  ms: 1,
});
const checkpoint = { type: 'checkpoint', step: 4, path: 'step-00000004.safetensors' };
const notice = { type: 'notice', step: 4, code: 'resident-skipped', message: 'a notice' };
const end = (step: number): object => ({
  type: 'end',
  reason: 'abort',
  step,
  steps: 10,
  last: null,
  best: null,
  ms: 5,
});

const LOG = [
  start(0),
  evaluation(0),
  update(0),
  update(1),
  update(2),
  update(3),
  evaluation(4),
  checkpoint,
  notice,
  end(4),
];
const KEYS = [
  'type',
  'step',
  'loss',
  'metrics',
  'accuracy',
  'hyper',
  'lr',
  'ms',
  'over',
  'steps',
  '__proto__',
  'constructor',
];

function logText(random: Random): Uint8Array {
  const lines = LOG.map((event) => {
    const changed = random.uniform() < 0.1 ? mutateJson(random, event, KEYS) : event;
    return JSON.stringify(changed);
  });
  if (random.uniform() < 0.2)
    lines.splice(random.below(lines.length), 0, random.pick(['', '{}', 'null', '[1]', '{"type":"step","st']));
  if (random.uniform() < 0.2) lines.reverse();
  const bytes = utf8(lines.map((line) => `${line}\n`).join(''));
  return random.uniform() < 0.2 ? damage(random, bytes) : bytes;
}

/** Sends a resumed run to a listener. */
async function resume(listener: Listener, step: number): Promise<void> {
  for (const event of [start(step), update(step), evaluation(step + 1), end(step + 1)])
    await listener(event as TrainEvent);
}

function claimFiles(dir: string): void {
  const svg = readFileSync(join(dir, 'curve.svg'), 'utf8');
  const wrong = /NaN|Infinity|undefined|\[object/.exec(svg.replace(/<text[^]*?<\/text>/g, ''));
  claim(wrong === null, () => `curve.svg has '${wrong![0]}'`);
  const summary = JSON.parse(readFileSync(join(dir, 'summary.json'), 'utf8')) as Record<string, unknown>;
  for (const name of ['ms', 'stepMs', 'evalMs', 'step', 'steps']) {
    claim(Number.isFinite(summary[name]), () => `summary.json: ${name} is ${JSON.stringify(summary[name])}`);
  }
}

async function run(random: Random): Promise<void> {
  const dir = join(folder(), 'run');
  await rm(dir, { recursive: true, force: true });
  await mkdir(dir, { recursive: true });
  const path = join(dir, 'events.jsonl');
  await writeFile(path, logText(random));
  const step = random.pick([0, 1, 4, 9]);
  const isReport = random.uniform() < 0.7;
  const listener = isReport
    ? report(dir, { title: 'fuzz' })
    : jsonLines({ path, append: random.uniform() < 0.5 });
  const done = await valueOrRefusal(['report', 'jsonLines'], async () => {
    await resume(listener, step);
    return true;
  });
  if (done === true) {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    for (const line of lines) {
      const event = JSON.parse(line) as { readonly type?: unknown };
      claim(typeof event.type === 'string', () => `the log has the line ${line.slice(0, 80)}`);
    }
    claim(lines.at(-1)?.includes('"end"') === true, () => `the log ends with ${lines.at(-1)?.slice(0, 80)}`);
    if (isReport) claimFiles(dir);
  }
  claim(!existsSync(`${path}.${process.pid}.tmp`), () => 'a temporary file is left');
  claimPrototypeIntact();
}

export const events: FuzzTarget = { name: 'events', run };
