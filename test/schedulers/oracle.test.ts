// The same values as PyTorch's schedulers, step by step. oracle.json is written by generate-oracle.py.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  plateau,
  scheduleFromJSON,
  type PlateauOptions,
  type PlateauState,
  type ScheduleConfig,
} from 'cyclegrad/schedulers';

interface Oracle {
  readonly torch: string;
  readonly schedules: readonly { kind: string; options: Omit<ScheduleConfig, 'kind'>; rates: number[] }[];
  readonly plateaus: readonly { options: PlateauOptions; metrics: number[]; values: number[] }[];
}

const oracle = JSON.parse(readFileSync(new URL('oracle.json', import.meta.url), 'utf8')) as Oracle;

describe(`PyTorch ${oracle.torch}`, () => {
  it.each(
    oracle.schedules.map((entry) => [`${entry.kind} ${JSON.stringify(entry.options)}`, entry] as const),
  )('%s', (_, { kind, options, rates }) => {
    const schedule = scheduleFromJSON({ kind, ...options });
    rates.forEach((rate, t) => {
      expect(Math.abs(schedule(t) - rate), `step ${t}: ${schedule(t)} and ${rate}`).toBeLessThan(
        1e-9 * Math.max(rate, 1e-3),
      );
    });
  });

  it.each(oracle.plateaus.map((entry) => [JSON.stringify(entry.options), entry] as const))(
    'plateau %s',
    (_, { options, metrics, values }) => {
      const reduce = plateau(options);
      let state: PlateauState = reduce.initial;
      metrics.forEach((metric, i) => {
        state = reduce(state, metric);
        expect(state.value, `metric ${i}`).toBeCloseTo(values[i], 12);
      });
    },
  );
});
