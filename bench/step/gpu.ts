/**
 * A training step of Caffe's `cifar10_full` at batch 100 on the GPU backend, with resident images: one and several steps per submission,
 * the time of the device, and the submission cost of the host (on the null backend of Dawn, which computes nothing).
 */
import { loader, meanImage, synthetic } from '../../datasets/index.ts';
import {
  checkFinite,
  compile,
  crossEntropy,
  formatPercent,
  gpu,
  i32,
  gather,
  type Backend,
  type Compiled,
  type Feeds,
  type GpuReport,
} from '../../engine/index.ts';
import * as nn from '../../engine/nn/index.ts';
import { sgd } from '../../optim/index.ts';
import { environment, type Environment } from '../environment.ts';
import { median, micros, summary, table, type Summary } from '../measure.ts';
import { expectReport } from '../ours.ts';
import { compareCuda, type CudaResult } from '../peers/cuda.ts';

const IMAGES = 2000;

export interface GpuStepSettings {
  readonly mode: 'webgpu' | 'webgl';
  readonly batchSize: number;
  /** Steps per submission with several steps. */
  readonly many: number;
  readonly steps: number;
  readonly warmup: number;
  readonly seed: number;
  /** The peak f32 performance of the adapter. Null if it is unknown. */
  readonly peakTflops: number | null;
  readonly python?: string;
}

/** Times in milliseconds. */
export interface GpuStepResult extends Environment {
  readonly benchmark: 'step';
  readonly config: GpuStepSettings & { readonly net: 'caffeFull' };
  readonly report: GpuReport;
  readonly flopsPerStep: number;
  readonly dispatchesPerStep: number;
  /** The time of a step that is submitted alone, including the wait. */
  readonly aloneMs: Summary;
  /** The time per step with several steps per submission. */
  readonly amongManyMs: Summary;
  /** The minimum time of all kernels of a step by the clock of the device, if it has one. */
  readonly deviceMs: number;
  /** CPU time of the host per submitted step, alone and with several per submission. Null on WebGL. */
  readonly submission: { readonly aloneMs: number; readonly amongManyMs: number } | null;
  readonly gflopPerSecond: number;
  readonly ofPeak: number | null;
  readonly loss: number;
  readonly cuda: CudaResult;
}

export async function measureGpuSteps(settings: GpuStepSettings): Promise<GpuStepResult> {
  const { mode, many, steps, warmup, peakTflops } = settings;
  const where = environment();
  const backend = await gpu({ mode });
  try {
    const { step, feeds } = await compileStep(backend, settings);
    const report = expectReport(step.report, { backend: 'gpu' });
    const alone = await timeAlone(step, feeds, warmup, steps);
    const amongMany = await timeMany(step, stacked(feeds, many), many, Math.max(1, Math.round(steps / many)));
    let deviceMs = Infinity;
    for (let k = 0; k < 5; k++) {
      const times = await step.profile(feeds(k));
      deviceMs = Math.min(
        deviceMs,
        times.reduce((sum, { ms }) => sum + ms, 0),
      );
    }
    const { plan } = step;
    const flopsPerStep = plan.steps.reduce((sum, { flops }) => sum + flops, 0);
    const { gpujs, wgsl } = report.kernels;
    await step.close();
    const gflopPerSecond = flopsPerStep / (deviceMs * 1e6);
    return {
      benchmark: 'step',
      ...where,
      config: { ...settings, net: 'caffeFull' },
      report,
      flopsPerStep,
      dispatchesPerStep: gpujs + wgsl,
      aloneMs: summary(alone.ms),
      amongManyMs: summary(amongMany),
      deviceMs: micros(deviceMs),
      submission: mode === 'webgpu' ? await submissionCost(settings) : null,
      gflopPerSecond,
      ofPeak: peakTflops === null ? null : gflopPerSecond / (peakTflops * 1e3),
      loss: alone.loss,
      cuda: await compareCuda(settings),
    };
  } finally {
    await backend.close();
  }
}

type FeedsOf = (step: number) => Feeds;

/** The training step, with rows of resident bytes by index. */
async function compileStep(
  backend: Backend,
  { batchSize, seed }: GpuStepSettings,
): Promise<{ readonly step: Compiled; readonly feeds: FeedsOf }> {
  const images = synthetic({ kind: 'images', n: IMAGES, seed });
  const model = nn.caffeFull({ mean: meanImage(images) });
  const optimizer = sgd({ lr: 0.001, momentum: 0.9, weightDecay: 0.004, form: 'caffe' });
  const whole = { x: new Uint8Array(IMAGES * 32 * 32 * 3), y: new Int32Array(IMAGES) };
  images.read(
    Uint32Array.from({ length: IMAGES }, (_, i) => i),
    whole.x,
    whole.y,
  );
  const step = await compile(backend, {
    inputs: { index: i32(batchSize) },
    hyper: Object.keys(optimizer.at(0)),
    state: {
      ...nn.initState(model, optimizer, seed),
      'data/x': { shape: [IMAGES, 32, 32, 3], dtype: 'u8', data: whole.x },
      'data/y': { shape: [IMAGES], dtype: 'i32', data: whole.y },
    },
    build({ index, step: k, hyper }, { 'data/x': x, 'data/y': y, ...state }) {
      const { output, updates } = nn.bind(model, state, { training: true, step: k })(gather(x, index));
      const loss = checkFinite(crossEntropy(output, gather(y, index)), 'the loss');
      return {
        outputs: { loss },
        next: { ...updates, ...nn.applyGradients(optimizer, model, state, loss, hyper) },
      };
    },
  });
  const batches = loader(images, { batchSize, shuffle: false });
  return {
    step,
    feeds: (k) => ({
      index: Int32Array.from(batches.batch(k).indices),
      step: Int32Array.of(k),
      ...optimizer.at(k),
    }),
  };
}

