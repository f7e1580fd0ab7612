// The reference backend: single precision against double, and the contract that every backend keeps.
/* oxlint-disable vitest/expect-expect -- expectClose asserts */

import { afterAll, describe, expect, it } from 'vitest';
import { reference } from '../../engine/backends/reference/reference.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { matmul, sum, tensor } from '../../engine/ops/index.ts';
import { cases, runCase } from '../cases/index.ts';
import { expectClose } from './compare.ts';
import { describeContractOf } from './conformance.ts';

// Its kernels are what conformance compares others with: here they are compared with double precision instead.
describeContractOf('reference f32', () => reference());

describe('reference: single precision agrees with double', () => {
  const single = new Evaluator(reference());
  const double = new Evaluator(reference({ precision: 'f64' }));
  afterAll(() => Promise.all([single.close(), double.close()]));

  // Where single precision overflows, underflows or has no digits left, double does not.
  const differs = /special values|large logits|small arguments|mean far from 0/;
  it.each(cases.filter((item) => !differs.test(item.name)))('$name', async (item) => {
    const [got, want] = [await runCase(single, item), await runCase(double, item)];
    const tolerance = Math.max(item.tolerance, 2e-6);
    want.results.forEach((value, i) => expectClose(`result ${i}`, got.results[i], value, tolerance));
    for (const [name, value] of want.gradients) {
      expectClose(`gradient of ${name}`, got.gradients.get(name)!, value, 2 * tolerance);
    }
  });
});

describe('reference', () => {
  it('keeps double precision in f64 mode, and rounds once in f32 mode', async () => {
    const third = Float64Array.of(1 / 3);
    const [double] = await new Evaluator(reference({ precision: 'f64' })).evaluate([sum(tensor(third))]);
    expect(double!.data).toEqual(third);
    const [single] = await new Evaluator(reference()).evaluate([sum(tensor(third))]);
    expect([...single!.data]).toEqual([Math.fround(1 / 3)]);
    // 1 + 2^-24 · 2 in sequence would stay 1 in single precision.
    const terms = tensor([[1, 2 ** -24, 2 ** -24]]);
    const [dot] = await new Evaluator(reference()).evaluate([matmul(terms, [[1], [1], [1]])]);
    expect(dot!.data[0]).toBe(1 + 2 ** -23);
  });

  it('says which precision it runs in and refuses others', () => {
    expect(() => reference({ precision: 'f16' as 'f32' })).toThrow(
      new RangeError(`reference: precision must be 'f32' or 'f64', got "f16"`),
    );
  });
});
