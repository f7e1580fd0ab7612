/** Computes a case on every backend, and compares the results with PyTorch's. */
import { gpu, reference, wasm, type Backend, type HostTensor } from 'cyclegrad';
import type { Budget, Case, GraphCase, OptimizerCase, ScheduleCase } from './case.ts';
import { allowances, compare, type Truth } from './compare.ts';
import { levelOf, nameOf, prepare, requestOf, runGraph } from './graph.ts';
import { runOptimizer, updatesOf } from './optimizers.ts';
import { scheduleValues } from './schedules.ts';
import { decode, encode, type Torch } from './torch.ts';

export interface Target {
  readonly name: string;
  readonly backend: Backend;
  readonly isDouble: boolean;
  /** Takes part in every case, or in one of this many, because it is slow. */
  readonly every: number;
  /** Targets of one group give the same bits. */
  readonly group: string | null;
  /** Whether it computes convolutions by Winograd's algorithm, whose errors are larger than those of sums of products. */
  readonly usesWinograd: boolean;
}

const winograd = { usesWinograd: true } as const;
const WASM = [
  { name: 'wasm plain, 1 thread', options: { simd: 'plain', threads: 1 }, group: 'plain', ...winograd },
  {
    name: 'wasm plain, 3 threads',
    options: { simd: 'plain', threads: 3 },
    group: 'plain',
    every: 4,
    ...winograd,
  },
  { name: 'wasm relaxed, 2 threads', options: { simd: 'relaxed', threads: 2 }, group: 'fused', ...winograd },
  {
    name: 'wasm wide, 1 thread',
    options: { simd: 'wide', threads: 1 },
    group: 'fused',
    every: 2,
    ...winograd,
  },
  { name: 'wasm relaxed, direct', options: { simd: 'relaxed', threads: 1, convolution: 'direct' }, every: 3 },
] as const;

/** Errors of Winograd's algorithm in units of those of a direct convolution. docs/notes/convolution.md has measurements. */
const WINOGRAD = 10;

/** On the budgets of losses, which are compositions, too. */
const LOSS = 2;

/** Every backend in every form that this machine has. */
export async function openTargets(): Promise<readonly Target[]> {
  const target = (name: string, backend: Backend, more: Partial<Target> = {}): Target => ({
    name,
    backend,
    isDouble: false,
    every: 1,
    group: null,
    usesWinograd: false,
    ...more,
  });
  return [
    target('reference f64', reference({ precision: 'f64' }), { isDouble: true }),
    target('reference f32', reference()),
    ...(await Promise.all(
      WASM.map(async ({ name, options, ...more }) => target(name, await wasm(options), more)),
    )),
    target('gpu.js, CPU mode', await gpu({ mode: 'cpu' }), { every: 40 }),
  ];
}

export const closeTargets = (targets: readonly Target[]): Promise<unknown> =>
  Promise.all(targets.map(({ backend }) => backend.close()));

export interface Outcome {
  readonly comparisons: number;
  /** The largest error of all, in units of its budget. */
  readonly worst: number;
  /** Elements that PyTorch's own single precision does not get right. */
  readonly unjudged: number;
  readonly failures: readonly string[];
}

/** A case whose answer by PyTorch is on its way. */
export interface Pending {
  readonly item: Case;
  finish(targets: readonly Target[]): Promise<Outcome>;
}

export function begin(item: Case, number: number, torch: Torch): Pending {
  switch (item.kind) {
    case 'graph':
      return beginGraph(item, number, torch);
    case 'optimizer':
      return beginOptimizer(item, number, torch);
    case 'schedule':
      return beginSchedule(item, torch);
    default:
      throw new Error(`unknown case ${JSON.stringify(item satisfies never)}`);
  }
}

/** Keeps an answer that fails before it is awaited from ending the process. */
function kept(answer: Promise<unknown>): Promise<unknown> {
  answer.catch(() => undefined);
  return answer;
}

interface Answered {
  readonly exact: { readonly shape: readonly number[]; readonly data: string };
  readonly single: Answered['exact'];
  readonly moved?: Answered['exact'];
}

function truthsOf(answer: unknown): Truth[] {
  return (answer as readonly Answered[]).map(({ exact, single, moved }) => {
    const { shape, data } = decode(exact);
    return {
      shape,
      exact: data,
      single: decode(single).data,
      moved: moved === undefined ? new Float64Array(data.length) : decode(moved).data,
    };
  });
}

/** The results of a case that are compared, and how. */
interface Expected {
  readonly truths: readonly Truth[];
  readonly hasConvolutions: boolean;
  /** On all budgets: every operation rounds, not only the inputs. */
  readonly factor: number;
  /** Gradients of compositions may be differences of numbers of this size, such as that of a bias before a normalization. */
  readonly gradientScale: number;
  readonly budgetOf: (result: number) => Budget;
  readonly levelOf: (result: number) => 0 | 1 | 2;
  readonly nameOf: (result: number) => string;
}

function beginGraph(item: GraphCase, number: number, torch: Torch): Pending {
  const prepared = prepare(item);
  const answer = kept(torch.ask(requestOf(prepared)));
  return {
    item,
    async finish(targets) {
      const truths = truthsOf(await answer);
      const expected: Expected = {
        truths,
        hasConvolutions: item.nodes.some(({ op }) => /conv|network/i.test(op)),
        factor: item.family === 'losses' ? LOSS : Math.max(1, item.nodes.length / 2),
        gradientScale: item.family === 'programs' || item.family === 'layers' ? 1 : 0,
        budgetOf: (result) => budgetOf(item, truths, result),
        levelOf: (result) => levelOf(item, result),
        nameOf: (result) => nameOf(item, result),
      };
      return checkAll(targets, number, expected, (backend) => runGraph(backend, prepared));
    },
  };
}