async function timeAlone(
  step: Compiled,
  feeds: FeedsOf,
  warmup: number,
  steps: number,
): Promise<{ readonly ms: readonly number[]; readonly loss: number }> {
  const ms: number[] = [];
  let loss = NaN;
  for (let k = 0; k < warmup + steps; k++) {
    const stepFeeds = feeds(k);
    const begin = performance.now();
    const outputs = await step.run(stepFeeds);
    ms.push(performance.now() - begin);
    loss = outputs['loss'].data[0];
  }
  return { ms: ms.slice(warmup), loss };
}

async function timeMany(
  step: Compiled,
  feeds: Feeds,
  many: number,
  turns: number,
): Promise<readonly number[]> {
  const ms: number[] = [];
  for (let turn = 0; turn <= turns; turn++) {
    const begin = performance.now();
    await step.runMany(feeds);
    ms.push((performance.now() - begin) / many);
  }
  return ms.slice(1);
}

function stacked(feeds: FeedsOf, many: number): Feeds {
  const each = Array.from({ length: many }, (_, k) => feeds(k));
  return Object.fromEntries(
    Object.entries(each[0]).map(([name, first]) => {
      const all = each.map((one) => one[name]);
      if (first instanceof Int32Array)
        return [name, Int32Array.from(all.flatMap((v) => [...(v as Int32Array)]))];
      return [name, Float32Array.from(all as number[])];
    }),
  );
}

/**
 * The CPU time of a submission on the host. Wall time would include interruptions by other processes. No device computes anything, so
 * the results are meaningless, and the checks of labels and loss may throw after the submission.
 */
export async function submissionCost(settings: GpuStepSettings): Promise<GpuStepResult['submission']> {
  const { steps, many } = settings;
  const backend = await gpu({ mode: 'webgpu', dawn: ['backend=null'] });
  try {
    const { step, feeds } = await compileStep(backend, settings);
    const single = feeds(0);
    const stack = stacked(feeds, many);
    const time = async (act: () => Promise<unknown>): Promise<number> => {
      const ms: number[] = [];
      for (let k = 0; k < steps + 20; k++) {
        const begin = process.cpuUsage();
        await act().catch(() => undefined);
        const { user, system } = process.cpuUsage(begin);
        if (k >= 20) ms.push((user + system) / 1e3);
      }
      return micros(median(ms));
    };
    const aloneMs = await time(() => step.run(single));
    const amongManyMs = micros((await time(() => step.runMany(stack))) / many);
    await step.close();
    return { aloneMs, amongManyMs };
  } finally {
    await backend.close();
  }
}

export function describeGpuSteps(result: GpuStepResult): string {
  const { config, report, machine, versions, submission, ofPeak, cuda } = result;
  const { wgsl, vec4 } = report.kernels;
  const rows = [
    ['one step per submission', result.aloneMs.min, result.aloneMs.median],
    [`${config.many} steps per submission, per step`, result.amongManyMs.min, result.amongManyMs.median],
    ['all kernels (device clock)', result.deviceMs, null],
    ...(submission === null
      ? []
      : [
          ['submitting one step (CPU time)', null, submission.aloneMs] as const,
          [`submitting ${config.many} steps, per step (CPU time)`, null, submission.amongManyMs] as const,
        ]),
    ...(cuda.eager === null
      ? []
      : [['PyTorch CUDA, eager', cuda.eager.ms.min, cuda.eager.ms.median] as const]),
    ...(cuda.graph === null
      ? []
      : [['PyTorch CUDA graph', cuda.graph.ms.min, cuda.graph.ms.median] as const]),
  ] as const;
  const number = (ms: number | null): string => (ms === null ? '' : ms.toFixed(3));
  return [
    `${config.net}, batch ${config.batchSize}, ${config.steps} steps after ${config.warmup}, ` +
      `${(result.flopsPerStep / 1e9).toFixed(2)} GFLOP and ${result.dispatchesPerStep} dispatches a step ` +
      `(${vec4 === undefined ? `${wgsl} in hand-written WGSL` : `${vec4} with four results a thread`})`,
    `${report.adapter ?? 'no adapter'}; ${report.executor}`,
    `${machine.cpu}, ${machine.cores} cores, load ${machine.loadAverage.join(' ')}; ` +
      `Node ${versions.node}, cyclegrad ${versions.cyclegrad} at ${versions.commit?.slice(0, 10) ?? 'no commit'}`,
    '',
    table(
      ['', 'min ms', 'median ms'],
      rows.map(([what, min, middle]) => [what, number(min), number(middle)]),
      1,
    ),
    '',
    `${result.gflopPerSecond.toFixed(1)} GFLOP/s by the device clock` +
      (ofPeak === null
        ? ' (fraction of peak unknown: pass the peak of the adapter with --peak-tflops)'
        : `, ${formatPercent(ofPeak)} of ${config.peakTflops} TFLOP/s`),
    ...cuda.skipped.map(({ name, reason }) => `skipped ${name}: ${reason}`),
  ].join('\n');
}
