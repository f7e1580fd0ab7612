/** Single operations: our matrix products and convolutions, those of PyTorch, and the peak of the machine. */
import { availableParallelism } from 'node:os';
import { Option, type Command } from 'commander';
import { formatPercent, wasm, type Report } from '../../engine/index.ts';
import { measureLimits, startLimit, type LimitTeam, type MachineLimits } from '../../engine/tools/index.ts';
import { environment, type Environment } from '../environment.ts';
import { compare, joined, median, micros, short, stepsFor, table, takeTurns } from '../measure.ts';
import type { Arm, Comparison, Summary } from '../measure.ts';
import { deliver, positive, wholeFrom } from '../options.ts';
import type { Skipped } from '../peers/found.ts';
import { findTorch, layouts, Torch, torchName, type Layout, type TorchVersions } from '../peers/torch.ts';
import { gpuKernelTable, gpuTasks, measureGpuKernels } from './gpu.ts';
import { startOurTask } from './ours.ts';
import { passOf, tasks, titleOf, type Single } from './tasks.ts';

export interface KernelResult {
  readonly task: Single;
  readonly title: string;
  /** Of the direct computation. */
  readonly flops: number;
  readonly oursMs: Summary;
  /** The minimum time inside the backend, without the overhead of a call. */
  readonly kernelMs: number;
  readonly gflopPerSecond: number;
  /** Compared with threads that compute as many multiply-adds on registers. */
  readonly limit: Comparison;
  /** The time of the limit divided by ours, the median over the pairs. Above 1 where Winograd needs less arithmetic. */
  readonly ofLimit: number;
  /** Compared with PyTorch in its faster layout. Null without PyTorch. */
  readonly torch: {
    readonly layout: Layout;
    readonly gflopPerSecond: number;
    readonly comparison: Comparison;
  } | null;
}

export interface KernelsResult {
  readonly report: Report;
  readonly limits: { readonly one: MachineLimits; readonly all: MachineLimits };
  readonly kernels: readonly KernelResult[];
}

export interface KernelSettings {
  readonly threads: number;
  readonly pairs: number;
  readonly turnMs: number;
  readonly warmup: number;
}

/** Merges two measurements of the same operations. Keeps the higher limits of the machine. */
export function joinedKernels(a: KernelsResult, b: KernelsResult): KernelsResult {
  const limits = a.limits.all.gflopPerSecond > b.limits.all.gflopPerSecond ? a.limits : b.limits;
  const kernels = a.kernels.map((one, i): KernelResult => {
    const other = b.kernels[i];
    if (one.torch === null || other.torch === null || one.title !== other.title)
      throw new Error(
        `${one.title} and ${other.title}: only comparisons of the same operation can be joined`,
      );
    const kernelMs = Math.min(one.kernelMs, other.kernelMs);
    const torch = {
      layout: one.torch.layout,
      comparison: joined(one.torch.comparison, other.torch.comparison),
    };
    return resultOf({ ...one, kernelMs, limit: joined(one.limit, other.limit), torch });
  });
  return { report: a.report, limits, kernels };
}

/** Adds the rates, which follow from the times. */
function resultOf(measured: Measured): KernelResult {
  const { task, title, flops, kernelMs, limit, torch } = measured;
  const rate = ({ median: ms }: Summary): number => flops / (ms * 1e6);
  return {
    task,
    title,
    flops,
    oursMs: limit.oursMs,
    kernelMs,
    gflopPerSecond: rate(limit.oursMs),
    limit,
    ofLimit: 1 / limit.ratio,
    torch: torch === null ? null : { ...torch, gflopPerSecond: rate(torch.comparison.theirsMs) },
  };
}

type Measured = Pick<KernelResult, 'task' | 'title' | 'flops' | 'kernelMs' | 'limit'> & {
  readonly torch: { readonly layout: Layout; readonly comparison: Comparison } | null;
};

