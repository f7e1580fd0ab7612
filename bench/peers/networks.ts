/** Training steps against PyTorch's, and against ourselves on one thread. */
import type { HostTensor, Report } from '../../engine/index.ts';
import { alternate, compare, joined, micros, stepsFor, type Comparison } from '../measure.ts';
import { makeBatch, startOurs, type BatchData, type OurArm } from '../ours.ts';
import type { Workload, WorkloadName } from '../workloads.ts';
import { layouts, type Layout, type Torch } from './torch.ts';

export interface Settings {
  readonly threads: number;
  readonly pairs: number;
  /** About how long a turn of ours takes, in milliseconds. */
  readonly turnMs: number;
  /** Steps of ours before anything counts: V8 optimises kernels one by one, some after tens of steps. */
  readonly warmup: number;
  readonly seed: number;
}

export interface NetworkResult {
  readonly workload: WorkloadName;
  readonly title: string;
  readonly batchSize: number;
  readonly report: Report;
  readonly parameters: number;
  /** Of the direct computation; multiply and add counted separately. */
  readonly flopsPerStep: number;
  /** PyTorch's memory layout that was faster at the last start, and the least of a few steps of each. */
  readonly layout: Layout;
  readonly layoutMs: Readonly<Record<Layout, number>>;
  /** Of the first steps of both, from the same weights on the same batch: the work is the same. */
  readonly losses: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
  readonly comparison: Comparison;
}

/** Steps of PyTorch before anything counts. It has no compiler to wait for. */
const TORCH_WARMUP = 10;
/** Steps whose losses must agree. */
const CHECKED = 3;
/** By how much, relatively: single precision summed in different orders, over a few updates. */
const TOLERANCE = 2e-3;

/**
 * Our step and PyTorch's, which begins anew. What was measured with another process of PyTorch is joined: processes
 * of the same program differ by a tenth and more, for as long as they live.
 * Throws where PyTorch does not come to the same losses: then it does not do the same work.
 */
export async function compareNetwork(
  torch: Torch,
  workload: Workload,
  settings: Settings,
  before?: NetworkResult,
): Promise<NetworkResult> {
  const batch = makeBatch(workload, settings.seed);
  const ours = await startOurs(workload, batch, settings);
  try {
    await ours.turn(Math.max(settings.warmup, CHECKED), 0);
    const arrays = arraysOf(workload, ours, batch);
    const build = async (layout: Layout): Promise<readonly number[]> => {
      const parameters = await torch.network(workload, layout, arrays);
      const own = countOf(ours);
      if (parameters !== own) {
        throw new Error(`${workload.name}: PyTorch's network has ${parameters} parameters, ours ${own}`);
      }
      return (await torch.turn(0, CHECKED, true)).losses;
    };

    const layoutMs: Record<string, number> = {};
    const candidates = workload.input.length === 1 ? (['contiguous'] as const) : layouts;
    for (let round = 0; round < (candidates.length === 1 ? 1 : 2); round++) {
      for (const layout of candidates) {
        await build(layout);
        const { ms } = await torch.turn(TORCH_WARMUP, 5, true);
        layoutMs[layout] = micros(Math.min(layoutMs[layout] ?? Infinity, ...ms));
      }
    }
    const layout = [...candidates].sort((a, b) => layoutMs[a] - layoutMs[b])[0];
    const losses = { ours: ours.losses.slice(0, CHECKED), theirs: await build(layout) };
    checkLosses(workload.name, losses.ours, losses.theirs);
    await torch.turn(TORCH_WARMUP, 1, true);

    const [stepMs] = await ours.turn(2, 1);
    const comparison = compare(
      await alternate(ours, torch.arm('PyTorch', true), {
        pairs: settings.pairs,
        steps: stepsFor(settings.turnMs, stepMs),
      }),
    );
    const { name, title, batchSize } = workload;
    return {
      workload: name,
      title,
      batchSize,
      report: ours.report,
      parameters: countOf(ours),
      flopsPerStep: ours.flopsPerStep,
      layout,
      layoutMs: layoutMs as Record<Layout, number>,
      losses,
      comparison: before === undefined ? comparison : joined(before.comparison, comparison),
    };
  } finally {
    await ours.close();
  }
}

const countOf = ({ initial }: OurArm): number =>
  Object.values(initial).reduce((sum, { data }) => sum + data.length, 0);

/** What the other engine starts from: weights and batch. */
export function arraysOf(
  { batchSize, input }: Workload,
  { initial }: OurArm,
  { x, labels }: BatchData,
): Record<string, HostTensor> {
  return {
    ...initial,
    'batch.x': { shape: [batchSize, ...input], dtype: 'f32', data: x },
    'batch.labels': { shape: [batchSize], dtype: 'i32', data: labels },
  };
}

/** Throws unless the losses of the first steps agree. */
export function checkLosses(name: string, ours: readonly number[], theirs: readonly number[]): void {
  const agree =
    ours.length === theirs.length &&
    ours.every((loss, i) => Math.abs(loss - theirs[i]) <= TOLERANCE * Math.abs(loss));
  if (!agree) {
    throw new Error(
      `${name}: the engines do not do the same work: losses ${ours.join(', ')} and ${theirs.join(', ')}`,
    );
  }
}

export interface ScalingResult {
  readonly workload: WorkloadName;
  readonly threads: readonly [number, number];
  readonly reports: readonly [Report, Report];
  /** How many times as fast the first number of threads is as one. */
  readonly speedUp: number;
  /** "Ours" are the many threads, "theirs" is the one. */
  readonly comparison: Comparison;
}

/** Many threads against one, both ours, joined with what was measured before. */
export async function compareThreads(
  workload: Workload,
  settings: Settings,
  before?: ScalingResult | null,
): Promise<ScalingResult> {
  const batch = makeBatch(workload, settings.seed);
  const many = await startOurs(workload, batch, settings);
  let one: OurArm | null = null;
  try {
    one = await startOurs(workload, batch, { threads: 1, seed: settings.seed });
    await many.turn(settings.warmup, 0);
    await one.turn(settings.warmup, 0);
    const [stepMs] = await many.turn(2, 1);
    const own = compare(
      await alternate(many, one, { pairs: settings.pairs, steps: stepsFor(settings.turnMs, stepMs) }),
    );
    const same = Math.min(many.losses.length, one.losses.length);
    if (many.losses.slice(0, same).some((loss, i) => !Object.is(loss, one!.losses[i]))) {
      throw new Error(`${workload.name}: ${settings.threads} threads came to another loss than one`);
    }
    const comparison = before ? joined(before.comparison, own) : own;
    return {
      workload: workload.name,
      threads: [settings.threads, 1],
      reports: [many.report, one.report],
      speedUp: 1 / comparison.ratio,
      comparison,
    };
  } finally {
    await one?.close();
    await many.close();
  }
}
