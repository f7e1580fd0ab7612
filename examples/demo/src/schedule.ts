/** What the visitor chooses, and the schedules that follow from it. */
import { constant, cyclicLR, oneCycle, type Schedule } from 'cyclegrad/schedulers';

export const POLICIES = ['triangular', 'triangular2', 'exp_range', 'one-cycle', 'fixed'] as const;
export type Policy = (typeof POLICIES)[number];

export interface Choice {
  readonly policy: Policy;
  readonly base: number;
  readonly max: number;
  readonly stepSize: number;
  /** The rate of the other network. */
  readonly fixed: number;
}

export const STEPS = 600;
/** Steps of the range test. */
export const RANGE_STEPS = 150;
export const DEFAULTS: Choice = { policy: 'triangular', base: 0.001, max: 0.06, stepSize: 100, fixed: 0.01 };
export const LARGEST = 1;
export const SMALLEST = 0.0001;

/** The height of the cycles after the whole run, with exp_range. */
const LAST_HEIGHT = 1 / 8;

/** Keeps the parts of a choice in their order and range. */
export function tidy(choice: Choice): Choice {
  const rate = (value: number): number => Math.min(LARGEST, Math.max(SMALLEST, value));
  const base = Math.min(rate(choice.base), LARGEST / 2);
  return {
    policy: choice.policy,
    base,
    max: Math.max(rate(choice.max), base * 1.1),
    stepSize: Math.round(Math.min(STEPS / 2, Math.max(10, choice.stepSize))),
    fixed: rate(choice.fixed),
  };
}

export function scheduleOf({ policy, base, max, stepSize }: Choice): Schedule {
  switch (policy) {
    case 'fixed':
      return constant(max);
    case 'one-cycle':
      return oneCycle({ max, div: max / base, steps: STEPS, rise: stepSize / STEPS });
    case 'exp_range':
      return cyclicLR({ base, max, stepSize, mode: policy, gamma: LAST_HEIGHT ** (1 / STEPS) });
    case 'triangular':
    case 'triangular2':
      return cyclicLR({ base, max, stepSize, mode: policy });
  }
}

const rounded = (rate: number): string => String(Number(rate.toPrecision(3)));

/** The rates of both networks in words. */
export function wordsOf({ policy, base, max, stepSize, fixed }: Choice): string {
  const cyclical =
    policy === 'fixed'
      ? `fixed ${rounded(max)}`
      : `${policy} ${rounded(base)} to ${rounded(max)}, step size ${stepSize}`;
  return `${cyclical}, against ${rounded(fixed)}`;
}

/** The cycle whose peak comes next, from 0. */
export const cycleAt = ({ policy, stepSize }: Choice, step: number): number =>
  policy === 'one-cycle' || policy === 'fixed'
    ? 0
    : Math.max(0, Math.ceil((Math.min(step, STEPS - stepSize) - stepSize) / (2 * stepSize)));

/** The height of a cycle above the base at a step, relative to the first. */
export function heightAt({ policy, stepSize }: Choice, cycle: number): number {
  if (policy === 'triangular2') return 2 ** -cycle;
  if (policy === 'exp_range') return LAST_HEIGHT ** (((2 * cycle + 1) * stepSize) / STEPS);
  return 1;
}

/** The steps at which a cycle ends and its rate is lowest. */
export function endsOf(choice: Choice): readonly number[] {
  if (choice.policy === 'fixed') return [];
  if (choice.policy === 'one-cycle') return [STEPS];
  const ends: number[] = [];
  for (let end = 2 * choice.stepSize; end <= STEPS; end += 2 * choice.stepSize) ends.push(end);
  return ends;
}