/** Measures operations. A turn has several runs, because operations are shorter than training steps. */
export async function measureKernels(
  torch: Torch | null,
  which: readonly Single[],
  { threads, pairs, turnMs, warmup }: KernelSettings,
  log: (line: string) => void,
): Promise<KernelsResult> {
  const limits = await limitsOf(threads);
  const limit = await startLimit({ threads });
  const backend = await wasm({ threads }).catch(async (error: unknown) => {
    await limit.close();
    throw error;
  });
  try {
    let report: Report | null = null;
    const kernels: KernelResult[] = [];
    for (const task of which) {
      const ours = await startOurTask(backend, task, { backend: 'wasm', threads });
      try {
        report ??= ours.report;
        const { flops } = ours;
        const steps = stepsFor(turnMs, median(await ours.turn(warmup, 3)));
        const layout = torch === null ? null : await buildFaster(torch, task, steps);
        const arms = [ours, armOf(limit, flops), ...(torch === null ? [] : [torch.arm('PyTorch', false)])];
        const [mine, bound, theirs] = await takeTurns(arms, { pairs, steps });
        const compareWith = (other: readonly number[]): Comparison =>
          compare({ steps, ours: mine, theirs: other });
        const result = resultOf({
          task,
          title: titleOf(task),
          flops,
          kernelMs: micros(await ours.kernelMs(10)),
          limit: compareWith(bound),
          torch: layout === null ? null : { layout, comparison: compareWith(theirs) },
        });
        kernels.push(result);
        log(line(result, torch === null ? 'PyTorch' : torchName(torch.versions)));
      } finally {
        await ours.close();
      }
    }
    return { report: report!, limits, kernels };
  } finally {
    await limit.close();
    await backend.close();
  }
}

/** An arm whose steps have this much arithmetic and nothing else. */
const armOf = (limit: LimitTeam, flops: number): Arm => ({
  name: 'peak',
  async turn(skip, count) {
    const ms: number[] = [];
    for (let i = 0; i < skip + count; i++) ms.push(await limit.run(flops));
    return ms.slice(skip);
  },
});

export async function limitsOf(threads: number): Promise<KernelsResult['limits']> {
  return { one: await measureLimits({ threads: 1 }), all: await measureLimits({ threads }) };
}

/** Builds the task in the layout that is faster in a few runs. */
async function buildFaster(torch: Torch, task: Single, steps: number): Promise<Layout> {
  if (task.kind === 'matmul') {
    await torch.matmul(task);
    return 'contiguous';
  }
  const ms: number[] = [];
  for (const layout of layouts) {
    await torch.conv(task, layout);
    ms.push(median((await torch.turn(3, Math.max(3, steps), false)).ms));
  }
  const faster = layouts[ms[0] <= ms[1] ? 0 : 1];
  await torch.conv(task, faster);
  await torch.turn(3, 1, false);
  return faster;
}

function line(result: KernelResult, pytorch: string): string {
  const ratio = result.torch === null ? '' : `, ${short(result.torch.comparison.ratio)} of ${pytorch}'s time`;
  const share = `${formatPercent(result.ofLimit, 0)} of the peak`;
  return `${`${result.title} ${passOf(result.task)}`.trim()}: ${short(result.oursMs.median)} ms, ${share}${ratio}`;
}

/** `pytorch` names PyTorch with its version. */
export function kernelTable({ kernels, limits }: KernelsResult, pytorch = 'PyTorch'): string {
  const head = [
    'operation',
    'pass',
    'ms',
    'kernel ms',
    'GFLOP/s',
    'of peak',
    `${pytorch} ms`,
    'GFLOP/s',
    'ratio',
  ];
  const rows = kernels.map((result) => {
    const { torch } = result;
    return [
      result.title,
      passOf(result.task),
      short(result.oursMs.median),
      short(result.kernelMs),
      short(result.gflopPerSecond),
      formatPercent(result.ofLimit, 0),
      torch === null ? '' : short(torch.comparison.theirsMs.median),
      torch === null ? '' : short(torch.gflopPerSecond),
      torch === null ? '' : short(torch.comparison.ratio),
    ];
  });
  const { one, all } = limits;
  return [
    table(head, rows, 2),
    '',
    `Peak: ${one.gflopPerSecond.toFixed(1)} GFLOP/s on one thread, ${all.gflopPerSecond.toFixed(1)} on ${all.threads} ` +
      `(${one.simd} SIMD, registers only). Fractions are of the peak measured interleaved with each operation. ` +
      'Rates count the direct computation. The ratio is our time divided by ' +
      `${pytorch}'s.`,
  ].join('\n');
}

