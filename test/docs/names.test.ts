// docs/names.md lists every public function of layers, losses, metrics, optimizers, schedules, augmentations and data sets, and nothing else.
import { expect, it } from 'vitest';
import * as root from 'cyclegrad';
import * as augment from 'cyclegrad/augment';
import * as datasets from 'cyclegrad/datasets';
import * as metrics from 'cyclegrad/metrics';
import * as nn from 'cyclegrad/nn';
import * as optim from 'cyclegrad/optim';
import * as schedulers from 'cyclegrad/schedulers';
import { pages } from './pages.ts';

const { prose } = pages.find(({ path }) => path === 'docs/names.md')!;

/** The names in the tables below a heading of the second level. */
function listed(title: string): string[] {
  const start = prose.indexOf(`## ${title}`) + 1;
  const length = prose.slice(start).findIndex((line) => line.startsWith('## '));
  const lines = prose.slice(start, length < 0 ? undefined : start + length);
  return lines.flatMap((line) => /^\| `([\w.]+)` +\|/.exec(line)?.[1] ?? []).sort();
}

const { init, ...rest } = nn;
const isLoss = (name: string): boolean => /(?:Loss|Entropy|Error|Divergence)$|^accuracy$/.test(name);
/** Errors are classes with upper-case names. */
const isFunction = (name: string): boolean => /^[a-z]/.test(name);

it.each([
  [
    'Layers',
    [
      ...Object.keys(rest)
        .filter((name) => !isLoss(name))
        .map((name) => `nn.${name}`),
      ...Object.keys(init).map((name) => `nn.init.${name}`),
    ],
  ],
  [
    'Losses',
    [
      ...Object.keys(root).filter((name) => isFunction(name) && isLoss(name)),
      ...Object.keys(rest)
        .filter(isLoss)
        .map((name) => `nn.${name}`),
    ],
  ],
  ['Metrics', Object.keys(metrics)],
  ['Optimizers', Object.keys(optim)],
  ['Schedules', Object.keys(schedulers)],
  ['Augmentations', Object.keys(augment)],
  ['Data sets', Object.keys(datasets)],
])('lists every name under %s', (title, names) => {
  expect(listed(title)).toEqual([...names].sort());
});