/**
 * Moved values have no allowance. Elements have a budget of their own where they correspond to elements of the output, except second
 * derivatives of losses, which cross 0.
 */
function budgetOf(item: GraphCase, truths: readonly Truth[], result: number): Budget {
  if (item.budget === 'exact') return levelOf(item, result) === 0 ? 'exact' : 'tensor';
  const like = truths[0].shape.join();
  const isCrossing = item.family === 'losses' && levelOf(item, result) === 2;
  return item.budget === 'element' && !isCrossing && truths[result].shape.join() === like
    ? 'element'
    : 'tensor';
}

function beginOptimizer(item: OptimizerCase, number: number, torch: Torch): Pending {
  const updates = updatesOf(item);
  const { params, gradients } = updates;
  const request = { ...item, params: params.map(encode), gradients: gradients.map(encode) };
  const answer = kept(torch.ask(request));
  return {
    item,
    async finish(targets) {
      const expected: Expected = {
        truths: truthsOf(await answer),
        hasConvolutions: false,
        factor: 1,
        gradientScale: 0,
        budgetOf: () => 'tensor',
        levelOf: () => 1,
        nameOf: (result) =>
          `parameter ${result % params.length} after step ${Math.floor(result / params.length)}`,
      };
      return checkAll(targets, number, expected, (backend) => runOptimizer(backend, item, updates));
    },
  };
}

/** Relative to the largest value. Both sides compute in double precision, PyTorch step by step. */
const SCHEDULE_TOLERANCE = 1e-11;

function beginSchedule(item: ScheduleCase, torch: Torch): Pending {
  const answer = kept(torch.ask(item));
  return {
    item,
    async finish() {
      const wanted = (await answer) as readonly number[];
      const values = scheduleValues(item);
      const scale = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      let [worst, at] = [0, 0];
      wanted.forEach((value, i) => {
        const ratio = Math.abs(values[i] - value) / (SCHEDULE_TOLERANCE * scale);
        if (!(ratio <= worst)) [worst, at] = [ratio, i];
      });
      const failures =
        worst <= 1
          ? []
          : [`step ${at}: got ${values[at]}, PyTorch ${wanted[at]}, ${worst.toPrecision(3)} of the budget`];
      return { comparisons: 1, worst, unjudged: 0, failures };
    },
  };
}

async function checkAll(
  targets: readonly Target[],
  number: number,
  expected: Expected,
  run: (backend: Backend) => Promise<readonly HostTensor[]>,
): Promise<Outcome> {
  const failures: string[] = [];
  const allowed = expected.truths.map((truth, i) => {
    const budget = expected.budgetOf(i);
    const level = expected.levelOf(i);
    return budget === 'exact'
      ? null
      : allowances(truth, budget, level, level > 0 ? expected.gradientScale : 0);
  });
  const groups = new Map<string, { readonly name: string; readonly results: readonly HostTensor[] }>();
  let [comparisons, worst, unjudged] = [0, 0, 0];
  for (const { name, backend, isDouble, group, usesWinograd } of targets.filter(
    ({ every }) => number % every === 0,
  )) {
    // oxlint-disable-next-line no-await-in-loop -- backends compute one after the other
    const results = await run(backend);
    expected.truths.forEach((truth, i) => {
      const { data, shape } = results[i];
      if (shape.join() !== truth.shape.join()) {
        failures.push(
          `${name}, ${expected.nameOf(i)}: shape [${shape.join()}], PyTorch [${truth.shape.join()}]`,
        );
        return;
      }
      const factor = expected.factor * (usesWinograd && expected.hasConvolutions ? WINOGRAD : 1);
      const found = compare(data, truth, allowed[i], { isDouble, factor, level: expected.levelOf(i) });
      comparisons++;
      unjudged += found.unjudged;
      worst = Math.max(worst, found.worst);
      if (found.worst > 1) failures.push(`${name}, ${expected.nameOf(i)}: ${described(data, truth, found)}`);
    });
    const known = group === null ? undefined : groups.get(group);
    if (known !== undefined) failures.push(...differences(known, { name, results }));
    else if (group !== null) groups.set(group, { name, results });
  }
  return { comparisons, worst, unjudged, failures };
}

function described(
  data: ArrayLike<number>,
  { exact, single, shape }: Truth,
  { at, worst }: { readonly at: number; readonly worst: number },
): string {
  return (
    `element ${at} of [${shape.join()}]: got ${data[at]}, PyTorch f64 ${exact[at]}, f32 ${single[at]}, ` +
    `${worst.toPrecision(3)} of the budget`
  );
}

interface Ran {
  readonly name: string;
  readonly results: readonly HostTensor[];
}

/** Results that do not have the same bits. */
function differences(one: Ran, other: Ran): string[] {
  return one.results.flatMap(({ data }, i) => {
    const at = data.findIndex((value, e) => !Object.is(value, other.results[i].data[e]));
    if (at < 0) return [];
    const values = `${data[at]} and ${other.results[i].data[at]}`;
    return [`${one.name} and ${other.name} differ in result ${i}, element ${at}: ${values}`];
  });
}
