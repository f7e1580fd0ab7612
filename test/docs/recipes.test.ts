// The first code of every row of the table at the top of docs/recipes.md runs with the public names of all entries.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import * as root from 'cyclegrad';
import * as augment from 'cyclegrad/augment';
import * as datasets from 'cyclegrad/datasets';
import * as interop from 'cyclegrad/interop';
import * as metrics from 'cyclegrad/metrics';
import * as nn from 'cyclegrad/nn';
import * as optim from 'cyclegrad/optim';
import * as schedulers from 'cyclegrad/schedulers';
import * as tools from 'cyclegrad/tools';
import * as zoo from 'cyclegrad/zoo';
import { pages } from './pages.ts';

const { prose } = pages.find(({ path }) => path === 'docs/recipes.md')!;
const end = prose.findIndex((line) => line.startsWith('## '));
const rows = prose.slice(0, end).flatMap((line) => {
  const [, task, code] = /^\| ([A-Z][^|]*?) +\| `([^`]+)`/.exec(line) ?? [];
  return task === undefined || code === undefined ? [] : [[task, code] as const];
});

const folder = mkdtempSync(join(tmpdir(), 'cyclegrad-recipes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const images = datasets.synthetic({ kind: 'images', n: 12, classes: 3, height: 8 });
const model = nn.sequential({ input: nn.normalize(0), flat: nn.flatten(), fc: nn.dense(192, 3) });
const normed = nn.sequential({
  input: nn.normalize(0),
  norm: nn.batchNorm(3),
  flat: nn.flatten(),
  fc: nn.dense(192, 3),
});
const state = nn.initState(model, null, 1);
const path = join(folder, 'weights.safetensors');
await root.saveTensors(path, interop.toTorch(model, state, { input: [8, 8, 3] }));

const given = {
  model,
  state,
  normed,
  normedState: nn.initState(normed, null, 1),
  images,
  train: images,
  test: images,
  path,
  backend: root.reference(),
  q: root.ones([2, 4, 8]),
};

it('has many rows', () => {
  expect(rows.length).toBeGreaterThan(30);
});

it.each(rows)('%s', async (_, code) => {
  // Augmentations have names of operations.
  const names = {
    ...root,
    ...optim,
    ...schedulers,
    ...datasets,
    ...metrics,
    ...interop,
    ...tools,
    ...augment,
    nn,
    zoo,
    ...given,
  };
  // oxlint-disable-next-line typescript/no-implied-eval -- the rows of a document are text
  const run = new Function(...Object.keys(names), `return (async () => (${code}))()`) as (
    ...values: unknown[]
  ) => Promise<unknown>;
  const value = await run(...Object.values(names));
  expect(value).toBeDefined();
  const { loss } = value as { readonly loss?: root.LossFunction };
  if (typeof loss !== 'function') return;
  const [output, targets] = [root.zeros([2, 3]), root.zeros([2], 'i32')];
  expect(loss(output, targets, { reduction: 'none' }).shape).toEqual([2]);
});
