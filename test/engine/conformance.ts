/**
 * What every backend must do: the kernels of all cases, and the contract of backend.ts. A new backend passes this suite;
 * what it cannot do is listed by case name, with a reason.
 */
/* oxlint-disable vitest/expect-expect -- expectClose and expectSameBits assert */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Backend } from '../../engine/backends/backend.ts';
import { reference } from '../../engine/backends/reference/reference.ts';
import { Evaluator } from '../../engine/evaluate.ts';
import { cases, runCase, type Case, type CaseResult } from '../cases/index.ts';
import { expectClose, expectSameBits } from './compare.ts';
import { describeContract } from './contract.ts';

export interface ConformanceOptions {
  /** Cases that this backend does not do, with the reason. */
  readonly skip?: Readonly<Record<string, string>>;
  /** Multiplies every tolerance. Default 1. */
  readonly tolerance?: number;
  /** The tolerance of cases that are closer elsewhere, by name; of their gradients too. */
  readonly inexact?: Readonly<Record<string, number>>;
}

const oracle = new Evaluator(reference());
const expectedOf = new Map<string, Promise<CaseResult>>();

/** What the reference backend says in single precision; computed once in a process. */
function expected(item: Case): Promise<CaseResult> {
  let result = expectedOf.get(item.name);
  if (result === undefined) {
    result = runCase(oracle, item);
    expectedOf.set(item.name, result);
  }
  return result;
}

/** Gradients are chains of operations, which a backend may contract: never bit for bit. */
const LEAST_GRADIENT_TOLERANCE = 2e-6;

export function describeConformance(
  name: string,
  makeBackend: () => Promise<Backend> | Backend,
  { skip = {}, tolerance = 1, inexact = {} }: ConformanceOptions = {},
): void {
  describe(`${name}: conformance`, () => {
    const { backend, evaluator } = openAround([makeBackend]);

    it('speaks of cases that exist', () => {
      const names = new Set(cases.map((item) => item.name));
      const named = [...Object.keys(skip), ...Object.keys(inexact)];
      expect(named.filter((name) => !names.has(name))).toEqual([]);
    });

    describe('kernels agree with the reference in single precision', () => {
      forEachCase(skip, async (item) => {
        const want = await expected(item);
        const got = await runCase(evaluator(0), item);
        want.results.forEach((value, i) =>
          expectClose(
            `${item.name} / result ${i}`,
            got.results[i],
            value,
            inexact[item.name] ?? item.tolerance * tolerance,
          ),
        );
        for (const [input, value] of want.gradients) {
          expectClose(
            `${item.name} / gradient of ${input}`,
            got.gradients.get(input)!,
            value,
            Math.max(inexact[item.name] ?? item.tolerance * tolerance, LEAST_GRADIENT_TOLERANCE * tolerance),
          );
        }
      });
    });

    describeContract(() => backend(0));
  });
}

/** The contract alone: for a second configuration of a backend whose kernels are covered otherwise. */
export function describeContractOf(name: string, makeBackend: () => Promise<Backend> | Backend): void {
  describe(`${name}: conformance`, () => {
    const { backend } = openAround([makeBackend]);
    describeContract(() => backend(0));
  });
}

/** Every case on several configurations of one backend, for instance 1 and N threads: the same bits as on the first. */
export function describeSameBits(
  name: string,
  makeBackends: readonly (() => Promise<Backend> | Backend)[],
  { skip = {} }: ConformanceOptions = {},
): void {
  describe(`${name}: the same bits`, () => {
    const { evaluator } = openAround(makeBackends);
    forEachCase(skip, async (item) => {
      // At the same time: a team's wake-up takes longer than most cases.
      const results = await Promise.all(makeBackends.map((_, n) => runCase(evaluator(n), item)));
      const [first, ...others] = results;
      for (const [i, other] of others.entries()) {
        first.results.forEach((value, r) =>
          expectSameBits(`${item.name} / result ${r} of backend ${i + 1}`, other.results[r], value),
        );
        for (const [input, value] of first.gradients) {
          const what = `${item.name} / gradient of ${input} of backend ${i + 1}`;
          expectSameBits(what, other.gradients.get(input)!, value);
        }
      }
    });
  });
}

/** Opens backends before a suite's tests and closes them after, which fails where a test left a store open. */
function openAround(makeBackends: readonly (() => Promise<Backend> | Backend)[]) {
  let evaluators: readonly Evaluator[];
  beforeAll(async () => {
    evaluators = await Promise.all(makeBackends.map(async (make) => new Evaluator(await make())));
  });
  afterAll(() =>
    Promise.all(
      evaluators.map(async (evaluator) => {
        await evaluator.close();
        await evaluator.backend.close();
      }),
    ),
  );
  return {
    evaluator: (n: number): Evaluator => evaluators[n],
    backend: (n: number): Backend => evaluators[n].backend,
  };
}

function forEachCase(skip: Readonly<Record<string, string>>, run: (item: Case) => Promise<void>): void {
  it.each(cases.filter((item) => !(item.name in skip)))('$name', run);
  for (const [name, reason] of Object.entries(skip)) {
    it(`${name}: not here, ${reason}`, ({ skip: leaveOut }) => leaveOut(reason));
  }
}
