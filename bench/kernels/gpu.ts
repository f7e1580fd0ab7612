/** Single operations on the GPU backend: their time by the device's own clock, and with the way there and back. */
import { adapterName, formatPercent, gpu, type Report } from '../../engine/index.ts';
import { environment, type Environment } from '../environment.ts';
import { micros, short, summary, table, type Summary } from '../measure.ts';
import { startOurTask } from './ours.ts';
import { passOf, productOf, tasks, titleOf, type Single } from './tasks.ts';

export interface GpuKernelSettings {
  readonly mode: 'webgpu' | 'webgl';
  readonly runs: number;
  readonly warmup: number;
  /** What the adapter does at most in f32; null where nobody says. */
  readonly peakTflops: number | null;
}

export interface GpuKernelResult {
  readonly task: Single;
  readonly title: string;
  /** How it is computed: the hand-written dispatches, or '' for gpu.js's kernels. */
  readonly method: string;
  /** Of the direct computation. */
  readonly flops: number;
  /** By the device's clock, where it has one: the least of the runs. */
  readonly kernelMs: number;
  /** Submitted alone and waited for. */
  readonly runMs: Summary;
  readonly gflopPerSecond: number;
  readonly ofPeak: number | null;
}

export interface GpuKernelsResult extends Environment {
  readonly benchmark: 'kernels';
  readonly config: GpuKernelSettings;
  readonly report: Report;
  readonly kernels: readonly GpuKernelResult[];
}

/** The products that a GPU takes its time over besides. */
export const gpuTasks: readonly Single[] = [...tasks, productOf(2048)];

export async function measureGpuKernels(
  which: readonly Single[],
  settings: GpuKernelSettings,
  tell: (line: string) => void,
): Promise<GpuKernelsResult> {
  const { mode, runs, warmup, peakTflops } = settings;
  const where = environment();
  const backend = await gpu({ mode });
  try {
    let report: Report | null = null;
    const kernels: GpuKernelResult[] = [];
    for (const task of which) {
      const ours = await startOurTask(backend, task, { backend: 'gpu' });
      try {
        report ??= ours.report;
        await ours.turn(warmup, 0);
        const kernelMs = micros(await ours.kernelMs(runs));
        const gflopPerSecond = ours.flops / (kernelMs * 1e6);
        const result: GpuKernelResult = {
          task,
          title: titleOf(task),
          method: ours.method,
          flops: ours.flops,
          kernelMs,
          runMs: summary(await ours.turn(0, runs)),
          gflopPerSecond,
          ofPeak: peakTflops === null ? null : gflopPerSecond / (peakTflops * 1e3),
        };
        kernels.push(result);
        tell(`${result.title} ${passOf(task)}: ${short(kernelMs)} ms, ${short(gflopPerSecond)} GFLOP/s`);
      } finally {
        await ours.close();
      }
    }
    return { benchmark: 'kernels', ...where, config: settings, report: report!, kernels };
  } finally {
    await backend.close();
  }
}

export function gpuKernelTable({ kernels, report, config }: GpuKernelsResult): string {
  const head = ['operation', 'pass', 'how', 'kernel ms', 'run ms', 'GFLOP/s', 'of peak'];
  const rows = kernels.map(({ task, title, method, kernelMs, runMs, gflopPerSecond, ofPeak }) => [
    title,
    passOf(task),
    method === '' ? 'gpu.js' : method,
    short(kernelMs),
    short(runMs.median),
    short(gflopPerSecond),
    ofPeak === null ? '' : formatPercent(ofPeak),
  ]);
  return [
    `${adapterName(report) ?? 'no adapter'}; ${report.executor}`,
    '',
    table(head, rows, 3),
    '',
    config.peakTflops === null
      ? 'The share of peak is unknown: --peak-tflops says what the adapter can do.'
      : `Peak: ${config.peakTflops} TFLOP/s.`,
  ].join('\n');
}