interface KernelArguments extends KernelSettings {
  readonly match?: string;
  readonly python?: string;
  readonly anyBlas?: boolean;
  readonly torch: boolean;
  readonly backend: 'wasm' | 'gpu';
  readonly mode: 'webgpu' | 'webgl';
  readonly runs: number;
  readonly peakTflops?: number;
  readonly json?: string | true;
}

function matching(all: readonly Single[], text = ''): readonly Single[] {
  const chosen = all.filter((task) => titleOf(task).includes(text));
  if (chosen.length === 0)
    throw new Error(`no operation has '${text}' in its title (omit --match to run all)`);
  return chosen;
}

interface KernelsFile extends Environment, KernelsResult {
  readonly benchmark: 'kernels';
  readonly config: KernelSettings;
  readonly baselines: { readonly torch: TorchVersions | null };
  readonly skipped: readonly Skipped[];
}

export function addKernelsBenchmark(program: Command): void {
  program
    .command('kernels')
    .description(
      'Time single matrix products and convolutions, compared with PyTorch (if installed) and the peak of the machine.',
    )
    .option('--threads <n>', 'threads of each engine', wholeFrom(1), availableParallelism())
    .option('--pairs <n>', 'pairs of turns', wholeFrom(1), 20)
    .option('--turn-ms <ms>', 'approximate time of a turn', wholeFrom(1), 30)
    .option('--warmup <n>', 'number of untimed runs at the start', wholeFrom(1), 60)
    .option('--match <text>', 'only operations whose title contains this text')
    .option('--python <path>', 'Python with PyTorch')
    .option('--any-blas', 'allow a PyTorch with the reference BLAS, which is slow')
    .option('--no-torch', 'do not run PyTorch')
    .addOption(new Option('--backend <name>', 'backend').choices(['wasm', 'gpu']).default('wasm'))
    .addOption(
      new Option('--mode <name>', 'mode of the gpu backend').choices(['webgpu', 'webgl']).default('webgpu'),
    )
    .option('--runs <n>', 'number of timed runs on the gpu backend', wholeFrom(1), 20)
    .option('--peak-tflops <n>', 'peak of the GPU in f32, for the fraction of peak', positive)
    .option('--json [file]', 'write the result as JSON to the file, or to stdout')
    .action(async (options: KernelArguments) => {
      if (options.backend === 'gpu') {
        const { mode, runs, warmup, peakTflops = null } = options;
        const settings = { mode, runs, warmup, peakTflops };
        const wanted = matching(gpuTasks, options.match);
        const measured = await measureGpuKernels(wanted, settings, (text) => console.error(text));
        deliver(measured, gpuKernelTable(measured), options.json);
        return;
      }
      const { threads, pairs, turnMs, warmup, match, python, json } = options;
      const config = { threads, pairs, turnMs, warmup };
      const where = environment();
      const found = options.torch ? findTorch(python) : null;
      const skipped = found?.found === false ? [{ name: found.name, reason: found.reason }] : [];
      for (const { name, reason } of skipped) console.error(`skipped ${name}: ${reason}`);
      const { anyBlas = false } = options;
      const torch = found?.found === true ? await Torch.start(found.value, threads, { anyBlas }) : null;
      try {
        const chosen = matching(tasks, match);
        const measured = await measureKernels(torch, chosen, config, (text) => console.error(text));
        const baselines = { torch: torch?.versions ?? null };
        const result: KernelsFile = {
          benchmark: 'kernels',
          ...where,
          config,
          baselines,
          skipped,
          ...measured,
        };
        deliver(result, kernelTable(measured, torch === null ? undefined : torchName(torch.versions)), json);
      } finally {
        await torch?.close();
      }
    });
}
