/** Single operations on the GPU backend: their time by the clock of the device, and the time of a call. */
import { formatPercent, gpu, type Report } from '../../engine/index.ts';
import { adapterName } from '../../engine/tools/index.ts';
import { environment, type Environment } from '../environment.ts';
import { micros, short, summary, table, type Summary } from '../measure.ts';
import { startOurTask } from './ours.ts';
import { passOf, productOf, tasks, titleOf, type Single } from './tasks.ts';

export interface GpuKernelSettings {
  readonly mode: 'webgpu' | 'webgl';
  readonly runs: number;
  readonly warmup: number;
  /** The peak f32 performance of the adapter. Null if it is unknown. */
  readonly peakTflops: number | null;
}

export interface GpuKernelResult {
  readonly task: Single;
  readonly title: string;
  /** The hand-written dispatches, or '' for kernels of gpu.js. */
  readonly method: string;
  /** Of the direct computation. */
  readonly flops: number;
  /** The minimum over the runs by the clock of the device, if it has one. */
  readonly kernelMs: number;
  /** The time of a single submission, including the wait. */
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

/** The tasks of the CPU, and a larger matrix product. */
export const gpuTasks: readonly Single[] = [...tasks, productOf(2048)];

export async function measureGpuKernels(
  which: readonly Single[],
  settings: GpuKernelSettings,
  log: (line: string) => void,
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
        log(`${result.title} ${passOf(task)}: ${short(kernelMs)} ms, ${short(gflopPerSecond)} GFLOP/s`);
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
      ? 'The fraction of peak is unknown: pass the peak of the adapter with --peak-tflops.'
      : `Peak: ${config.peakTflops} TFLOP/s.`,
  ].join('\n');
}
