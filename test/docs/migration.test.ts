/** Runs every line of ours in docs/migration.md. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as root from 'cyclegrad';
import * as augment from 'cyclegrad/augment';
import * as datasets from 'cyclegrad/datasets';
import * as interop from 'cyclegrad/interop';
import * as metrics from 'cyclegrad/metrics';
import * as nn from 'cyclegrad/nn';
import * as optim from 'cyclegrad/optim';
import * as schedulers from 'cyclegrad/schedulers';
import * as zoo from 'cyclegrad/zoo';

const entries: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  cyclegrad: root,
  'cyclegrad/augment': augment,
  'cyclegrad/datasets': datasets,
  'cyclegrad/interop': interop,
  'cyclegrad/metrics': metrics,
  'cyclegrad/nn': nn,
  'cyclegrad/optim': optim,
  'cyclegrad/schedulers': schedulers,
  'cyclegrad/zoo': zoo,
};

/** The names that import statements bring. Throws for one that its entry does not have. */
function imported(statements: string): Record<string, unknown> {
  const names: Record<string, unknown> = {};
  for (const [, what, entry] of statements.matchAll(/import ([^;]*?) from '([^']*)';/g)) {
    const namespace = /^\* as (\w+)$/.exec(what);
    if (namespace !== null) names[namespace[1]] = entries[entry];
    for (const name of what.match(/^\{(.*)\}$/s)?.[1]?.split(',') ?? []) {
      if (name.trim() === '') continue;
      const value = entries[entry]?.[name.trim()];
      if (value === undefined) throw new Error(`${entry} has no ${name.trim()}`);
      names[name.trim()] = value;
    }
  }
  return names;
}

const text = await readFile(new URL('../../docs/migration.md', import.meta.url), 'utf8');
const sections = text
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    title: section.slice(0, section.indexOf('\n')),
    names: imported(/```ts\n([^`]*)```/.exec(section)?.[1] ?? ''),
    lines: [...section.matchAll(/^\|.*\| `([^`]*)` +\|$/gm)].map((row) => row[1]),
  }))
  .filter(({ title }) => title !== 'A training loop');

let folder = '';
let given: Record<string, unknown> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cyclegrad-migration-'));
  const { arange, x, w } = matrices();
  const data = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i));
  const train = datasets.arrays({ shape: [6, 8], data }, [0, 1, 2, 0, 1, 2]);
  const model = nn.mlp([8, 4, 3]);
  const normed = nn.sequential({ norm: nn.batchNorm(8), fc: nn.dense(8, 3) });
  given = {
    x,
    w,
    at: root.tensor(Int32Array.of(0, 2, 1), { shape: [3, 1] }),
    image: arange([2, 5, 5, 3]),
    filters: arange([3, 3, 3, 4]),
    index: root.tensor(Int32Array.of(2, 0, 1)),
    logits: x,
    labels: root.tensor(Int32Array.of(0, 1, 2)),
    targets: root.zeros([3, 3]),
    data,
    model,
    train,
    test: train,
    state: nn.initState(model, null, 1),
    images: datasets.synthetic({ kind: 'images', n: 8, height: 8 }),
    pictures: nn.sequential({ input: nn.normalize(0), flat: nn.flatten(), fc: nn.dense(192, 10) }),
    q: root.ones([2, 4, 8]),
    normed,
    normedState: nn.initState(normed, null, 1),
    backend: root.reference(),
    path: join(folder, 'weights.safetensors'),
  };
});
afterAll(() => rm(folder, { recursive: true }));

function matrices() {
  const arange = (shape: readonly number[]): root.Tensor => {
    const n = shape.reduce((product, size) => product * size, 1);
    return root.tensor(
      Float32Array.from({ length: n }, (_, i) => i / n),
      { shape },
    );
  };
  return { arange, x: arange([3, 3]), w: arange([3, 2]) };
}

it('has rows in every section', () => {
  expect(sections.map(({ lines }) => lines.length)).toEqual([26, 25, 24, 17, 25, 10]);
});

describe.each(sections)('$title', ({ names, lines }) => {
  it.each(lines)('%s', async (line) => {
    // In this section `data` is what the trainer takes; in `arrays` it is numbers.
    const { loader } = datasets;
    const local = line.startsWith('arrays(')
      ? {}
      : { data: loader(given['train'] as datasets.Dataset, { batchSize: 3 }) };
    const scope = { ...given, ...local, ...names };
    // oxlint-disable-next-line typescript/no-implied-eval -- the lines of a document are text
    const run = new Function(...Object.keys(scope), `return (async () => (${line}))()`) as (
      ...values: unknown[]
    ) => Promise<unknown>;
    const result = await run(...Object.values(scope));
    const tensors = [result].flat().filter((value) => value instanceof root.Tensor);
    const values = await Promise.all(tensors.map((tensor) => tensor.data()));
    expect(values.every((data) => data.every(Number.isFinite))).toBe(true);
  });
});
