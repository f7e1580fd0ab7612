/**
 * What the steps of a plan took, and what they achieved of what this machine can do at most. Times come from
 * `compiled.profile(feeds)`; nothing here runs a plan.
 */
import type { StepTime } from '../backends/backend.ts';
import type { MachineLimits } from './limits.ts';
import { declarationOf } from '../plan/fusions/index.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { bytesOf } from '../shape.ts';

/** One step of a plan: its mean time, and what that makes of its work. */
export interface ProfileRow {
  /** Position in the plan. */
  readonly step: number;
  readonly op: Step['op'];
  readonly path: string;
  readonly ms: number;
  /** Of the total, 0 … 1. */
  readonly share: number;
  /** Arithmetic operations of the direct computation, whatever the kernel does instead. */
  readonly flops: number;
  /** Inputs and outputs. */
  readonly bytes: number;
  /** What the step is measured by: arithmetic, or traffic where there is little arithmetic for each byte. */
  readonly bound: 'compute' | 'memory';
  /** GFLOP/s or GB/s, as `bound` says; 0 for a step that took no time that the clock could see. */
  readonly rate: number;
  /** `rate` over the machine's limit; above 1 where an algorithm needs less than the direct one. Null without limits. */
  readonly ofLimit: number | null;
}

export interface ProfileSummary {
  readonly rows: readonly ProfileRow[];
  /** All steps together. */
  readonly ms: number;
  readonly gflopPerSecond: number;
  /** How many profiles the times are the mean of. */
  readonly runs: number;
  readonly limits: MachineLimits | null;
}

/** Operations for each byte from which on arithmetic is what takes time, where the machine's limits are not known. */
const USUAL_BALANCE = 4;

/**
 * The mean of several profiles of one plan, step by step, with what each achieved.
 * Throws RangeError without profiles, and for profiles of another plan.
 *
 * @example summarizeProfile(compiled.plan, [await compiled.profile(feeds)])
 */
export function summarizeProfile(
  plan: Plan,
  profiles: readonly (readonly StepTime[])[],
  limits: MachineLimits | null = null,
): ProfileSummary {
  if (profiles.length === 0)
    throw new RangeError('summarizeProfile: there are no profiles (give at least one)');
  for (const profile of profiles) {
    if (profile.length !== plan.steps.length || profile.some(({ step }, i) => step !== plan.steps[i])) {
      throw new RangeError(
        `summarizeProfile: a profile has ${profile.length} steps of another plan; this one has ${plan.steps.length}`,
      );
    }
  }
  const runs = profiles.length;
  const times = plan.steps.map((_, i) => profiles.reduce((sum, profile) => sum + profile[i].ms, 0) / runs);
  const ms = times.reduce((sum, time) => sum + time, 0);
  const balance = limits === null ? USUAL_BALANCE : limits.gflopPerSecond / limits.gbPerSecond;
  const rows = plan.steps.map((step, i): ProfileRow => {
    const { op, path, flops } = step;
    const bytes = trafficOf(plan, step);
    const bound = flops > balance * bytes ? 'compute' : 'memory';
    const work = bound === 'compute' ? flops : bytes;
    const rate = times[i] > 0 ? work / (times[i] * 1e6) : 0;
    const limit = bound === 'compute' ? limits?.gflopPerSecond : limits?.gbPerSecond;
    const share = ms > 0 ? times[i] / ms : 0;
    const ofLimit = limit === undefined ? null : rate / limit;
    return { step: i, op, path, ms: times[i], share, flops, bytes, bound, rate, ofLimit };
  });
  const flops = rows.reduce((sum, row) => sum + row.flops, 0);
  return { rows, ms, gflopPerSecond: ms > 0 ? flops / (ms * 1e6) : 0, runs, limits };
}

function trafficOf(plan: Plan, { op, inputs, outputs }: Step): number {
  const bytes = (values: readonly number[]): number =>
    values.reduce((sum, v) => sum + bytesOf(plan.values[v]), 0);
  const read = declarationOf(op).readsPart === true ? [...outputs, ...inputs.slice(1)] : inputs;
  return bytes(read) + bytes(outputs);
}

/** The summary as a table, one line a step in the plan's order, and the totals. */
export function formatProfile({ rows, ms, gflopPerSecond, runs, limits }: ProfileSummary): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)}%`;
  const head = [
    'step',
    'operation',
    'layer',
    'ms',
    'share',
    'achieved',
    ...(limits === null ? [] : ['of limit']),
  ];
  const lines = rows.map((row) => [
    String(row.step),
    row.op,
    row.path,
    row.ms.toFixed(3),
    percent(row.share),
    row.ms > 0 ? `${row.rate.toFixed(1)} ${row.bound === 'compute' ? 'GFLOP/s' : 'GB/s   '}` : '',
    ...(row.ofLimit === null ? [] : [row.ms > 0 ? percent(row.ofLimit) : '']),
  ]);
  const widths = head.map((_, i) => Math.max(...[head, ...lines].map((line) => line[i].length)));
  const left = (i: number): boolean => i === 1 || i === 2;
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, i) => (left(i) ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd();
  return [
    line(head),
    ...lines.map(line),
    '',
    `total ${ms.toFixed(3)} ms, ${gflopPerSecond.toFixed(1)} GFLOP/s of the direct count, mean of ${runs} run${runs === 1 ? '' : 's'}`,
    ...(limits === null
      ? []
      : [
          `limit ${limits.gflopPerSecond.toFixed(1)} GFLOP/s (${limits.simd === 'plain' || limits.fused === false ? 'multiply and add' : 'fused multiply-add'}${limits.simd === 'wide' ? ' of 256 bits' : ''} ` +
            `in registers) and ${limits.gbPerSecond.toFixed(1)} GB/s (a copy), ${limits.threads} thread${limits.threads === 1 ? '' : 's'}; ` +
            'Winograd and caches go beyond',
        ]),
  ].join('\n');
}
