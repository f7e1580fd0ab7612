/**
 * Profiles of plans: the time of each step, and its rate relative to the limits of the machine. The times come from
 * `compiled.profile(feeds)`. Nothing here runs a plan.
 */
import type { StepTime } from '../backends/backend.ts';
import type { MachineLimits } from './limits.ts';
import { declarationOf } from '../plan/fusions/index.ts';
import type { Plan, Step } from '../plan/plan.ts';
import { checkKind, checkNumber, checkOptions, isRecord, show } from '../options.ts';
import { bytesOf, checkList } from '../shape.ts';

/** One step of a plan: its mean time, its work and its rate. */
export interface ProfileRow {
  /** Position in the plan. */
  readonly step: number;
  /** The name of the operation. */
  readonly op: Step['op'];
  /** The layer that built the step. */
  readonly path: string;
  /** Mean time in milliseconds. */
  readonly ms: number;
  /** Fraction of the total time, 0 to 1. */
  readonly share: number;
  /** Arithmetic operations of the direct algorithm, even if the kernel uses another one. */
  readonly flops: number;
  /** Bytes of inputs and outputs. */
  readonly bytes: number;
  /** Whether the rate counts arithmetic, or memory traffic for a step with little arithmetic per byte. */
  readonly bound: 'compute' | 'memory';
  /** GFLOP/s for 'compute', GB/s for 'memory'. 0 for a step that is too short for the clock. */
  readonly rate: number;
  /** `rate` divided by the limit of the machine. Above 1 for algorithms with fewer operations than the direct one. Null without limits. */
  readonly ofLimit: number | null;
}

/** The result of `summarizeProfile`. */
export interface ProfileSummary {
  /** One row per step, in the order of the plan. */
  readonly rows: readonly ProfileRow[];
  /** Mean time of all steps in milliseconds. */
  readonly ms: number;
  /** GFLOP/s of all steps, with the operations of the direct algorithms. */
  readonly gflopPerSecond: number;
  /** Number of profiles. */
  readonly runs: number;
  /** The limits that the rates are compared with. */
  readonly limits: MachineLimits | null;
}

/** Throws TypeError or RangeError unless `limits` is a result of `measureLimits`. */
function checkLimits(where: string, limits: MachineLimits): void {
  checkKind(where, 'limits', limits, 'gflopPerSecond', 'null or a result of measureLimits');
  for (const name of ['gflopPerSecond', 'gbPerSecond'] as const) {
    checkNumber(where, `limits.${name}`, limits[name], 'a number > 0', (x) => x > 0);
  }
}

/** The arithmetic intensity, in operations per byte, above which a step counts as arithmetic if the limits are unknown. */
const USUAL_BALANCE = 4;

/**
 * The mean of several profiles of one plan, step by step. With `limits` from `measureLimits`, the rates are also relative to them.
 *
 * Units: milliseconds, GFLOP/s and GB/s.
 * Throws RangeError without profiles, and for profiles of another plan.
 *
 * @example
 * const step = await compile(backend, { inputs: { x: f32(64, 64) }, build: ({ x }) => ({ outputs: { y: matmul(x, x) } }) });
 * const profile = await step.profile({ x: new Float32Array(4096) });
 * summarizeProfile(step.plan, [profile]).rows.length // 1
 */
export function summarizeProfile(
  plan: Plan,
  profiles: readonly (readonly StepTime[])[],
  limits: MachineLimits | null = null,
): ProfileSummary {
  const steps: unknown = isRecord(plan) ? plan.steps : undefined;
  if (!Array.isArray(steps)) {
    throw new TypeError(
      `summarizeProfile: plan must be the plan of an executable, for instance compiled.plan, got ${show(plan)}`,
    );
  }
  if (!Array.isArray(profiles) || !profiles.every(Array.isArray)) {
    throw new TypeError(
      `summarizeProfile: profiles must be an array of results of profile(), got ${show(profiles)}`,
    );
  }
  if (limits !== null) checkLimits('summarizeProfile', limits);
  if (profiles.length === 0)
    throw new RangeError('summarizeProfile: there are no profiles (pass at least one)');
  for (const profile of profiles) {
    if (profile.length !== plan.steps.length || profile.some(({ step }, i) => step !== plan.steps[i])) {
      throw new RangeError(
        `summarizeProfile: the profile belongs to another plan: it has ${profile.length} steps, the plan has ${plan.steps.length} ` +
          '(profile the executable that has this plan)',
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

/**
 * The summary of a profile as a text table: one line per step, in the order of the plan, and the totals.
 *
 * @example
 * const step = await compile(backend, { inputs: { x: f32(64, 64) }, build: ({ x }) => ({ outputs: { y: matmul(x, x) } }) });
 * const profile = await step.profile({ x: new Float32Array(4096) });
 * console.log(formatProfile(summarizeProfile(step.plan, [profile])));
 */
export function formatProfile(summary: ProfileSummary): string {
  checkOptions('formatProfile', summary, ['rows', 'ms', 'gflopPerSecond', 'runs', 'limits']);
  const { rows, ms, gflopPerSecond, runs, limits } = summary;
  checkList('formatProfile', 'rows', rows);
  for (const [name, value] of Object.entries({ ms, gflopPerSecond, runs })) {
    checkNumber('formatProfile', name, value, 'a number >= 0', (x) => x >= 0);
  }
  if (limits !== null) checkLimits('formatProfile', limits);
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
            'Winograd convolutions and caches exceed it',
        ]),
  ].join('\n');
}
