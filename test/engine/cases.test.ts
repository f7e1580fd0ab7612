// The table of cases itself: complete, honest about what it covers, the same at every run.

import { describe, expect, it } from 'vitest';
import * as functions from '../../engine/ops/index.ts';
import { ops } from '../../engine/ops/primitives/index.ts';
import { constant, type Tensor } from '../../engine/tensor.ts';
import { expectSameBits } from './compare.ts';
import { buildCase, cases, composites, drawInputs, primitive } from '../cases/index.ts';

function operationsIn(tensors: readonly Tensor[]): Set<string> {
  const names = new Set<string>();
  const pending = [...tensors];
  while (pending.length > 0) {
    const { source } = pending.pop()!;
    if (source.kind !== 'node') continue;
    names.add(source.node.op.name);
    pending.push(...source.node.inputs);
  }
  return names;
}

const build = (item: (typeof cases)[number]): readonly Tensor[] =>
  buildCase(
    item,
    Object.fromEntries(Object.entries(drawInputs(item)).map(([name, value]) => [name, constant(value)])),
  );

describe('the table of cases', () => {
  it.each(Object.keys(ops))('has cases for %s, which use it', (name) => {
    const list = primitive[name as keyof typeof primitive];
    expect(list.length).toBeGreaterThan(0);
    const using = list.filter((item) => operationsIn(build(item)).has(name));
    // A sum over no axes, for instance, is rightly nothing at all.
    expect(using.length).toBeGreaterThanOrEqual(Math.min(list.length, 4));
  });

  it('has cases for every public function made of operations', () => {
    const composed = Object.entries(functions)
      .filter(([name, value]) => typeof value === 'function' && !(name in primitive))
      .map(([name]) => name);
    const creation = 'f32 i32 u8 tensor scalar full zeros ones eye arange linspace'.split(' ');
    expect(composed.filter((name) => !creation.includes(name)).sort()).toEqual(
      Object.keys(composites).sort(),
    );
    for (const list of Object.values(composites)) expect(list.length).toBeGreaterThan(0);
  });

  it('names every case once', () => {
    const names = cases.map(({ name }) => name);
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
  });

  it.each(cases.filter((item) => !item.tags.includes('large')))(
    'draws the same inputs at every call, exact in single precision: $name',
    (item) => {
      const [once, again] = [drawInputs(item), drawInputs(item)];
      for (const [name, value] of Object.entries(once)) {
        expectSameBits(name, again[name], value);
        expect(value.data).not.toBeInstanceOf(Float64Array);
      }
    },
  );
});
