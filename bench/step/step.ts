/**
 * The time of a training step of a workload, by default Caffe's `cifar10_full` at batch 100, through `train`, as users run it, with
 * resident images. The images are synthetic, so accuracy is meaningless.
 */
import { availableParallelism } from 'node:os';
import { Option, type Command } from 'commander';
import { loader, type Loader } from '../../datasets/index.ts';
import {
  crossEntropy,
  train,
  wasm,
  type Backend,
  type TrainEvent,
  type WasmReport,
} from '../../engine/index.ts';
import type { Layer } from '../../engine/nn/index.ts';
import { SIMD_KINDS, type Plan, type Simd } from '../../engine/tools/index.ts';
import { environment, type Environment } from '../environment.ts';
import { micros, table } from '../measure.ts';
import { deliver, positive, threadList, wholeFrom } from '../options.ts';
import { buildModel, expectReport, makeDataset, makeOptimizer, statisticsOf } from '../ours.ts';
import { workloadNames, workloads, type Workload, type WorkloadName } from '../workloads.ts';
import { describeGpuSteps, measureGpuSteps } from './gpu.ts';

/** The 500 batches of CIFAR-10 would only take longer to generate. */
const BATCHES = 20;
/** Steps in a turn: short compared with changes of the speed of the machine, long compared with a wake-up. */
const TURN = 10;

interface StepArguments {
  readonly workload: WorkloadName;
  readonly threads: readonly number[];
  readonly steps: number;
  readonly warmup: number;
  readonly simd: Simd | 'auto';
  readonly seed: number;
  readonly json?: string | true;
}

/** Additional options for the GPU backend. */
interface GpuArguments {
  readonly backend: 'wasm' | 'gpu';
  readonly mode: 'webgpu' | 'webgl';
  readonly many: number;
  readonly peakTflops?: number;
  readonly python?: string;
}

/** The measurement with one number of threads. Times are in milliseconds. */
interface Measured {
  readonly threads: number;
  readonly report: WasmReport;
  /** Multiplications and additions of the timed plan. */
  readonly flopsPerStep: number;
  /** The first step, including one-time work. */
  readonly firstMs: number;
  readonly minMs: number;
  readonly medianMs: number;
  readonly p90Ms: number;
  readonly imagesPerSecond: number;
  readonly gflopPerSecond: number;
  /** The loss of the last step, which must be the same for every number of threads. */
  readonly loss: number;
  readonly ms: readonly number[];
}

interface StepResult extends Environment {
  readonly benchmark: 'step';
  readonly config: {
    readonly workload: WorkloadName;
    readonly batchSize: number;
    readonly steps: number;
    readonly warmup: number;
    readonly simd: string;
    readonly seed: number;
  };
  readonly results: readonly Measured[];
}

export function addStepBenchmark(program: Command): void {
  const cores = availableParallelism();
  program
    .command('step')
    .description(
      "Time a training step, by default of Caffe's CIFAR-10 network at batch 100, on synthetic images.",
    )
    .addOption(new Option('--workload <name>', 'network').choices(workloadNames).default('full'))
    .option(
      '--threads <list>',
      'numbers of threads, separated by commas',
      threadList,
      cores === 1 ? [1] : [1, cores],
    )
    .option('--steps <n>', 'timed steps for each number of threads', wholeFrom(1), 100)
    .option('--warmup <n>', 'untimed steps before them', wholeFrom(1), 10)
    .addOption(
      new Option('--simd <kind>', 'SIMD instructions of the wasm backend')
        .choices(['auto', ...SIMD_KINDS])
        .default('auto'),
    )
    .option('--seed <n>', 'seed of weights and images', wholeFrom(0), 1)
    .addOption(new Option('--backend <name>', 'backend').choices(['wasm', 'gpu']).default('wasm'))
    .addOption(
      new Option('--mode <name>', 'mode of the gpu backend').choices(['webgpu', 'webgl']).default('webgpu'),
    )
    .option('--many <n>', 'steps in a submission to the GPU', wholeFrom(1), 20)
    .option('--peak-tflops <n>', 'peak of the GPU in f32, for the fraction of peak', positive)
    .option('--python <path>', 'Python with PyTorch on CUDA, compared with the gpu backend')
    .option('--json [file]', 'write the result as JSON to the file, or to stdout')
    .action(async (options: StepArguments & GpuArguments) => {
      if (options.backend === 'gpu') {
        if (options.workload !== 'full')
          program.error(`step: the gpu backend is timed on 'full' alone, got '${options.workload}'`);
        const { mode, many, steps, warmup, seed, peakTflops = null, python } = options;
        const settings = {
          mode,
          batchSize: workloads.full.batchSize,
          many,
          steps,
          warmup,
          seed,
          peakTflops,
          ...(python !== undefined && { python }),
        };
        const measured = await measureGpuSteps(settings);
        deliver(measured, describeGpuSteps(measured), options.json);
        return;
      }
      const result = await measureSteps(options);
      deliver(result, describe(result), options.json);
    });
}

