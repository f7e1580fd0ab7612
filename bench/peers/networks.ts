/** Training steps compared with PyTorch, and with our own on one thread. */
import type { HostTensor, Report, State } from '../../engine/index.ts';
import { toTorch } from '../../engine/interop/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { alternate, compare, joined, micros, stepsFor, type Comparison } from '../measure.ts';
import { makeBatch, startOurs, type BatchData, type OurArm } from '../ours.ts';
import type { Workload, WorkloadName } from '../workloads.ts';
import { layouts, type Layout, type Torch } from './torch.ts';

export interface Settings {
  readonly threads: number;
  readonly pairs: number;
  /** The approximate time of one of our turns in milliseconds. */
  readonly turnMs: number;
  /** Our untimed steps at the start: V8 optimizes kernels one by one, some after tens of steps. */
  readonly warmup: number;
  readonly seed: number;
}

export interface NetworkResult {
  readonly workload: WorkloadName;
  readonly title: string;
  readonly batchSize: number;
  readonly report: Report;
  readonly parameters: number;
  /** Multiplications and additions of a step, by direct computation. */
  readonly flopsPerStep: number;
  /** The faster memory layout of PyTorch at the last start. `layoutMs` is the minimum of a few steps with each. */
  readonly layout: Layout;
  readonly layoutMs: Readonly<Record<Layout, number>>;
  /** The losses of the first steps of both, from the same weights on the same batch, which check that the work is the same. */
  readonly losses: { readonly ours: readonly number[]; readonly theirs: readonly number[] };
  /** Whether PyTorch's optimizer was a fused one. Version 1.13 has none for the CPU. */
  readonly fused: boolean;
  readonly comparison: Comparison;
}

/** Untimed steps of PyTorch, which has no compiler to wait for. */
const TORCH_WARMUP = 10;
/** The longest time of untimed steps, for networks whose steps take seconds. */
const WARMUP_MS = 10_000;
/** Steps whose losses must agree. */
const CHECKED = 3;
/** Their relative tolerance: single precision, summed in different orders, over a few updates. */
const TOLERANCE = 2e-3;

/**
 * Compares our step with that of a new process of PyTorch. Merges an earlier comparison with another process: processes of the same
 * program differ by a tenth and more for their whole lifetime.
 * Throws if the losses of PyTorch differ, because the work is then different.
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
    const [firstMs] = (await ours.turn(0, CHECKED)).slice(-1);
    await ours.turn(within(WARMUP_MS, firstMs, settings.warmup - CHECKED), 0);
    const arrays = arraysOf(workload, ours, batch);
    const torchWarmup = within(WARMUP_MS, firstMs, TORCH_WARMUP);
    let fused = false;
    const build = async (layout: Layout): Promise<readonly number[]> => {
      const { parameters, ...how } = await torch.network(workload, layout, arrays);
      fused = how.fused;
      const expected = countOf(ours);
      if (parameters !== expected) {
        throw new Error(
          `${workload.name}: the network of PyTorch has ${parameters} parameters, ours has ${expected}`,
        );
      }
      return (await torch.turn(0, CHECKED, true)).losses;
    };

    const layoutMs: Record<string, number> = {};
    const candidates = workload.input.length === 1 ? (['contiguous'] as const) : layouts;
    for (let round = 0; round < (candidates.length === 1 ? 1 : 2); round++) {
      for (const layout of candidates) {
        await build(layout);
        const { ms } = await torch.turn(torchWarmup, Math.max(2, within(WARMUP_MS, firstMs, 5)), true);
        layoutMs[layout] = micros(Math.min(layoutMs[layout] ?? Infinity, ...ms));
      }
    }
    const layout = [...candidates].sort((a, b) => layoutMs[a] - layoutMs[b])[0];
    const losses = { ours: ours.losses.slice(0, CHECKED), theirs: await build(layout) };
    checkLosses(workload.name, losses.ours, losses.theirs);
    await torch.turn(torchWarmup, 1, true);

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
      fused,
      comparison: before === undefined ? comparison : joined(before.comparison, comparison),
    };
  } finally {
    await ours.close();
  }
}

/** A number of steps, at most `steps`, that take about `ms` milliseconds. */
const within = (ms: number, stepMs: number, steps: number): number =>
  Math.max(0, Math.min(steps, Math.floor(ms / stepMs)));

/** The number of trained parameters: those of PyTorch have no statistics either. */
const countOf = ({ model }: OurArm): number => nn.countParameters(model);

/** The initial weights and the batch for PyTorch. Weights of models of the zoo have PyTorch's names and layouts. */
export function arraysOf(
  workload: Workload,
  { model, initial }: OurArm,
  { x, labels }: BatchData,
): Record<string, HostTensor> {
  const { batchSize, input, targets } = workload;
  return {
    ...('zoo' in workload ? zooWeights(model, initial, input) : weightsOf(model, initial)),
    'batch.x': { shape: [batchSize, ...input], dtype: 'f32', data: x },
    'batch.labels': {
      shape: targets === 'mask' ? [batchSize, ...input.slice(0, -1)] : [batchSize],
      dtype: 'i32',
      data: labels,
    },
  };
}

/** Throws unless all parameters have the same rate and decay, because PyTorch's optimizer gets one group. */
function zooWeights(model: nn.Layer, initial: State, input: readonly number[]): State {
  const other = Object.entries(model.params).find(
    ([, { frozen, lrMult, decayMult }]) => frozen !== true && (lrMult !== 1 || decayMult !== 1),
  );
  if (other !== undefined)
    throw new Error(`peers: '${other[0]}' has its own factor of the rate or the decay`);
  return toTorch(model, initial, { input });
}

export const trained = (model: nn.Layer, state: State): State =>
  Object.fromEntries(Object.entries(state).filter(([name]) => model.params[name].frozen !== true));

/** Trained parameters, and weights that are frozen. */
const weightsOf = (model: nn.Layer, state: State): State =>
  Object.fromEntries(
    Object.entries(state).filter(([name]) => model.params[name].frozen !== true || name.endsWith('.weight')),
  );

/** Throws unless the losses of the first steps agree. */
export function checkLosses(name: string, ours: readonly number[], theirs: readonly number[]): void {
  const agree =
    ours.length === theirs.length &&
    ours.every((loss, i) => Math.abs(loss - theirs[i]) <= TOLERANCE * Math.abs(loss));
  if (!agree) {
    throw new Error(
      `${name}: the losses of the engines differ, so the work is not the same: ${ours.join(', ')} and ${theirs.join(', ')}`,
    );
  }
}

export interface ScalingResult {
  readonly workload: WorkloadName;
  readonly threads: readonly [number, number];
  readonly reports: readonly [Report, Report];
  /** The speed of several threads divided by that of one. */
  readonly speedUp: number;
  /** "Ours" are the many threads, "theirs" is the one. */
  readonly comparison: Comparison;
}

/** Compares several threads with one. Merges an earlier comparison. */
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
    const measured = compare(
      await alternate(many, one, { pairs: settings.pairs, steps: stepsFor(settings.turnMs, stepMs) }),
    );
    const same = Math.min(many.losses.length, one.losses.length);
    if (many.losses.slice(0, same).some((loss, i) => !Object.is(loss, one!.losses[i]))) {
      throw new Error(`${workload.name}: the losses of ${settings.threads} threads differ from those of one`);
    }
    const comparison = before ? joined(before.comparison, measured) : measured;
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