/** A run with one number of threads on its own backend. */
interface Arm {
  readonly threads: number;
  readonly backend: Backend;
  readonly events: AsyncGenerator<TrainEvent, void, undefined>;
  /** All loaded plans. The first is the training step. */
  readonly plans: Plan[];
  readonly ms: number[];
  report: WasmReport | null;
  loss: number;
}

export async function measureSteps(options: StepArguments): Promise<StepResult> {
  const { threads, steps, warmup, simd, seed } = options;
  const workload: Workload = workloads[options.workload];
  const { batchSize } = workload;
  const where = environment();
  const images = makeDataset(workload, BATCHES * batchSize, seed);
  const data = loader(images, { batchSize, shuffle: false });
  const model = buildModel(workload, { normalize: statisticsOf(workload, images) });

  const arms: Arm[] = [];
  try {
    for (const count of threads) arms.push(await startArm(count, options, workload, model, data));
    while (arms.some((arm) => arm.ms.length < warmup + steps)) {
      for (const arm of arms) await advance(arm, Math.min(TURN, warmup + steps - arm.ms.length));
    }
    const results = arms.map((arm) => summarize(arm, options));
    for (const { threads: count, loss } of results) {
      if (Object.is(loss, results[0].loss)) continue;
      throw new Error(
        `step: the loss differs between ${count} and ${results[0].threads} threads: ${loss} and ${results[0].loss}`,
      );
    }
    const config = { workload: workload.name, batchSize, steps, warmup, simd, seed };
    return { benchmark: 'step', ...where, config, results };
  } finally {
    for (const arm of arms) {
      await arm.events.return();
      await arm.backend.close();
    }
  }
}

async function startArm(
  threads: number,
  { simd, steps, warmup, seed }: StepArguments,
  workload: Workload,
  model: Layer,
  data: Loader,
): Promise<Arm> {
  const backend = await wasm({ threads, simd });
  const plans: Plan[] = [];
  const load = backend.load.bind(backend);
  backend.load = (plan, store) => {
    plans.push(plan);
    return load(plan, store);
  };
  const events = train({
    model,
    backend,
    steps: warmup + steps,
    seed,
    data,
    optimizer: makeOptimizer(workload),
    loss: crossEntropy,
  });
  return { threads, backend, events, plans, ms: [], report: null, loss: NaN };
}

/** Runs `steps` more steps. Throws if the backend does not run as requested. */
async function advance(arm: Arm, steps: number): Promise<void> {
  for (let left = steps; left > 0;) {
    const { value: event, done } = await arm.events.next();
    if (done === true) throw new Error('step: the run ended before its steps were done');
    if (event.type === 'start')
      arm.report = expectReport(event.report, { backend: 'wasm', threads: arm.threads });
    if (event.type !== 'step') continue;
    arm.ms.push(event.ms);
    arm.loss = event.loss;
    left--;
  }
}

function summarize(arm: Arm, { workload, warmup, simd }: StepArguments): Measured {
  const { threads, plans, ms: all, loss } = arm;
  const report = arm.report!;
  if (simd !== 'auto' && report.simd !== simd) {
    throw new Error(`step: expected ${simd} SIMD, but the backend uses ${report.simd}`);
  }
  const ms = all.slice(warmup).map(micros);
  const sorted = ms.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
  const medianMs = at(0.5);
  const flopsPerStep = plans[0].steps.reduce((sum, step) => sum + step.flops, 0);
  return {
    threads,
    report,
    flopsPerStep,
    firstMs: micros(all[0]),
    minMs: sorted[0],
    medianMs,
    p90Ms: at(0.9),
    imagesPerSecond: (workloads[workload].batchSize * 1000) / medianMs,
    gflopPerSecond: flopsPerStep / (medianMs * 1e6),
    loss,
    ms,
  };
}

function describe({ machine, versions, config, results }: StepResult): string {
  const head = ['threads', 'SIMD', 'min ms', 'median ms', 'p90 ms', 'images/s', 'GFLOP/s', 'speedup'];
  const rows = results.map((result) => [
    String(result.threads),
    result.report.simd,
    result.minMs.toFixed(2),
    result.medianMs.toFixed(2),
    result.p90Ms.toFixed(2),
    result.imagesPerSecond.toFixed(0),
    result.gflopPerSecond.toFixed(1),
    `${(results[0].medianMs / result.medianMs).toFixed(2)}x`,
  ]);
  const { flopsPerStep } = results[0];
  return [
    `${workloads[config.workload].title}, batch ${config.batchSize}, ${config.steps} steps after ${config.warmup}, ` +
      `${(flopsPerStep / 1e9).toFixed(2)} GFLOP a step, seed ${config.seed}`,
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadAverage.join(' ')}; ` +
      `Node ${versions.node}, cyclegrad ${versions.cyclegrad} at ${versions.commit?.slice(0, 10) ?? 'no commit'}`,
    '',
    table(head, rows, 0),
    '',
    'Rates and the speedup over the first row are computed from the median.',
  ].join('\n');
}
